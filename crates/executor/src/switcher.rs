//! The switching half of an executor.

use std::collections::BTreeMap;
use std::sync::Arc;

use eplb_core::{LayerId, SlotId};
use eplb_device::{Event, Memory, MemoryCopy, Stream};

use crate::staging::Lanes;
use crate::weights::Weights;
use crate::{BufferTable, ExecutorError, PreparedChange};

/// Switches layers over on the engine's stream. Belongs to the engine's thread.
///
/// Every call only queues work on the engine's stream, between the forward passes that are queued
/// before and after it; nothing waits. Until [`Switcher::release`] the old weights are kept, and
/// [`Switcher::revert`] goes back to them.
#[derive(Debug)]
pub struct Switcher {
    weights: Arc<Weights>,
    stream: Stream,
    lanes: Lanes,
    changes: BTreeMap<u64, Held>,
}

/// What [`Switcher::poll`] reports.
#[derive(Debug)]
pub enum Switched {
    /// The new weights are live on the device.
    Committed(u64),
    /// The old weights are live again.
    Reverted(u64),
    /// The queued copies of a switch failed on the device.
    Failed(u64, ExecutorError),
}

#[derive(Debug)]
struct Held {
    change: PreparedChange,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Prepared,
    /// `is_fresh` until the poll after the switch, which is of the same step: nothing that was just
    /// queued has ended, and asking costs host time on the step path.
    Committing {
        done: Arc<Event>,
        is_fresh: bool,
    },
    Committed,
    /// Going back, after a failed commit or because the manager said so.
    Reverting {
        done: Arc<Event>,
        tell: bool,
    },
    /// Back; `tell` until [`Switcher::poll`] has said so.
    Reverted {
        tell: bool,
    },
    /// Over; its memory is given back when the last copy has ended.
    Ending(Arc<Event>),
    Broken,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Committing { .. } => "committing",
            Self::Committed => "committed",
            Self::Reverting { .. } => "going back",
            Self::Reverted { .. } => "reverted",
            Self::Ending(_) => "ended",
            Self::Broken => "broken",
        }
    }
}

impl Switcher {
    pub(crate) fn new(weights: Arc<Weights>, stream: Stream, lanes: Lanes) -> Self {
        Self { weights, stream, lanes, changes: BTreeMap::new() }
    }

    /// Takes over a change that the migrator has prepared.
    pub fn accept(&mut self, change: PreparedChange) {
        self.changes.insert(change.token, Held { change, state: State::Prepared });
    }

    /// Makes a prepared change live for the forward passes queued from now on.
    ///
    /// # Errors
    /// The device refused a call: the old weights are live, as before. Where restoring them failed
    /// too, the error is [`ExecutorError::Broken`].
    pub fn commit(&mut self, token: u64) -> Result<(), ExecutorError> {
        let held = Self::find(&mut self.changes, token, "commit", "prepared")?;
        if !matches!(held.state, State::Prepared) {
            return Err(Self::wrong_state(token, "commit", "prepared", &held.state));
        }
        let change = &held.change;
        let switched = change
            .commit_copies(&self.weights)
            .and_then(|copies| Self::issue(&self.stream, &copies));
        match switched {
            Ok(done) => {
                let table = change.new_buffers.clone();
                self.weights.switch(change.layer, table, Arc::clone(&done));
                held.state = State::Committing { done, is_fresh: true };
                Ok(())
            }
            Err(failure) => match Self::restore(&self.weights, &self.stream, change) {
                Ok(done) => {
                    held.state = State::Reverting { done, tell: false };
                    Err(failure)
                }
                Err(rollback) => {
                    held.state = State::Broken;
                    let layer = change.layer;
                    let (failure, rollback) = (Box::new(failure), Box::new(rollback));
                    Err(ExecutorError::Broken { layer, failure, rollback })
                }
            },
        }
    }

    /// Goes back to the old weights, whatever the state of the change.
    ///
    /// # Errors
    /// The device refused a call, or the token is unknown; a later call may try again.
    pub fn revert(&mut self, token: u64) -> Result<(), ExecutorError> {
        let held = Self::find(&mut self.changes, token, "revert", "committed")?;
        held.state = match &held.state {
            State::Committing { .. } | State::Committed | State::Broken => {
                let done = Self::restore(&self.weights, &self.stream, &held.change)?;
                State::Reverting { done, tell: true }
            }
            State::Prepared | State::Reverted { .. } => State::Reverted { tell: true },
            State::Reverting { done, .. } => {
                State::Reverting { done: Arc::clone(done), tell: true }
            }
            State::Ending(done) => State::Ending(Arc::clone(done)),
        };
        Ok(())
    }

