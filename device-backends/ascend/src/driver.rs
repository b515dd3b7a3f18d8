//! One open device.

use std::collections::HashSet;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use eplb_ascend_sys::{
    ACL_EVENT_SYNC, ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION,
    ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS, ACL_STOP_ON_FAILURE, ACL_STREAM_FAST_LAUNCH,
    aclrtEvent, aclrtMemAttr, aclrtMemMallocPolicy, aclrtStream,
};
use eplb_device::raw::{
    Address, AllocationKey, CommunicatorDriver, CommunicatorHandle, CommunicatorId,
    CommunicatorOptions, Copy, DeviceInfo, Driver, EventHandle, MemoryInfo, Progress, StreamHandle,
    StreamPriority,
};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::communicator::AscendCommunicator;
use crate::context::Context;
use crate::diagnosis;
use crate::error::{NAME, device_number, forget, invalid, need, unsupported, words};
use crate::event::{Capture, Captures};
use crate::hccl;
use crate::lock::lock;
use crate::memory::{self, ALIGNMENT, Batches, pointer, stream as handle_of};
use crate::peer::{EXPORTS, HANDLE, Handle, IMPORTS, Key, PROCESS};
use crate::shared::Shared;
use crate::stream::Lanes;

/// The library calls the argument reserved.
const PRIORITY: u32 = 0;

/// One open device of the backend. Dropping it destroys nothing: what its user has left, queued work
/// may use.
#[derive(Debug)]
pub(crate) struct AscendDevice {
    shared: Arc<Shared>,
    info: DeviceInfo,
    batches: Batches,
    /// Devices that this one may read.
    readable: Mutex<HashSet<u32>>,
}

impl AscendDevice {
    pub(crate) fn new(context: Context) -> Self {
        let runtime = context.runtime();
        // Some versions may want one; what cannot be told then is not told.
        let bound = context.bind("open").ok();
        let name = runtime.aclrtGetSocName.map(|ask| {
            // SAFETY: gives null, or a text that stays.
            words(unsafe { ask() })
        });
        let software = diagnosis::software(context.api());
        forget(runtime);
        drop(bound);
        let info = DeviceInfo {
            backend: NAME.to_owned(),
            name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "Ascend".to_owned()),
            software,
            ordinal: context.ordinal(),
            alignment: ALIGNMENT,
            peer_memory: runtime.aclrtIpcMemGetExportKey.is_some()
                && runtime.aclrtIpcMemImportByKey.is_some()
                && runtime.aclrtIpcMemClose.is_some(),
            communicators: context.api().hccl.is_ok(),
            stream_abort: runtime.aclrtStreamAbort.is_some(),
            ranks_share_device: false,
        };
        let turns = hccl::turns_of(context.ordinal());
        let (lanes, captures) = (Lanes::default(), Captures::default());
        Self {
            shared: Arc::new(Shared { context, lanes, captures, turns }),
            info,
            batches: Batches::default(),
            readable: Mutex::default(),
        }
    }

    fn context(&self) -> &Context {
        &self.shared.context
    }

    fn enable_access_to(&self, exporter: u32) -> Result<()> {
        let mut readable = lock(&self.readable);
        if exporter == self.info.ordinal || readable.contains(&exporter) {
            return Ok(());
        }
        let own = device_number("import", self.info.ordinal)?;
        let peer = device_number("import", exporter)?;
        let mut can = 0;
        self.context().call("import", |runtime| {
            // SAFETY: writes one number, which lives.
            unsafe { (runtime.aclrtDeviceCanAccessPeer)(&raw mut can, own, peer) }
        })?;
        if can == 0 {
            return Err(unsupported(
                "import",
                format!("device {own} cannot read device {peer}; use a communicator between them"),
            ));
        }
        self.context().call("import", |runtime| {
            // SAFETY: acts on the context that is current; flags are zero, as they have to be.
            unsafe { (runtime.aclrtDeviceEnablePeerAccess)(peer, 0) }
        })?;
        readable.insert(exporter);
        Ok(())
    }

    /// Ends the library's import or export of a key.
    fn close_handle(&self, operation: &'static str, handle: &Handle) -> Result<()> {
        let close = need(operation, self.context().runtime().aclrtIpcMemClose, "aclrtIpcMemClose")?;
        self.context().call(operation, |_| {
            // SAFETY: a key of the library, whose last byte is zero; nobody uses it any more.
            unsafe { close(handle.as_ptr().cast()) }
        })
    }
}

