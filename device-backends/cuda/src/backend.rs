//! The backend: its libraries and the devices that they show.

use std::sync::Arc;

use eplb_cuda_sys::LoadError;
use eplb_device::Result;
use eplb_device::raw::{Backend, ContextHandle, Driver};

use crate::context::Context;
use crate::driver::CudaDevice;
use crate::error::{NAME, check, forget, invalid, means_no_devices};
use crate::library::{Api, Libraries};

/// NVIDIA's devices, as this process sees them.
#[derive(Debug)]
pub struct CudaBackend {
    api: Arc<Api>,
}

impl CudaBackend {
    /// Looks for the libraries. Touches no device.
    ///
    /// # Errors
    ///
    /// The CUDA runtime was not found; says what was tried. A missing driver is no error but means no
    /// devices, and a missing NCCL means no communicators.
    pub fn open(libraries: &Libraries) -> std::result::Result<Self, LoadError> {
        Ok(Self { api: Arc::new(Api::open(libraries)?) })
    }

    /// Why there is no driver, and so no device; nothing if there is one.
    pub fn missing_driver(&self) -> Option<&LoadError> {
        self.api.driver.as_ref().err()
    }

    /// Why there are no communicators; nothing if NCCL was found.
    pub fn missing_nccl(&self) -> Option<&LoadError> {
        self.api.nccl.as_ref().err()
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    fn check_ordinal(&self, operation: &'static str, ordinal: u32) -> Result<()> {
        let devices = self.devices()?;
        if ordinal < devices {
            return Ok(());
        }
        let reason = self.missing_driver().map(|error| format!(": {error}")).unwrap_or_default();
        Err(invalid(operation, format!("device {ordinal} of {devices}{reason}")))
    }
}

// SAFETY: the drivers keep the contract, as said there.
unsafe impl Backend for CudaBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn devices(&self) -> Result<u32> {
        if self.api.driver.is_err() {
            return Ok(0);
        }
        let runtime = &self.api.runtime;
        let mut count = 0;
        // SAFETY: writes one number, which lives, or leaves it.
        let status = unsafe { (runtime.cudaGetDeviceCount)(&raw mut count) };
        if means_no_devices(status) {
            forget(runtime);
            return Ok(0);
        }
        check(runtime, "devices", status)?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    fn open(&self, ordinal: u32) -> Result<Arc<dyn Driver>> {
        self.check_ordinal("open", ordinal)?;
        let context = Context::primary(&self.api, ordinal)?;
        Ok(Arc::new(CudaDevice::new(context)?))
    }

    unsafe fn adopt(&self, ordinal: u32, context: ContextHandle) -> Result<Arc<dyn Driver>> {
        self.check_ordinal("adopt", ordinal)?;
        // SAFETY: the caller's promise; the driver owns the result.
        let context = unsafe { Context::adopt(&self.api, ordinal, context)? };
        Ok(Arc::new(CudaDevice::new(context)?))
    }
}
