//! The devices that a run's ranks are on.

use std::sync::Arc;

use eplb::core::RankId;
use eplb::device::Backend;

use crate::RunError;

/// Devices of a backend, over which ranks are dealt in turn: with fewer devices than ranks, several
/// ranks share one.
#[derive(Clone, Debug)]
pub struct Devices {
    backend: Arc<dyn Backend>,
    ordinals: Vec<u32>,
}

impl Devices {
    /// All devices that the backend shows.
    ///
    /// # Errors
    /// There is none, or the backend can't tell.
    pub fn all(backend: Arc<dyn Backend>) -> Result<Self, RunError> {
        match backend.devices()? {
            0 => Err(RunError::NoDevice { backend: backend.name().to_owned() }),
            devices => Ok(Self { backend, ordinals: (0..devices).collect() }),
        }
    }

    /// One device for all ranks.
    pub fn one(backend: Arc<dyn Backend>, ordinal: u32) -> Self {
        Self { backend, ordinals: vec![ordinal] }
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The ordinal of a rank's device.
    pub fn of_rank(&self, rank: RankId) -> u32 {
        self.ordinals[rank.index() % self.ordinals.len()]
    }
}
