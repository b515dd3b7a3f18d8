//! One open device.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use eplb_cuda_sys::{
    cudaDeviceAttr, cudaError_t, cudaEvent_t, cudaEventDisableTiming, cudaHostAllocPortable,
    cudaIpcMemHandle_t, cudaIpcMemLazyEnablePeerAccess, cudaStream_t, cudaStreamNonBlocking,
};
use eplb_device::raw::{
    Address, AllocationKey, CommunicatorDriver, CommunicatorHandle, CommunicatorId,
    CommunicatorOptions, Copy, DeviceInfo, Driver, EventHandle, MemoryInfo, Progress, StreamHandle,
    StreamPriority,
};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::communicator::CudaCommunicator;
use crate::context::Context;
use crate::diagnosis;
use crate::error::{NAME, c_number, check_driver, ends_all_work, forget, invalid, unsupported};
use crate::event::{Capture, Captures};
use crate::memory::{self, ALIGNMENT, pointer, stream as handle_of};
use crate::nccl;
use crate::peer::{EXPORTS, HANDLE, Key, PROCESS};
use crate::stream::{Lane, Lanes};

/// What an open device and its communicators share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) context: Context,
    pub(crate) lanes: Lanes,
    pub(crate) captures: Captures,
}

/// One open device of the backend. Dropping it destroys nothing: what its user has left, queued work
/// may use.
#[derive(Debug)]
pub(crate) struct CudaDevice {
    shared: Arc<Shared>,
    info: DeviceInfo,
    /// Of low, normal and high priority.
    priorities: [c_int; 3],
    /// Whether the library takes copies in batches, as far as is known.
    batches: AtomicBool,
}

impl CudaDevice {
    pub(crate) fn new(context: Context) -> Result<Self> {
        let attribute = |attribute: cudaDeviceAttr| {
            let device = c_number("open", "device", context.ordinal())?;
            let mut value = 0;
            context.call("open", |runtime| {
                // SAFETY: writes one number, which lives; the device is one of the library's.
                unsafe { (runtime.cudaDeviceGetAttribute)(&raw mut value, attribute, device) }
            })?;
            Ok::<c_int, DeviceError>(value)
        };
        let major = attribute(cudaDeviceAttr::cudaDevAttrComputeCapabilityMajor)?;
        let minor = attribute(cudaDeviceAttr::cudaDevAttrComputeCapabilityMinor)?;
        let domain = attribute(cudaDeviceAttr::cudaDevAttrPciDomainId)?;
        let bus = attribute(cudaDeviceAttr::cudaDevAttrPciBusId)?;
        let slot = attribute(cudaDeviceAttr::cudaDevAttrPciDeviceId)?;
        let unified = attribute(cudaDeviceAttr::cudaDevAttrUnifiedAddressing)?;
        if unified == 0 {
            return Err(unsupported("open", "the device has no unified addresses"));
        }
        let (mut least, mut greatest) = (0, 0);
        context.call("open", |runtime| {
            // SAFETY: writes two numbers, which live.
            unsafe { (runtime.cudaDeviceGetStreamPriorityRange)(&raw mut least, &raw mut greatest) }
        })?;
        let product = product_name(&context)?;
        let name = format!(
            "{product} (compute capability {major}.{minor}, PCI {domain:04x}:{bus:02x}:{slot:02x})"
        );
        let info = DeviceInfo {
            backend: NAME.to_owned(),
            name,
            software: diagnosis::software(context.api()),
            ordinal: context.ordinal(),
            alignment: ALIGNMENT,
            peer_memory: true,
            communicators: context.api().nccl.is_ok() && context.is_primary(),
            stream_abort: false,
            ranks_share_device: false,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                context,
                lanes: Lanes::default(),
                captures: Captures::default(),
            }),
            info,
            priorities: [least, 0, greatest],
            batches: AtomicBool::new(true),
        })
    }

    fn context(&self) -> &Context {
        &self.shared.context
    }

    /// The account of a stream that may be given more work.
    fn lane(&self, stream: StreamHandle) -> Result<Arc<Lane>> {
        let lane = self.shared.lanes.of(stream);
        lane.check()?;
        Ok(lane)
    }

    /// After a failure that breaks the context nothing runs any more, so that the work is over.
    fn settle(asked: Result<bool>, ended: impl FnOnce() -> Progress) -> Result<Progress> {
        match asked {
            Ok(true) => Ok(ended()),
            Ok(false) => Ok(Progress::Pending),
            Err(error) if ends_all_work(&error) => Ok(Progress::Failed(error)),
            Err(error) => Err(error),
        }
    }

    fn enable_access_to(&self, exporter: u32) -> Result<()> {
        if exporter == self.info.ordinal {
            return Ok(());
        }
        let own = c_number("import", "device", self.info.ordinal)?;
        let peer = c_number("import", "device", exporter)?;
        let mut can = 0;
        self.context().call("import", |runtime| {
            // SAFETY: writes one number, which lives.
            unsafe { (runtime.cudaDeviceCanAccessPeer)(&raw mut can, own, peer) }
        })?;
        if can == 0 {
            return Ok(()); // the library then copies by way of the host
        }
        self.context().call("import", |runtime| {
            // SAFETY: acts on the context that is current; flags are zero, as they have to be.
            let status = unsafe { (runtime.cudaDeviceEnablePeerAccess)(peer, 0) };
            if status == cudaError_t::cudaErrorPeerAccessAlreadyEnabled {
                forget(runtime);
                return cudaError_t::cudaSuccess;
            }
            status
        })
    }
}

