//! The trait of one open device.

use std::fmt::Debug;
use std::sync::Arc;

use super::{
    Address, AllocationKey, CommunicatorDriver, CommunicatorHandle, CommunicatorId,
    CommunicatorOptions, Copy, DeviceInfo, EventHandle, MemoryInfo, Progress, StreamHandle,
    StreamPriority,
};
use crate::Result;

/// One open device: a thin translation of the vendor's calls, nothing validated twice.
///
/// Every method may be called from any thread, also from several at once (R2); the safe layer
/// calls those that queue work on one stream one after another. No method waits for queued work
/// (R6), with the exceptions that its docs name. Any method may return what the vendor reports, as
/// R26 says; the docs below name only errors beyond that.
///
/// # Safety
///
/// The implementer keeps the contract of the [module](super). In particular: `Complete` and
/// `Failed` are reported only of work that no longer touches memory (R5), memory that was handed
/// out overlaps no other memory and stays until it is freed (R8), and calls that destroy have
/// released the resource also when they return an error (R27).
pub unsafe trait Driver: Send + Sync + Debug {
    /// What the device is and can do.
    fn info(&self) -> DeviceInfo;

    /// Free and total memory at this moment.
    ///
    /// # Errors
    ///
    /// What the vendor reports.
    fn memory_info(&self) -> Result<MemoryInfo>;

    // --- streams

    /// Creates a stream, which runs its work in order and beside all other streams (R4).
    ///
    /// # Errors
    ///
    /// `OutOfMemory` when the vendor's number of streams is used up.
    fn create_stream(&self, priority: StreamPriority) -> Result<StreamHandle>;

    /// Destroys a stream. Its work is over, or it was aborted; in the latter case the call may wait
    /// for the one task that runs, which is bounded (R25).
    ///
    /// # Errors
    ///
    /// The stream counts as destroyed then, too (R27).
    ///
    /// # Safety
    ///
    /// `stream` was created by this driver, has not been destroyed, and is not used any more.
    unsafe fn destroy_stream(&self, stream: StreamHandle) -> Result<()>;

    /// Where the queued work of a stream stands (R5).
    ///
    /// # Errors
    ///
    /// The state could not be found out: the work may still run.
    ///
    /// # Safety
    ///
    /// `stream` is alive: created by this driver or lent by the engine (R3).
    unsafe fn query_stream(&self, stream: StreamHandle) -> Result<Progress>;

    /// Gives up all queued work of a stream of ours (R25). From `Ok` on no further task of it
    /// starts, the running one ends in bounded time, and the stream is `Failed` after that.
    ///
    /// # Errors
    ///
    /// `Unsupported` where [`DeviceInfo::stream_abort`] is false.
    ///
    /// # Safety
    ///
    /// `stream` was created by this driver and is alive.
    unsafe fn abort_stream(&self, stream: StreamHandle) -> Result<()>;

    // --- events

    /// Creates an event that only orders work; it measures no time (R11).
    ///
    /// # Errors
    ///
    /// `OutOfMemory` when the vendor's number of events is used up.
    fn create_event(&self) -> Result<EventHandle>;

    /// Destroys an event, also one whose record or whose waits are still pending (R11).
    ///
    /// # Errors
    ///
    /// The event counts as destroyed then, too (R27).
    ///
    /// # Safety
    ///
    /// `event` was created by this driver and has not been destroyed.
    unsafe fn destroy_event(&self, event: EventHandle) -> Result<()>;

    /// Captures the work queued on `stream` so far; replaces what the event captured before (R11).
    ///
    /// # Errors
    ///
    /// The event's capture is unknown then.
    ///
    /// # Safety
    ///
    /// Both are alive and of this device.
    unsafe fn record_event(&self, event: EventHandle, stream: StreamHandle) -> Result<()>;

    /// Makes later work of `stream` wait, on the device, for what the event captures now (R11).
    ///
    /// # Errors
    ///
    /// The wait may or may not be queued then (R7).
    ///
    /// # Safety
    ///
    /// Both are alive and of this device, and the event has been recorded.
    unsafe fn wait_event(&self, stream: StreamHandle, event: EventHandle) -> Result<()>;

    /// Where the work that the event captured last stands (R5, R11).
    ///
    /// # Errors
    ///
    /// The state could not be found out: the work may still run.
    ///
    /// # Safety
    ///
    /// `event` is alive and has been recorded.
    unsafe fn query_event(&self, event: EventHandle) -> Result<Progress>;

    // --- memory

    /// Allocates device memory: `bytes` is not zero, the start is aligned as
    /// [`DeviceInfo::alignment`] says, the contents are undefined (R8). May wait for the device.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`.
    fn allocate(&self, bytes: usize) -> Result<Address>;

    /// Frees device memory that nothing uses any more (R9). May wait for the device.
    ///
    /// # Errors
    ///
    /// The memory counts as freed then, too (R27).
    ///
    /// # Safety
    ///
    /// `address` came from [`allocate`](Self::allocate) of this driver, was not freed, and no
    /// queued work, no export and no import uses it.
    unsafe fn free(&self, address: Address) -> Result<()>;

