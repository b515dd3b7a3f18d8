//! Device memory, the library's own and lent: `eplb_memory`.

use std::ffi::c_void;

use eplb::device::{Address, Memory};

use crate::boundary::export;
use crate::device::{self, patience};
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};
use crate::stream;

/// A range of device memory.
pub(crate) struct MemoryObject(pub(crate) Memory);

impl Object for MemoryObject {
    type Raw = c::eplb_memory;
    const KIND: Kind = Kind { name: "eplb_memory", number: 9 };
}

/// Calls `body` with the memory of a handle.
pub(crate) fn with<R>(
    name: &str,
    memory: *const c::eplb_memory,
    body: impl FnOnce(&Memory) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with::<MemoryObject, _>(name, memory, |held| body(&held.0))
}

/// An address as the header has it.
pub(crate) fn pointer(memory: &Memory) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(memory.address().0)
}

export! {
    fn eplb_memory_allocate(
        caller,
        device: *const c::eplb_device,
        bytes: usize,
        memory: *mut *mut c::eplb_memory,
    ) {
        let place = caller.place("memory", memory)?;
        device::with(device, |device| {
            place.set(registry::insert(MemoryObject(device.allocate(bytes)?)));
            Ok(())
        })
    }

    fn eplb_memory_borrow(
        caller,
        device: *const c::eplb_device,
        address: *mut c_void,
        bytes: usize,
        memory: *mut *mut c::eplb_memory,
    ) {
        let place = caller.place("memory", memory)?;
        device::with(device, |device| {
            let address = Address(address.expose_provenance());
            // SAFETY: the header's promise: device memory of this device, which stays until all that was
            // made from it has been freed and drained; the engine orders its accesses with ours.
            let memory = unsafe { device.borrow_memory(address, bytes) }?;
            place.set(registry::insert(MemoryObject(memory)));
            Ok(())
        })
    }

    fn eplb_memory_range(
        caller,
        memory: *const c::eplb_memory,
        address: *mut *mut c_void,
        bytes: *mut usize,
    ) {
        let address = caller.optional_place("address", address)?;
        let bytes = caller.optional_place("bytes", bytes)?;
        with("memory", memory, |memory| {
            address.into_iter().for_each(|place| place.set(pointer(memory)));
            bytes.into_iter().for_each(|place| place.set(memory.bytes()));
            Ok(())
        })
    }

    fn eplb_memory_write(
        caller,
        memory: *const c::eplb_memory,
        stream: *const c::eplb_stream,
        offset: usize,
        bytes: *const c_void,
        size: usize,
        timeout_ms: u32,
    ) {
        let bytes = caller.slice::<u8>("bytes", bytes.cast(), size)?;
        with("memory", memory, |memory| {
            let part = memory.slice(offset, size)?;
            let pinned = part.device().pin(bytes)?;
            stream::with(stream, |stream| {
                stream.upload(&part, &pinned)?;
                Ok(stream.wait(&mut patience(timeout_ms))?)
            })
        })
    }

    fn eplb_memory_read(
        caller,
        memory: *const c::eplb_memory,
        stream: *const c::eplb_stream,
        offset: usize,
        bytes: *mut c_void,
        size: usize,
        timeout_ms: u32,
    ) {
        let room = caller.room::<u8>("bytes", bytes.cast(), size)?;
        with("memory", memory, |memory| {
            let part = memory.slice(offset, size)?;
            let pinned = part.device().allocate_pinned(size)?;
            stream::with(stream, |stream| {
                stream.download(&pinned, &part)?;
                Ok(stream.wait(&mut patience(timeout_ms))?)
            })?;
            for (place, byte) in room.iter_mut().zip(pinned.to_vec()?) {
                place.write(byte);
            }
            Ok(())
        })
    }

    fn eplb_memory_free(_caller, memory: *mut c::eplb_memory) {
        registry::free::<MemoryObject>("memory", memory)
    }
}
