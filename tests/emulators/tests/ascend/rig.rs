//! What the tests share: the tables of functions, and the library's reports.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eplb_ascend_sys::{
    ACL_EVENT_SYNC, ACL_STREAM_FAST_LAUNCH, AclRuntime, Hccl, Search, aclError, aclrtContext,
    aclrtEvent, aclrtMemMallocPolicy, aclrtStream, aclrtStreamStatus,
};
use eplb_emulators::{Control, ascend};

/// The library's orders and reports are the process's, so that tests go one after another.
static TURN: Mutex<()> = Mutex::new(());

struct Tables {
    acl: AclRuntime,
    hccl: Hccl,
    control: Control,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let emulated = ascend();
    Tables {
        acl: AclRuntime::open(&Search::at(emulated.file("EPLB_ASCENDCL").unwrap())).unwrap().table,
        hccl: Hccl::open(&Search::at(emulated.file("EPLB_HCCL").unwrap())).unwrap().table,
        control: Control::of(&emulated).unwrap(),
    }
});

/// The libraries, for one test at a time, on a thread that has set device 0.
pub(crate) struct Rig {
    pub(crate) acl: AclRuntime,
    pub(crate) hccl: Hccl,
    pub(crate) control: &'static Control,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn rig() -> Rig {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let tables = &*TABLES;
    tables.control.clear_orders();
    tables.control.take_violations();
    let status = unsafe { (tables.acl.aclInit)(std::ptr::null()) };
    assert!(matches!(status.0, 0 | 100_002), "{status:?}");
    let rig = Rig { acl: tables.acl, hccl: tables.hccl, control: &tables.control, _turn: turn };
    rig.set_device(0);
    rig
}

impl Rig {
    pub(crate) fn set_device(&self, device: i32) {
        must(unsafe { (self.acl.aclrtSetDevice)(device) });
    }

    pub(crate) fn order(&self, orders: &str) {
        self.control.order(orders).unwrap();
    }

    /// The rules that were broken since the last question.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.control.take_violations().into_iter().map(|violation| violation.rule).collect()
    }

    /// Ends a test that has broken no other rule.
    pub(crate) fn finish(self) {
        assert_eq!(self.control.violations(), []);
    }

    pub(crate) fn context(&self) -> aclrtContext {
        let mut context: aclrtContext = std::ptr::null_mut();
        must(unsafe { (self.acl.aclrtGetCurrentContext)(&raw mut context) });
        context
    }

    pub(crate) fn stream(&self) -> aclrtStream {
        let mut stream: aclrtStream = std::ptr::null_mut();
        must(unsafe {
            (self.acl.aclrtCreateStreamWithConfig)(&raw mut stream, 0, ACL_STREAM_FAST_LAUNCH)
        });
        stream
    }

    pub(crate) fn destroy(&self, stream: aclrtStream) {
        must(unsafe { (self.acl.aclrtDestroyStream)(stream) });
    }

    pub(crate) fn event(&self) -> aclrtEvent {
        self.event_with(ACL_EVENT_SYNC)
    }

    pub(crate) fn event_with(&self, flags: u32) -> aclrtEvent {
        let mut event: aclrtEvent = std::ptr::null_mut();
        must(unsafe { (self.acl.aclrtCreateEventExWithFlag)(&raw mut event, flags) });
        event
    }

    pub(crate) fn destroy_event(&self, event: aclrtEvent) {
        must(unsafe { (self.acl.aclrtDestroyEvent)(event) });
    }

    pub(crate) fn memory(&self, bytes: usize) -> *mut c_void {
        let mut address: *mut c_void = std::ptr::null_mut();
        let policy = aclrtMemMallocPolicy::ACL_MEM_MALLOC_HUGE_FIRST;
        must(unsafe { (self.acl.aclrtMalloc)(&raw mut address, bytes, policy) });
        address
    }

    pub(crate) fn free(&self, address: *mut c_void) {
        must(unsafe { (self.acl.aclrtFree)(address) });
    }

    pub(crate) fn pinned(&self, bytes: usize) -> *mut c_void {
        let mut address: *mut c_void = std::ptr::null_mut();
        must(unsafe { (self.acl.aclrtMallocHost)(&raw mut address, bytes) });
        address
    }

    pub(crate) fn free_pinned(&self, address: *mut c_void) {
        must(unsafe { (self.acl.aclrtFreeHost)(address) });
    }

    pub(crate) fn fill(&self, address: *mut c_void, value: i32, bytes: usize, stream: aclrtStream) {
        must(unsafe { (self.acl.aclrtMemsetAsync)(address, bytes, value, bytes, stream) });
    }

    pub(crate) fn wait(&self, stream: aclrtStream) {
        must(self.wait_for(stream, 10_000));
    }

    pub(crate) fn wait_for(&self, stream: aclrtStream, milliseconds: i32) -> aclError {
        unsafe { (self.acl.aclrtSynchronizeStreamWithTimeout)(stream, milliseconds) }
    }

    pub(crate) fn is_done(&self, stream: aclrtStream) -> bool {
        let mut status = aclrtStreamStatus::ACL_STREAM_STATUS_RESERVED;
        must(unsafe { (self.acl.aclrtStreamQuery)(stream, &raw mut status) });
        status == aclrtStreamStatus::ACL_STREAM_STATUS_COMPLETE
    }

    /// The bytes of device memory.
    pub(crate) fn bytes(&self, address: *const c_void, count: usize) -> Vec<u8> {
        let mut bytes = vec![0_u8; count];
        let kind = eplb_ascend_sys::aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_HOST;
        must(unsafe {
            (self.acl.aclrtMemcpy)(bytes.as_mut_ptr().cast(), count, address, count, kind)
        });
        bytes
    }

    /// The text of the thread's last failure, once.
    pub(crate) fn text(&self) -> Option<String> {
        let text = unsafe { (self.acl.aclGetRecentErrMsg)() };
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    }

    /// Keeps a stream busy until it is dropped.
    pub(crate) fn hold(&self, stream: aclrtStream) -> Hold {
        let flag = Arc::new(AtomicBool::new(false));
        let launch = self.acl.aclrtLaunchHostFunc.unwrap();
        let argument = Arc::into_raw(Arc::clone(&flag)).cast_mut().cast();
        must(unsafe { launch(stream, Some(linger), argument) });
        Hold(flag)
    }
}

pub(crate) struct Hold(Arc<AtomicBool>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

unsafe extern "C" fn linger(flag: *mut c_void) {
    let flag = unsafe { Arc::from_raw(flag.cast_const().cast::<AtomicBool>()) };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !flag.load(Ordering::SeqCst) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(100));
    }
}

pub(crate) fn must(status: aclError) {
    assert_eq!(status, aclError::ACL_SUCCESS);
}

pub(crate) const PARAM: aclError = aclError::ACL_ERROR_RT_PARAM_INVALID;
pub(crate) const HANDLE: aclError = aclError::ACL_ERROR_RT_INVALID_HANDLE;
pub(crate) const UNSUPPORTED: aclError = aclError::ACL_ERROR_RT_FEATURE_NOT_SUPPORT;
