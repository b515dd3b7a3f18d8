//! Open devices: `eplb_device`.

use std::ffi::{CString, c_void};
use std::time::Duration;

use eplb::Patience;
use eplb::device::{ContextHandle, Device};

use crate::backend::BackendObject;
use crate::boundary::export;
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};
use crate::status::Status;

/// A device, and the texts that are given out for it.
pub(crate) struct DeviceObject {
    pub(crate) device: Device,
    backend: CString,
    name: CString,
    software: CString,
    /// The name that was last made of a communicator.
    pub(crate) communicator_id: Vec<u8>,
}

impl Object for DeviceObject {
    type Raw = c::eplb_device;
    const KIND: Kind = Kind { name: "eplb_device", number: 7 };
}

impl DeviceObject {
    fn new(device: Device) -> Self {
        let text = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
        let info = device.info();
        let (backend, name, software) =
            (text(&info.backend), text(&info.name), text(&info.software));
        Self { device, backend, name, software, communicator_id: Vec::new() }
    }
}

/// Calls `body` with the device of a handle.
pub(crate) fn with<R>(
    device: *const c::eplb_device,
    body: impl FnOnce(&Device) -> Result<R, Failure>,
) -> Result<R, Failure> {
    registry::with::<DeviceObject, _>("device", device, |held| body(&held.device))
}

/// Waits no longer than so many milliseconds.
pub(crate) fn patience(timeout_ms: u32) -> Patience {
    Patience::new(Duration::from_millis(timeout_ms.into()))
}

export! {
    fn eplb_device_open(
        caller,
        backend: *const c::eplb_backend,
        ordinal: u32,
        device: *mut *mut c::eplb_device,
    ) {
        let place = caller.place("device", device)?;
        registry::with::<BackendObject, _>("backend", backend, |backend| {
            place.set(registry::insert(DeviceObject::new(Device::open(&backend.0, ordinal)?)));
            Ok(())
        })
    }

    fn eplb_device_adopt(
        caller,
        backend: *const c::eplb_backend,
        ordinal: u32,
        context: *mut c_void,
        device: *mut *mut c::eplb_device,
    ) {
        let place = caller.place("device", device)?;
        if context.is_null() {
            return Err(Failure::new(Status::Null, "context is null"));
        }
        registry::with::<BackendObject, _>("backend", backend, |backend| {
            let context = ContextHandle(context.expose_provenance());
            // SAFETY: the header's promise: a live context of the backend's library, until all that was
            // made from this device has been freed and drained.
            let device = unsafe { Device::adopt(&backend.0, ordinal, context) }?;
            place.set(registry::insert(DeviceObject::new(device)));
            Ok(())
        })
    }

    fn eplb_device_describe(
        caller,
        device: *const c::eplb_device,
        info: *mut c::eplb_device_info,
    ) {
        let form = caller.form("info", info)?;
        registry::with::<DeviceObject, _>("device", device, |held| {
            let info = held.device.info();
            form.fill(c::eplb_device_info {
                struct_size: 0,
                ordinal: info.ordinal,
                peer_memory: info.peer_memory.into(),
                communicators: info.communicators.into(),
                stream_abort: info.stream_abort.into(),
                ranks_share_device: info.ranks_share_device.into(),
                alignment: info.alignment,
                backend: held.backend.as_ptr(),
                name: held.name.as_ptr(),
                software: held.software.as_ptr(),
            });
            Ok(())
        })
    }

    fn eplb_device_memory(
        caller,
        device: *const c::eplb_device,
        free_bytes: *mut u64,
        total_bytes: *mut u64,
    ) {
        let free = caller.place("free_bytes", free_bytes)?;
        let total = caller.place("total_bytes", total_bytes)?;
        with(device, |device| {
            let memory = device.memory_info()?;
            free.set(memory.free);
            total.set(memory.total);
            Ok(())
        })
    }

    fn eplb_device_drain(_caller, device: *const c::eplb_device, timeout_ms: u32) {
        with(device, |device| Ok(device.drain(&mut patience(timeout_ms))?))
    }

    fn eplb_device_abort(_caller, device: *const c::eplb_device) {
        with(device, |device| Ok(device.abort()?))
    }

    fn eplb_device_free(_caller, device: *mut c::eplb_device) {
        registry::free::<DeviceObject>("device", device)
    }
}
