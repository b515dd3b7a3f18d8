//! A layer's placement under change, with its ranks' loads in every window.

use std::ops::Range;

use eplb_core::{ExpertId, NodeId, RankId, Topology};

use super::bit_table::BitTable;
use super::cost::{cost, cost_with, fill_slopes};
use super::focus::Focus;
use super::slowness::slowness;
use super::windows::WindowLoads;

/// One change of the placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Two slots of different ranks trade their experts.
    Swap(usize, usize),
    /// A slot gives up its replica and gets one of another expert.
    Replace(usize, usize),
}

/// The placement of one layer. Ranks are counted among the live ones, slots among all.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    windows: &'a WindowLoads,
    topology: &'a Topology,
    table: Vec<ExpertId>,
    ranks: Vec<RankId>,
    nodes: Vec<NodeId>,
    /// Of each slot its rank; of those of dead ranks 0, which nobody asks for.
    rank_of_slot: Vec<usize>,
    /// 1 / relative speed, by rank.
    slowness: Vec<f32>,
    counts: Vec<u32>,
    /// For each expert its slots on live ranks.
    holders: Vec<Vec<usize>>,
    /// ranks × experts: who holds what.
    holds: BitTable,
    /// Load of one replica of each expert, experts × width.
    shares: Vec<f32>,
    /// Loads of each rank times its slowness, ranks × width.
    loads: Vec<f32>,
    /// What each rank's cost hangs on.
    focuses: Vec<Focus>,
    costs: Vec<f32>,
    /// Room to compute in.
    slopes: Vec<f32>,
}

/// Room to compute in, kept from one change to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    fewer: Vec<f32>,
    more: Vec<f32>,
    loads: Vec<f32>,
    ranks: Vec<usize>,
}

impl<'a> Layer<'a> {
    pub(super) fn new(
        windows: &'a WindowLoads,
        topology: &'a Topology,
        table: Vec<ExpertId>,
    ) -> Self {
        let (width, experts) = (windows.width(), windows.experts());
        let ranks: Vec<_> = topology.live_ranks().collect();
        let mut layer = Self {
            windows,
            topology,
            nodes: ranks.iter().map(|&rank| topology.node_of(rank)).collect(),
            rank_of_slot: vec![0; table.len()],
            slowness: slowness(topology),
            counts: vec![0; experts],
            holders: vec![Vec::new(); experts],
            holds: BitTable::new(ranks.len(), experts),
            shares: vec![0.0; experts * width],
            loads: vec![0.0; ranks.len() * width],
            focuses: vec![Focus::new(&vec![0.0; width], &vec![0.0; width], 1.0); ranks.len()],
            costs: vec![0.0; ranks.len()],
            slopes: Vec::new(),
            ranks,
            table,
        };
        for rank in 0..layer.ranks.len() {
            for slot in layer.slots(rank) {
                let expert = layer.expert(slot);
                layer.rank_of_slot[slot] = rank;
                layer.counts[expert] += 1;
                layer.holders[expert].push(slot);
                layer.holds.set(rank, expert);
            }
        }
        for expert in 0..experts {
            layer.set_share(expert);
        }
        for rank in 0..layer.ranks.len() {
            layer.set_loads(rank);
        }
        layer
    }

    pub(super) fn into_table(self) -> Vec<ExpertId> {
        self.table
    }

