//! The local search: swaps of slots between ranks, and replicas given to other experts.

use eplb_core::{ExpertId, NOMINAL_SPEED, RankId, SlotId, Topology};

use super::cost::{Ensemble, cost, cost_with};

/// Ranks that are looked at as the most loaded ones, for each step of the search.
const HOT_RANKS: usize = 3;

/// Ranks whose experts may get a replica on the most loaded one.
const HELPED_RANKS: usize = 6;

/// When the search ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct SearchLimits {
    /// What a sent expert must gain; see [`super::Robust::price`].
    pub(super) price: f32,
    /// Experts that may be sent.
    pub(super) most_sent: usize,
}

/// A placement under change, with its ranks' loads in every window.
#[derive(Debug)]
pub(super) struct Search<'a> {
    ensemble: &'a Ensemble,
    topology: &'a Topology,
    limits: SearchLimits,
    table: Vec<ExpertId>,
    /// The placement to begin with: what a rank held there need not be sent to it.
    before: Vec<ExpertId>,
    ranks: Vec<RankId>,
    /// 1 / relative speed, by live rank.
    slowness: Vec<f32>,
    counts: Vec<u32>,
    /// For each expert the live ranks that hold it, one that holds it twice twice.
    holders: Vec<Vec<usize>>,
    /// Load of one replica of each expert, experts × width.
    shares: Vec<f32>,
    /// Loads of each live rank, ranks × width.
    loads: Vec<f32>,
    costs: Vec<f32>,
    sent: usize,
}

/// One change of the placement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    /// Two slots of different ranks trade their experts.
    Swap(SlotId, SlotId),
    /// A slot gives up its replica and gets one of another expert.
    Replace(SlotId, usize),
}

impl<'a> Search<'a> {
    pub(super) fn new(
        ensemble: &'a Ensemble,
        topology: &'a Topology,
        table: Vec<ExpertId>,
        limits: SearchLimits,
    ) -> Self {
        let ranks: Vec<_> = topology.live_ranks().collect();
        let slow = |rank: &RankId| NOMINAL_SPEED as f32 / topology.rank(*rank).speed as f32;
        let mut search = Self {
            ensemble,
            topology,
            limits,
            before: table.clone(),
            table,
            slowness: ranks.iter().map(slow).collect(),
            counts: vec![0; ensemble.experts()],
            holders: vec![Vec::new(); ensemble.experts()],
            shares: vec![0.0; ensemble.experts() * ensemble.width()],
            loads: vec![0.0; ranks.len() * ensemble.width()],
            costs: vec![0.0; ranks.len()],
            ranks,
            sent: 0,
        };
        for rank in 0..search.ranks.len() {
            for slot in search.slots(rank) {
                let expert = search.table[slot].index();
                search.counts[expert] += 1;
                search.holders[expert].push(rank);
            }
        }
        for expert in 0..ensemble.experts() {
            search.set_share(expert);
        }
        for rank in 0..search.ranks.len() {
            search.set_loads(rank);
        }
        search.place_missing();
        search
    }

    /// Gives every expert that only dead ranks hold a slot, at any price: the one that costs least
    /// among those with several replicas.
    fn place_missing(&mut self) {
        for expert in 0..self.counts.len() {
            if self.counts[expert] > 0 {
                continue;
            }
            let mut best = Best::new(f32::MIN, 0.0, 1);
            for rank in 0..self.ranks.len() {
                for target in self.slots(rank) {
                    if self.counts[self.table[target].index()] > 1 {
                        self.offer_replacement(target, expert, &mut best);
                    }
                }
            }
            // There are at least as many live slots as experts, so one has several replicas.
            if let Some((change, sends)) = best.change {
                self.apply(change);
                self.sent += sends;
            }
        }
    }

    /// The placement after all changes that pay.
    pub(super) fn run(mut self) -> Vec<ExpertId> {
        // Each change lowers the cost, so the search ends; the bound only guards its time.
        for _ in 0..4 * self.table.len() {
            let Some((change, sends)) = self.best_change() else { break };
            self.apply(change);
            self.sent += sends;
        }
        self.table
    }

    fn slots(&self, rank: usize) -> std::ops::Range<usize> {
        self.topology.slots_of(self.ranks[rank])
    }

    fn share(&self, expert: usize) -> &[f32] {
        let width = self.ensemble.width();
        &self.shares[expert * width..][..width]
    }

    fn rank_loads(&self, rank: usize) -> &[f32] {
        let width = self.ensemble.width();
        &self.loads[rank * width..][..width]
    }

    fn set_share(&mut self, expert: usize) {
        let width = self.ensemble.width();
        let count = self.counts[expert].max(1) as f32;
        let shares = &mut self.shares[expert * width..][..width];
        for (share, load) in shares.iter_mut().zip(self.ensemble.load(expert)) {
            *share = load / count;
        }
    }

