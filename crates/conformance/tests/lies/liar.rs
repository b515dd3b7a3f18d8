//! A backend that keeps the contract but for one lie.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use eplb::device::raw::{
    AllocationKey, CommunicatorDriver, Copy, CopyKind, Driver, EventHandle, Progress,
};
use eplb::device::{
    Address, Backend, CommunicatorHandle, CommunicatorId, CommunicatorOptions, ContextHandle,
    DeviceError, DeviceInfo, ErrorKind, MemoryInfo, Result, StreamHandle, StreamPriority,
};
use eplb_host::HostBackend;

use crate::communicator::LyingCommunicator;

/// What is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// None.
    Nothing,
    /// There is a device more with each question.
    CountGrows,
    /// Every device says that it is device 0.
    WrongOrdinal,
    /// Copies of one kind change a byte.
    FlipsByte(CopyKind),
    /// Fills leave the last byte out.
    ShortFills,
    /// Memory that is freed does not come back.
    NeverFrees,
    /// Work has ended when the call that queues it returns.
    Synchronous,
    /// Events are complete as soon as they are recorded.
    EarlyEvents,
    /// Streams are complete as soon as work is queued.
    EarlyStreams,
    /// Streams do not wait for events.
    IgnoresWaits,
    /// Too little memory is some failure.
    WrongKind,
    /// The text of errors has several lines.
    ManyLines,
    /// Frees succeed and say that they failed.
    FailingFrees,
    /// Only the thread that opened the device may allocate.
    BoundToThread,
    /// Memory of the engine is freed when it is given back.
    FreesTheEngines,
    /// Imports begin at the allocation's start plus one.
    WrongImports,
    /// The root of a broadcast is always rank 0.
    FirstRootOnly,
    /// Barriers are none.
    NoBarriers,
    /// Aborts of communicators do nothing.
    NoAborts,
    /// Aborts of streams do nothing.
    NoStreamAborts,
    /// Allocating panics.
    Panics,
    /// Fills come back after three seconds.
    Sticks,
}

/// The backend.
#[derive(Debug)]
pub(crate) struct Liar {
    inner: Arc<HostBackend>,
    lie: Lie,
    asked: AtomicU32,
}

impl Liar {
    pub(crate) fn new(lie: Lie) -> Arc<Self> {
        Arc::new(Self { inner: HostBackend::new(2), lie, asked: AtomicU32::new(0) })
    }
}

// SAFETY: every call reaches a backend that looks all handles and ranges up by itself, so that no lie
// touches memory that is gone.
unsafe impl Backend for Liar {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn devices(&self) -> Result<u32> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let more = if self.lie == Lie::CountGrows { asked } else { 0 };
        Ok(self.inner.devices()? + more)
    }

    fn open(&self, ordinal: u32) -> Result<Arc<dyn Driver>> {
        let inner = self.inner.open(ordinal.min(1))?;
        Ok(Arc::new(LyingDriver {
            inner,
            lie: self.lie,
            opener: std::thread::current().id(),
            kept: Mutex::default(),
        }))
    }

    unsafe fn adopt(&self, ordinal: u32, context: ContextHandle) -> Result<Arc<dyn Driver>> {
        // SAFETY: passed on.
        unsafe { self.inner.adopt(ordinal, context) }
    }
}

#[derive(Debug)]
struct LyingDriver {
    inner: Arc<dyn Driver>,
    lie: Lie,
    opener: ThreadId,
    kept: Mutex<Vec<Address>>,
}

