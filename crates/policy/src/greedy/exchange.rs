//! How replicas that are placed make room for one that no bin with room may take.

use eplb_core::ExpertId;

use super::bins::Bins;

/// What the bins hold so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'a> {
    pub(super) bins: &'a Bins,
    pub(super) table: &'a [ExpertId],
    /// The first free slot of each bin.
    pub(super) next: &'a [u32],
    pub(super) loads: &'a [u32],
    /// Load of one replica of each expert.
    pub(super) shares: &'a [u32],
}

impl Filling<'_> {
    fn filled(&self, bin: usize) -> &[ExpertId] {
        &self.table[self.bins.slots_of(bin).start..self.next[bin] as usize]
    }

    fn has_room(&self, bin: usize) -> bool {
        (self.next[bin] as usize) < self.bins.slots_of(bin).end
    }
}

/// The bins that hold each expert.
#[derive(Debug)]
struct Holders {
    /// For each expert the first of its entries in `bins`, and the number of entries at the end.
    first: Vec<usize>,
    bins: Vec<usize>,
}

impl Holders {
    fn new(filling: &Filling<'_>) -> Self {
        let mut first = vec![0; filling.shares.len() + 1];
        let bins = 0..filling.bins.len();
        for expert in bins.clone().flat_map(|bin| filling.filled(bin)) {
            first[expert.index() + 1] += 1;
        }
        for expert in 1..first.len() {
            first[expert] += first[expert - 1];
        }
        let mut next = first.clone();
        let mut holders = vec![0; first[first.len() - 1]];
        for bin in bins {
            for expert in filling.filled(bin) {
                let next = &mut next[expert.index()];
                holders[*next] = bin;
                *next += 1;
            }
        }
        Self { first, bins: holders }
    }

    fn of(&self, expert: usize) -> &[usize] {
        &self.bins[self.first[expert]..self.first[expert + 1]]
    }

    fn holds(&self, bin: usize, expert: usize) -> bool {
        // Entries are in order of bins.
        self.of(expert).binary_search(&bin).is_ok()
    }
}

/// The slots of a chain of moves: the new replica goes into the first, what that holds into the
/// second, and so on; the last slot is free. Afterwards no bin has two replicas of an expert that
/// had not before.
///
/// All bins with room hold `expert`. Of the chains of one move it is the one after which the later
/// of the two bins is done first; when there is none, it is a shortest one. `None` when there is no
/// chain: then (Ford and Fulkerson) no placement of these replicas keeps them all apart.
pub(super) fn chain(filling: &Filling<'_>, expert: usize) -> Option<Vec<usize>> {
    let holders = Holders::new(filling);
    best_move(filling, &holders, expert).or_else(|| shortest_chain(filling, &holders, expert))
}

fn best_move(filling: &Filling<'_>, holders: &Holders, expert: usize) -> Option<Vec<usize>> {
    let Filling { bins, table, loads, shares, .. } = *filling;
    let rooms: Vec<usize> = (0..bins.len()).filter(|&bin| filling.has_room(bin)).collect();
    let mut best: Option<(u64, [usize; 2])> = None;
    for from in (0..bins.len()).filter(|&bin| !holders.holds(bin, expert)) {
        for slot in bins.slots_of(from) {
            let moving = table[slot].index();
            let relieved = bins.time(from, loads[from] - shares[moving] + shares[expert]);
            for &to in &rooms {
                let loaded = bins.time(to, loads[to] + shares[moving]);
                let time = relieved.max(loaded);
                if best.is_none_or(|(least, _)| time < least) && !holders.holds(to, moving) {
                    best = Some((time, [slot, filling.next[to] as usize]));
                }
            }
        }
    }
    best.map(|(_, slots)| slots.to_vec())
}

/// A breadth-first search over bins, from those without `expert` to one with room.
fn shortest_chain(filling: &Filling<'_>, holders: &Holders, expert: usize) -> Option<Vec<usize>> {
    let Filling { bins, table, .. } = *filling;
    let (mut unreached, mut reached): (Vec<usize>, Vec<usize>) =
        (0..bins.len()).partition(|&bin| holders.holds(bin, expert));
    // The slot whose replica moves to the bin, and the bin of that slot.
    let mut origin: Vec<Option<(usize, usize)>> = vec![None; bins.len()];
    let mut visited = 0;
    while let Some(&from) = reached.get(visited) {
        visited += 1;
        for slot in bins.slots_of(from) {
            let moving = table[slot].index();
            let mut target = None;
            // A bin is passed over only while it holds what moves, so that this is linear in all.
            unreached.retain(|&to| {
                let stays = holders.holds(to, moving);
                if !stays {
                    origin[to] = Some((slot, from));
                    reached.push(to);
                    if target.is_none() && filling.has_room(to) {
                        target = Some(to);
                    }
                }
                stays
            });
            if let Some(target) = target {
                let mut slots = vec![filling.next[target] as usize];
                let mut bin = target;
                while let Some((slot, before)) = origin[bin] {
                    slots.push(slot);
                    bin = before;
                }
                slots.reverse();
                return Some(slots);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use eplb_core::{NodeId, RankSpec, Topology};

    use super::*;

    /// The chain for expert 0 where each rank has these slots and holds these experts.
    fn chain_of(slots: &[u32], held: &[&[u32]], shares: &[u32]) -> Option<Vec<usize>> {
        let ranks = slots.iter().map(|&slots| RankSpec::new(NodeId(0), slots)).collect();
        let bins = Bins::new(&Topology::new(ranks).unwrap());
        let mut table = vec![ExpertId(0); bins.live_slots()];
        let mut next = Vec::new();
        let mut loads = Vec::new();
        for (bin, experts) in held.iter().enumerate() {
            let slots = bins.slots_of(bin);
            next.push((slots.start + experts.len()) as u32);
            loads.push(experts.iter().map(|&expert| shares[expert as usize]).sum());
            for (slot, &expert) in slots.zip(*experts) {
                table[slot] = ExpertId(expert);
            }
        }
        chain(&Filling { bins: &bins, table: &table, next: &next, loads: &loads, shares }, 0)
    }

    #[test]
    fn of_single_moves_the_one_that_balances_best() {
        let held: [&[u32]; 2] = [&[0, 1], &[2, 3, 4]];
        // The second rank's load becomes 12, 16 or 20, the first one's 17, 13 or 9.
        assert_eq!(chain_of(&[3, 3], &held, &[8, 1, 8, 4, 0]), Some(vec![4, 2]));
        // 18, 16 or 14, and 11, 13 or 15.
        assert_eq!(chain_of(&[3, 3], &held, &[8, 1, 2, 4, 6]), Some(vec![5, 2]));
    }

    #[test]
    fn where_no_single_move_helps_a_chain_does() {
        // Expert 1 can't go from the first rank to the last, which holds it, but to the second.
        let held: [&[u32]; 3] = [&[1], &[0, 2], &[0, 1]];
        assert_eq!(chain_of(&[1, 2, 3], &held, &[3, 2, 1]), Some(vec![0, 2, 5]));
    }

    #[test]
    fn without_a_way_there_is_no_chain() {
        assert_eq!(chain_of(&[1, 3], &[&[1], &[0, 1]], &[1, 1]), None);
        assert_eq!(chain_of(&[3], &[&[0, 1]], &[1, 1]), None);
    }
}
