//! Where rank threads meet between the parts of a step.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::RunError;

/// How long a rank waits for the others: far longer than any part of a step takes, so that a defect
/// ends a run with an error instead of stopping it for ever.
const LIMIT: Duration = Duration::from_secs(120);

/// A barrier with a vote and a way out.
#[derive(Debug)]
pub(crate) struct Meeting {
    ranks: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    round: u64,
    arrived: usize,
    agreed: bool,
    /// What the round that ended last agreed on.
    outcome: bool,
    cancelled: bool,
}

impl Meeting {
    pub(crate) fn new(ranks: usize) -> Self {
        let state = State { agreed: true, ..State::default() };
        Self { ranks, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for all ranks.
    pub(crate) fn wait(&self) -> Result<(), RunError> {
        self.vote(true).map(|_| ())
    }

    /// Waits for all ranks and tells whether all said yes.
    pub(crate) fn vote(&self, yes: bool) -> Result<bool, RunError> {
        let until = Instant::now() + LIMIT;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let round = state.round;
        state.arrived += 1;
        state.agreed &= yes;
        if state.arrived == self.ranks {
            state.outcome = state.agreed;
            state.agreed = true;
            state.arrived = 0;
            state.round += 1;
            self.changed.notify_all();
        }
        while state.round == round && !state.cancelled {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RunError::Cancelled);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.round == round { Err(RunError::Cancelled) } else { Ok(state.outcome) }
    }

    /// Lets everybody who waits or will wait go, with an error.
    pub(crate) fn cancel(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled = true;
        self.changed.notify_all();
    }
}