impl LyingDriver {
    /// Waits, against the contract, until a stream's work has ended.
    fn finish(&self, stream: StreamHandle) {
        // SAFETY: the stream is alive: work was just queued on it.
        while matches!(unsafe { self.inner.query_stream(stream) }, Ok(Progress::Pending)) {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

// In each method the caller's promise is passed on.
//
// SAFETY: as for the backend.
unsafe impl Driver for LyingDriver {
    fn info(&self) -> DeviceInfo {
        let mut info = self.inner.info();
        if self.lie == Lie::WrongOrdinal {
            info.ordinal = 7;
        }
        info
    }

    fn memory_info(&self) -> Result<MemoryInfo> {
        self.inner.memory_info()
    }

    fn create_stream(&self, priority: StreamPriority) -> Result<StreamHandle> {
        self.inner.create_stream(priority)
    }

    unsafe fn destroy_stream(&self, stream: StreamHandle) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.destroy_stream(stream) }
    }

    unsafe fn query_stream(&self, stream: StreamHandle) -> Result<Progress> {
        // SAFETY: passed on.
        let progress = unsafe { self.inner.query_stream(stream) };
        if self.lie == Lie::EarlyStreams { Ok(Progress::Complete) } else { progress }
    }

    unsafe fn abort_stream(&self, stream: StreamHandle) -> Result<()> {
        if self.lie == Lie::NoStreamAborts {
            return Ok(());
        }
        // SAFETY: passed on.
        unsafe { self.inner.abort_stream(stream) }
    }

    fn create_event(&self) -> Result<EventHandle> {
        self.inner.create_event()
    }

    unsafe fn destroy_event(&self, event: EventHandle) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.destroy_event(event) }
    }

    unsafe fn record_event(&self, event: EventHandle, stream: StreamHandle) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.record_event(event, stream) }
    }

    unsafe fn wait_event(&self, stream: StreamHandle, event: EventHandle) -> Result<()> {
        if self.lie == Lie::IgnoresWaits {
            return Ok(());
        }
        // SAFETY: passed on.
        unsafe { self.inner.wait_event(stream, event) }
    }

    unsafe fn query_event(&self, event: EventHandle) -> Result<Progress> {
        // SAFETY: passed on.
        let progress = unsafe { self.inner.query_event(event) };
        if self.lie == Lie::EarlyEvents { Ok(Progress::Complete) } else { progress }
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        match self.lie {
            Lie::Panics => panic!("no memory today"),
            Lie::BoundToThread if std::thread::current().id() != self.opener => {
                let text = "no context is current";
                return Err(DeviceError::new(ErrorKind::Failed, "allocate", text));
            }
            _ => {}
        }
        self.inner.allocate(bytes).map_err(|error| {
            let (kind, text) = match self.lie {
                Lie::WrongKind => (ErrorKind::Failed, error.text().to_owned()),
                Lie::ManyLines => (error.kind(), "first\nsecond".to_owned()),
                _ => return error,
            };
            DeviceError::new(kind, "allocate", text)
        })
    }

    unsafe fn free(&self, address: Address) -> Result<()> {
        match self.lie {
            Lie::NeverFrees => {
                self.kept.lock().unwrap().push(address);
                Ok(())
            }
            lie => {
                // SAFETY: passed on.
                let freed = unsafe { self.inner.free(address) };
                if lie == Lie::FailingFrees {
                    return Err(DeviceError::new(ErrorKind::Failed, "free", "it did not work"));
                }
                freed
            }
        }
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<Address> {
        self.inner.allocate_pinned(bytes)
    }

    unsafe fn free_pinned(&self, address: Address) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.free_pinned(address) }
    }

    unsafe fn borrow_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.borrow_memory(address, bytes, pinned) }
    }

    unsafe fn return_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        if self.lie == Lie::FreesTheEngines && !pinned {
            let stream = self.inner.create_stream(StreamPriority::Normal)?;
            // SAFETY: the range is still lent, and this backend looks it up.
            unsafe { self.inner.fill(address, 0xdd, bytes, stream) }?;
            self.finish(stream);
            // SAFETY: created above, and its work is over.
            unsafe { self.inner.destroy_stream(stream) }?;
        }
        // SAFETY: passed on.
        unsafe { self.inner.return_memory(address, bytes, pinned) }
    }

    unsafe fn copy(&self, copies: &[Copy], stream: StreamHandle) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.copy(copies, stream) }?;
        for copy in copies {
            if self.lie == Lie::FlipsByte(copy.kind) && copy.kind != CopyKind::Download {
                // SAFETY: a byte that was just written by the copy.
                unsafe { self.inner.fill(copy.destination, 0xa5, 1, stream) }?;
            }
        }
        if self.lie == Lie::Synchronous {
            self.finish(stream);
        }
        Ok(())
    }

    unsafe fn fill(
        &self,
        destination: Address,
        value: u8,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        if self.lie == Lie::Sticks {
            std::thread::sleep(Duration::from_secs(3));
        }
        let bytes = if self.lie == Lie::ShortFills && bytes > 1 { bytes - 1 } else { bytes };
        // SAFETY: passed on, or less.
        unsafe { self.inner.fill(destination, value, bytes, stream) }?;
        if self.lie == Lie::Synchronous {
            self.finish(stream);
        }
        Ok(())
    }

    unsafe fn export(&self, base: Address, bytes: usize) -> Result<AllocationKey> {
        // SAFETY: passed on.
        unsafe { self.inner.export(base, bytes) }
    }

    unsafe fn withdraw(&self, key: &AllocationKey) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.withdraw(key) }
    }

    fn import(&self, key: &AllocationKey) -> Result<(Address, usize)> {
        let (address, bytes) = self.inner.import(key)?;
        if self.lie == Lie::WrongImports && bytes > 1 {
            // A part of what is there, so that copies stay within it.
            return Ok((address, bytes - 1));
        }
        Ok((address, bytes))
    }

    unsafe fn close(&self, key: &AllocationKey, address: Address) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.close(key, address) }
    }

    fn communicator_id(&self) -> Result<CommunicatorId> {
        self.inner.communicator_id()
    }

    fn communicator(
        &self,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        let inner = self.inner.communicator(id, rank, size, options)?;
        Ok(Arc::new(LyingCommunicator { inner, lie: self.lie }))
    }

    unsafe fn borrow_communicator(
        &self,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        // SAFETY: passed on.
        unsafe { self.inner.borrow_communicator(handle, rank, size) }
    }
}
