//! Plain values that pass between the safe layer and a backend.

use serde::Serialize;

use crate::DeviceError;

/// An address that the device or, for pinned memory, the host can reach; never dereferenced
/// outside backends unless it is pinned memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub usize);

/// A stream of the vendor's library, ours or the engine's: the pointer or number it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamHandle(pub usize);

/// An event of the vendor's library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventHandle(pub usize);

/// A communicator of the vendor's library that the engine created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommunicatorHandle(pub usize);

/// A device context that the engine created; its meaning is the backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContextHandle(pub usize);

/// How urgent the work of a stream is; a hint, which some devices ignore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamPriority {
    /// Yields to other streams where the device can do that: right for transfers.
    Low,
    /// The device's default, whatever that is there.
    #[default]
    Normal,
    /// Goes before other streams where the device can do that.
    High,
}

/// Where queued work stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All of it is done.
    Complete,
    /// Some of it is still to be done.
    Pending,
    /// It failed, **and is over**: none of it runs any more or touches memory. A backend that does
    /// not know this returns the failure as the `Err` of the query instead.
    Failed(DeviceError),
}

/// From where to where a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CopyKind {
    /// Within this device's memory.
    Device,
    /// One side, or both, is memory of another process or device, imported here.
    Peer,
    /// From pinned host memory to this device.
    Upload,
    /// From this device to pinned host memory.
    Download,
}

/// One copy of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// First byte written.
    pub destination: Address,
    /// First byte read.
    pub source: Address,
    /// Bytes, never zero.
    pub bytes: usize,
    /// From where to where.
    pub kind: CopyKind,
}

/// One buffer of a round of sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerBuffer {
    /// The other rank, or the own one.
    pub peer: u32,
    /// First byte.
    pub address: Address,
    /// Bytes, never zero.
    pub bytes: usize,
}

/// What a device is and can do; constant while it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// Name of the backend, as it stands in errors and reports.
    pub backend: String,
    /// Name of the device, as its vendor gives it.
    pub name: String,
    /// The driver and the libraries that the device is used through, with their versions: what tells one
    /// set-up from another in reports.
    pub software: String,
    /// Ordinal among the devices that this process sees.
    pub ordinal: u32,
    /// Every allocation starts at a multiple of this many bytes; a power of two, at least 64.
    pub alignment: usize,
    /// Whether memory can be exported and imported.
    pub peer_memory: bool,
    /// Whether communicators can be created.
    pub communicators: bool,
    /// Whether streams of ours can be aborted.
    pub stream_abort: bool,
    /// Whether two ranks of one communicator may use one device.
    pub ranks_share_device: bool,
}

/// How much memory a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryInfo {
    /// Bytes that are free now.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Options of a communicator; the same on all its ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommunicatorOptions {
    /// Bytes of transfer buffer that the communicator may keep for itself; the backend rounds to
    /// what its library knows. `None`: the backend's own small default, never the library's.
    pub buffer_bytes: Option<u64>,
}

/// Names a communicator to be created: made on one rank, carried to all ranks by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommunicatorId(Vec<u8>);

impl CommunicatorId {
    /// The bytes to carry.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for CommunicatorId {
    /// Takes carried bytes; the backend refuses what it did not make itself.
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Names an exported allocation: opaque bytes of the backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllocationKey(pub Vec<u8>);
