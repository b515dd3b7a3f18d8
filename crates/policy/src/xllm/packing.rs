//! Which rank takes each replica.

use std::cmp::{Ordering, Reverse};

use eplb_core::{RankId, Topology};

/// Fractional bits of shares: a replica's load is known to 2^-32 tokens, rounded down, and equal
/// quotients stay equal. A rank's load in these units stays below 2^88, times a speed below 2^108.
const FRACTION_BITS: u32 = 32;

/// Ranks that are being filled, one replica after the other.
#[derive(Debug)]
pub(super) struct Packing {
    bins: Vec<Bin>,
    /// Load of one replica of each expert, in 2^-32 tokens.
    shares: Vec<u128>,
    /// For each expert the bins that hold it.
    holders: Vec<Vec<usize>>,
}

/// A live rank.
#[derive(Debug)]
struct Bin {
    rank: RankId,
    slots: usize,
    speed: u128,
    /// Shares of what it holds.
    load: u128,
    /// Experts it holds, in slot order.
    experts: Vec<usize>,
}

/// The time that a rank needs for a load.
#[derive(Clone, Copy, Debug)]
struct Time {
    load: u128,
    speed: u128,
}

impl Time {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.load * other.speed).cmp(&(other.load * self.speed))
    }

    fn later(self, other: Self) -> Self {
        if self.cmp(&other).is_lt() { other } else { self }
    }
}

impl Bin {
    fn has_room(&self) -> bool {
        self.experts.len() < self.slots
    }

    fn time_with(&self, load: u128) -> Time {
        Time { load, speed: self.speed }
    }
}

/// A way to make room: the expert at `slot` of bin `from` moves to bin `to`.
struct Exchange {
    from: usize,
    slot: usize,
    to: usize,
}

impl Packing {
    /// Empty ranks, and `counts` replicas to come of experts with these loads.
    pub(super) fn new(topology: &Topology, load: &[u64], counts: &[usize]) -> Self {
        let bins = topology.live_ranks().map(|rank| Bin {
            rank,
            slots: topology.slots_of(rank).len(),
            speed: topology.rank(rank).speed.into(),
            load: 0,
            experts: Vec::new(),
        });
        let share = |(&tokens, &count): (&u64, &usize)| {
            (u128::from(tokens) << FRACTION_BITS) / count as u128
        };
        Self {
            bins: bins.collect(),
            shares: load.iter().zip(counts).map(share).collect(),
            holders: vec![Vec::new(); load.len()],
        }
    }

    /// All experts by descending load per replica, the first of equals first.
    pub(super) fn by_descending_share(&self) -> Vec<usize> {
        let mut experts: Vec<usize> = (0..self.shares.len()).collect();
        experts.sort_by_key(|&expert| Reverse(self.shares[expert]));
        experts
    }

    /// Puts a replica on the rank that is done first with it, of those with room that don't hold its
    /// expert. Where each rank with room holds it, another expert makes room elsewhere; where none
    /// can, the rank gets a second replica.
    pub(super) fn place(&mut self, expert: usize) {
        if let Some(bin) = self.first_done(expert, |bin| !self.holders[expert].contains(&bin)) {
            self.add(expert, bin);
        } else if let Some(exchange) = self.best_exchange(expert) {
            self.exchange(expert, &exchange);
        } else if let Some(bin) = self.first_done(expert, |_| true) {
            self.add(expert, bin);
        }
    }

    /// What each live rank holds, in slot order.
    pub(super) fn into_ranks(self) -> impl Iterator<Item = (RankId, Vec<usize>)> {
        self.bins.into_iter().map(|bin| (bin.rank, bin.experts))
    }

    fn first_done(&self, expert: usize, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let time = |bin: &usize| {
            let bin = &self.bins[*bin];
            bin.time_with(bin.load + self.shares[expert])
        };
        // `min_by` takes the first of equals.
        (0..self.bins.len())
            .filter(|&bin| self.bins[bin].has_room() && allowed(bin))
            .min_by(|one, other| time(one).cmp(&time(other)))
    }

