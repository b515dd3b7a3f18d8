//! The backend: its libraries and the devices that they show.

use std::sync::Arc;

use eplb_ascend_sys::{LoadError, aclError};
use eplb_device::Result;
use eplb_device::raw::{Backend, ContextHandle, Driver};

use crate::context::Context;
use crate::driver::AscendDevice;
use crate::error::{NAME, check, forget, invalid, means_no_devices};
use crate::library::{Api, Libraries};

/// What no library counts: a stub succeeds and leaves it.
const UNWRITTEN: u32 = u32::MAX;

/// Ascend devices, as this process sees them.
#[derive(Debug)]
pub struct AscendBackend {
    api: Arc<Api>,
}

impl AscendBackend {
    /// Looks for the libraries. Touches no device, and initialises nothing yet.
    ///
    /// # Errors
    ///
    /// The ACL runtime was not found; says what was tried. A missing HCCL is no error but means no
    /// communicators.
    pub fn open(libraries: &Libraries) -> std::result::Result<Self, LoadError> {
        Ok(Self { api: Arc::new(Api::open(libraries)?) })
    }

    /// Why there are no communicators; nothing if HCCL was found.
    pub fn missing_hccl(&self) -> Option<&LoadError> {
        self.api.hccl.as_ref().err()
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    fn check_ordinal(&self, operation: &'static str, ordinal: u32) -> Result<()> {
        let devices = self.devices()?;
        if ordinal < devices {
            return Ok(());
        }
        Err(invalid(operation, format!("device {ordinal} of {devices}")))
    }
}

// SAFETY: the drivers keep the contract, as said there.
unsafe impl Backend for AscendBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn devices(&self) -> Result<u32> {
        let runtime = &self.api.runtime;
        let mut count = UNWRITTEN;
        let mut status = self.api.initialise();
        if status == aclError::ACL_SUCCESS {
            // SAFETY: writes one number, which lives, or leaves it.
            status = unsafe { (runtime.aclrtGetDeviceCount)(&raw mut count) };
        }
        if means_no_devices(status) {
            forget(runtime);
            return Ok(0);
        }
        check(runtime, "devices", status)?;
        Ok(if count == UNWRITTEN { 0 } else { count })
    }

    fn open(&self, ordinal: u32) -> Result<Arc<dyn Driver>> {
        self.check_ordinal("open", ordinal)?;
        let context = Context::default_of(&self.api, ordinal)?;
        Ok(Arc::new(AscendDevice::new(context)))
    }

    unsafe fn adopt(&self, ordinal: u32, context: ContextHandle) -> Result<Arc<dyn Driver>> {
        self.check_ordinal("adopt", ordinal)?;
        // SAFETY: the caller's promise; the driver owns the result.
        let context = unsafe { Context::adopt(&self.api, ordinal, context)? };
        Ok(Arc::new(AscendDevice::new(context)))
    }
}
