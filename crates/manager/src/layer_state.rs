//! What a manager remembers of each layer between rounds.

use eplb_core::Epoch;

use crate::{ManagerConfig, cosine_similarity};

/// What is remembered of one layer.
#[derive(Debug)]
pub(crate) struct LayerState {
    next_epoch: Epoch,
    /// The load that the layer's present placement was last judged by.
    load_at_update: Option<Vec<u64>>,
    /// Refusals and reverts since the last commit.
    failures: u32,
    /// The first interval that the layer takes part in again.
    left_alone_until: u64,
}

impl LayerState {
    pub(crate) fn new(present: Epoch) -> Self {
        Self { next_epoch: present.next(), load_at_update: None, failures: 0, left_alone_until: 0 }
    }

    /// An epoch number that was never used for this layer; it is used up even if nothing comes of it.
    pub(crate) fn new_epoch(&mut self) -> Epoch {
        let epoch = self.next_epoch;
        self.next_epoch = epoch.next();
        epoch
    }

    /// Whether the layer is worth a plan: its load was never planned for, or its proportions changed
    /// more than `threshold` allows.
    pub(crate) fn wants_update(&self, present: &[u64], threshold: f64) -> bool {
        match &self.load_at_update {
            None => true,
            Some(load) => cosine_similarity(load, present) < threshold,
        }
    }

    pub(crate) fn is_left_alone(&self, interval: u64) -> bool {
        interval < self.left_alone_until
    }

    /// The layer is planned for this load: it was moved, or a plan found that moving isn't worth it.
    /// Without the second, such a layer would be planned again on every interval for the same answer.
    pub(crate) fn planned_for(&mut self, load: Vec<u64>) {
        self.load_at_update = Some(load);
    }

    pub(crate) fn committed(&mut self) {
        self.failures = 0;
    }

    /// A rank refused the layer or it was reverted: the layer is left alone for `backoff` intervals,
    /// doubled for each failure in a row.
    pub(crate) fn failed(&mut self, interval: u64, backoff: u32) {
        let intervals = backoff
            .saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(ManagerConfig::MOST_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        self.left_alone_until = interval.saturating_add(1).saturating_add(intervals.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_and_a_commit_starts_it_anew() {
        let mut layer = LayerState::new(Epoch(0));
        let mut lengths = Vec::new();
        for _ in 0..40 {
            layer.failed(100, 1);
            lengths.push((101..).take_while(|&interval| layer.is_left_alone(interval)).count());
        }
        assert_eq!(lengths[..8], [1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(lengths[39], 64);
        layer.committed();
        layer.failed(100, 1);
        assert!(layer.is_left_alone(101) && !layer.is_left_alone(102));
        layer.committed();
        layer.failed(200, 0);
        assert!(!layer.is_left_alone(201));
    }

    #[test]
    fn epochs_are_used_once() {
        let mut layer = LayerState::new(Epoch(4));
        assert_eq!((layer.new_epoch(), layer.new_epoch()), (Epoch(5), Epoch(6)));
    }
}