/// The runtime gives it in a structure that has another layout in each major version, the driver alone.
fn product_name(context: &Context) -> Result<String> {
    let device = c_number("open", "device", context.ordinal())?;
    let mut name = [0u8; 256];
    let length = c_number("open", "length", name.len() as u32)?;
    // SAFETY: writes at most so many bytes, which live, with a zero at the end.
    let status =
        unsafe { (context.driver().cuDeviceGetName)(name.as_mut_ptr().cast(), length, device) };
    check_driver(context.driver(), "open", status)?;
    let text = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

impl Shared {
    /// Whether the work that an event captured has ended on the device.
    pub(crate) fn event_is_over(&self, event: EventHandle) -> Result<bool> {
        self.context.query("query_event", |runtime| {
            // SAFETY: the event is alive: the caller's promise, or it stands in the table of captures,
            // which is locked.
            unsafe { (runtime.cudaEventQuery)(event.0 as cudaEvent_t) }
        })
    }
}

// SAFETY: completion is what CUDA says of a stream or event, less what NCCL ended early (see `stream`);
// failures are reported only of work that is over or of contexts that run nothing any more; each range
// handed out is an allocation of the library of its own; what destroying calls leave behind is leaked.
unsafe impl Driver for CudaDevice {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn memory_info(&self) -> Result<MemoryInfo> {
        let (mut free, mut total) = (0, 0);
        self.context().call("memory_info", |runtime| {
            // SAFETY: writes two numbers, which live.
            unsafe { (runtime.cudaMemGetInfo)(&raw mut free, &raw mut total) }
        })?;
        Ok(MemoryInfo { free: free as u64, total: total as u64 })
    }

    fn create_stream(&self, priority: StreamPriority) -> Result<StreamHandle> {
        let [low, normal, high] = self.priorities;
        let priority = match priority {
            StreamPriority::Low => low,
            StreamPriority::High => high,
            _ => normal,
        };
        let mut stream: cudaStream_t = std::ptr::null_mut();
        self.context().call("create_stream", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe {
                (runtime.cudaStreamCreateWithPriority)(
                    &raw mut stream,
                    cudaStreamNonBlocking,
                    priority,
                )
            }
        })?;
        let stream = StreamHandle(stream as usize);
        self.shared.lanes.forget(stream);
        Ok(stream)
    }

    unsafe fn destroy_stream(&self, stream: StreamHandle) -> Result<()> {
        self.shared.lanes.forget(stream);
        self.context().call("destroy_stream", |runtime| {
            // SAFETY: ours, alive and not used any more, as the caller has promised.
            unsafe { (runtime.cudaStreamDestroy)(handle_of(stream)) }
        })
    }

    unsafe fn query_stream(&self, stream: StreamHandle) -> Result<Progress> {
        let lane = self.shared.lanes.of(stream);
        let Some(point) = lane.settled_point() else {
            return Ok(Progress::Pending);
        };
        let asked = self.context().query("query_stream", |runtime| {
            // SAFETY: alive, as the caller has promised.
            unsafe { (runtime.cudaStreamQuery)(handle_of(stream)) }
        });
        Self::settle(asked, || lane.ended(point))
    }

    unsafe fn abort_stream(&self, _stream: StreamHandle) -> Result<()> {
        Err(unsupported("abort_stream", "CUDA cannot give up the work of a stream"))
    }

    fn create_event(&self) -> Result<EventHandle> {
        let mut event: cudaEvent_t = std::ptr::null_mut();
        self.context().call("create_event", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe { (runtime.cudaEventCreateWithFlags)(&raw mut event, cudaEventDisableTiming) }
        })?;
        Ok(EventHandle(event as usize))
    }

    unsafe fn destroy_event(&self, event: EventHandle) -> Result<()> {
        self.shared.captures.remove(event, || {
            self.context().call("destroy_event", |runtime| {
                // SAFETY: ours and alive, as the caller has promised, and no sweep asks it now.
                unsafe { (runtime.cudaEventDestroy)(event.0 as cudaEvent_t) }
            })
        })
    }

    unsafe fn record_event(&self, event: EventHandle, stream: StreamHandle) -> Result<()> {
        let lane = self.shared.lanes.of(stream);
        let point = lane.point();
        self.context().call("record_event", |runtime| {
            // SAFETY: both are alive and of this device, as the caller has promised.
            unsafe { (runtime.cudaEventRecord)(event.0 as cudaEvent_t, handle_of(stream)) }
        })?;
        self.shared.captures.set(event, Capture { lane, point });
        Ok(())
    }

    unsafe fn wait_event(&self, stream: StreamHandle, event: EventHandle) -> Result<()> {
        let lane = self.lane(stream)?;
        // Counted first: a failure that comes in between is to be seen.
        if let Some(capture) = self.shared.captures.of(event) {
            lane.wait_for(&capture.lane, capture.point);
        }
        self.context().call("wait_event", |runtime| {
            // SAFETY: both are alive and of this device, as the caller has promised; flags are zero.
            unsafe { (runtime.cudaStreamWaitEvent)(handle_of(stream), event.0 as cudaEvent_t, 0) }
        })
    }

    unsafe fn query_event(&self, event: EventHandle) -> Result<Progress> {
        let capture = self.shared.captures.of(event);
        Self::settle(self.shared.event_is_over(event), || {
            capture.map_or(Progress::Complete, |capture| capture.lane.ended(capture.point))
        })
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        let mut start: *mut c_void = std::ptr::null_mut();
        self.context().call("allocate", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe { (runtime.cudaMalloc)(&raw mut start, bytes) }
        })?;
        Ok(Address(start as usize))
    }

    unsafe fn free(&self, address: Address) -> Result<()> {
        if EXPORTS.is_imported(address.0 as u64) {
            let text = "importers of this process have it; it is kept for good";
            return Err(invalid("free", text));
        }
        self.context().call("free", |runtime| {
            // SAFETY: from `allocate`, and nothing uses it any more, as the caller has promised.
            unsafe { (runtime.cudaFree)(pointer(address)) }
        })
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<Address> {
        let mut start: *mut c_void = std::ptr::null_mut();
        self.context().call("allocate_pinned", |runtime| {
            // SAFETY: writes one pointer, which lives.
            unsafe { (runtime.cudaHostAlloc)(&raw mut start, bytes, cudaHostAllocPortable) }
        })?;
        Ok(Address(start as usize))
    }

    unsafe fn free_pinned(&self, address: Address) -> Result<()> {
        self.context().call("free_pinned", |runtime| {
            // SAFETY: from `allocate_pinned`, and nothing uses it any more, as the caller has promised.
            unsafe { (runtime.cudaFreeHost)(pointer(address)) }
        })
    }

    unsafe fn borrow_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        memory::check_borrowed(self.context(), address, bytes, pinned)
    }

    unsafe fn return_memory(&self, _address: Address, _bytes: usize, _pinned: bool) -> Result<()> {
        Ok(()) // borrowing has noted nothing
    }

    unsafe fn copy(&self, copies: &[Copy], stream: StreamHandle) -> Result<()> {
        self.lane(stream)?;
        // SAFETY: the caller's promise.
        unsafe { memory::copy(self.context(), copies, stream, &self.batches) }
    }

    unsafe fn fill(
        &self,
        destination: Address,
        value: u8,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        self.lane(stream)?;
        self.context().call("fill", |runtime| {
            // SAFETY: the range is live device memory until the work has ended, and the stream is alive
            // and of this context, as the caller has promised.
            unsafe {
                (runtime.cudaMemsetAsync)(
                    pointer(destination),
                    value.into(),
                    bytes,
                    handle_of(stream),
                )
            }
        })
    }

    unsafe fn export(&self, base: Address, bytes: usize) -> Result<AllocationKey> {
        let (start, length) = memory::allocation_of(self.context(), base)?;
        let offset = base.0 - start.0;
        if bytes > length - offset {
            return Err(invalid(
                "export",
                format!("{bytes} bytes reach over the end of an allocation of {length} bytes"),
            ));
        }
        let mut handle = cudaIpcMemHandle_t { reserved: [0; HANDLE] };
        self.context().call("export", |runtime| {
            // SAFETY: writes one structure, which lives; the address is the start of a live allocation.
            unsafe { (runtime.cudaIpcGetMemHandle)(&raw mut handle, pointer(start)) }
        })?;
        let address = base.0 as u64;
        let key = Key {
            process: *PROCESS,
            number: EXPORTS.add(self.info.ordinal, address),
            address,
            bytes: bytes as u64,
            offset: offset as u64,
            handle: handle.reserved.map(|byte| byte as u8),
        };
        Ok(key.write())
    }

    unsafe fn withdraw(&self, key: &AllocationKey) -> Result<()> {
        EXPORTS.withdraw(Key::read("withdraw", key)?.number)
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
                EXPORTS.close(&key)?;
                return Err(error);
            }
            return Ok((Address(address), bytes));
        }
        let mut start: *mut c_void = std::ptr::null_mut();
        let handle = cudaIpcMemHandle_t { reserved: key.handle.map(|byte| byte as c_char) };
        let opened = self.context().call("import", |runtime| {
            // SAFETY: writes one pointer, which lives. The handle is as a process of this backend wrote
            // it; the library refuses those that name nothing.
            unsafe {
                (runtime.cudaIpcOpenMemHandle)(
                    &raw mut start,
                    handle,
                    cudaIpcMemLazyEnablePeerAccess,
                )
            }
        });
        opened.map_err(|error| match (error.kind(), error.code()) {
            // Which number a stale or foreign handle gets differs between drivers.
            (ErrorKind::Failed, Some(code)) => {
                invalid("import", error.text().to_owned()).with_code(code)
            }
            _ => error,
        })?;
        Ok((Address(start as usize + offset), bytes))
    }

    unsafe fn close(&self, key: &AllocationKey, address: Address) -> Result<()> {
        let key = Key::read("close", key)?;
        if key.is_of_this_process() {
            return EXPORTS.close(&key);
        }
        let offset = usize::try_from(key.offset).unwrap_or(0);
        self.context().call("close", |runtime| {
            // SAFETY: what `import` opened in this context, and nothing uses it any more, as the caller
            // has promised.
            unsafe { (runtime.cudaIpcCloseMemHandle)(pointer(Address(address.0 - offset))) }
        })
    }

    fn communicator_id(&self) -> Result<CommunicatorId> {
        nccl::unique_id(self.context())
    }

    fn communicator(
        &self,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        Ok(Arc::new(CudaCommunicator::create(&self.shared, id, rank, size, options)?))
    }

    unsafe fn borrow_communicator(
        &self,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        // SAFETY: the caller's promise.
        Ok(Arc::new(unsafe { CudaCommunicator::borrow(&self.shared, handle, rank, size)? }))
    }
}
