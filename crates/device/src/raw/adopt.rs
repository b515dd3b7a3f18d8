//! What the engine lends: contexts, memory, streams and communicators of its own.

use std::sync::Arc;

use super::{
    Address, Backend, Block, CommunicatorHandle, ContextHandle, Link, Queue, Span, StreamHandle,
};
use crate::{Communicator, Device, DeviceError, Memory, PinnedMemory, Result, Stream};

impl Device {
    /// Opens a device in a context of the engine.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for an ordinal out of range or a context of another device, or what the vendor
    /// reports.
    ///
    /// # Safety
    ///
    /// `context` is a live context of the backend's library for the device `ordinal`. It stays alive
    /// until the device and all that came from it have been dropped.
    pub unsafe fn adopt(
        backend: &Arc<dyn Backend>,
        ordinal: u32,
        context: ContextHandle,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        let driver = unsafe { backend.adopt(ordinal, context) };
        Self::with_driver(backend, ordinal, driver)
    }

    /// Device memory of the engine. It is never freed here.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for zero bytes, an address range that wraps around, or memory that the vendor's
    /// library knows as something else.
    ///
    /// # Safety
    ///
    /// The range is initialised-or-not device memory of this device, valid until the result with
    /// all its clones and slices has been dropped and [`Device::drain`] has succeeded after that.
    /// The engine orders its own accesses with ours by streams and events.
    pub unsafe fn borrow_memory(&self, address: Address, bytes: usize) -> Result<Memory> {
        self.check_lent("borrow_memory", address, bytes)?;
        // SAFETY: the caller's promise.
        let block = unsafe { Block::borrow(self.core(), address, bytes, false)? };
        Ok(Memory::new(self.clone(), Span::whole(block)))
    }

    /// Page-locked host memory of the engine. It is never freed here.
    ///
    /// # Errors
    ///
    /// As [`Device::borrow_memory`].
    ///
    /// # Safety
    ///
    /// The range is page-locked, initialised host memory that the device can copy from and to,
    /// valid as [`Device::borrow_memory`] says, and no part of it is lent a second time meanwhile. While it is lent, the engine does not write it
    /// while work or reads of ours use it, and does not touch it while they write it.
    pub unsafe fn borrow_pinned(&self, address: Address, bytes: usize) -> Result<PinnedMemory> {
        self.check_lent("borrow_pinned", address, bytes)?;
        // SAFETY: the caller's promise.
        let block = unsafe { Block::borrow(self.core(), address, bytes, true)? };
        Ok(PinnedMemory::new(self.clone(), Span::whole(block)))
    }

    /// A stream of the engine. It is never destroyed, aborted or reconfigured here.
    ///
    /// # Errors
    ///
    /// None at present; a vendor's library may come to check the handle.
    ///
    /// # Safety
    ///
    /// `handle` is a live stream of this device's context, until the result has been dropped and
    /// [`Device::drain`] has succeeded after that.
    pub unsafe fn borrow_stream(&self, handle: StreamHandle) -> Result<Stream> {
        // SAFETY: the caller's promise.
        let queue = unsafe { Queue::borrow(self.core(), handle) };
        Ok(Stream::new(self.clone(), queue))
    }

    /// A communicator of the engine. It is never destroyed or aborted here.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a rank out of range, or if the vendor's library knows another rank or size.
    ///
    /// # Safety
    ///
    /// `handle` is a live communicator of this device, until the result has been dropped and
    /// [`Device::drain`] has succeeded after that. The engine does not queue work on any
    /// communicator of this device while a call of ours does, and all ranks queue in one order.
    pub unsafe fn borrow_communicator(
        &self,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Communicator> {
        self.check_rank("borrow_communicator", rank, size)?;
        // SAFETY: the caller's promise.
        let link = unsafe { Link::borrow(self.core(), handle, rank, size)? };
        Ok(Communicator::new(self.clone(), link))
    }

    fn check_lent(&self, operation: &'static str, address: Address, bytes: usize) -> Result<()> {
        if bytes == 0 || address.0 == 0 || address.0.checked_add(bytes).is_none() {
            return Err(self.core().locate(DeviceError::invalid(
                operation,
                format!(
                    "{bytes} bytes at address {:#x}; allowed are one byte or more, not at null, \
                     that do not wrap around",
                    address.0
                ),
            )));
        }
        Ok(())
    }
}
