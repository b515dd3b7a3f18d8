//! What a rank's transports are, for those who ask from other threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{CollectiveState, Transports};

/// Where a rank's transports can be read from any thread. The lock is held to read or to change a value,
/// never over a device call.
#[derive(Clone, Debug)]
pub struct TransportBoard(Arc<Mutex<Transports>>);

impl TransportBoard {
    pub(crate) fn new(transports: Transports) -> Self {
        Self(Arc::new(Mutex::new(transports)))
    }

    /// The transports as they are now.
    pub fn read(&self) -> Transports {
        self.lock().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Transports)) {
        change(&mut self.lock());
    }

    /// Why the collective transport is lost, if it is.
    pub(crate) fn loss(&self) -> Option<String> {
        match self.lock().collective() {
            CollectiveState::Lost(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Transports> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
