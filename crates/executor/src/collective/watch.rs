//! What the collective transport waits for, seen and ended from another thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eplb_device::{Communicator, DeviceError};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectiveWait {
    /// All ranks have to join the communicator, and to say what they have chosen.
    Connecting,
    /// All ranks have to come to a roll call.
    RollCall,
    /// The ranks of a round have to come to it, and its bytes to arrive.
    Round,
}

/// The deadline of whatever the collective transport waits for, to be kept by a thread with a clock: the
/// migrator's own thread may be inside a call that waits for other ranks while links are set up.
#[derive(Clone, Debug)]
pub struct CollectiveWatch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    communicator: Communicator,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts waits.
    number: u64,
    waits: Option<CollectiveWait>,
    /// Why the wait was ended.
    expired: Option<String>,
}

impl CollectiveWatch {
    pub(crate) fn new(communicator: Communicator) -> Self {
        Self(Arc::new(Shared { communicator, state: Mutex::default() }))
    }

    /// What is waited for now, with a number that differs from those of all other waits.
    pub fn waiting(&self) -> Option<(u64, CollectiveWait)> {
        let state = self.lock();
        state.waits.map(|wait| (state.number, wait))
    }

    /// Ends the wait of this number because it has taken `seconds`, if it is still under way: the transport is
    /// lost, and a communicator of ours is aborted, which may take seconds.
    pub fn expire(&self, number: u64, seconds: f64) {
        {
            let mut state = self.lock();
            let Some(wait) = state.waits.filter(|_| state.number == number) else { return };
            if state.expired.is_some() {
                return;
            }
            let what = match wait {
                CollectiveWait::Connecting => "not all ranks have joined the communicator",
                CollectiveWait::RollCall => "not all ranks have come to a roll call",
                CollectiveWait::Round => "a round did not end",
            };
            state.expired = Some(format!("{what} within {seconds} s"));
        }
        // What could not be aborted is told by whoever finds the wait expired, who tries again.
        let _ = self.abort();
    }

    pub(crate) fn communicator(&self) -> &Communicator {
        &self.0.communicator
    }

    /// Aborts the communicator, unless it is the engine's.
    pub(crate) fn abort(&self) -> Result<(), DeviceError> {
        let communicator = self.communicator();
        if communicator.is_borrowed() { Ok(()) } else { communicator.abort() }
    }

    pub(crate) fn begin(&self, wait: CollectiveWait) {
        let mut state = self.lock();
        state.number += 1;
        state.waits = Some(wait);
    }

    /// The wait is over, well or badly: why it had been ended before, if it had.
    pub(crate) fn end(&self) -> Option<String> {
        let mut state = self.lock();
        state.waits = None;
        state.expired.take()
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.lock().expired.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
