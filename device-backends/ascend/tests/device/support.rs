//! What the checks share.

use std::ffi::c_void;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eplb_ascend::{AscendBackend, Libraries};
use eplb_ascend_sys::{AclRuntime, Hccl, Search, aclError, aclrtContext, aclrtStream};
use eplb_device::{
    Backend, Device, ErrorKind, Expired, FaultyBackend, Memory, Result, Stream, StreamHandle,
    StreamPriority, Wait,
};

/// Names what a second process is to do.
pub(crate) const CHILD: &str = "EPLB_ASCEND_CHILD";
/// What it is given.
pub(crate) const INPUT: &str = "EPLB_ASCEND_INPUT";

/// Waits until a deadline.
pub(crate) struct Deadline(Instant);

impl Wait for Deadline {
    fn pause(&mut self) -> std::result::Result<(), Expired> {
        if Instant::now() >= self.0 {
            return Err(Expired);
        }
        std::thread::sleep(Duration::from_micros(50));
        Ok(())
    }
}

pub(crate) fn patience() -> Deadline {
    within(20_000)
}

pub(crate) fn within(milliseconds: u64) -> Deadline {
    Deadline(Instant::now() + Duration::from_millis(milliseconds))
}

/// A device whose resources are counted.
pub(crate) struct Rig {
    pub(crate) faulty: FaultyBackend,
    pub(crate) device: Device,
}

pub(crate) fn rig() -> Rig {
    let backend: Arc<dyn Backend> = Arc::new(AscendBackend::open(&Libraries::default()).unwrap());
    let faulty = FaultyBackend::new(backend);
    let device = Device::open(faulty.backend(), 0).unwrap();
    Rig { faulty, device }
}

impl Rig {
    pub(crate) fn stream(&self) -> Stream {
        self.device.stream(StreamPriority::Normal).unwrap()
    }

    /// Everything the check had is dropped: nothing may be left.
    pub(crate) fn finish(self) {
        self.device.drain(&mut patience()).unwrap();
        assert_eq!(self.device.take_errors(), []);
        drop(self.device);
        let live = self.faulty.live();
        assert!(live.is_zero(), "left: {live:?}");
    }
}

pub(crate) fn with_bytes(device: &Device, bytes: &[u8]) -> Memory {
    let stream = device.stream(StreamPriority::Normal).unwrap();
    let memory = device.allocate(bytes.len()).unwrap();
    stream.upload(&memory, &device.pin(bytes).unwrap()).unwrap();
    stream.wait(&mut patience()).unwrap();
    memory
}

pub(crate) fn bytes_of(memory: &Memory) -> Vec<u8> {
    let device = memory.device();
    let stream = device.stream(StreamPriority::Normal).unwrap();
    let pinned = device.allocate_pinned(memory.bytes()).unwrap();
    stream.download(&pinned, memory).unwrap();
    stream.wait(&mut patience()).unwrap();
    pinned.to_vec().unwrap()
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let byte = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(byte).collect()
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

/// The engine's own hold on the libraries.
pub(crate) struct Engine {
    pub(crate) runtime: AclRuntime,
}

pub(crate) fn engine() -> Engine {
    Engine { runtime: AclRuntime::open(&Search::new()).unwrap().table }
}

pub(crate) fn engine_hccl() -> Hccl {
    Hccl::open(&Search::new()).unwrap().table
}

/// Makes the device's default context current, as an engine does.
pub(crate) fn enter() {
    // SAFETY: acts on this thread.
    must(unsafe { (engine().runtime.aclrtSetDevice)(0) });
}

/// The context of this thread, if it has one.
pub(crate) fn current() -> Option<usize> {
    let mut context: aclrtContext = std::ptr::null_mut();
    // SAFETY: writes one pointer, which lives.
    let status = unsafe { (engine().runtime.aclrtGetCurrentContext)(&raw mut context) };
    if status == aclError::ACL_ERROR_RT_CONTEXT_NULL {
        return None;
    }
    must(status);
    Some(context as usize)
}

pub(crate) fn must(status: aclError) {
    assert_eq!(status, aclError::ACL_SUCCESS);
}

/// Keeps a stream busy until it is released or dropped.
pub(crate) struct Hold {
    flags: Arc<Flags>,
}

#[derive(Default)]
struct Flags {
    released: AtomicBool,
    expired: AtomicBool,
}

impl Hold {
    pub(crate) fn on(stream: StreamHandle) -> Self {
        let flags = Arc::new(Flags::default());
        let for_stream = Arc::into_raw(Arc::clone(&flags)).cast_mut().cast::<c_void>();
        let runtime = engine().runtime;
        let to = stream.0 as aclrtStream;
        let launch = runtime.aclrtLaunchHostFunc.expect("the checks need aclrtLaunchHostFunc");
        enter();
        // SAFETY: the stream is alive; the function takes over the pointer's share of the flags.
        must(unsafe { launch(to, Some(hold), for_stream) });
        Self { flags }
    }

    /// Lets the stream go on. It must not have gone on by itself, because a call waited for it.
    pub(crate) fn release(self) {
        assert!(!self.flags.expired.load(Ordering::SeqCst), "a call has waited for the stream");
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.flags.released.store(true, Ordering::SeqCst);
    }
}

unsafe extern "C" fn hold(flags: *mut c_void) {
    // SAFETY: from `Arc::into_raw`, handed over once.
    let flags = unsafe { Arc::from_raw(flags.cast_const().cast::<Flags>()) };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !flags.released.load(Ordering::SeqCst) {
        if Instant::now() > deadline {
            flags.expired.store(true, Ordering::SeqCst);
            return;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Runs this program as a second process and gives its output; it has to end well, and in time.
pub(crate) fn run_child(child: &str, input: &str) -> String {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .env(CHILD, child)
        .env(INPUT, input)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            process.kill().unwrap();
            process.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut output = String::new();
    process.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    print!("{output}");
    assert!(status.is_some_and(|status| status.success()), "{child} ended with {status:?}");
    output
}