    /// The exchange after which the slower of the two ranks is done first; of equals the first.
    ///
    /// With equally many slots on each rank and no second replica so far there always is one: a rank
    /// with room has at most slots - 2 experts besides this one, so one of the experts of a full
    /// rank is new to it; and a rank without this expert exists while it has fewer replicas than
    /// ranks.
    fn best_exchange(&self, expert: usize) -> Option<Exchange> {
        let mut best: Option<(Time, Exchange)> = None;
        for (to, target) in self.bins.iter().enumerate().filter(|(_, bin)| bin.has_room()) {
            for (from, source) in self.bins.iter().enumerate() {
                if self.holders[expert].contains(&from) {
                    continue;
                }
                for (slot, &moving) in source.experts.iter().enumerate() {
                    if self.holders[moving].contains(&to) {
                        continue;
                    }
                    let moved = self.shares[moving];
                    let time = target
                        .time_with(target.load + moved)
                        .later(source.time_with(source.load - moved + self.shares[expert]));
                    if best.as_ref().is_none_or(|(least, _)| time.cmp(least).is_lt()) {
                        best = Some((time, Exchange { from, slot, to }));
                    }
                }
            }
        }
        best.map(|(_, exchange)| exchange)
    }

    fn add(&mut self, expert: usize, bin: usize) {
        self.bins[bin].experts.push(expert);
        self.bins[bin].load += self.shares[expert];
        self.holders[expert].push(bin);
    }

    fn exchange(&mut self, expert: usize, exchange: &Exchange) {
        let &Exchange { from, slot, to } = exchange;
        let moving = std::mem::replace(&mut self.bins[from].experts[slot], expert);
        self.bins[from].load += self.shares[expert];
        self.bins[from].load -= self.shares[moving];
        self.holders[expert].push(from);
        // One entry only: a rank may hold a second replica, which stays.
        if let Some(entry) = self.holders[moving].iter().position(|&bin| bin == from) {
            self.holders[moving].remove(entry);
        }
        self.add(moving, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eplb_core::{NodeId, RankSpec};

    fn ranks(packing: Packing) -> Vec<Vec<usize>> {
        packing.into_ranks().map(|(_, experts)| experts).collect()
    }

    #[test]
    fn a_full_rank_takes_nothing_though_it_has_the_least_load() {
        let topology = Topology::uniform(2, 2, 1).unwrap();
        let mut packing = Packing::new(&topology, &[0, 0, 9, 9], &[1; 4]);
        for expert in 0..4 {
            packing.place(expert);
        }
        assert_eq!(ranks(packing), [[0, 1], [2, 3]]);
    }

    #[test]
    fn a_second_replica_makes_the_expert_move_that_balances_best() {
        let topology = Topology::uniform(2, 3, 1).unwrap();
        let mut packing = Packing::new(&topology, &[8, 1, 8, 4, 0], &[2, 1, 1, 1, 1]);
        for (expert, bin) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1)] {
            packing.add(expert, bin);
        }
        // Only the first rank has room. Its load becomes 13, 9 or 5, the other's 8, 12 or 16.
        packing.place(0);
        let loads: Vec<u128> = packing.bins.iter().map(|bin| bin.load >> FRACTION_BITS).collect();
        assert_eq!(loads, [9, 12]);
        assert_eq!(packing.holders[3], [0]);
        assert_eq!(ranks(packing), [[0, 1, 3], [2, 0, 4]]);
    }

    #[test]
    fn a_fast_rank_takes_more() {
        let spec = |speed| RankSpec { speed, ..RankSpec::new(NodeId(0), 3) };
        let topology = Topology::new(vec![spec(1_000), spec(3_000)]).unwrap();
        let mut packing = Packing::new(&topology, &[6, 6, 6, 6], &[1; 4]);
        for expert in 0..4 {
            packing.place(expert);
        }
        assert_eq!(ranks(packing), [vec![2], vec![0, 1, 3]]);
    }
}
