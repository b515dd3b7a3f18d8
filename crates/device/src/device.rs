//! An open device.

use std::sync::Arc;

use crate::core::Core;
use crate::raw::{
    AllocationKey, Backend, Block, BlockKind, CommunicatorId, CommunicatorOptions, DeviceInfo,
    Driver, Link, MemoryInfo, OwnedEvent, Queue, Span, StreamPriority,
};
use crate::wait::wait_until;
use crate::{
    Communicator, DeviceError, Event, Memory, PeerKey, PeerMemory, PinnedMemory, Result, Stream,
    Wait,
};

/// An open device; clones are the same device.
///
/// A process opens a device once and clones it: collectives of all communicators of a device are
/// queued under one lock, which belongs to the opened device.
///
/// Dropping what came from a device never waits and never fails. What queued work still uses is
/// kept, and freed by a later [`collect`](Self::collect), [`drain`](Self::drain) or allocation.
/// When the last handle of a device goes, its streams with unfinished work are aborted, which waits
/// for the task that runs at that moment; where work cannot be stopped (on a stream of the engine,
/// or without [`DeviceInfo::stream_abort`]) the memory that it uses is left alone for good. Drain
/// first, then neither happens.
#[derive(Clone, Debug)]
pub struct Device {
    guard: Arc<Guard>,
}

/// Held by everything that a caller can hold; the last one shuts the device down.
#[derive(Debug)]
struct Guard {
    core: Arc<Core>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.core.shut_down();
    }
}

impl Device {
    /// Opens the device `ordinal` of a backend.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for an ordinal out of range, or what the vendor reports.
    pub fn open(backend: &Arc<dyn Backend>, ordinal: u32) -> Result<Self> {
        Self::with_driver(backend, ordinal, backend.open(ordinal))
    }

    pub(crate) fn with_driver(
        backend: &Arc<dyn Backend>,
        ordinal: u32,
        driver: Result<Arc<dyn Driver>>,
    ) -> Result<Self> {
        let driver = driver.map_err(|error| error.on(backend.name().to_owned(), ordinal))?;
        let core = Core::new(driver);
        Ok(Self { guard: Arc::new(Guard { core }) })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.guard.core
    }

    fn invalid(&self, operation: &'static str, text: impl Into<String>) -> DeviceError {
        self.core().locate(DeviceError::invalid(operation, text))
    }