    /// Adds a rank's loads up anew: sums that are only ever corrected would drift.
    fn set_loads(&mut self, rank: usize) {
        let width = self.ensemble.width();
        let mut loads = vec![0.0f32; width];
        for slot in self.slots(rank) {
            let share = self.share(self.table[slot].index());
            for (load, share) in loads.iter_mut().zip(share) {
                *load += share;
            }
        }
        for load in &mut loads {
            *load *= self.slowness[rank];
        }
        self.costs[rank] = cost(&loads);
        self.loads[rank * width..][..width].copy_from_slice(&loads);
    }

    fn holds(&self, rank: usize, expert: usize) -> bool {
        self.holders[expert].contains(&rank)
    }

    /// Whether an expert must be sent to a rank that did not hold it before.
    fn is_sent(&self, rank: usize, expert: usize) -> bool {
        !self.before[self.slots(rank)].iter().any(|held| held.index() == expert)
    }

    /// The change that gains most after its price, and how many experts it sends.
    fn best_change(&self) -> Option<(Change, usize)> {
        if self.ensemble.is_idle() {
            return None;
        }
        let total: f32 = self.costs.iter().fold(0.0, |sum, cost| sum + cost);
        // With f = (cost / (windows × ranks))^(1/8), a change of cost by d changes f by about
        // f × d / (8 × cost).
        let scale = eighth_root(total / (self.ensemble.windows() * self.ranks.len()) as f32);
        let price = self.limits.price * 8.0 * total / scale;
        let floor = total * 1e-5;
        let mut best = Best::new(floor, price, self.room());
        let mut hottest: Vec<usize> = (0..self.ranks.len()).collect();
        hottest.sort_by(|&a, &b| self.costs[b].total_cmp(&self.costs[a]).then(a.cmp(&b)));
        for &hot in hottest.iter().take(HOT_RANKS) {
            self.try_swaps(hot, &mut best);
            self.try_relief(hot, &mut best);
            self.try_replacements_on(hot, &hottest, &mut best);
            if best.change.is_some() {
                break;
            }
        }
        best.change
    }

    fn room(&self) -> usize {
        self.limits.most_sent.saturating_sub(self.sent)
    }

    /// Swaps of the hot rank's slots with those of all other ranks.
    fn try_swaps(&self, hot: usize, best: &mut Best) {
        for slot in self.slots(hot) {
            let expert = self.table[slot].index();
            let mine = self.share(expert);
            for rank in (0..self.ranks.len()).filter(|&rank| rank != hot) {
                if self.holds(rank, expert) {
                    continue;
                }
                for other_slot in self.slots(rank) {
                    let other = self.table[other_slot].index();
                    if self.holds(hot, other) {
                        continue;
                    }
                    let theirs = self.share(other);
                    let now = self.costs[hot] + self.costs[rank];
                    let relieved =
                        cost_with(self.rank_loads(hot), theirs, mine, self.slowness[hot]);
                    // More than this can't be gained, whatever it does to the other rank.
                    if now - relieved <= best.gain {
                        continue;
                    }
                    let loaded =
                        cost_with(self.rank_loads(rank), mine, theirs, self.slowness[rank]);
                    let sends = usize::from(self.is_sent(rank, expert))
                        + usize::from(self.is_sent(hot, other));
                    let change =
                        Change::Swap(SlotId::from_index(slot), SlotId::from_index(other_slot));
                    best.offer(change, now - relieved - loaded, sends);
                }
            }
        }
    }

    /// More replicas for the hot rank's experts, on slots of other ranks that hold one of several
    /// replicas.
    fn try_relief(&self, hot: usize, best: &mut Best) {
        for slot in self.slots(hot) {
            let expert = self.table[slot].index();
            for rank in (0..self.ranks.len()).filter(|&rank| rank != hot) {
                if self.holds(rank, expert) {
                    continue;
                }
                for target in self.slots(rank) {
                    if self.counts[self.table[target].index()] > 1 {
                        self.offer_replacement(target, expert, best);
                    }
                }
            }
        }
    }

    /// For the hot rank's slots that hold one of several replicas: experts of the ranks that are
    /// nearly as loaded.
    fn try_replacements_on(&self, hot: usize, hottest: &[usize], best: &mut Best) {
        for target in self.slots(hot) {
            if self.counts[self.table[target].index()] < 2 {
                continue;
            }
            for &rank in hottest.iter().take(HELPED_RANKS).filter(|&&rank| rank != hot) {
                for slot in self.slots(rank) {
                    let expert = self.table[slot].index();
                    if !self.holds(hot, expert) {
                        self.offer_replacement(target, expert, best);
                    }
                }
            }
        }
    }

