//! One open device of an engine's backend.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use eplb::device::raw::{
    Address, AllocationKey, CommunicatorDriver, CommunicatorHandle, Copy, CopyKind, Driver,
    EventHandle, Progress, StreamHandle,
};
use eplb::device::{
    CommunicatorId, CommunicatorOptions, DeviceError, DeviceInfo, ErrorKind, MemoryInfo, Result,
    StreamPriority,
};

use super::EngineBackend;
use super::answer::Answer;
use crate::generated as c;

/// Longest key of exported memory.
const LONGEST_KEY: usize = 512;

/// The engine's device, closed when this goes.
#[derive(Debug)]
pub(super) struct EngineDriver {
    backend: Arc<EngineBackend>,
    device: *mut c::eplb_engine_device,
    info: DeviceInfo,
}

// SAFETY: the header says that the functions, with the device, may be called from any thread and from
// several at once.
unsafe impl Send for EngineDriver {}
// SAFETY: as above.
unsafe impl Sync for EngineDriver {}

impl Drop for EngineDriver {
    fn drop(&mut self) {
        // SAFETY: the engine's function, with the device that it opened; nothing uses it any more.
        unsafe { (self.backend.close)(self.device) };
    }
}

impl EngineDriver {
    /// Takes an opened device over and asks what it is.
    pub(super) fn new(
        backend: Arc<EngineBackend>,
        device: *mut c::eplb_engine_device,
    ) -> Result<Self> {
        let info = DeviceInfo {
            backend: backend.name.clone(),
            name: String::new(),
            software: String::new(),
            ordinal: 0,
            alignment: 0,
            peer_memory: false,
            communicators: false,
            stream_abort: false,
            ranks_share_device: true,
        };
        // From here on the device is closed whatever happens.
        let mut driver = Self { backend, device, info };
        driver.describe()?;
        Ok(driver)
    }

    fn describe(&mut self) -> Result<()> {
        let mut info = c::eplb_device_info {
            struct_size: size_of::<c::eplb_device_info>(),
            ordinal: 0,
            peer_memory: 0,
            communicators: 0,
            stream_abort: 0,
            ranks_share_device: 0,
            alignment: 0,
            backend: std::ptr::null(),
            name: std::ptr::null(),
            software: std::ptr::null(),
        };
        Answer::of("describe", self.backend.functions.describe, |describe, failure| {
            // SAFETY: the engine's function with its device; both places outlive the call.
            unsafe { describe(self.device, &raw mut info, failure) }
        })?;
        if !info.alignment.is_power_of_two() || info.alignment < 64 {
            let text = format!(
                "the engine's function answered alignment {}; allowed is a power of two, at least 64",
                info.alignment
            );
            return Err(DeviceError::new(ErrorKind::Failed, "describe", text));
        }
        self.info.ordinal = info.ordinal;
        self.info.alignment = info.alignment;
        self.info.peer_memory = info.peer_memory != 0 && self.backend.has_peer_memory();
        self.info.stream_abort =
            info.stream_abort != 0 && self.backend.functions.abort_stream.is_some();
        self.info.name = text_of(info.name);
        self.info.software = text_of(info.software);
        Ok(())
    }
}

/// A text of the engine, empty where there is none.
fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null; the header's promise: a text that ends in a zero byte and lives until the device
    // is closed, which it is not yet.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Calls one of the engine's functions with its device and room for its failure.
macro_rules! ask {
    ($self:ident.$function:ident($($argument:expr),* $(,)?)) => {
        Answer::of(stringify!($function), $self.backend.functions.$function, |function, failure| {
            // SAFETY: the engine's function with its device, which is open. Arguments are handed on as the
            // safe layer gives them, whose promise the conditions of these methods are; places for
            // answers and arrays are of this function and outlive the call.
            unsafe { function($self.device, $($argument,)* failure) }
        })
    };
}

// SAFETY: the engine's functions keep the rules, as the header asks of whoever brings them along.
unsafe impl Driver for EngineDriver {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn memory_info(&self) -> Result<MemoryInfo> {
        let (mut free, mut total) = (0, 0);
        ask!(self.memory_info(&raw mut free, &raw mut total))?;
        Ok(MemoryInfo { free, total })
    }

    fn create_stream(&self, priority: StreamPriority) -> Result<StreamHandle> {
        let priority = match priority {
            StreamPriority::Low => c::EPLB_PRIORITY_LOW,
            StreamPriority::High => c::EPLB_PRIORITY_HIGH,
            _ => c::EPLB_PRIORITY_NORMAL,
        };
        let mut stream = 0;
        ask!(self.create_stream(priority, &raw mut stream))?;
        Ok(StreamHandle(stream))
    }

    unsafe fn destroy_stream(&self, stream: StreamHandle) -> Result<()> {
        ask!(self.destroy_stream(stream.0))
    }

    unsafe fn query_stream(&self, stream: StreamHandle) -> Result<Progress> {
        let query = self.backend.functions.query_stream;
        Answer::progress("query_stream", query, |query, progress, kind, failure| {
            // SAFETY: as in `ask`.
            unsafe { query(self.device, stream.0, progress, kind, failure) }
        })
    }

