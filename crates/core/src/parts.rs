//! A change of a layer in parts, each small enough for the memory that ranks have for it.

use crate::{ExpertId, LayerPlacement, SlotId, Topology};

/// The slots of a layer that still change, and the table as it is meanwhile.
struct Rest<'a> {
    table: Vec<ExpertId>,
    to: &'a [ExpertId],
    topology: &'a Topology,
    /// Replicas of each expert on live ranks.
    counts: Vec<usize>,
    /// Slots that each rank may still change in the part at hand.
    quota: Vec<usize>,
}

impl LayerPlacement {
    /// The placements that lead from this one to `to`, the last of them, one after the other, so that
    /// each changes at most `most_slots` slots of a rank and places every expert. Those on the way have
    /// even shares and this placement's epoch. A rank that has received an expert is a source of it for
    /// the parts after, so that a hot expert spreads like a tree.
    ///
    /// Nothing if there is no such way: experts without another replica that trade places in a circle
    /// all have to change at once. Ranks that hold nothing yet are filled in one part, and `to` is the
    /// only one where ranks change no more slots than that.
    pub fn parts(
        &self,
        to: &Self,
        topology: &Topology,
        most_slots: usize,
    ) -> Option<Vec<LayerPlacement>> {
        let mut rest = Rest::new(self, to, topology);
        let whole = rest.slots().len();
        let largest = topology
            .live_ranks()
            .map(|rank| topology.slots_of(rank).filter(|&slot| rest.changes(slot)).count());
        if largest.max().unwrap_or(0) <= most_slots {
            return Some(vec![to.clone()]);
        }
        if topology.live_ranks().any(|rank| !topology.holds_weights(rank)) {
            return None;
        }
        let mut parts = Vec::new();
        // Each part changes a slot at least.
        for _ in 0..whole {
            if !rest.take_part(most_slots) {
                return None;
            }
            if rest.slots().is_empty() {
                parts.push(to.clone());
                return Some(parts);
            }
            parts.push(self.with_table(&rest.table));
        }
        None
    }
}

impl<'a> Rest<'a> {
    fn new(from: &LayerPlacement, to: &'a LayerPlacement, topology: &'a Topology) -> Self {
        // What dead ranks' slots are said to hold changes nothing.
        let mut table = to.experts().to_vec();
        let experts = table.iter().chain(from.experts()).map(|expert| expert.index() + 1).max();
        let mut counts = vec![0; experts.unwrap_or(0)];
        for slot in topology.live_ranks().flat_map(|rank| topology.slots_of(rank)) {
            table[slot] = from.expert_at(SlotId::from_index(slot));
            counts[table[slot].index()] += 1;
        }
        let quota = vec![0; topology.ranks()];
        Self { table, to: to.experts(), topology, counts, quota }
    }

    fn changes(&self, slot: usize) -> bool {
        self.table[slot] != self.to[slot]
    }

    fn slots(&self) -> Vec<usize> {
        let live = self.topology.live_ranks().flat_map(|rank| self.topology.slots_of(rank));
        live.filter(|&slot| self.changes(slot)).collect()
    }

    /// Changes what fits into one part; false if nothing does.
    fn take_part(&mut self, most_slots: usize) -> bool {
        self.quota.fill(most_slots);
        let mut taken = false;
        for slot in self.slots() {
            taken |= self.changes(slot) && self.has_quota(slot) && self.take(slot);
        }
        taken
    }

    fn has_quota(&self, slot: usize) -> bool {
        self.quota[self.topology.rank_of(SlotId::from_index(slot)).index()] > 0
    }

    /// Changes a slot whose rank has quota. If that takes an expert's last replica, a slot that gets the expert changes with
    /// it, and so on; nothing changes if that comes to no end within the quota.
    fn take(&mut self, slot: usize) -> bool {
        let mut chain = vec![];
        let mut next = slot;
        loop {
            let rank = self.topology.rank_of(SlotId::from_index(next)).index();
            let left = self.table[next];
            self.set(next, self.to[next]);
            self.quota[rank] -= 1;
            chain.push((next, rank, left));
            if self.counts[left.index()] > 0 {
                return true;
            }
            // `to` places every expert, so some slot still has to get it, now or never.
            let gets_it = |&slot: &usize| self.to[slot] == left && self.has_quota(slot);
            let Some(getting) = self.slots().into_iter().find(gets_it) else {
                self.undo(&chain);
                return false;
            };
            next = getting;
        }
    }

    fn undo(&mut self, chain: &[(usize, usize, ExpertId)]) {
        for &(slot, rank, expert) in chain.iter().rev() {
            self.set(slot, expert);
            self.quota[rank] += 1;
        }
    }

    fn set(&mut self, slot: usize, expert: ExpertId) {
        self.counts[self.table[slot].index()] -= 1;
        self.counts[expert.index()] += 1;
        self.table[slot] = expert;
    }
}