    fn restore(
        weights: &Weights,
        stream: &Stream,
        change: &PreparedChange,
    ) -> Result<Arc<Event>, ExecutorError> {
        let done = Self::issue(stream, &change.revert_copies(weights)?)?;
        weights.switch(change.layer, change.old_buffers.clone(), Arc::clone(&done));
        Ok(done)
    }

    fn issue(stream: &Stream, copies: &[MemoryCopy]) -> Result<Arc<Event>, ExecutorError> {
        let done = stream.device().event()?;
        if !copies.is_empty() {
            stream.copy(copies)?;
        }
        stream.record(&done)?;
        Ok(Arc::new(done))
    }

    /// Ends a change: the old weights of a committed one are let go; of any other, the new ones.
    /// An unknown token is over already.
    pub fn release(&mut self, token: u64) {
        let Some(held) = self.changes.get_mut(&token) else { return };
        match &held.state {
            State::Committing { done, .. } | State::Reverting { done, .. } => {
                held.state = State::Ending(Arc::clone(done));
            }
            State::Prepared | State::Committed | State::Reverted { .. } => {
                if let Some(held) = self.changes.remove(&token) {
                    self.lanes.give_back(held.change.lane);
                }
            }
            State::Ending(_) | State::Broken => {}
        }
    }

    /// What has been completed since the last call.
    pub fn poll(&mut self) -> Vec<Switched> {
        let mut news = Vec::new();
        let mut ended = Vec::new();
        for (&token, held) in &mut self.changes {
            if let State::Committing { is_fresh: is_fresh @ true, .. } = &mut held.state {
                *is_fresh = false;
                continue;
            }
            let (State::Committing { done, .. }
            | State::Reverting { done, .. }
            | State::Ending(done)) = &held.state
            else {
                if let State::Reverted { tell: tell @ true } = &mut held.state {
                    *tell = false;
                    news.push(Switched::Reverted(token));
                }
                continue;
            };
            match (done.is_complete(), &held.state) {
                (Ok(false), _) => {}
                (Ok(true), State::Committing { .. }) => {
                    held.state = State::Committed;
                    news.push(Switched::Committed(token));
                }
                (Ok(true), State::Reverting { tell, .. }) => {
                    if *tell {
                        news.push(Switched::Reverted(token));
                    }
                    held.state = State::Reverted { tell: false };
                }
                (Ok(true), _) => ended.push(token),
                // Nobody waits for it any more; a stream that has failed for good keeps its lane.
                (Err(_), State::Ending(_)) => {}
                (Err(error), _) => {
                    held.state = State::Broken;
                    news.push(Switched::Failed(token, error.into()));
                }
            }
        }
        for token in ended {
            if let Some(held) = self.changes.remove(&token) {
                self.lanes.give_back(held.change.lane);
            }
        }
        news
    }

    /// The engine's stream.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether copies of a switch are under way on the engine's stream.
    pub fn is_switching(&self) -> bool {
        let moving = |held: &Held| {
            matches!(
                held.state,
                State::Committing { .. } | State::Reverting { .. } | State::Ending(_)
            )
        };
        self.changes.values().any(moving)
    }

    /// Whether the change of `token` has been accepted and is not over.
    pub fn holds(&self, token: u64) -> bool {
        self.changes.contains_key(&token)
    }

    /// Which buffer of this rank holds each of its slots of a layer, for kernels that index buffers.
    pub fn buffers(&self, layer: LayerId) -> BufferTable {
        self.weights.buffers(layer)
    }

    /// The memory of each tensor of one of this rank's slots, as the next forward pass reads it.
    ///
    /// # Errors
    /// A slot of another rank that is not connected.
    pub fn slot(&self, layer: LayerId, slot: SlotId) -> Result<Vec<Memory>, ExecutorError> {
        let buffers = self.weights.buffers(layer);
        let tensors = 0..self.weights.tensors(layer).len();
        tensors.map(|tensor| self.weights.slot(layer, tensor, slot, &buffers)).collect()
    }

    fn find<'a>(
        changes: &'a mut BTreeMap<u64, Held>,
        token: u64,
        operation: &'static str,
        needed: &'static str,
    ) -> Result<&'a mut Held, ExecutorError> {
        let unknown = ExecutorError::WrongState { token, operation, needed, state: "unknown" };
        changes.get_mut(&token).ok_or(unknown)
    }

    fn wrong_state(
        token: u64,
        operation: &'static str,
        needed: &'static str,
        state: &State,
    ) -> ExecutorError {
        ExecutorError::WrongState { token, operation, needed, state: state.name() }
    }
}
