//! The moving half of an executor.

use std::sync::Arc;

use eplb_core::{LayerId, LayerPlacement, TransferPlan};
use eplb_device::{Event, MemoryCopy, Stream};

use crate::executor::CommitMode;
use crate::staging::Lanes;
use crate::weights::Weights;
use crate::{ExecutorError, PreparedChange, TooFewSpares};

/// Brings the weights of new placements to this rank, on a stream of its own. Belongs to one thread.
///
/// Bytes are pulled: this rank's copy engine reads the memory of other ranks. So ranks need not agree
/// on an order of calls, and a slow rank holds up nobody but those who wait for it.
///
/// A capped migrator queues copies only as [`Migrator::grant`] allows; what has been granted is used by
/// [`Migrator::begin`] and [`Migrator::poll`].
#[derive(Debug)]
pub struct Migrator {
    weights: Arc<Weights>,
    mode: CommitMode,
    spares: Vec<u32>,
    stream: Stream,
    lanes: Lanes,
    /// Bytes that may be queued; below zero after a copy that was larger than what was left. `None`
    /// without a cap.
    allowance: Option<i64>,
    /// In the order in which they began.
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    change: PreparedChange,
    /// Copies that are not queued yet, the next one last.
    pending: Vec<MemoryCopy>,
    /// Whether the stream waits for what may still read the memory that the copies write.
    is_ordered: bool,
    /// Recorded behind the last copy.
    arrived: Option<Event>,
}

impl Migrator {
    pub(crate) fn new(
        weights: Arc<Weights>,
        mode: CommitMode,
        spares: Vec<u32>,
        stream: Stream,
        lanes: Lanes,
    ) -> Self {
        Self { weights, mode, spares, stream, lanes, allowance: None, running: Vec::new() }
    }

    /// The same migrator, which queues nothing before it is granted bytes.
    pub(crate) fn capped(self) -> Self {
        Self { allowance: Some(0), ..self }
    }

    /// Lets a capped migrator queue so many bytes more. What is not used is kept, up to `most`: after a
    /// pause, copies must not come all at once.
    pub fn grant(&mut self, bytes: u64, most: u64) {
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.saturating_add(signed(bytes)).min(signed(most));
        }
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
        let copies = match change.arrival_copies(&plan, &landings, &self.weights) {
            Ok(copies) => copies,
            Err(error) => {
                self.give_up(change);
                return Err(error);
            }
        };
        let pending = copies.into_iter().rev().collect();
        let mut running = Running { change, pending, is_ordered: false, arrived: None };
        // Those that began before come first.
        let is_next = self.running.iter().all(|running| running.arrived.is_some());
        let queued = if is_next { self.queue(&mut running) } else { Ok(()) };
        match queued {
            Ok(()) => {
                self.running.push(running);
                Ok(())
            }
            Err(error) => {
                self.give_up(running.change);
                Err(error)
            }
        }
    }

    /// Queues what is allowed of a change's copies.
    fn queue(&mut self, running: &mut Running) -> Result<(), ExecutorError> {
        if !running.is_ordered {
            if let Some(switched) = self.weights.last_switch(running.change.layer) {
                // Spare buffers may still be read by forward passes from before the last switch.
                self.stream.wait_for(&switched)?;
            }
            running.is_ordered = true;
        }
        let copies = self.take_allowed(&mut running.pending);
        if !copies.is_empty() {
            self.stream.copy(&copies)?;
        }
        if running.pending.is_empty() {
            let arrived = self.stream.device().event()?;
            self.stream.record(&arrived)?;
            running.arrived = Some(arrived);
        }
        Ok(())
    }

    /// A copy goes whole as long as anything is left of the allowance, which may owe for it then.
    fn take_allowed(&mut self, pending: &mut Vec<MemoryCopy>) -> Vec<MemoryCopy> {
        let Some(allowance) = &mut self.allowance else {
            return pending.drain(..).rev().collect();
        };
        let mut taken = Vec::new();
        while *allowance > 0 {
            let Some(copy) = pending.pop() else { break };
            let bytes = i64::try_from(copy.bytes()).unwrap_or(i64::MAX);
            *allowance = allowance.saturating_sub(bytes);
            taken.push(copy);
        }
        taken
    }

    /// The changes that have ended since the last call: their weights are here, or what failed.
    pub fn poll(&mut self) -> Vec<(u64, Result<PreparedChange, ExecutorError>)> {
        let mut ended = Vec::new();
        let mut is_blocked = false;
        for mut running in std::mem::take(&mut self.running) {
            let token = running.change.token;
            let queued = if running.arrived.is_some() || is_blocked {
                Ok(())
            } else {
                self.queue(&mut running)
            };
            let is_complete = queued.and_then(|()| match &running.arrived {
                Some(arrived) => Ok(arrived.is_complete()?),
                None => Ok(false),
            });
            match is_complete {
                Ok(false) => {
                    is_blocked |= running.arrived.is_none();
                    self.running.push(running);
                }
                Ok(true) => ended.push((token, Ok(running.change))),
                Err(error) => {
                    self.give_up(running.change);
                    ended.push((token, Err(error)));
                }
            }
        }
        ended
    }

    /// Gives up a change that is still running. Copies that are queued end by themselves; what they write
    /// is used by nobody. Returns whether there was one.
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