    pub(super) fn windows(&self) -> &'a WindowLoads {
        self.windows
    }

    pub(super) fn ranks(&self) -> usize {
        self.ranks.len()
    }

    pub(super) fn experts(&self) -> usize {
        self.counts.len()
    }

    pub(super) fn slots(&self, rank: usize) -> Range<usize> {
        self.topology.slots_of(self.ranks[rank])
    }

    /// Slots of all ranks, dead ones included.
    pub(super) fn all_slots(&self) -> usize {
        self.table.len()
    }

    pub(super) fn rank_of(&self, slot: usize) -> usize {
        self.rank_of_slot[slot]
    }

    pub(super) fn node_of(&self, rank: usize) -> NodeId {
        self.nodes[rank]
    }

    pub(super) fn expert(&self, slot: usize) -> usize {
        self.table[slot].index()
    }

    /// How many replicas an expert has.
    pub(super) fn count(&self, expert: usize) -> u32 {
        self.counts[expert]
    }

    /// The slots that hold an expert.
    pub(super) fn holders(&self, expert: usize) -> &[usize] {
        &self.holders[expert]
    }

    pub(super) fn holds(&self, rank: usize, expert: usize) -> bool {
        self.holds.has(rank, expert)
    }

    /// What a rank costs.
    pub(super) fn cost(&self, rank: usize) -> f32 {
        self.costs[rank]
    }

    /// What all ranks cost.
    pub(super) fn total_cost(&self) -> f32 {
        self.costs.iter().fold(0.0, |sum, cost| sum + cost)
    }

    /// Load of one replica of an expert in each window.
    pub(super) fn share(&self, expert: usize) -> &[f32] {
        let width = self.windows.width();
        &self.shares[expert * width..][..width]
    }

    /// What a rank's cost hangs on.
    pub(super) fn focus(&self, rank: usize) -> &Focus {
        &self.focuses[rank]
    }

    /// By how much a rank's cost falls when one load leaves it and another one comes.
    pub(super) fn rank_gain(&self, rank: usize, leaves: &[f32], comes: &[f32]) -> f32 {
        let cost = cost_with(self.rank_loads(rank), comes, leaves, self.slowness[rank]);
        self.costs[rank] - cost
    }

    fn rank_loads(&self, rank: usize) -> &[f32] {
        let width = self.windows.width();
        &self.loads[rank * width..][..width]
    }

    fn set_share(&mut self, expert: usize) {
        let width = self.windows.width();
        let share = &mut self.shares[expert * width..][..width];
        self.windows.fill_share(expert, self.counts[expert], share);
    }

    /// Adds a rank's loads up anew: sums that are only ever corrected would drift.
    fn set_loads(&mut self, rank: usize) {
        let width = self.windows.width();
        let slots = self.slots(rank);
        let loads = &mut self.loads[rank * width..][..width];
        loads.fill(0.0);
        for slot in slots {
            let share = &self.shares[self.table[slot].index() * width..][..width];
            for (load, share) in loads.iter_mut().zip(share) {
                *load += share;
            }
        }
        for load in loads.iter_mut() {
            *load *= self.slowness[rank];
        }
        self.costs[rank] = cost(loads);
        self.slopes.resize(width, 0.0);
        fill_slopes(loads, self.slowness[rank], &mut self.slopes);
        self.focuses[rank] = Focus::new(loads, &self.slopes, self.slowness[rank]);
    }

    /// By how much a change lowers the cost.
    pub(super) fn gain(&self, change: Change, scratch: &mut Scratch) -> f32 {
        match change {
            Change::Swap(one, other) => self.swap_gain(one, other),
            Change::Replace(target, expert) => self.replace_gain(target, expert, scratch),
        }
    }

    fn swap_gain(&self, one: usize, other: usize) -> f32 {
        let (rank, other_rank) = (self.rank_of(one), self.rank_of(other));
        let (mine, theirs) = (self.share(self.expert(one)), self.share(self.expert(other)));
        self.rank_gain(rank, mine, theirs) + self.rank_gain(other_rank, theirs, mine)
    }

    fn replace_gain(&self, target: usize, expert: usize, scratch: &mut Scratch) -> f32 {
        let Scratch { fewer, more, loads, ranks } = scratch;
        let old = self.expert(target);
        let width = self.windows.width();
        fewer.resize(width, 0.0);
        more.resize(width, 0.0);
        self.windows.fill_share(old, self.counts[old] - 1, fewer);
        self.windows.fill_share(expert, self.counts[expert] + 1, more);
        self.affected(target, old, expert, ranks);
        let (old_share, new_share) = (self.share(old), self.share(expert));
        let mut gain = 0.0;
        for &rank in ranks.iter() {
            let (old_before, new_before) = (self.held(rank, old), self.held(rank, expert));
            let here = f32::from(u8::from(rank == self.rank_of(target)));
            let (old_after, new_after) = (old_before - here, new_before + here);
            loads.clear();
            loads.extend((0..width).map(|window| {
                let of_old = fewer[window] * old_after - old_share[window] * old_before;
                // A missing expert has no replica that could lose load.
                let of_new = more[window] * new_after - new_share[window] * new_before;
                let change = (of_old + of_new) * self.slowness[rank];
                (self.rank_loads(rank)[window] + change).max(0.0)
            }));
            gain += self.costs[rank] - cost(loads);
        }
        gain
    }

    /// The ranks whose loads a change touches.
    pub(super) fn affected_by(&self, change: Change) -> Vec<usize> {
        match change {
            Change::Swap(one, other) => vec![self.rank_of(one), self.rank_of(other)],
            Change::Replace(target, expert) => {
                let mut ranks = Vec::new();
                self.affected(target, self.expert(target), expert, &mut ranks);
                ranks
            }
        }
    }

    /// The ranks whose loads change when a slot goes from one expert to another, in order.
    fn affected(&self, target: usize, old: usize, new: usize, ranks: &mut Vec<usize>) {
        ranks.clear();
        ranks.push(self.rank_of(target));
        let holders = self.holders[old].iter().chain(&self.holders[new]);
        ranks.extend(holders.map(|&slot| self.rank_of(slot)));
        ranks.sort_unstable();
        ranks.dedup();
    }

    /// How many replicas of an expert a rank holds.
    fn held(&self, rank: usize, expert: usize) -> f32 {
        let here = |slot: &&usize| self.rank_of(**slot) == rank;
        self.holders[expert].iter().filter(here).count() as f32
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Swap(one, other) => {
                let (rank, other_rank) = (self.rank_of(one), self.rank_of(other));
                let (expert, other_expert) = (self.expert(one), self.expert(other));
                self.put(one, other_expert);
                self.put(other, expert);
                self.set_loads(rank);
                self.set_loads(other_rank);
            }
            Change::Replace(target, expert) => {
                let old = self.expert(target);
                let mut ranks = Vec::new();
                self.affected(target, old, expert, &mut ranks);
                self.put(target, expert);
                self.counts[old] -= 1;
                self.counts[expert] += 1;
                self.set_share(old);
                self.set_share(expert);
                for rank in ranks {
                    self.set_loads(rank);
                }
            }
        }
    }

    /// Puts an expert on a slot, in the place of another one.
    fn put(&mut self, slot: usize, expert: usize) {
        let (rank, old) = (self.rank_of(slot), self.expert(slot));
        self.holders[old].retain(|&holder| holder != slot);
        self.holders[expert].push(slot);
        self.table[slot] = ExpertId::from_index(expert);
        if !self.table[self.slots(rank)].iter().any(|held| held.index() == old) {
            self.holds.clear(rank, old);
        }
        self.holds.set(rank, expert);
    }

    /// How many nodes hold an expert, were the replica on `without` on `with` instead.
    pub(super) fn nodes_holding(
        &self,
        expert: usize,
        without: Option<usize>,
        with: Option<usize>,
    ) -> usize {
        let kept = self.holders[expert].iter().copied().filter(|&slot| Some(slot) != without);
        let mut nodes: Vec<_> =
            kept.chain(with).map(|slot| self.node_of(self.rank_of(slot))).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.len()
    }
}
