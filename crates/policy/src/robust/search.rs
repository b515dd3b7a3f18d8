//! The local search: swaps of slots between ranks, and replicas given to other experts.
//!
//! What changes gain is estimated first ([`super::focus::Focus`]); only the most promising ones are
//! computed.

use std::ops::Range;

use eplb_core::Verdict;

use super::focus::View;
use super::layer::{Change, Layer, Scratch};
use super::repair::Repaired;
use super::sends::Sends;

/// Ranks that are looked at as the most loaded ones, for each step of the search.
const HOT_RANKS: usize = 3;

/// Ranks whose experts may get a replica on the most loaded one.
const HELPED_RANKS: usize = 6;

/// Least loaded ranks that are looked at as partners of a most loaded one.
const PARTNERS: usize = 64;

/// Changes that are computed exactly in each step: the most promising ones.
const MOST_EVALUATED: usize = 1024;

/// When the search ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct SearchLimits {
    /// Experts that may be sent.
    pub(super) most_sent: usize,
    /// Whether every expert with several replicas must stand on two nodes at least.
    pub(super) spread: bool,
    /// What a replica must leave its expert with.
    pub(super) least_replicas: u32,
}

/// A change that might be the best.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// What it is estimated to gain, less its price.
    estimate: f32,
    price: f32,
    sends: usize,
    change: Change,
}

/// A layer on its way to a better placement.
#[derive(Debug)]
pub(super) struct Search<'a> {
    layer: Layer<'a>,
    sends: Sends,
    limits: SearchLimits,
    sent: usize,
    paid: f32,
    verdict: Verdict,
    candidates: Vec<Candidate>,
    /// Candidates that would gain, but not after their price, or are over the budget.
    refused: Vec<Candidate>,
    scratch: Scratch,
    /// For each slot that may give up its replica what that costs the ranks that hold the others.
    removals: Vec<Option<f32>>,
    /// Experts whose removals a change has made untrue.
    is_stale: Vec<bool>,
    share: Vec<f32>,
}

