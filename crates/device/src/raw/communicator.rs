//! The trait of a communicator between ranks.

use std::fmt::Debug;

use super::{Address, PeerBuffer, Progress, StreamHandle};
use crate::{DeviceError, Result};

/// One rank's end of a communicator. All data are opaque bytes (R20).
///
/// The safe layer calls the methods that queue work under one lock per device (R15), and the others
/// from any thread at any time, also while one of the former is inside the vendor's library.
///
/// # Safety
///
/// The implementer keeps the contract of the [module](super): queued work of the communicator is
/// work of its stream, and is reported by queries of that stream (R5).
pub unsafe trait CommunicatorDriver: Send + Sync + Debug {
    /// Where the creation stands (R13); always `Complete` for a borrowed one.
    ///
    /// # Errors
    ///
    /// The state could not be found out.
    fn progress(&self) -> Result<Progress>;

    /// Device memory that the library keeps for this communicator, in bytes, as far as it is
    /// known (R22).
    fn reserved_bytes(&self) -> u64;

    /// Queues one round: all sends and receives progress together (R16). May wait, boundedly, for
    /// peers while the library sets up links (R17).
    ///
    /// # Errors
    ///
    /// Part of it may be queued then (R7).
    ///
    /// # Safety
    ///
    /// The communicator is ready; at most one buffer per peer and direction; ranges are live device
    /// memory, receives overlap nothing else, and all stays alive until the work has ended.
    unsafe fn exchange(
        &self,
        sends: &[PeerBuffer],
        receives: &[PeerBuffer],
        stream: StreamHandle,
    ) -> Result<()>;

    /// Queues gathering `bytes` of every rank, by rank, into `receive` of `size * bytes` (R16).
    ///
    /// # Errors
    ///
    /// It may be queued all the same (R7).
    ///
    /// # Safety
    ///
    /// As [`exchange`](Self::exchange); `send` is apart from `receive` or is the own rank's part.
    unsafe fn all_gather(
        &self,
        send: Address,
        receive: Address,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()>;

    /// Queues copying the root's buffer into every rank's buffer (R16).
    ///
    /// # Errors
    ///
    /// It may be queued all the same (R7).
    ///
    /// # Safety
    ///
    /// As [`exchange`](Self::exchange).
    unsafe fn broadcast(
        &self,
        buffer: Address,
        bytes: usize,
        root: u32,
        stream: StreamHandle,
    ) -> Result<()>;

    /// Queues a barrier: later work of `stream` starts after all ranks' streams came here (R21).
    ///
    /// # Errors
    ///
    /// It may be queued all the same (R7).
    ///
    /// # Safety
    ///
    /// The communicator is ready and the stream is alive.
    unsafe fn barrier(&self, stream: StreamHandle) -> Result<()>;

    /// A failure that the library noticed by itself, if any (R24).
    ///
    /// # Errors
    ///
    /// The library could not be asked.
    fn async_error(&self) -> Result<Option<DeviceError>>;

    /// Gives the communicator up: creation, calls inside the library and queued work end in bounded
    /// time, each with an error, and later calls fail with `Aborted` (R25). Twice is harmless.
    ///
    /// # Errors
    ///
    /// The library could not end it; stream abort and the end of the process remain.
    fn abort(&self) -> Result<()>;

    /// Releases the library's communicator after all of its work has ended or it was aborted
    /// (R25). Does nothing for a borrowed one (R3), or after an abort that released it already.
    ///
    /// # Errors
    ///
    /// The communicator counts as released then, too (R27).
    ///
    /// # Safety
    ///
    /// None of its queued work is pending, and nothing is called on it later.
    unsafe fn destroy(&self) -> Result<()>;
}