fn aborted(operation: &'static str) -> DeviceError {
    DeviceError::new(ErrorKind::Aborted, operation, "the stream was aborted")
}

fn require(operation: &'static str, address: *mut c_void) -> Result<Address> {
    if address.is_null() {
        let text = "the library reports success and gives null";
        return Err(DeviceError::new(ErrorKind::Failed, operation, text));
    }
    Ok(Address(address as usize))
}

// SAFETY: completion is what ACL says of a stream or event, less what was given up (see `stream`);
// failures are reported only of work that is over, or of a library that runs nothing any more; each range
// handed out is an allocation of the library of its own; what destroying calls leave behind is leaked.
unsafe impl Driver for AscendDevice {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn memory_info(&self) -> Result<MemoryInfo> {
        let ask = |memory| {
            let (mut free, mut total) = (0, 0);
            self.context().call("memory_info", |runtime| {
                // SAFETY: writes two numbers, which live.
                unsafe { (runtime.aclrtGetMemInfo)(memory, &raw mut free, &raw mut total) }
            })?;
            Ok(MemoryInfo { free: free as u64, total: total as u64 })
        };
        let info = ask(aclrtMemAttr::ACL_HBM_MEM)?;
        // Some chips have plain memory instead.
        if info.total == 0 { ask(aclrtMemAttr::ACL_DDR_MEM) } else { Ok(info) }
    }

