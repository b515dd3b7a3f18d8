//! A backend that an engine brings along: its functions behind the raw device traits.

mod answer;
mod driver;

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use eplb::device::raw::Driver;
use eplb::device::{Backend, ContextHandle, DeviceError, ErrorKind};

use crate::failure::Failure;
use crate::generated as c;
use crate::status::Status;
use crate::user::User;
use answer::Answer;
use driver::EngineDriver;

type Release = unsafe extern "C" fn(*mut c_void);
type Close = unsafe extern "C" fn(*mut c::eplb_engine_device);

/// The functions of an engine, all that are needed there.
pub(crate) struct EngineBackend {
    functions: c::eplb_device_functions,
    name: String,
    user: User,
    release: Option<Release>,
    close: Close,
}

impl EngineBackend {
    /// Takes the functions over, if none that is needed is missing. Otherwise they are not released:
    /// they are still the engine's.
    pub(crate) fn new(functions: c::eplb_device_functions, name: String) -> Result<Self, Failure> {
        macro_rules! needed {
            ($($function:ident)*) => { $(
                if functions.$function.is_none() {
                    let text = concat!("functions.", stringify!($function), " is null");
                    return Err(Failure::new(Status::Null, text));
                }
            )* };
        }
        needed! {
            count open describe memory_info create_stream destroy_stream query_stream create_event
            destroy_event record_event wait_event query_event allocate free allocate_pinned free_pinned
            copy fill
        }
        let Some(close) = functions.close else {
            return Err(Failure::new(Status::Null, "functions.close is null"));
        };
        let peer = [
            functions.export_memory.is_some(),
            functions.withdraw.is_some(),
            functions.import_memory.is_some(),
            functions.close_import.is_some(),
        ];
        if peer.iter().any(|given| *given != peer[0]) {
            let text = "export_memory, withdraw, import_memory and close_import: give all or none";
            return Err(Failure::new(Status::Null, text));
        }
        let (user, release) = (User(functions.user), functions.release);
        Ok(Self { functions, name, user, release, close })
    }

    /// Whether memory can be exported and imported.
    fn has_peer_memory(&self) -> bool {
        self.functions.export_memory.is_some()
    }
}

// SAFETY: the functions are plain pointers, and the header says that they, with `user`, may be called from
// any thread and from several at once. The name's pointer is not followed any more.
unsafe impl Send for EngineBackend {}
// SAFETY: as above.
unsafe impl Sync for EngineBackend {}

impl fmt::Debug for EngineBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EngineBackend").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for EngineBackend {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the engine's function with its pointer; drivers keep the backend alive, so that
            // nothing of it is used any more, and this is called once.
            unsafe { release(self.user.0) };
        }
    }
}

/// The backend as the device layer holds it; drivers hold the functions, too.
#[derive(Debug)]
pub(crate) struct SharedEngineBackend(Arc<EngineBackend>);

impl SharedEngineBackend {
    pub(crate) fn new(backend: EngineBackend) -> Self {
        Self(Arc::new(backend))
    }

    fn opened(&self, device: *mut c::eplb_engine_device) -> eplb::device::Result<Arc<dyn Driver>> {
        if device.is_null() {
            let text = "the engine's function gave no device";
            return Err(DeviceError::new(ErrorKind::Failed, "open", text));
        }
        Ok(Arc::new(EngineDriver::new(Arc::clone(&self.0), device)?))
    }
}

// SAFETY: the engine's functions keep the rules, as the header asks of whoever brings them along; what
// they answer is checked as far as it can be, and handed on.
unsafe impl Backend for SharedEngineBackend {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn devices(&self) -> eplb::device::Result<u32> {
        let mut devices = 0;
        let count = self.0.functions.count;
        Answer::of("count", count, |count, failure| {
            // SAFETY: the engine's function with its pointer; both places outlive the call.
            unsafe { count(self.0.user.0, &raw mut devices, failure) }
        })?;
        Ok(devices)
    }

    fn open(&self, ordinal: u32) -> eplb::device::Result<Arc<dyn Driver>> {
        let mut device = std::ptr::null_mut();
        let open = self.0.functions.open;
        Answer::of("open", open, |open, failure| {
            // SAFETY: as above.
            unsafe { open(self.0.user.0, ordinal, &raw mut device, failure) }
        })?;
        self.opened(device)
    }

    unsafe fn adopt(
        &self,
        ordinal: u32,
        context: ContextHandle,
    ) -> eplb::device::Result<Arc<dyn Driver>> {
        let mut device = std::ptr::null_mut();
        let adopt = self.0.functions.adopt;
        Answer::of("adopt", adopt, |adopt, failure| {
            // SAFETY: as above; that the context is alive is this function's own condition.
            unsafe { adopt(self.0.user.0, ordinal, context.0, &raw mut device, failure) }
        })?;
        self.opened(device)
    }
}
