//! What is tested.

use std::fmt;
use std::process::Command;
use std::sync::Arc;

use eplb::device::{Backend, Device, DeviceInfo};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A backend, and how the suite may use it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The backend under test.
    pub backend: Arc<dyn Backend>,
    /// Only this device; else all that the backend shows.
    pub device: Option<u32>,
    /// The numbers of ranks to run cases of several ranks with.
    pub ranks: Vec<u32>,
    /// How ranks run as processes; without it, cases in that mode are skipped. Only for a backend whose
    /// keys and ids mean nothing in another process there is none.
    pub processes: Option<Processes>,
}

/// Makes the command that runs one rank in a process of its own: a program that calls
/// [`serve_rank`](crate::serve_rank) with its standard input and output.
#[derive(Clone)]
pub struct Processes(Arc<dyn Fn(&RankOrder) -> Command + Send + Sync>);

impl Processes {
    /// Ranks are started by what `command` makes.
    pub fn new(command: impl Fn(&RankOrder) -> Command + Send + Sync + 'static) -> Self {
        Self(Arc::new(command))
    }

    pub(crate) fn command(&self, order: &RankOrder) -> Command {
        (self.0)(order)
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Processes")
    }
}

/// Which rank of which case a process is to be; its first line of input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankOrder {
    /// The case's name.
    pub case: String,
    /// The rank.
    pub rank: u32,
    /// Ranks in all.
    pub ranks: u32,
    /// Ordinals of the devices under test.
    pub devices: Vec<u32>,
    /// Seconds that the case may take.
    pub deadline_s: u64,
}

/// Why nothing can be tested.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// There is no device.
    #[error(
        "the backend {backend} shows no device: its library or its driver is missing, or no device is there"
    )]
    NoDevice {
        /// The backend.
        backend: String,
    },
    /// No number of ranks.
    #[error("no number of ranks is given; allowed are one or more, each from 1 to {most}")]
    Ranks {
        /// The most ranks that a case has.
        most: u32,
    },
    /// A device fails before any case.
    #[error(transparent)]
    Device(#[from] eplb::device::DeviceError),
}

impl Subject {
    /// The most ranks that cases have.
    pub const MOST_RANKS: u32 = 8;

    /// The ordinals of the devices under test, and what these say of themselves.
    pub(crate) fn devices(&self) -> Result<(Vec<u32>, Vec<DeviceInfo>), SubjectError> {
        let allowed = 1..=Self::MOST_RANKS;
        if self.ranks.is_empty() || !self.ranks.iter().all(|ranks| allowed.contains(ranks)) {
            return Err(SubjectError::Ranks { most: Self::MOST_RANKS });
        }
        let count = self.backend.devices()?;
        if count == 0 {
            return Err(SubjectError::NoDevice { backend: self.backend.name().to_owned() });
        }
        let ordinals = self.device.map_or(0..count, |device| device..device.saturating_add(1));
        let info = |ordinal| Ok(Device::open(&self.backend, ordinal)?.info().clone());
        let infos: Result<_, SubjectError> = ordinals.clone().map(info).collect();
        Ok((ordinals.collect(), infos?))
    }
}
