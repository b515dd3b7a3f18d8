//! Backends by name or of the engine: `eplb_backend`.

use std::ffi::c_char;
use std::sync::Arc;

use eplb::device::Backend;
use eplb_backends::{BackendName, BackendSettings};

use crate::boundary::export;
use crate::config::ConfigObject;
use crate::engine_backend::{EngineBackend, SharedEngineBackend};
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};
use crate::status::Status;

/// An opened backend.
pub(crate) struct BackendObject(pub(crate) Arc<dyn Backend>);

impl Object for BackendObject {
    type Raw = c::eplb_backend;
    const KIND: Kind = Kind { name: "eplb_backend", number: 6 };
}

/// The section `[backend]` of a configuration.
fn settings(config: *const c::eplb_config) -> Result<BackendSettings, Failure> {
    registry::with::<ConfigObject, _>("config", config, |config| {
        BackendSettings::of(&config.config.backend)
            .map_err(|error| Failure::new(Status::Config, error))
    })
}

fn open(
    name: BackendName,
    settings: &BackendSettings,
    devices: u32,
) -> Result<BackendObject, Failure> {
    // The host shows as many as it is asked for; so many ranks there are at most.
    let most = eplb::core::Topology::MOST_RANKS as u32;
    if name == BackendName::Host && !(1..=most).contains(&devices) {
        return Err(Failure::argument("devices", devices, &format!("1 to {most}")));
    }
    Ok(BackendObject(eplb_backends::open(name, &settings.libraries, devices)?))
}

export! {
    fn eplb_backend_open(
        caller,
        name: *const c_char,
        devices: u32,
        config: *const c::eplb_config,
        backend: *mut *mut c::eplb_backend,
    ) {
        let place = caller.place("backend", backend)?;
        let name: BackendName = caller.text("name", name)?.parse()?;
        let settings = if config.is_null() { BackendSettings::default() } else { settings(config)? };
        place.set(registry::insert(open(name, &settings, devices)?));
        Ok(())
    }

    fn eplb_backend_open_configured(
        caller,
        config: *const c::eplb_config,
        devices: u32,
        backend: *mut *mut c::eplb_backend,
    ) {
        let place = caller.place("backend", backend)?;
        let settings = settings(config)?;
        place.set(registry::insert(open(settings.name, &settings, devices)?));
        Ok(())
    }

    fn eplb_backend_create(
        caller,
        functions: *const c::eplb_device_functions,
        backend: *mut *mut c::eplb_backend,
    ) {
        let place = caller.place("backend", backend)?;
        let functions = caller.structure("functions", functions)?;
        let name = caller.text("functions.name", functions.name)?.to_owned();
        let backend = SharedEngineBackend::new(EngineBackend::new(functions, name)?);
        place.set(registry::insert(BackendObject(Arc::new(backend))));
        Ok(())
    }

    fn eplb_backend_name(
        caller,
        backend: *const c::eplb_backend,
        name: *mut c::eplb_bytes,
    ) {
        let place = caller.place("name", name)?;
        registry::with::<BackendObject, _>("backend", backend, |backend| {
            let name = backend.0.name();
            place.set(c::eplb_bytes { data: name.as_ptr(), size: name.len() });
            Ok(())
        })
    }

    fn eplb_backend_devices(
        caller,
        backend: *const c::eplb_backend,
        devices: *mut u32,
    ) {
        let place = caller.place("devices", devices)?;
        registry::with::<BackendObject, _>("backend", backend, |backend| {
            place.set(backend.0.devices()?);
            Ok(())
        })
    }

    fn eplb_backend_free(_caller, backend: *mut c::eplb_backend) {
        registry::free::<BackendObject>("backend", backend)
    }
}
