//! A backend that asks before each call: the base of fault injection and of call logs.

use std::fmt::Debug;
use std::sync::Arc;

use super::intercept_communicator::InterceptedCommunicator;
use super::{
    Address, AllocationKey, Backend, CommunicatorDriver, CommunicatorHandle, CommunicatorId,
    CommunicatorOptions, ContextHandle, Copy, DeviceInfo, Driver, EventHandle, MemoryInfo,
    PeerBuffer, Progress, StreamHandle, StreamPriority,
};
use crate::{DeviceError, Result};

/// What a backend hands out and takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// A stream of ours.
    Stream,
    /// An event.
    Event,
    /// An allocation of device memory.
    Memory,
    /// An allocation of pinned host memory.
    Pinned,
    /// A range of the engine's that was noted.
    Borrowed,
    /// An export of an allocation.
    Export,
    /// An import of another's allocation.
    Import,
    /// A communicator of ours.
    Communicator,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Make,
    /// It is not made and fails with this error. Calls that destroy are made all the same: their
    /// resource counts as released after an error (R27).
    Refuse(DeviceError),
    /// It is made, and fails with this error all the same (R7). Calls that create something are not
    /// made, since nobody would own it.
    Misreport(DeviceError),
}

/// One byte of a batch of copies, or of a round, that arrives wrong: as the byte beside it in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoiled {
    /// Which copy of the batch, or which buffer that is received.
    pub copy: usize,
    /// Which byte of it; counted on from its start again where the copy is shorter.
    pub byte: usize,
}

impl Spoiled {
    /// The copy that spoils the byte, or none where the copy is a single byte.
    pub(super) fn copy(self, copies: &[Copy]) -> Option<Copy> {
        let copy = copies.get(self.copy).filter(|copy| copy.bytes > 1)?;
        let at = self.byte % copy.bytes;
        let beside = if at + 1 < copy.bytes { at + 1 } else { at - 1 };
        Some(Copy {
            destination: Address(copy.destination.0 + at),
            source: Address(copy.source.0 + beside),
            bytes: 1,
            kind: copy.kind,
        })
    }
}

/// Decides over each call of a backend before it is made, and sees resources come and go.
pub trait Intercept: Send + Sync + Debug {
    /// What becomes of the call with this name.
    fn before(&self, call: &'static str) -> Verdict;

    /// Which bytes of copies that are about to be made arrive wrong: by default none.
    fn spoiled(&self, copies: &[Copy]) -> Vec<Spoiled> {
        let _ = copies;
        Vec::new()
    }

    /// Which bytes of buffers arrive wrong that a round is about to receive: by default none.
    fn spoiled_receives(&self, receives: &[PeerBuffer]) -> Vec<Spoiled> {
        let _ = receives;
        Vec::new()
    }

    /// A resource was created.
    fn created(&self, resource: Resource);

    /// A resource was released.
    fn released(&self, resource: Resource);
}

/// Makes a call that creates a resource, if the verdict lets it.
pub(super) fn creating<T>(
    intercept: &dyn Intercept,
    call: &'static str,
    resource: Option<Resource>,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match intercept.before(call) {
        Verdict::Make => {
            let value = make()?;
            if let Some(resource) = resource {
                intercept.created(resource);
            }
            Ok(value)
        }
        Verdict::Refuse(error) | Verdict::Misreport(error) => Err(error),
    }
}

/// Makes a call that only acts, if the verdict lets it.
pub(super) fn acting<T>(
    intercept: &dyn Intercept,
    call: &'static str,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match intercept.before(call) {
        Verdict::Make => make(),
        Verdict::Refuse(error) => Err(error),
        Verdict::Misreport(error) => make().and(Err(error)),
    }
}

/// Makes a call that releases a resource, whatever the verdict.
pub(super) fn releasing(
    intercept: &dyn Intercept,
    call: &'static str,
    resource: Resource,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let verdict = intercept.before(call);
    let result = make();
    intercept.released(resource);
    match verdict {
        Verdict::Make => result,
        Verdict::Refuse(error) | Verdict::Misreport(error) => Err(error),
    }
}

