//! The moving half of an executor.

use std::sync::Arc;

use eplb_core::{LayerId, LayerPlacement, TransferPlan};
use eplb_device::{Event, Stream};

use crate::executor::CommitMode;
use crate::staging::Lanes;
use crate::weights::Weights;
use crate::{ExecutorError, PreparedChange, TooFewSpares};

/// Brings the weights of new placements to this rank, on a stream of its own. Belongs to one thread.
///
/// Bytes are pulled: this rank's copy engine reads the memory of other ranks. So ranks need not agree
/// on an order of calls, and a slow rank holds up nobody but those who wait for it.
#[derive(Debug)]
pub struct Migrator {
    weights: Arc<Weights>,
    mode: CommitMode,
    spares: Vec<u32>,
    stream: Stream,
    lanes: Lanes,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    change: PreparedChange,
    arrived: Event,
}

impl Migrator {
    pub(crate) fn new(
        weights: Arc<Weights>,
        mode: CommitMode,
        spares: Vec<u32>,
        stream: Stream,
        lanes: Lanes,
    ) -> Self {
        Self { weights, mode, spares, stream, lanes, running: Vec::new() }
    }

    /// Starts to bring what `layer` needs to go from `from` to `to`. The end comes out of
    /// [`Migrator::poll`].
    ///
    /// # Errors
    /// The device refused a call, or memory was reserved for fewer changes at a time. Nothing of the
    /// change is left then.
    pub fn begin(
        &mut self,
        token: u64,
        layer: LayerId,
        from: &LayerPlacement,
        to: &LayerPlacement,
    ) -> Result<(), ExecutorError> {
        let plan = TransferPlan::new(from, to, &self.weights.topology);
        let (change, landings) = match self.mode {
            CommitMode::InPlace => {
                let changes = plan.changes(self.weights.rank).len();
                let lane = self.lanes.take(layer, changes)?;
                let weights = &self.weights;
                let change =
                    PreparedChange::in_place(token, layer, to.epoch(), &plan, weights, lane);
                (change, Vec::new())
            }
            CommitMode::Indirect => {
                let before = self.weights.buffers(layer);
                let (after, mut landings) = before
                    .after(&plan, &self.weights.topology, &self.spares)
                    .map_err(|TooFewSpares { rank, needed, spares }| {
                        ExecutorError::TooFewSpares { layer, rank, needed, spares }
                    })?;
                let weights = &self.weights;
                let change =
                    PreparedChange::indirect(token, layer, to.epoch(), &plan, weights, after);
                (change, landings.swap_remove(self.weights.rank.index()))
            }
        };
        match self.issue(&change, &plan, &landings) {
            Ok(arrived) => {
                self.running.push(Running { change, arrived });
                Ok(())
            }
            Err(error) => {
                self.give_up(change);
                Err(error)
            }
        }
    }

    fn issue(
        &self,
        change: &PreparedChange,
        plan: &TransferPlan,
        landings: &[crate::Landing],
    ) -> Result<Event, ExecutorError> {
        let copies = change.arrival_copies(plan, landings, &self.weights)?;
        let arrived = self.stream.device().event()?;
        if let Some(switched) = self.weights.last_switch(change.layer) {
            // Spare buffers may still be read by forward passes from before the last switch.
            self.stream.wait_for(&switched)?;
        }
        if !copies.is_empty() {
            self.stream.copy(&copies)?;
        }
        self.stream.record(&arrived)?;
        Ok(arrived)
    }

    /// The changes that have ended since the last call: their weights are here, or what failed.
    pub fn poll(&mut self) -> Vec<(u64, Result<PreparedChange, ExecutorError>)> {
        let mut ended = Vec::new();
        for running in std::mem::take(&mut self.running) {
            let token = running.change.token;
            match running.arrived.is_complete() {
                Ok(false) => self.running.push(running),
                Ok(true) => ended.push((token, Ok(running.change))),
                Err(error) => {
                    self.give_up(running.change);
                    ended.push((token, Err(error.into())));
                }
            }
        }
        ended
    }

    /// Gives up a change that is still running. Its copies end by themselves; what they write is
    /// used by nobody. Returns whether there was one.
    pub fn abort(&mut self, token: u64) -> bool {
        match self.running.iter().position(|running| running.change.token == token) {
            Some(index) => {
                let running = self.running.swap_remove(index);
                self.give_up(running.change);
                true
            }
            None => false,
        }
    }

    /// Whether no copy of ours is under way.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Gives back what a change that came to nothing held, at once, though copies into its lane may
    /// still be queued: whatever uses the lane next is queued behind them, on the same stream.
    fn give_up(&self, change: PreparedChange) {
        self.lanes.give_back(change.lane);
    }
}
