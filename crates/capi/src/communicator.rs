//! Communicators, the library's own and lent ones: `eplb_communicator`.

use std::ffi::c_void;

use eplb::device::{Communicator, CommunicatorHandle, CommunicatorId, CommunicatorOptions};

use crate::boundary::export;
use crate::device::{self, DeviceObject};
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};
use crate::status::Status;
use crate::{memory, stream};

/// One rank's end of a communicator.
struct CommunicatorObject(Communicator);

impl Object for CommunicatorObject {
    type Raw = c::eplb_communicator;
    const KIND: Kind = Kind { name: "eplb_communicator", number: 10 };
}

/// Calls `body` with the communicator of a handle that is called `name`.
pub(crate) fn with_named<R>(
    name: &str,
    communicator: *const c::eplb_communicator,
    body: impl FnOnce(&Communicator) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with::<CommunicatorObject, _>(name, communicator, |held| body(&held.0))
}

fn with<R>(
    communicator: *const c::eplb_communicator,
    body: impl FnOnce(&Communicator) -> Result<R, Failure>,
) -> Result<R, Failure> {
    with_named("communicator", communicator, body)
}

export! {
    fn eplb_communicator_id(
        caller,
        device: *mut c::eplb_device,
        id: *mut c::eplb_bytes,
    ) {
        let place = caller.place("id", id)?;
        registry::with_mut::<DeviceObject, _>("device", device, |held| {
            held.communicator_id = held.device.communicator_id()?.as_bytes().to_vec();
            let id = &held.communicator_id;
            place.set(c::eplb_bytes { data: id.as_ptr(), size: id.len() });
            Ok(())
        })
    }

    fn eplb_communicator_create(
        caller,
        device: *const c::eplb_device,
        id: *const c_void,
        id_size: usize,
        rank: u32,
        size: u32,
        buffer_bytes: u64,
        communicator: *mut *mut c::eplb_communicator,
    ) {
        let place = caller.place("communicator", communicator)?;
        let id = CommunicatorId::from(caller.slice::<u8>("id", id.cast(), id_size)?.to_vec());
        let options =
            CommunicatorOptions { buffer_bytes: Some(buffer_bytes).filter(|&bytes| bytes > 0) };
        device::with(device, |device| {
            let made = device.communicator(&id, rank, size, options)?;
            place.set(registry::insert(CommunicatorObject(made)));
            Ok(())
        })
    }

    fn eplb_communicator_borrow(
        caller,
        device: *const c::eplb_device,
        handle: *mut c_void,
        rank: u32,
        size: u32,
        communicator: *mut *mut c::eplb_communicator,
    ) {
        let place = caller.place("communicator", communicator)?;
        if handle.is_null() {
            return Err(Failure::new(Status::Null, "handle is null"));
        }
        device::with(device, |device| {
            let handle = CommunicatorHandle(handle.expose_provenance());
            // SAFETY: the header's promise: a live communicator of this device, until all that was made
            // from it has been freed and drained, and on which calls of both sides keep one order.
            let lent = unsafe { device.borrow_communicator(handle, rank, size) }?;
            place.set(registry::insert(CommunicatorObject(lent)));
            Ok(())
        })
    }

    fn eplb_communicator_is_ready(
        caller,
        communicator: *const c::eplb_communicator,
        is_ready: *mut i32,
    ) {
        let place = caller.place("is_ready", is_ready)?;
        with(communicator, |communicator| {
            place.set(communicator.is_ready()?.into());
            Ok(())
        })
    }

    fn eplb_communicator_all_gather(
        _caller,
        communicator: *const c::eplb_communicator,
        send: *const c::eplb_memory,
        receive: *const c::eplb_memory,
        stream: *const c::eplb_stream,
    ) {
        with(communicator, |communicator| {
            memory::with("send", send, |send| {
                memory::with("receive", receive, |receive| {
                    stream::with(stream, |stream| Ok(communicator.all_gather(send, receive, stream)?))
                })
            })
        })
    }

    fn eplb_communicator_barrier(
        _caller,
        communicator: *const c::eplb_communicator,
        stream: *const c::eplb_stream,
    ) {
        with(communicator, |communicator| {
            stream::with(stream, |stream| Ok(communicator.barrier(stream)?))
        })
    }

    fn eplb_communicator_abort(_caller, communicator: *const c::eplb_communicator) {
        with(communicator, |communicator| Ok(communicator.abort()?))
    }

    fn eplb_communicator_free(_caller, communicator: *mut c::eplb_communicator) {
        registry::free::<CommunicatorObject>("communicator", communicator)
    }
}