impl<'a> Search<'a> {
    pub(super) fn new(layer: Layer<'a>, sends: Sends, limits: SearchLimits) -> Self {
        Self {
            removals: vec![None; layer.all_slots()],
            is_stale: vec![true; layer.experts()],
            share: vec![0.0; layer.windows().width()],
            layer,
            sends,
            limits,
            sent: 0,
            paid: 0.0,
            verdict: Verdict::Settled,
            candidates: Vec::new(),
            refused: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// The placement after all changes that pay.
    pub(super) fn run(mut self) -> Repaired {
        self.place_missing();
        if self.limits.spread {
            self.spread();
        }
        let is_mended = self.sent > 0;
        if self.layer.windows().is_idle() {
            self.verdict = Verdict::Idle;
        } else {
            // Each change lowers the cost, so the search ends; the bound only guards its time.
            for _ in 0..4 * self.layer.all_slots() {
                let Some(candidate) = self.best_change() else { break };
                self.take(candidate);
            }
        }
        let (price, sent, verdict) = (self.paid, self.sent, self.verdict);
        Repaired { table: self.layer.into_table(), price, sent, verdict, is_mended }
    }

    fn take(&mut self, candidate: Candidate) {
        let ranks = self.layer.affected_by(candidate.change);
        self.layer.apply(candidate.change);
        for rank in ranks {
            for slot in self.layer.slots(rank) {
                self.removals[slot] = None;
                self.is_stale[self.layer.expert(slot)] = true;
            }
        }
        self.sent += candidate.sends;
        self.paid += candidate.price;
    }

    /// Gives every expert that has too few live replicas a slot, at any price: the one that costs
    /// least among those of experts that can spare one.
    fn place_missing(&mut self) {
        for expert in 0..self.layer.experts() {
            while self.layer.count(expert) < self.limits.least_replicas.max(1) {
                let spare = |slot: &usize| {
                    let held = self.layer.expert(*slot);
                    held != expert && self.can_spare(held, self.layer.count(expert) > 0)
                };
                let slots = self.live_slots().filter(spare);
                let apart = |slot: &usize| !self.layer.holds(self.layer.rank_of(*slot), expert);
                let best = self
                    .cheapest(slots.clone().filter(apart), expert)
                    .or_else(|| self.cheapest(slots, expert));
                // There are at least as many live slots as replicas that must be.
                let Some(candidate) = best else { break };
                self.take(candidate);
            }
        }
    }

    /// Whether an expert may give up a replica; one without any other comes first.
    fn can_spare(&self, expert: usize, optional: bool) -> bool {
        let least = if optional { self.limits.least_replicas.max(1) } else { 1 };
        self.layer.count(expert) > least
    }

    fn live_slots(&self) -> impl Iterator<Item = usize> + Clone + use<'_, 'a> {
        (0..self.layer.ranks()).flat_map(|rank| self.layer.slots(rank))
    }

    /// The replacement by `expert` that gains most, at any price; of equal ones the first.
    fn cheapest(&self, slots: impl Iterator<Item = usize>, expert: usize) -> Option<Candidate> {
        let mut scratch = Scratch::default();
        let gains = slots.map(|slot| {
            let change = Change::Replace(slot, expert);
            (self.layer.gain(change, &mut scratch), change)
        });
        let best = gains.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map(|(gain, change)| self.candidate(gain, change))
    }

    /// Brings experts whose replicas all stand on one node to a second one, at any price.
    fn spread(&mut self) {
        for expert in 0..self.layer.experts() {
            if self.layer.count(expert) < 2 || self.layer.nodes_holding(expert, None, None) > 1 {
                continue;
            }
            let mut best: Option<Candidate> = None;
            let mut scratch = Scratch::default();
            for &slot in self.layer.holders(expert) {
                let rank = self.layer.rank_of(slot);
                let home = self.layer.node_of(rank);
                for other in self.live_slots() {
                    let other_rank = self.layer.rank_of(other);
                    let held = self.layer.expert(other);
                    let fits = self.layer.node_of(other_rank) != home
                        && !self.layer.holds(rank, held)
                        && self.keeps_spread(held, other, slot);
                    if !fits {
                        continue;
                    }
                    let change = Change::Swap(slot, other);
                    let gain = self.layer.gain(change, &mut scratch);
                    if best.is_none_or(|best| gain > best.estimate) {
                        best = Some(self.candidate(gain, change));
                    }
                }
            }
            if let Some(candidate) = best {
                self.take(candidate);
            }
        }
    }

    fn candidate(&self, estimate: f32, change: Change) -> Candidate {
        let mut candidate = Candidate { estimate, price: 0.0, sends: 0, change };
        let mut send = |rank: usize, expert: usize| {
            candidate.price += self.sends.price(&self.layer, rank, expert);
            candidate.sends += self.sends.count(rank, expert);
        };
        match change {
            Change::Swap(one, other) => {
                send(self.layer.rank_of(other), self.layer.expert(one));
                send(self.layer.rank_of(one), self.layer.expert(other));
            }
            Change::Replace(target, expert) => send(self.layer.rank_of(target), expert),
        }
        candidate
    }

    /// Whether an expert that stands on several nodes still does with its replica on another slot.
    fn keeps_spread(&self, expert: usize, without: usize, with: usize) -> bool {
        !self.limits.spread
            || self.layer.nodes_holding(expert, None, None) < 2
            || self.layer.nodes_holding(expert, Some(without), Some(with)) > 1
    }

    /// The change that gains most after its price.
    fn best_change(&mut self) -> Option<Candidate> {
        let total = self.layer.total_cost();
        // With f = (cost / (mass × ranks))^(1/8), a change of cost by d changes f by about
        // f × d / (8 × cost).
        let smoothed = self.layer.windows().smoothed(total, self.layer.ranks());
        let unit = 8.0 * total / smoothed;
        let floor = total * 1e-5;
        self.verdict = Verdict::Settled;
        self.set_removals();
        let order = self.order();
        for &hot in order.iter().take(HOT_RANKS) {
            self.candidates.clear();
            self.collect_swaps(hot, &order);
            self.collect_relief(hot, &order);
            self.collect_replacements_on(hot, &order);
            if let Some(best) = self.best_candidate(unit, floor) {
                return Some(best);
            }
        }
        None
    }

    /// Ranks by falling cost: all of them, or only the first and the last ones where there are many.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.layer.ranks()).collect();
        let by_cost = |&one: &usize, &other: &usize| {
            self.layer.cost(other).total_cmp(&self.layer.cost(one)).then(one.cmp(&other))
        };
        let hot = HELPED_RANKS.max(HOT_RANKS);
        if order.len() > hot + PARTNERS {
            order.select_nth_unstable_by(hot, by_cost);
            let from = order.len() - PARTNERS;
            order[hot..].select_nth_unstable_by(from - hot, by_cost);
            order.drain(hot..from);
        }
        order.sort_unstable_by(by_cost);
        order
    }

    fn best_candidate(&mut self, unit: f32, floor: f32) -> Option<Candidate> {
        let room = self.limits.most_sent.saturating_sub(self.sent);
        let refused = &mut self.refused;
        refused.clear();
        self.candidates.retain_mut(|candidate| {
            let gain = candidate.estimate;
            candidate.price *= unit;
            candidate.estimate -= candidate.price;
            let is_allowed = candidate.sends <= room && candidate.estimate > floor;
            if !is_allowed && gain > floor {
                refused.push(*candidate);
            }
            is_allowed
        });
        keep_most_promising(&mut self.candidates, MOST_EVALUATED);
        let (mut best, mut net) = (None, floor);
        for candidate in &self.candidates {
            let gain = self.layer.gain(candidate.change, &mut self.scratch);
            if gain - candidate.price > net {
                net = gain - candidate.price;
                best = Some(Candidate { price: candidate.price / unit, ..*candidate });
            }
        }
        if best.is_none() {
            self.judge(floor, room);
        }
        best
    }

    /// Why no change is made.
    fn judge(&mut self, floor: f32, room: usize) {
        let (layer, scratch) = (&self.layer, &mut self.scratch);
        let (over_budget, mut unpaid): (Vec<_>, Vec<_>) =
            self.refused.iter().partition(|candidate| candidate.sends > room);
        let mut pays =
            |candidate: &Candidate| layer.gain(candidate.change, scratch) - candidate.price > floor;
        if self.verdict == Verdict::Budget || over_budget.iter().any(&mut pays) {
            self.verdict = Verdict::Budget;
            return;
        }
        unpaid.extend(over_budget);
        // Those that cost nothing and were computed gain nothing.
        unpaid.extend(self.candidates.iter().filter(|candidate| candidate.price > 0.0));
        // The most promising first: one that gains is enough.
        unpaid.sort_by(|one, other| other.estimate.total_cmp(&one.estimate));
        if unpaid.iter().any(|candidate| layer.gain(candidate.change, scratch) > floor) {
            self.verdict = Verdict::NotWorthIt;
        }
    }

    /// For every slot of an expert that can spare a replica what giving it up costs on the ranks that
    /// hold the others and take its load over.
    fn set_removals(&mut self) {
        for expert in 0..self.layer.experts() {
            if !std::mem::take(&mut self.is_stale[expert]) || !self.can_spare(expert, true) {
                continue;
            }
            let fewer = self.layer.count(expert) - 1;
            self.layer.windows().fill_share(expert, fewer, &mut self.share);
            let now = self.layer.share(expert);
            let burden_of =
                |&slot: &usize| -self.layer.rank_gain(self.layer.rank_of(slot), now, &self.share);
            let burdens = self.layer.holders(expert).iter().map(burden_of);
            let all = burdens.clone().fold(0.0, |sum, burden| sum + burden);
            for (&slot, burden) in self.layer.holders(expert).iter().zip(burdens) {
                self.removals[slot] = Some(all - burden);
            }
        }
    }

    /// What one more replica of an expert gains on the ranks that hold it; leaves the load of one of so
    /// many replicas in `self.share`.
    fn relief(&mut self, expert: usize) -> f32 {
        let more = self.layer.count(expert) + 1;
        self.layer.windows().fill_share(expert, more, &mut self.share);
        let now = self.layer.share(expert);
        let holders = self.layer.holders(expert).iter();
        holders.fold(0.0, |sum, &slot| {
            sum + self.layer.rank_gain(self.layer.rank_of(slot), now, &self.share)
        })
    }

    /// Swaps of the hot rank's slots with those of other ranks.
    fn collect_swaps(&mut self, hot: usize, order: &[usize]) {
        let mut candidates = std::mem::take(&mut self.candidates);
        let focus = self.layer.focus(hot);
        let mine: Vec<View> = self.views(hot, hot).collect();
        for &rank in order.iter().filter(|&&rank| rank != hot) {
            let partner = self.layer.focus(rank);
            let mine_there: Vec<View> = self.views(hot, rank).collect();
            for (other_slot, theirs) in self.layer.slots(rank).zip(self.views(rank, rank)) {
                let other = self.layer.expert(other_slot);
                if self.layer.holds(hot, other) {
                    continue;
                }
                let theirs_here = focus.view(self.layer.share(other));
                for (index, slot) in self.layer.slots(hot).enumerate() {
                    let expert = self.layer.expert(slot);
                    let estimate = focus.gain(&mine[index], &theirs_here)
                        + partner.gain(&theirs, &mine_there[index]);
                    if estimate > 0.0
                        && !self.layer.holds(rank, expert)
                        && self.keeps_spread(expert, slot, other_slot)
                        && self.keeps_spread(other, other_slot, slot)
                    {
                        let change = Change::Swap(slot, other_slot);
                        candidates.push(self.candidate(estimate, change));
                    }
                }
            }
        }
        self.candidates = candidates;
    }

    /// The loads of a rank's slots as another rank, or it itself, sees them.
    fn views(&self, rank: usize, by: usize) -> impl Iterator<Item = View> + use<'_, 'a> {
        let focus = self.layer.focus(by);
        let slots = self.layer.slots(rank);
        slots.map(move |slot| focus.view(self.layer.share(self.layer.expert(slot))))
    }

    /// More replicas for the hot rank's experts, on slots of other ranks that can be spared.
    fn collect_relief(&mut self, hot: usize, order: &[usize]) {
        for slot in self.layer.slots(hot) {
            let expert = self.layer.expert(slot);
            let relief = self.relief(expert);
            for &rank in order {
                if self.layer.holds(rank, expert) {
                    continue;
                }
                self.collect_replacements(self.layer.slots(rank), expert, relief);
            }
        }
    }

    /// For the hot rank's slots that can be spared: experts of the ranks that are nearly as loaded.
    fn collect_replacements_on(&mut self, hot: usize, order: &[usize]) {
        if self.layer.slots(hot).all(|slot| self.removals[slot].is_none()) {
            return;
        }
        for &rank in order.iter().take(HELPED_RANKS).filter(|&&rank| rank != hot) {
            for slot in self.layer.slots(rank) {
                let expert = self.layer.expert(slot);
                if !self.layer.holds(hot, expert) {
                    let relief = self.relief(expert);
                    self.collect_replacements(self.layer.slots(hot), expert, relief);
                }
            }
        }
    }

    /// Replacements by an expert on slots of one rank; `self.share` is the load of its replicas then.
    fn collect_replacements(&mut self, slots: Range<usize>, expert: usize, relief: f32) {
        for target in slots {
            let Some(removal) = self.removals[target] else { continue };
            let old = self.layer.expert(target);
            let arrival = self.layer.rank_gain(
                self.layer.rank_of(target),
                self.layer.share(old),
                &self.share,
            );
            // A rank that takes load of the one over and is relieved of the other is not as burdened as
            // if it were not relieved.
            let rank_of = |&slot: &usize| self.layer.rank_of(slot);
            let mut takers = self.layer.holders(old).iter().filter(|&&slot| slot != target);
            let is_relieved = takers.any(|slot| self.layer.holds(rank_of(slot), expert));
            let burden = if is_relieved { 0.0 } else { removal };
            self.push_replacement(target, expert, relief - burden + arrival);
        }
    }

    fn push_replacement(&mut self, target: usize, expert: usize, estimate: f32) {
        let old = self.layer.expert(target);
        if estimate > 0.0
            && old != expert
            && self.leaves_spread(old, target)
            && self.comes_spread(expert, target)
        {
            self.candidates.push(self.candidate(estimate, Change::Replace(target, expert)));
        }
    }

    /// Whether a second replica of an expert stands on another node than the first.
    fn comes_spread(&self, expert: usize, target: usize) -> bool {
        !self.limits.spread
            || self.layer.count(expert) > 1
            || self.layer.nodes_holding(expert, None, Some(target)) > 1
    }

    /// Whether an expert that stands on several nodes still does without one of its replicas.
    fn leaves_spread(&self, expert: usize, without: usize) -> bool {
        !self.limits.spread
            || self.layer.count(expert) == 2
            || self.layer.nodes_holding(expert, None, None) < 2
            || self.layer.nodes_holding(expert, Some(without), None) > 1
    }
}

/// Leaves the candidates of the largest estimates, in no order that means anything, but always the
/// same one.
fn keep_most_promising(candidates: &mut Vec<Candidate>, most: usize) {
    if candidates.len() > most {
        candidates.select_nth_unstable_by(most, |one, other| {
            other.estimate.total_cmp(&one.estimate).then(one.change.cmp(&other.change))
        });
        candidates.truncate(most);
    }
}
