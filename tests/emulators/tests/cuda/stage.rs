//! What the tests share: the libraries, and one test at a time.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eplb_cuda_sys::{
    CudaDriver, CudaRuntime, Nccl, Search, cudaError_t, cudaEvent_t, cudaEventDisableTiming,
    cudaStream_t, cudaStreamNonBlocking, ncclComm_t, ncclResult_t, ncclUniqueId,
};
use eplb_emulators::Control;

/// Reports and orders are of the process, so tests wait for each other.
static TURN: Mutex<()> = Mutex::new(());

/// The libraries, for one test.
pub(crate) struct Stage {
    pub(crate) runtime: CudaRuntime,
    pub(crate) driver: CudaDriver,
    pub(crate) nccl: Nccl,
    pub(crate) control: Control,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn stage() -> Stage {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cuda = eplb_emulators::cuda();
    let at = |variable| Search::at(cuda.file(variable).unwrap());
    let stage = Stage {
        runtime: CudaRuntime::open(&at("EPLB_CUDART")).unwrap().table,
        driver: CudaDriver::open(&at("EPLB_CUDA")).unwrap().table,
        nccl: Nccl::open(&at("EPLB_NCCL")).unwrap().table,
        control: Control::of(&cuda).unwrap(),
        _turn: turn,
    };
    stage.control.clear_orders();
    stage.control.take_violations();
    stage.on_device(0);
    stage
}

impl Stage {
    /// Makes a device the thread's.
    pub(crate) fn on_device(&self, device: i32) {
        must(unsafe { (self.runtime.cudaSetDevice)(device) });
    }

    /// The rules that were broken since the last question, each as often as it was.
    #[track_caller]
    pub(crate) fn expect(&self, rules: &[&str]) {
        let found = self.control.take_violations();
        let names: Vec<&str> = found.iter().map(|violation| violation.rule.as_str()).collect();
        assert_eq!(names, rules, "{found:#?}");
    }

    pub(crate) fn memory(&self, bytes: usize) -> *mut c_void {
        let mut address = null_mut();
        must(unsafe { (self.runtime.cudaMalloc)(&raw mut address, bytes) });
        address
    }

    pub(crate) fn pinned(&self, bytes: usize) -> *mut c_void {
        let mut address = null_mut();
        must(unsafe { (self.runtime.cudaMallocHost)(&raw mut address, bytes) });
        address
    }

    pub(crate) fn free(&self, address: *mut c_void) -> cudaError_t {
        unsafe { (self.runtime.cudaFree)(address) }
    }

    pub(crate) fn stream(&self) -> cudaStream_t {
        let mut stream = null_mut();
        must(unsafe {
            (self.runtime.cudaStreamCreateWithFlags)(&raw mut stream, cudaStreamNonBlocking)
        });
        stream
    }

    pub(crate) fn event(&self) -> cudaEvent_t {
        let mut event = null_mut();
        must(unsafe {
            (self.runtime.cudaEventCreateWithFlags)(&raw mut event, cudaEventDisableTiming)
        });
        event
    }

    pub(crate) fn fill(&self, at: *mut c_void, bytes: usize, stream: cudaStream_t) -> cudaError_t {
        unsafe { (self.runtime.cudaMemsetAsync)(at, 7, bytes, stream) }
    }

    pub(crate) fn wait(&self, stream: cudaStream_t) -> cudaError_t {
        unsafe { (self.runtime.cudaStreamSynchronize)(stream) }
    }

    pub(crate) fn end_stream(&self, stream: cudaStream_t) {
        must(unsafe { (self.runtime.cudaStreamDestroy)(stream) });
    }

    pub(crate) fn end_event(&self, event: cudaEvent_t) {
        must(unsafe { (self.runtime.cudaEventDestroy)(event) });
    }

    /// The first bytes of device memory, fetched by a synchronous copy.
    pub(crate) fn bytes(&self, at: *mut c_void, count: usize) -> Vec<u8> {
        let mut bytes = vec![0_u8; count];
        must(unsafe {
            let kind = eplb_cuda_sys::cudaMemcpyKind::cudaMemcpyDeviceToHost;
            (self.runtime.cudaMemcpy)(bytes.as_mut_ptr().cast(), at, count, kind)
        });
        bytes
    }

    pub(crate) fn put(&self, at: *mut c_void, bytes: &[u8]) {
        must(unsafe {
            let kind = eplb_cuda_sys::cudaMemcpyKind::cudaMemcpyHostToDevice;
            (self.runtime.cudaMemcpy)(at, bytes.as_ptr().cast(), bytes.len(), kind)
        });
    }

    pub(crate) fn unique_id(&self) -> ncclUniqueId {
        let mut id = ncclUniqueId { internal: [0; 128] };
        agreed(unsafe { (self.nccl.ncclGetUniqueId)(&raw mut id) });
        id
    }

    /// A communicator of one rank that blocks.
    pub(crate) fn alone(&self) -> ncclComm_t {
        let mut end = null_mut();
        agreed(unsafe { (self.nccl.ncclCommInitRank)(&raw mut end, 1, self.unique_id(), 0) });
        end
    }

    pub(crate) fn end(&self, communicator: ncclComm_t) {
        agreed(unsafe { (self.nccl.ncclCommDestroy)(communicator) });
    }

    /// Ends of two ranks, on devices 0 and 1, whose calls block.
    pub(crate) fn pair(&self) -> [ncclComm_t; 2] {
        let id = self.unique_id();
        let mut ends = [null_mut(); 2];
        agreed(unsafe { (self.nccl.ncclGroupStart)() });
        for (rank, end) in (0..).zip(&mut ends) {
            self.on_device(rank);
            agreed(unsafe { (self.nccl.ncclCommInitRank)(end, 2, id, rank) });
        }
        agreed(unsafe { (self.nccl.ncclGroupEnd)() });
        self.on_device(0);
        ends
    }
}

#[track_caller]
pub(crate) fn must(status: cudaError_t) {
    assert_eq!(status, cudaError_t::cudaSuccess);
}

#[track_caller]
pub(crate) fn agreed(status: ncclResult_t) {
    assert_eq!(status, ncclResult_t::ncclSuccess);
}

/// Waits, boundedly, until something is so.
#[track_caller]
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps a stream busy until it is dropped.
pub(crate) struct Hold(Arc<AtomicBool>);

impl Hold {
    pub(crate) fn on(stage: &Stage, stream: cudaStream_t) -> Self {
        let released = Arc::new(AtomicBool::new(false));
        let argument = Arc::into_raw(Arc::clone(&released)).cast_mut().cast::<c_void>();
        must(unsafe { (stage.runtime.cudaLaunchHostFunc)(stream, Some(hold), argument) });
        Self(released)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

unsafe extern "C" fn hold(argument: *mut c_void) {
    let released = unsafe { Arc::from_raw(argument.cast_const().cast::<AtomicBool>()) };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !released.load(Ordering::SeqCst) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(100));
    }
}
