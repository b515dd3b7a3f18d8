//! What a case needs of the devices under test.

use std::fmt;

use eplb::device::DeviceInfo;
use serde::Deserialize;

/// A capability, matched with what the devices say of themselves and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Requirement {
    /// Memory can be exported and imported.
    PeerMemory,
    /// Communicators can be created.
    Communicators,
    /// Streams can be aborted.
    StreamAbort,
    /// Streams can't be aborted: what is said of that is checked, too.
    NoStreamAbort,
    /// Two ranks of a communicator may use one device.
    RanksShareDevice,
    /// Two ranks of a communicator may not use one device.
    NoSharedRanks,
    /// Two devices are under test.
    TwoDevices,
    /// A stream can be kept busy for as long as a case wants: by a communicator whose other rank,
    /// in the same process, comes later. It takes communicators, and either a second device or ranks
    /// that share one.
    Hold,
}

impl Requirement {
    /// Whether the devices have it.
    pub(crate) fn is_met(self, devices: &[DeviceInfo]) -> bool {
        let all = |has: fn(&DeviceInfo) -> bool| devices.iter().all(has);
        match self {
            Self::PeerMemory => all(|device| device.peer_memory),
            Self::Communicators => all(|device| device.communicators),
            Self::StreamAbort => all(|device| device.stream_abort),
            Self::NoStreamAbort => all(|device| !device.stream_abort),
            Self::RanksShareDevice => all(|device| device.ranks_share_device),
            Self::NoSharedRanks => all(|device| !device.ranks_share_device),
            Self::TwoDevices => devices.len() > 1,
            Self::Hold => all(|device| device.communicators) && can_connect(2, devices),
        }
    }
}

/// Whether a communicator of so many ranks fits the devices.
pub(crate) fn can_connect(ranks: u32, devices: &[DeviceInfo]) -> bool {
    devices.len() >= ranks as usize || devices.iter().all(|device| device.ranks_share_device)
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PeerMemory => "peer_memory",
            Self::Communicators => "communicators",
            Self::StreamAbort => "stream_abort",
            Self::NoStreamAbort => "no_stream_abort",
            Self::RanksShareDevice => "ranks_share_device",
            Self::NoSharedRanks => "no_shared_ranks",
            Self::TwoDevices => "two_devices",
            Self::Hold => "hold",
        })
    }
}