    fn offer_replacement(&self, target: usize, expert: usize, best: &mut Best) {
        let old = self.table[target].index();
        let rank = self.rank_index(target);
        let (more, fewer) = (self.counts[expert] as f32, self.counts[old] as f32);
        let (grown, shrunk) = (self.share(old), self.share(expert));
        // Every replica of the old expert grows, every one of the new expert shrinks.
        let grow = 1.0 / (fewer - 1.0);
        let shrink = 1.0 / (more + 1.0);
        // A missing expert brings all its load.
        let arriving = if more == 0.0 { 1.0 } else { 1.0 - shrink };
        self.affected(rank, old, expert, &mut best.affected);
        let mut gain = 0.0;
        for index in 0..best.affected.len() {
            let other = best.affected[index];
            // In shares of before: what the rank gains of the old and of the new expert.
            let mut of_old = self.held(other, old) as f32 * grow;
            let mut of_new = -(self.held(other, expert) as f32) * shrink;
            if other == rank {
                of_old -= 1.0 + grow;
                of_new += arriving;
            }
            let slowness = self.slowness[other];
            let changes = grown.iter().zip(shrunk).map(|(old, new)| old * of_old + new * of_new);
            best.loads.clear();
            best.loads.extend(
                self.rank_loads(other)
                    .iter()
                    .zip(changes)
                    .map(|(now, change)| (now + change * slowness).max(0.0)),
            );
            gain += self.costs[other] - cost(&best.loads);
        }
        let sends = usize::from(self.is_sent(rank, expert));
        best.offer(Change::Replace(SlotId::from_index(target), expert), gain, sends);
    }

    /// The ranks whose loads change when a slot of `rank` goes from one expert to another, in order.
    fn affected(&self, rank: usize, old: usize, new: usize, ranks: &mut Vec<usize>) {
        ranks.clear();
        ranks.push(rank);
        ranks.extend_from_slice(&self.holders[old]);
        ranks.extend_from_slice(&self.holders[new]);
        ranks.sort_unstable();
        ranks.dedup();
    }

    fn held(&self, rank: usize, expert: usize) -> usize {
        self.holders[expert].iter().filter(|&&holder| holder == rank).count()
    }

    fn rank_index(&self, slot: usize) -> usize {
        let rank = self.topology.rank_of(SlotId::from_index(slot));
        // Live ranks are sorted, and only their slots come here.
        self.ranks.partition_point(|&live| live < rank)
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Swap(one, other) => {
                let (one_rank, other_rank) =
                    (self.rank_index(one.index()), self.rank_index(other.index()));
                let (one_expert, other_expert) =
                    (self.table[one.index()].index(), self.table[other.index()].index());
                self.table.swap(one.index(), other.index());
                Self::pass_on(&mut self.holders[one_expert], one_rank, Some(other_rank));
                Self::pass_on(&mut self.holders[other_expert], other_rank, Some(one_rank));
                self.set_loads(one_rank);
                self.set_loads(other_rank);
            }
            Change::Replace(target, expert) => {
                let old = self.table[target.index()].index();
                let rank = self.rank_index(target.index());
                self.table[target.index()] = ExpertId::from_index(expert);
                Self::pass_on(&mut self.holders[old], rank, None);
                self.holders[expert].push(rank);
                self.counts[old] -= 1;
                self.counts[expert] += 1;
                self.set_share(old);
                self.set_share(expert);
                let mut affected = Vec::new();
                self.affected(rank, old, expert, &mut affected);
                for rank in affected {
                    self.set_loads(rank);
                }
            }
        }
    }

    /// A replica leaves one rank, for another one or for good.
    fn pass_on(holders: &mut Vec<usize>, from: usize, to: Option<usize>) {
        if let Some(index) = holders.iter().position(|&holder| holder == from) {
            match to {
                Some(to) => holders[index] = to,
                None => {
                    holders.swap_remove(index);
                }
            }
        }
    }
}

/// The best change found so far.
struct Best {
    change: Option<(Change, usize)>,
    gain: f32,
    /// Of one sent expert, in cost.
    price: f32,
    /// Experts that may still be sent.
    room: usize,
    /// Room to compute in, kept from one change to the next.
    affected: Vec<usize>,
    loads: Vec<f32>,
}

impl Best {
    /// Nothing yet; a change must gain more than `gain` to be kept.
    fn new(gain: f32, price: f32, room: usize) -> Self {
        Self { change: None, gain, price, room, affected: Vec::new(), loads: Vec::new() }
    }

    /// Keeps a change that gains more than the best so far; of equal ones the first.
    fn offer(&mut self, change: Change, gain: f32, sends: usize) {
        let net = gain - self.price * sends as f32;
        if sends <= self.room && net > self.gain {
            self.gain = net;
            self.change = Some((change, sends));
        }
    }
}

fn eighth_root(value: f32) -> f32 {
    value.sqrt().sqrt().sqrt()
}