/// A backend whose calls go past an [`Intercept`].
#[derive(Debug)]
pub struct InterceptedBackend {
    inner: Arc<dyn Backend>,
    intercept: Arc<dyn Intercept>,
}

impl InterceptedBackend {
    /// Puts `intercept` in front of `inner`.
    pub fn new(inner: Arc<dyn Backend>, intercept: Arc<dyn Intercept>) -> Self {
        Self { inner, intercept }
    }

    fn wrap(&self, inner: Arc<dyn Driver>) -> Arc<dyn Driver> {
        Arc::new(InterceptedDriver { inner, intercept: Arc::clone(&self.intercept) })
    }
}

// SAFETY: every call that is made is passed on unchanged to a backend that keeps the contract; a
// call that is not made fails, and calls that destroy are always made.
unsafe impl Backend for InterceptedBackend {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn devices(&self) -> Result<u32> {
        acting(&*self.intercept, "devices", || self.inner.devices())
    }

    fn open(&self, ordinal: u32) -> Result<Arc<dyn Driver>> {
        creating(&*self.intercept, "open", None, || self.inner.open(ordinal))
            .map(|inner| self.wrap(inner))
    }

    unsafe fn adopt(&self, ordinal: u32, context: ContextHandle) -> Result<Arc<dyn Driver>> {
        creating(&*self.intercept, "adopt", None, || {
            // SAFETY: the caller's promise is passed on unchanged.
            unsafe { self.inner.adopt(ordinal, context) }
        })
        .map(|inner| self.wrap(inner))
    }
}

#[derive(Debug)]
struct InterceptedDriver {
    inner: Arc<dyn Driver>,
    intercept: Arc<dyn Intercept>,
}

impl InterceptedDriver {
    fn wrap(&self, inner: Arc<dyn CommunicatorDriver>, borrowed: bool) -> InterceptedCommunicator {
        let (driver, intercept) = (Arc::clone(&self.inner), Arc::clone(&self.intercept));
        InterceptedCommunicator::new(inner, driver, intercept, borrowed)
    }
}

// In each method below the caller's promise, which is the same on both sides, is passed on.
//
// SAFETY: as for `InterceptedBackend`.
unsafe impl Driver for InterceptedDriver {
    fn info(&self) -> DeviceInfo {
        self.inner.info()
    }

    fn memory_info(&self) -> Result<MemoryInfo> {
        acting(&*self.intercept, "memory_info", || self.inner.memory_info())
    }

    fn create_stream(&self, priority: StreamPriority) -> Result<StreamHandle> {
        creating(&*self.intercept, "create_stream", Some(Resource::Stream), || {
            self.inner.create_stream(priority)
        })
    }

    unsafe fn destroy_stream(&self, stream: StreamHandle) -> Result<()> {
        releasing(&*self.intercept, "destroy_stream", Resource::Stream, || {
            // SAFETY: passed on.
            unsafe { self.inner.destroy_stream(stream) }
        })
    }

    unsafe fn query_stream(&self, stream: StreamHandle) -> Result<Progress> {
        acting(&*self.intercept, "query_stream", || {
            // SAFETY: passed on.
            unsafe { self.inner.query_stream(stream) }
        })
    }

    unsafe fn abort_stream(&self, stream: StreamHandle) -> Result<()> {
        acting(&*self.intercept, "abort_stream", || {
            // SAFETY: passed on.
            unsafe { self.inner.abort_stream(stream) }
        })
    }

    fn create_event(&self) -> Result<EventHandle> {
        creating(&*self.intercept, "create_event", Some(Resource::Event), || {
            self.inner.create_event()
        })
    }

    unsafe fn destroy_event(&self, event: EventHandle) -> Result<()> {
        releasing(&*self.intercept, "destroy_event", Resource::Event, || {
            // SAFETY: passed on.
            unsafe { self.inner.destroy_event(event) }
        })
    }

    unsafe fn record_event(&self, event: EventHandle, stream: StreamHandle) -> Result<()> {
        acting(&*self.intercept, "record_event", || {
            // SAFETY: passed on.
            unsafe { self.inner.record_event(event, stream) }
        })
    }

    unsafe fn wait_event(&self, stream: StreamHandle, event: EventHandle) -> Result<()> {
        acting(&*self.intercept, "wait_event", || {
            // SAFETY: passed on.
            unsafe { self.inner.wait_event(stream, event) }
        })
    }