    unsafe fn abort_stream(&self, stream: StreamHandle) -> Result<()> {
        ask!(self.abort_stream(stream.0))
    }

    fn create_event(&self) -> Result<EventHandle> {
        let mut event = 0;
        ask!(self.create_event(&raw mut event))?;
        Ok(EventHandle(event))
    }

    unsafe fn destroy_event(&self, event: EventHandle) -> Result<()> {
        ask!(self.destroy_event(event.0))
    }

    unsafe fn record_event(&self, event: EventHandle, stream: StreamHandle) -> Result<()> {
        ask!(self.record_event(event.0, stream.0))
    }

    unsafe fn wait_event(&self, stream: StreamHandle, event: EventHandle) -> Result<()> {
        ask!(self.wait_event(stream.0, event.0))
    }

    unsafe fn query_event(&self, event: EventHandle) -> Result<Progress> {
        let query = self.backend.functions.query_event;
        Answer::progress("query_event", query, |query, progress, kind, failure| {
            // SAFETY: as in `ask`.
            unsafe { query(self.device, event.0, progress, kind, failure) }
        })
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        let mut address = 0;
        ask!(self.allocate(bytes, &raw mut address))?;
        given("allocate", address)
    }

    unsafe fn free(&self, address: Address) -> Result<()> {
        ask!(self.free(address.0))
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<Address> {
        let mut address = 0;
        ask!(self.allocate_pinned(bytes, &raw mut address))?;
        given("allocate_pinned", address)
    }

    unsafe fn free_pinned(&self, address: Address) -> Result<()> {
        ask!(self.free_pinned(address.0))
    }

    unsafe fn borrow_memory(&self, _: Address, _: usize, _: bool) -> Result<()> {
        // The engine lends its own memory to its own backend: there is nobody to ask.
        Ok(())
    }

    unsafe fn return_memory(&self, _: Address, _: usize, _: bool) -> Result<()> {
        Ok(())
    }

    unsafe fn copy(&self, copies: &[Copy], stream: StreamHandle) -> Result<()> {
        let copies: Vec<c::eplb_copy> = copies.iter().map(copy_of).collect();
        ask!(self.copy(copies.as_ptr(), copies.len(), stream.0))
    }

    unsafe fn fill(
        &self,
        destination: Address,
        value: u8,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        ask!(self.fill(destination.0, value, bytes, stream.0))
    }

    unsafe fn export(&self, base: Address, bytes: usize) -> Result<AllocationKey> {
        let mut key = vec![0; LONGEST_KEY];
        let mut size = 0;
        ask!(self.export_memory(base.0, bytes, key.as_mut_ptr(), LONGEST_KEY, &raw mut size))?;
        if size > LONGEST_KEY {
            let text =
                format!("the engine's function wrote {size} bytes, {LONGEST_KEY} are allowed");
            return Err(DeviceError::new(ErrorKind::Failed, "export_memory", text));
        }
        key.truncate(size);
        Ok(AllocationKey(key))
    }

    unsafe fn withdraw(&self, key: &AllocationKey) -> Result<()> {
        ask!(self.withdraw(key.0.as_ptr(), key.0.len()))
    }

    fn import(&self, key: &AllocationKey) -> Result<(Address, usize)> {
        let (mut address, mut bytes) = (0, 0);
        ask!(self.import_memory(key.0.as_ptr(), key.0.len(), &raw mut address, &raw mut bytes,))?;
        Ok((given("import_memory", address)?, bytes))
    }

    unsafe fn close(&self, key: &AllocationKey, address: Address) -> Result<()> {
        ask!(self.close_import(key.0.as_ptr(), key.0.len(), address.0))
    }

    fn communicator_id(&self) -> Result<CommunicatorId> {
        Err(no_communicators("communicator_id"))
    }

    fn communicator(
        &self,
        _: &CommunicatorId,
        _: u32,
        _: u32,
        _: CommunicatorOptions,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        Err(no_communicators("communicator"))
    }

    unsafe fn borrow_communicator(
        &self,
        _: CommunicatorHandle,
        _: u32,
        _: u32,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        Err(no_communicators("borrow_communicator"))
    }
}

/// An address that is one.
fn given(operation: &'static str, address: usize) -> Result<Address> {
    if address == 0 {
        let text = "the engine's function gave address 0";
        return Err(DeviceError::new(ErrorKind::Failed, operation, text));
    }
    Ok(Address(address))
}

fn copy_of(copy: &Copy) -> c::eplb_copy {
    let kind = match copy.kind {
        CopyKind::Peer => c::EPLB_COPY_PEER,
        CopyKind::Upload => c::EPLB_COPY_UPLOAD,
        CopyKind::Download => c::EPLB_COPY_DOWNLOAD,
        _ => c::EPLB_COPY_DEVICE,
    };
    c::eplb_copy {
        destination: copy.destination.0,
        source: copy.source.0,
        bytes: copy.bytes,
        kind: kind as i32,
        reserved: 0,
    }
}

fn no_communicators(operation: &'static str) -> DeviceError {
    let text = "an engine's backend has no communicators here; the engine has its own";
    DeviceError::new(ErrorKind::Unsupported, operation, text)
}
