//! Limits on what plans may send.

use std::collections::BTreeMap;

use eplb_core::{RankId, Topology, TransferPlan};

/// The most that a rebalance may send between ranks, counted in experts of one layer (of equal bytes
/// each; divide a budget in bytes by the bytes of one expert). The default is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In each layer.
    pub layer: usize,
    /// In all layers of one plan together.
    pub rebalance: usize,
    /// From any one rank to any one other, in all layers of one plan together: what one link carries.
    pub rank_pair: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { layer: usize::MAX, rebalance: usize::MAX, rank_pair: usize::MAX }
    }
}

/// What is left of a budget while layers are taken in, one after the other.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: Budget,
    sent: usize,
    by_pair: BTreeMap<(RankId, RankId), usize>,
}

impl Ledger {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, sent: 0, by_pair: BTreeMap::new() }
    }

    /// Takes a layer's transfers in if they fit, whole or not at all.
    pub(crate) fn admit(&mut self, transfers: &TransferPlan, topology: &Topology) -> bool {
        let received = transfers.received_slots();
        let sent = self.sent.saturating_add(received);
        if received > self.budget.layer || sent > self.budget.rebalance {
            return false;
        }
        if self.budget.rank_pair < usize::MAX {
            let mut by_pair: BTreeMap<_, usize> = BTreeMap::new();
            for link in transfers.links(topology) {
                *by_pair.entry(link).or_default() += 1;
            }
            let carried = |link| self.by_pair.get(link).copied().unwrap_or(0);
            if by_pair.iter().any(|(link, more)| carried(link) + more > self.budget.rank_pair) {
                return false;
            }
            for (link, more) in by_pair {
                *self.by_pair.entry(link).or_default() += more;
            }
        }
        self.sent = sent;
        true
    }
}