    fn create_stream(&self, _priority: StreamPriority) -> Result<StreamHandle> {
        let mut stream: aclrtStream = std::ptr::null_mut();
        self.context().call("create_stream", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe {
                (runtime.aclrtCreateStreamWithConfig)(
                    &raw mut stream,
                    PRIORITY,
                    ACL_STREAM_FAST_LAUNCH,
                )
            }
        })?;
        let handle = StreamHandle(require("create_stream", stream)?.0);
        let set = self.context().call("create_stream", |runtime| {
            // SAFETY: just made, and nothing is on it.
            unsafe { (runtime.aclrtSetStreamFailureMode)(stream, ACL_STOP_ON_FAILURE) }
        });
        self.shared.lanes.add(handle);
        if let Err(error) = set {
            // SAFETY: ours, and nobody has it. The failure above is the one to report.
            let _ = unsafe { self.destroy_stream(handle) };
            return Err(error);
        }
        Ok(handle)
    }

    unsafe fn destroy_stream(&self, stream: StreamHandle) -> Result<()> {
        let lane = self.shared.lanes.remove(stream);
        let has_failed = lane.is_some_and(|lane| lane.failure().is_some());
        self.context().call("destroy_stream", |runtime| {
            // What an abort or a failure has left on the stream is not to be waited for.
            let destroy = match runtime.aclrtDestroyStreamForce {
                Some(force) if has_failed => force,
                _ => runtime.aclrtDestroyStream,
            };
            // SAFETY: ours, alive and not used any more, as the caller has promised.
            unsafe { destroy(handle_of(stream)) }
        })
    }

    unsafe fn query_stream(&self, stream: StreamHandle) -> Result<Progress> {
        self.shared.stream_progress(&self.shared.lanes.of(stream))
    }

    unsafe fn abort_stream(&self, stream: StreamHandle) -> Result<()> {
        if !self.info.stream_abort {
            return Err(unsupported("abort_stream", "the library has no aclrtStreamAbort"));
        }
        let lane = self.shared.lanes.of(stream);
        // Before the library lets the work go, so that nobody sees it succeed.
        self.shared.sweep(&lane);
        lane.give_up(&aborted("abort_stream"));
        self.shared.drop_tasks("abort_stream", stream)
    }

    fn create_event(&self) -> Result<EventHandle> {
        let mut event: aclrtEvent = std::ptr::null_mut();
        self.context().call("create_event", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe { (runtime.aclrtCreateEventExWithFlag)(&raw mut event, ACL_EVENT_SYNC) }
        })?;
        Ok(EventHandle(require("create_event", event)?.0))
    }

    unsafe fn destroy_event(&self, event: EventHandle) -> Result<()> {
        self.shared.captures.remove(event, || {
            self.context().call("destroy_event", |runtime| {
                // SAFETY: ours and alive, as the caller has promised, and no sweep asks it now.
                unsafe { (runtime.aclrtDestroyEvent)(event.0 as aclrtEvent) }
            })
        })
    }

    unsafe fn record_event(&self, event: EventHandle, stream: StreamHandle) -> Result<()> {
        let lane = self.shared.lanes.of(stream);
        let point = lane.point();
        self.context().call("record_event", |runtime| {
            // SAFETY: both are alive and of this device, as the caller has promised.
            unsafe { (runtime.aclrtRecordEvent)(event.0 as aclrtEvent, handle_of(stream)) }
        })?;
        self.shared.captures.set(event, Capture { lane, point });
        Ok(())
    }

    unsafe fn wait_event(&self, stream: StreamHandle, event: EventHandle) -> Result<()> {
        self.shared.queue("wait_event", stream, |_, entry| {
            // Noted first: a failure that comes in between is to be seen.
            if let Some(capture) = self.shared.captures.of(event) {
                entry.wait_for(&capture.lane, capture.point);
            }
            self.context().call("wait_event", |runtime| {
                // SAFETY: both are alive and of this device, as the caller has promised.
                unsafe { (runtime.aclrtStreamWaitEvent)(handle_of(stream), event.0 as aclrtEvent) }
            })
        })
    }

    unsafe fn query_event(&self, event: EventHandle) -> Result<Progress> {
        let Some(Capture { lane, point }) = self.shared.captures.of(event) else {
            let is_over = self.shared.event_is_over(event)?;
            return Ok(if is_over { Progress::Complete } else { Progress::Pending });
        };
        // The record may have been given up with the rest, so that the stream has to tell.
        if lane.is_own()
            && let Some(error) = lane.failure_at(point)
        {
            let told = lane.while_alive(|| self.shared.stream_progress(&lane));
            return Ok(match told.transpose()? {
                Some(Progress::Pending) => Progress::Pending,
                _ => Progress::Failed(error),
            });
        }
        match self.shared.event_is_over(event) {
            Ok(true) => Ok(lane.ended(point)),
            Ok(false) => Ok(Progress::Pending),
            Err(error) if error.kind() == ErrorKind::Lost => Ok(Progress::Failed(error)),
            Err(error) => Err(error),
        }
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        let mut start: *mut c_void = std::ptr::null_mut();
        self.context().call("allocate", |runtime| {
            let policy = aclrtMemMallocPolicy::ACL_MEM_MALLOC_HUGE_FIRST;
            // SAFETY: writes one pointer, which lives. The library pads by itself.
            unsafe { (runtime.aclrtMalloc)(&raw mut start, bytes, policy) }
        })?;
        require("allocate", start)
    }

    unsafe fn free(&self, address: Address) -> Result<()> {
        if EXPORTS.is_imported(address.0 as u64) {
            let text = "importers of this process have it; it is kept for good";
            return Err(invalid("free", text));
        }
        self.context().call("free", |runtime| {
            // SAFETY: from `allocate`, and nothing uses it any more, as the caller has promised: the
            // library does not wait for anybody.
            unsafe { (runtime.aclrtFree)(pointer(address)) }
        })
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<Address> {
        let mut start: *mut c_void = std::ptr::null_mut();
        self.context().call("allocate_pinned", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe { (runtime.aclrtMallocHost)(&raw mut start, bytes) }
        })?;
        require("allocate_pinned", start)
    }

    unsafe fn free_pinned(&self, address: Address) -> Result<()> {
        self.context().call("free_pinned", |runtime| {
            // SAFETY: from `allocate_pinned`, and nothing uses it any more, as the caller has promised.
            unsafe { (runtime.aclrtFreeHost)(pointer(address)) }
        })
    }

    unsafe fn borrow_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        memory::check_borrowed(self.context(), address, bytes, pinned)
    }

    unsafe fn return_memory(&self, _address: Address, _bytes: usize, _pinned: bool) -> Result<()> {
        Ok(()) // borrowing has noted nothing
    }

    unsafe fn copy(&self, copies: &[Copy], stream: StreamHandle) -> Result<()> {
        self.shared.queue("copy", stream, |_, _| {
            // SAFETY: the caller's promise.
            unsafe { memory::copy(self.context(), copies, stream, &self.batches) }
        })
    }

    unsafe fn fill(
        &self,
        destination: Address,
        value: u8,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        self.shared.queue("fill", stream, |_, _| {
            self.context().call("fill", |runtime| {
                // SAFETY: the range is live device memory until the work has ended, and the stream is
                // alive and of this context, as the caller has promised.
                unsafe {
                    (runtime.aclrtMemsetAsync)(
                        pointer(destination),
                        bytes,
                        value.into(),
                        bytes,
                        handle_of(stream),
                    )
                }
            })
        })
    }

    unsafe fn export(&self, base: Address, bytes: usize) -> Result<AllocationKey> {
        let export = self.context().runtime().aclrtIpcMemGetExportKey;
        let export = need("export", export, "aclrtIpcMemGetExportKey")?;
        let (start, length) = memory::allocation_of(self.context(), base, bytes)?;
        let address = base.0 as u64;
        let handle = || {
            let mut handle = [0; HANDLE];
            self.context().call("export", |_| {
                // SAFETY: writes so many bytes, which live; the range is a live allocation. Processes
                // are not listed, because who will import is not known here.
                unsafe {
                    export(
                        pointer(start),
                        length,
                        handle.as_mut_ptr().cast(),
                        HANDLE,
                        ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION,
                    )
                }
            })?;
            // As a text it ends inside.
            handle[HANDLE - 1] = 0;
            Ok(handle)
        };
        let (number, handle) = EXPORTS.add(self.info.ordinal, address, start.0 as u64, handle)?;
        let key = Key {
            process: *PROCESS,
            number,
            address,
            bytes: bytes as u64,
            offset: (base.0 - start.0) as u64,
            handle,
        };
        Ok(key.write())
    }

    unsafe fn withdraw(&self, key: &AllocationKey) -> Result<()> {
        let key = Key::read("withdraw", key)?;
        EXPORTS.withdraw(key.number, |handle| self.close_handle("withdraw", handle))
    }

    fn import(&self, key: &AllocationKey) -> Result<(Address, usize)> {
        let key = Key::read("import", key)?;
        let size = |number: u64| {
            usize::try_from(number).map_err(|_| invalid("import", "the key is of another machine"))
        };
        let (address, offset, bytes) = (size(key.address)?, size(key.offset)?, size(key.bytes)?);
        if key.is_of_this_process() {
            let exporter = EXPORTS.import(&key)?;
            if let Err(error) = self.enable_access_to(exporter) {
                EXPORTS.close(&key, |handle| self.close_handle("import", handle))?;
                return Err(error);
            }
            return Ok((Address(address), bytes));
        }
        let import = self.context().runtime().aclrtIpcMemImportByKey;
        let import = need("import", import, "aclrtIpcMemImportByKey")?;
        let start = IMPORTS.open(key.handle, self.info.ordinal, || {
            let mut start: *mut c_void = std::ptr::null_mut();
            let opened = self.context().call("import", |_| {
                // SAFETY: writes one pointer, which lives. The key is as a process of this backend
                // wrote it, with a zero at its end; the library refuses those that name nothing.
                unsafe {
                    import(
                        &raw mut start,
                        key.handle.as_ptr().cast(),
                        ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS,
                    )
                }
            });
            opened.map_err(|error| match (error.kind(), error.code()) {
                // Which number a stale or foreign key gets is not documented.
                (ErrorKind::Failed, Some(code)) => {
                    invalid("import", error.text().to_owned()).with_code(code)
                }
                _ => error,
            })?;
            Ok(require("import", start)?.0)
        })?;
        Ok((Address(start + offset), bytes))
    }

    unsafe fn close(&self, key: &AllocationKey, _address: Address) -> Result<()> {
        let key = Key::read("close", key)?;
        let close = || self.close_handle("close", &key.handle);
        if key.is_of_this_process() {
            return EXPORTS.close(&key, |_| close());
        }
        IMPORTS.close(key.handle, self.info.ordinal, close)
    }

    fn communicator_id(&self) -> Result<CommunicatorId> {
        hccl::root_info(self.context())
    }

    fn communicator(
        &self,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        Ok(Arc::new(AscendCommunicator::create(&self.shared, id, rank, size, options)?))
    }

    unsafe fn borrow_communicator(
        &self,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        // SAFETY: the caller's promise.
        Ok(Arc::new(unsafe { AscendCommunicator::borrow(&self.shared, handle, rank, size)? }))
    }
}
