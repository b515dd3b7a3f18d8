//! A device's context, and how calls are made in it (R2).

use std::ffi::c_uint;
use std::sync::Arc;

use eplb_cuda_sys::{CUcontext, CudaDriver, CudaRuntime, cudaError_t};
use eplb_device::raw::ContextHandle;
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::error::{c_number, check, check_driver, forget, invalid, unsupported};
use crate::library::Api;

/// A context of a device, the device's primary one or the engine's. Never destroyed here.
#[derive(Debug)]
pub(crate) struct Context {
    api: Arc<Api>,
    driver: CudaDriver,
    /// The address of the library's context.
    handle: usize,
    ordinal: u32,
    is_primary: bool,
}

/// While it lives the context is current for the thread; then the one that was is again.
pub(crate) struct Bound<'a> {
    driver: &'a CudaDriver,
    previous: Option<CUcontext>,
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        if let Some(previous) = self.previous {
            // SAFETY: it was this thread's current context a call ago, or null, which means none.
            unsafe { (self.driver.cuCtxSetCurrent)(previous) };
        }
    }
}

impl Context {
    /// The primary context of a device, which is created if need be and stays until the process ends.
    pub(crate) fn primary(api: &Arc<Api>, ordinal: u32) -> Result<Self> {
        let driver = driver_of(api, "open")?;
        let handle = primary_handle(&api.runtime, &driver, ordinal)?;
        Ok(Self { api: Arc::clone(api), driver, handle, ordinal, is_primary: true })
    }

    /// The engine's context.
    ///
    /// # Safety
    ///
    /// `context` is a live context, until the result is dropped.
    pub(crate) unsafe fn adopt(
        api: &Arc<Api>,
        ordinal: u32,
        context: ContextHandle,
    ) -> Result<Self> {
        if context.0 == 0 {
            return Err(invalid("adopt", "the context is null"));
        }
        let driver = driver_of(api, "adopt")?;
        let device = c_number("adopt", "device", ordinal)?;
        let mut this =
            Self { api: Arc::clone(api), driver, handle: context.0, ordinal, is_primary: false };
        let mut found = -1;
        {
            let _bound = this.bind("adopt")?;
            // SAFETY: writes one number, which lives.
            let status = unsafe { (driver.cuCtxGetDevice)(&raw mut found) };
            check_driver(&driver, "adopt", status)?;
        }
        if found != device {
            return Err(invalid("adopt", format!("the context is of device {found}")));
        }
        let (mut flags, mut active): (c_uint, _) = (0, 0);
        // SAFETY: writes two numbers, which live; the device is one of the library's.
        let status =
            unsafe { (driver.cuDevicePrimaryCtxGetState)(device, &raw mut flags, &raw mut active) };
        check_driver(&driver, "adopt", status)?;
        // A primary context that is not active is not the one handed in.
        this.is_primary =
            active != 0 && primary_handle(&api.runtime, &driver, ordinal)? == context.0;
        Ok(this)
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn driver(&self) -> &CudaDriver {
        &self.driver
    }

    pub(crate) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Whether it is the device's primary context, which NCCL uses.
    pub(crate) fn is_primary(&self) -> bool {
        self.is_primary
    }

    /// Makes the context current for this thread.
    pub(crate) fn bind(&self, operation: &'static str) -> Result<Bound<'_>> {
        let driver = &self.driver;
        let mut previous: CUcontext = std::ptr::null_mut();
        // SAFETY: writes one pointer, which lives; asks for a value of this thread.
        let status = unsafe { (driver.cuCtxGetCurrent)(&raw mut previous) };
        check_driver(driver, operation, status)?;
        if previous as usize == self.handle {
            return Ok(Bound { driver, previous: None });
        }
        // SAFETY: the context is alive: a primary one stays for ever, the engine's is kept by it.
        let status = unsafe { (driver.cuCtxSetCurrent)(self.handle as CUcontext) };
        check_driver(driver, operation, status)?;
        Ok(Bound { driver, previous: Some(previous) })
    }

    /// A call of the runtime in this context.
    pub(crate) fn call(
        &self,
        operation: &'static str,
        call: impl FnOnce(&CudaRuntime) -> cudaError_t,
    ) -> Result<()> {
        let _bound = self.bind(operation)?;
        let runtime = &self.api.runtime;
        check(runtime, operation, call(runtime))
    }

    /// A query: whether what it asks about is done.
    pub(crate) fn query(
        &self,
        operation: &'static str,
        call: impl FnOnce(&CudaRuntime) -> cudaError_t,
    ) -> Result<bool> {
        let _bound = self.bind(operation)?;
        let runtime = &self.api.runtime;
        match call(runtime) {
            cudaError_t::cudaErrorNotReady => {
                forget(runtime);
                Ok(false)
            }
            status => check(runtime, operation, status).map(|()| true),
        }
    }
}

fn driver_of(api: &Api, operation: &'static str) -> Result<CudaDriver> {
    api.driver.as_ref().copied().map_err(|error| unsupported(operation, error.to_string()))
}

/// Asks on a thread of its own: the runtime remembers the device that a thread has set, and the
/// caller's thread is to keep its own.
fn primary_handle(runtime: &CudaRuntime, driver: &CudaDriver, ordinal: u32) -> Result<usize> {
    let device = c_number("open", "device", ordinal)?;
    let ask = || {
        // SAFETY: acts on this thread, and creates the device's primary context if there is none.
        let status = unsafe { (runtime.cudaSetDevice)(device) };
        check(runtime, "open", status)?;
        let mut context: CUcontext = std::ptr::null_mut();
        // SAFETY: writes one pointer, which lives.
        let status = unsafe { (driver.cuCtxGetCurrent)(&raw mut context) };
        check_driver(driver, "open", status)?;
        if context.is_null() {
            let text = "the runtime has made no context; version 12 or later is needed";
            return Err(unsupported("open", text));
        }
        Ok(context as usize)
    };
    let failed = |text: String| Err(DeviceError::new(ErrorKind::Failed, "open", text));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("eplb-cuda-open".to_owned());
        match thread.spawn_scoped(scope, ask) {
            Ok(thread) => thread.join().unwrap_or_else(|_| failed("the thread ended".to_owned())),
            Err(error) => failed(format!("no thread to open the device on: {error}")),
        }
    })
}
