//! Streams, the library's own and lent ones: `eplb_stream`.

use std::ffi::c_void;

use eplb::device::{Stream, StreamHandle, StreamPriority};

use crate::boundary::export;
use crate::device::{self, patience};
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};
use crate::status::Status;

/// A stream.
pub(crate) struct StreamObject(pub(crate) Stream);

impl Object for StreamObject {
    type Raw = c::eplb_stream;
    const KIND: Kind = Kind { name: "eplb_stream", number: 8 };
}

/// Calls `body` with the stream of a handle.
pub(crate) fn with<R>(
    stream: *const c::eplb_stream,
    body: impl FnOnce(&Stream) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with::<StreamObject, _>("stream", stream, |held| body(&held.0))
}

/// The priority that a number stands for.
pub(crate) fn priority(number: i32) -> Result<StreamPriority, Failure> {
    match number {
        c::EPLB_PRIORITY_LOW => Ok(StreamPriority::Low),
        c::EPLB_PRIORITY_NORMAL => Ok(StreamPriority::Normal),
        c::EPLB_PRIORITY_HIGH => Ok(StreamPriority::High),
        _ => Err(Failure::argument("priority", number, "-1, 0 or 1")),
    }
}

export! {
    fn eplb_stream_create(
        caller,
        device: *const c::eplb_device,
        priority: i32,
        stream: *mut *mut c::eplb_stream,
    ) {
        let place = caller.place("stream", stream)?;
        let priority = self::priority(priority)?;
        device::with(device, |device| {
            place.set(registry::insert(StreamObject(device.stream(priority)?)));
            Ok(())
        })
    }

    fn eplb_stream_borrow(
        caller,
        device: *const c::eplb_device,
        handle: *mut c_void,
        stream: *mut *mut c::eplb_stream,
    ) {
        let place = caller.place("stream", stream)?;
        if handle.is_null() {
            let text = "handle is null; default streams order themselves with others and can't be lent";
            return Err(Failure::new(Status::Null, text));
        }
        device::with(device, |device| {
            let handle = StreamHandle(handle.expose_provenance());
            // SAFETY: the header's promise: a live stream of this device's context, until all that was
            // made from it has been freed and drained.
            let stream = unsafe { device.borrow_stream(handle) }?;
            place.set(registry::insert(StreamObject(stream)));
            Ok(())
        })
    }

    fn eplb_stream_handle(
        caller,
        stream: *const c::eplb_stream,
        handle: *mut *mut c_void,
    ) {
        let place = caller.place("handle", handle)?;
        with(stream, |stream| {
            place.set(std::ptr::with_exposed_provenance_mut(stream.handle().0));
            Ok(())
        })
    }

    fn eplb_stream_wait(_caller, stream: *const c::eplb_stream, timeout_ms: u32) {
        with(stream, |stream| Ok(stream.wait(&mut patience(timeout_ms))?))
    }

    fn eplb_stream_free(_caller, stream: *mut c::eplb_stream) {
        registry::free::<StreamObject>("stream", stream)
    }
}