    unsafe fn query_event(&self, event: EventHandle) -> Result<Progress> {
        acting(&*self.intercept, "query_event", || {
            // SAFETY: passed on.
            unsafe { self.inner.query_event(event) }
        })
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        creating(&*self.intercept, "allocate", Some(Resource::Memory), || {
            self.inner.allocate(bytes)
        })
    }

    unsafe fn free(&self, address: Address) -> Result<()> {
        releasing(&*self.intercept, "free", Resource::Memory, || {
            // SAFETY: passed on.
            unsafe { self.inner.free(address) }
        })
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<Address> {
        creating(&*self.intercept, "allocate_pinned", Some(Resource::Pinned), || {
            self.inner.allocate_pinned(bytes)
        })
    }

    unsafe fn free_pinned(&self, address: Address) -> Result<()> {
        releasing(&*self.intercept, "free_pinned", Resource::Pinned, || {
            // SAFETY: passed on.
            unsafe { self.inner.free_pinned(address) }
        })
    }

    unsafe fn borrow_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        creating(&*self.intercept, "borrow_memory", Some(Resource::Borrowed), || {
            // SAFETY: passed on.
            unsafe { self.inner.borrow_memory(address, bytes, pinned) }
        })
    }

    unsafe fn return_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        releasing(&*self.intercept, "return_memory", Resource::Borrowed, || {
            // SAFETY: passed on.
            unsafe { self.inner.return_memory(address, bytes, pinned) }
        })
    }

    unsafe fn copy(&self, copies: &[Copy], stream: StreamHandle) -> Result<()> {
        acting(&*self.intercept, "copy", || {
            let spoiled = self.intercept.spoiled(copies);
            // SAFETY: passed on.
            unsafe { self.inner.copy(copies, stream) }?;
            for copy in spoiled.into_iter().filter_map(|spoiled| spoiled.copy(copies)) {
                // SAFETY: both sides are one byte of a copy of the caller's, whose promise covers it;
                // the work is queued behind that copy and before the caller's next call.
                unsafe { self.inner.copy(&[copy], stream) }?;
            }
            Ok(())
        })
    }

    unsafe fn fill(
        &self,
        destination: Address,
        value: u8,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        acting(&*self.intercept, "fill", || {
            // SAFETY: passed on.
            unsafe { self.inner.fill(destination, value, bytes, stream) }
        })
    }

    unsafe fn export(&self, base: Address, bytes: usize) -> Result<AllocationKey> {
        creating(&*self.intercept, "export", Some(Resource::Export), || {
            // SAFETY: passed on.
            unsafe { self.inner.export(base, bytes) }
        })
    }

    unsafe fn withdraw(&self, key: &AllocationKey) -> Result<()> {
        releasing(&*self.intercept, "withdraw", Resource::Export, || {
            // SAFETY: passed on.
            unsafe { self.inner.withdraw(key) }
        })
    }

    fn import(&self, key: &AllocationKey) -> Result<(Address, usize)> {
        creating(&*self.intercept, "import", Some(Resource::Import), || self.inner.import(key))
    }

    unsafe fn close(&self, key: &AllocationKey, address: Address) -> Result<()> {
        releasing(&*self.intercept, "close", Resource::Import, || {
            // SAFETY: passed on.
            unsafe { self.inner.close(key, address) }
        })
    }

    fn communicator_id(&self) -> Result<CommunicatorId> {
        creating(&*self.intercept, "communicator_id", None, || self.inner.communicator_id())
    }

    fn communicator(
        &self,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        let inner =
            creating(&*self.intercept, "communicator", Some(Resource::Communicator), || {
                self.inner.communicator(id, rank, size, options)
            })?;
        Ok(Arc::new(self.wrap(inner, false)))
    }

    unsafe fn borrow_communicator(
        &self,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        let inner = creating(&*self.intercept, "borrow_communicator", None, || {
            // SAFETY: passed on.
            unsafe { self.inner.borrow_communicator(handle, rank, size) }
        })?;
        Ok(Arc::new(self.wrap(inner, true)))
    }
}