    /// Allocates page-locked host memory, which the host may read and write as plain bytes through
    /// the address (R8, R10). Contents undefined; the safe layer fills it before the first read.
    ///
    /// # Errors
    ///
    /// `OutOfMemory`.
    fn allocate_pinned(&self, bytes: usize) -> Result<Address>;

    /// Frees page-locked host memory; as [`free`](Self::free).
    ///
    /// # Errors
    ///
    /// The memory counts as freed then, too (R27).
    ///
    /// # Safety
    ///
    /// `address` came from [`allocate_pinned`](Self::allocate_pinned) of this driver, was not
    /// freed, and no queued work uses it.
    unsafe fn free_pinned(&self, address: Address) -> Result<()>;

    /// Takes note of a range that belongs to the engine (R3); `pinned` tells host memory from
    /// device memory. A backend that can ask its library checks that the range is on this device.
    ///
    /// # Errors
    ///
    /// `InvalidUse` if the library knows the range as something else.
    ///
    /// # Safety
    ///
    /// The range stays valid, as what `pinned` says, until
    /// [`return_memory`](Self::return_memory).
    unsafe fn borrow_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()>;

    /// Forgets a range that [`borrow_memory`](Self::borrow_memory) noted; frees nothing.
    ///
    /// # Errors
    ///
    /// The range counts as returned then, too (R27).
    ///
    /// # Safety
    ///
    /// The range was noted by this driver with the same arguments, and no queued work uses it.
    unsafe fn return_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()>;

    /// Queues copies as one batch, in as few vendor calls as there can be; the copies have no order
    /// among themselves (R10).
    ///
    /// # Errors
    ///
    /// Some of the copies may be queued then (R7).
    ///
    /// # Safety
    ///
    /// Every range lies in live memory of the side that its kind says, destinations overlap no
    /// other range of the batch, and all of it stays alive until the work has ended.
    unsafe fn copy(&self, copies: &[Copy], stream: StreamHandle) -> Result<()>;

    /// Queues writing `value` to every byte of a range of this device's memory.
    ///
    /// # Errors
    ///
    /// It may be queued all the same (R7).
    ///
    /// # Safety
    ///
    /// The range is live device memory and stays alive until the work has ended.
    unsafe fn fill(
        &self,
        destination: Address,
        value: u8,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()>;

    // --- peer memory

    /// Exports a whole allocation, or a whole borrowed range, to other processes and devices (R12).
    ///
    /// # Errors
    ///
    /// `Unsupported` where [`DeviceInfo::peer_memory`] is false, `InvalidUse` for memory that the
    /// vendor cannot export (some borrowed memory).
    ///
    /// # Safety
    ///
    /// The range is a live allocation or borrowed range, and stays so until
    /// [`withdraw`](Self::withdraw).
    unsafe fn export(&self, base: Address, bytes: usize) -> Result<AllocationKey>;

    /// Ends an export. Importers have closed it before (R12).
    ///
    /// # Errors
    ///
    /// The export counts as ended then, too (R27).
    ///
    /// # Safety
    ///
    /// `key` came from [`export`](Self::export) of this driver and was not withdrawn.
    unsafe fn withdraw(&self, key: &AllocationKey) -> Result<()>;

    /// Maps exported memory for copies of kind [`Peer`](super::CopyKind::Peer); gives its first
    /// address here and its bytes. Importing a key twice gives two imports (R12).
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a key that is unknown or withdrawn, where that can be known. `Unsupported` where
    /// keys are good but this process cannot reach the memory: another host, another user, another
    /// container; the text says which, and the bytes have to come another way. `Failed` where the
    /// exporting process has ended.
    fn import(&self, key: &AllocationKey) -> Result<(Address, usize)>;

    /// Ends an import.
    ///
    /// # Errors
    ///
    /// The import counts as closed then, too (R27).
    ///
    /// # Safety
    ///
    /// Key and address are of one import of this driver, not closed, used by no queued work.
    unsafe fn close(&self, key: &AllocationKey, address: Address) -> Result<()>;

    // --- communicators

    /// Makes the name of a communicator to be created; called on one of its ranks (R13).
    ///
    /// # Errors
    ///
    /// `Unsupported` where [`DeviceInfo::communicators`] is false.
    fn communicator_id(&self) -> Result<CommunicatorId>;

    /// Begins to create a communicator; it is usable once its progress is `Complete` (R13).
    ///
    /// # Errors
    ///
    /// `Unsupported` where [`DeviceInfo::communicators`] is false, `InvalidUse` for an id that is
    /// not this backend's.
    fn communicator(
        &self,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Arc<dyn CommunicatorDriver>>;

    /// Wraps a communicator that the engine created (R3).
    ///
    /// # Errors
    ///
    /// `InvalidUse` if the library knows it with another rank or size.
    ///
    /// # Safety
    ///
    /// `handle` is a live communicator of this device and stays alive while the result lives.
    unsafe fn borrow_communicator(
        &self,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Arc<dyn CommunicatorDriver>>;
}