    /// Whether both are handles of one opened device.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.guard, &other.guard)
    }

    /// What the device is and can do.
    pub fn info(&self) -> &DeviceInfo {
        &self.core().info
    }

    /// Free and total memory at this moment.
    ///
    /// # Errors
    ///
    /// What the vendor reports.
    pub fn memory_info(&self) -> Result<MemoryInfo> {
        let info = self.core().driver.memory_info();
        info.map_err(|error| self.core().locate(error))
    }

    /// Allocates device memory with undefined contents. May wait for the device with some vendors,
    /// so it has no place on the step path. Collects first.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for zero bytes, `OutOfMemory`.
    pub fn allocate(&self, bytes: usize) -> Result<Memory> {
        if bytes == 0 {
            return Err(self.invalid("allocate", "zero bytes; allowed are one or more"));
        }
        self.collect();
        let block = Block::allocate(self.core(), bytes)?;
        Ok(Memory::new(self.clone(), Span::whole(block)))
    }

    /// Allocates page-locked host memory, filled with zeros. As [`allocate`](Self::allocate).
    ///
    /// # Errors
    ///
    /// `InvalidUse` for zero bytes, `OutOfMemory`.
    pub fn allocate_pinned(&self, bytes: usize) -> Result<PinnedMemory> {
        if bytes == 0 {
            return Err(self.invalid("allocate_pinned", "zero bytes; allowed are one or more"));
        }
        self.collect();
        let block = Block::allocate_pinned(self.core(), bytes)?;
        Ok(PinnedMemory::new(self.clone(), Span::whole(block)))
    }

    /// Allocates page-locked host memory with a copy of `bytes` in it.
    ///
    /// # Errors
    ///
    /// As [`allocate_pinned`](Self::allocate_pinned).
    pub fn pin(&self, bytes: &[u8]) -> Result<PinnedMemory> {
        let pinned = self.allocate_pinned(bytes.len())?;
        pinned.write(bytes)?;
        Ok(pinned)
    }

    /// Creates a stream. The priority is a hint.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` when the device's streams are used up.
    pub fn stream(&self, priority: StreamPriority) -> Result<Stream> {
        let queue = Queue::create(self.core(), priority)?;
        Ok(Stream::new(self.clone(), queue))
    }

    /// Creates an event.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` when the device's events are used up.
    pub fn event(&self) -> Result<Event> {
        let event = OwnedEvent::new(self.core())?;
        Ok(Event::new(self.clone(), event))
    }

    /// Exports memory to other ranks, in this or in other processes of this host.
    ///
    /// The exporter keeps the memory until all importers have dropped theirs and collected; that is
    /// agreed between the ranks, by whoever carries the key.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for another device's memory, imported memory, or memory of the engine that the
    /// vendor cannot export; `Unsupported`.
    pub fn export(&self, memory: &Memory) -> Result<PeerKey> {
        if !self.is_same(memory.device()) {
            return Err(self.invalid("export", "the memory is another device's"));
        }
        if memory.is_peer() {
            return Err(self.invalid("export", "the memory is imported; its owner exports it"));
        }
        if !self.info().peer_memory {
            return Err(self.unsupported("export", "the device has no peer memory"));
        }
        let span = memory.span();
        let allocation = span.block().export()?;
        Ok(PeerKey::new(span.offset(), span.bytes(), &allocation.0))
    }

    /// Imports memory that another rank has exported.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a key that is damaged, unknown or stale (as far as that can be known);
    /// `Unsupported` where the device has no peer memory, or the memory is out of this process's reach,
    /// as on another host: the bytes have to come another way.
    pub fn import(&self, key: &PeerKey) -> Result<PeerMemory> {
        if !self.info().peer_memory {
            return Err(self.unsupported("import", "the device has no peer memory"));
        }
        let (offset, bytes, allocation) = key.parts();
        let block = Block::import(self.core(), &AllocationKey(allocation.to_vec()))?;
        debug_assert!(matches!(block.kind(), BlockKind::Import(_)));
        let span = Span::whole(block).slice("import", offset, bytes)?;
        Ok(PeerMemory::new(Memory::new(self.clone(), span)))
    }

    /// Makes the name of a communicator to be created: on one rank, for the caller to carry to all.
    ///
    /// # Errors
    ///
    /// `Unsupported`, or what the vendor reports.
    pub fn communicator_id(&self) -> Result<CommunicatorId> {
        let id = self.core().driver.communicator_id();
        id.map_err(|error| self.core().locate(error))
    }

    /// Begins to create a communicator of `size` ranks, on which this is `rank`. It can be used
    /// once it is [ready](Communicator::is_ready), for which all ranks have to make this call.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a rank out of range or a foreign id; `Unsupported`.
    pub fn communicator(
        &self,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Communicator> {
        self.check_rank("communicator", rank, size)?;
        if !self.info().communicators {
            return Err(self.unsupported("communicator", "the device has no communicators"));
        }
        let link = Link::create(self.core(), id, rank, size, options)?;
        Ok(Communicator::new(self.clone(), link))
    }

    pub(crate) fn check_rank(&self, operation: &'static str, rank: u32, size: u32) -> Result<()> {
        if rank < size {
            return Ok(());
        }
        Err(self
            .invalid(operation, format!("rank {rank} of {size}; allowed are ranks below the size")))
    }

    fn unsupported(&self, operation: &'static str, text: &str) -> DeviceError {
        self.core().locate(DeviceError::new(crate::ErrorKind::Unsupported, operation, text))
    }

    /// Frees what was dropped and is no longer in use. Never waits for queued work of its own
    /// accord, but freeing synchronises with the device with some vendors: not on the step path.
    pub fn collect(&self) {
        self.core().collect();
    }

    /// Waits until all work that was queued through this device has ended, well or badly, and all
    /// that was dropped is freed.
    ///
    /// # Errors
    ///
    /// `TimedOut`; then [`abort`](Self::abort) is the way out. Errors of freeing are left to
    /// [`take_errors`](Self::take_errors).
    pub fn drain(&self, wait: &mut dyn Wait) -> Result<()> {
        let result = wait_until("drain", wait, || Ok(self.core().is_drained()));
        result.map_err(|error| self.core().locate(error))
    }

    /// Gives up all queued work: aborts the communicators and streams that are ours, those with
    /// work left over from dropped handles included. What the engine lent is left alone.
    ///
    /// # Errors
    ///
    /// The first error; the rest is aborted all the same.
    pub fn abort(&self) -> Result<()> {
        self.core().abort()
    }

    /// Takes the errors of drops and collections, which had nobody to return them to; the last 64.
    pub fn take_errors(&self) -> Vec<DeviceError> {
        self.core().take_errors()
    }
}
