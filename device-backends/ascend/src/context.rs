//! A device's context, and how calls are made in it (R2).

use std::sync::Arc;

use eplb_ascend_sys::{AclRuntime, aclError, aclrtContext};
use eplb_device::raw::ContextHandle;
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::error::{check, device_number, forget, invalid};
use crate::library::Api;
use crate::lock::lock;

/// A context of a device, the device's default one or the engine's. Never destroyed here.
#[derive(Debug)]
pub(crate) struct Context {
    api: Arc<Api>,
    /// The address of the library's context.
    handle: usize,
    ordinal: u32,
}

/// While it lives the context is current for the thread; then the one that was is again. A thread that
/// had none keeps this one: the library takes no null.
pub(crate) struct Bound<'a> {
    runtime: &'a AclRuntime,
    previous: Option<aclrtContext>,
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        if let Some(previous) = self.previous {
            // SAFETY: it was this thread's current context a call ago.
            let status = unsafe { (self.runtime.aclrtSetCurrentContext)(previous) };
            if status != aclError::ACL_SUCCESS {
                forget(self.runtime);
            }
        }
    }
}

impl Context {
    /// The default context of a device, which is created if need be and stays until the process ends.
    pub(crate) fn default_of(api: &Arc<Api>, ordinal: u32) -> Result<Self> {
        let mut defaults = lock(&api.defaults);
        let handle = match defaults.get(&ordinal) {
            Some(handle) => *handle,
            None => {
                let handle = default_handle(&api.runtime, ordinal)?;
                defaults.insert(ordinal, handle);
                handle
            }
        };
        drop(defaults);
        Ok(Self { api: Arc::clone(api), handle, ordinal })
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
        let this = Self { api: Arc::clone(api), handle: context.0, ordinal };
        let mut found = -1;
        this.call("adopt", |runtime| {
            // SAFETY: writes one number, which lives.
            unsafe { (runtime.aclrtGetDevice)(&raw mut found) }
        })?;
        if found != device_number("adopt", ordinal)? {
            return Err(invalid("adopt", format!("the context is of device {found}")));
        }
        Ok(this)
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn runtime(&self) -> &AclRuntime {
        &self.api.runtime
    }

    pub(crate) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Makes the context current for this thread.
    pub(crate) fn bind(&self, operation: &'static str) -> Result<Bound<'_>> {
        let runtime = &self.api.runtime;
        let mut previous: aclrtContext = std::ptr::null_mut();
        // SAFETY: writes one pointer, which lives; asks for a value of this thread.
        let status = unsafe { (runtime.aclrtGetCurrentContext)(&raw mut previous) };
        if status == aclError::ACL_ERROR_RT_CONTEXT_NULL {
            forget(runtime);
            previous = std::ptr::null_mut();
        } else {
            check(runtime, operation, status)?;
        }
        if previous as usize == self.handle {
            return Ok(Bound { runtime, previous: None });
        }
        // SAFETY: the context is alive: a default one stays for ever, the engine's is kept by it.
        let status = unsafe { (runtime.aclrtSetCurrentContext)(self.handle as aclrtContext) };
        check(runtime, operation, status)?;
        Ok(Bound { runtime, previous: Some(previous).filter(|previous| !previous.is_null()) })
    }

    /// A call of the runtime in this context.
    pub(crate) fn call(
        &self,
        operation: &'static str,
        call: impl FnOnce(&AclRuntime) -> aclError,
    ) -> Result<()> {
        let _bound = self.bind(operation)?;
        let runtime = &self.api.runtime;
        check(runtime, operation, call(runtime))
    }
}

/// Asks on a thread of its own: the caller's thread is to keep its own context, or to have none.
fn default_handle(runtime: &AclRuntime, ordinal: u32) -> Result<usize> {
    let device = device_number("open", ordinal)?;
    let failed = |text: String| Err(DeviceError::new(ErrorKind::Failed, "open", text));
    let ask = || {
        // SAFETY: acts on this thread, and creates the device's default context if there is none. It is
        // never taken back, so that the context stays when the engine takes its own calls back.
        let status = unsafe { (runtime.aclrtSetDevice)(device) };
        check(runtime, "open", status)?;
        let mut context: aclrtContext = std::ptr::null_mut();
        // SAFETY: writes one pointer, which lives.
        let status = unsafe { (runtime.aclrtGetCurrentContext)(&raw mut context) };
        check(runtime, "open", status)?;
        if context.is_null() {
            return failed("the runtime has made no context".to_owned());
        }
        Ok(context as usize)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("eplb-ascend-open".to_owned());
        match thread.spawn_scoped(scope, ask) {
            Ok(thread) => thread.join().unwrap_or_else(|_| failed("the thread ended".to_owned())),
            Err(error) => failed(format!("no thread to open the device on: {error}")),
        }
    })
}
