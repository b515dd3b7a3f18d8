//! What the backend makes of failures of the libraries, which are emulated and fail by order.

#![allow(unsafe_code, reason = "a test plays the engine, which calls the vendor's library")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eplb_ascend::{AscendBackend, Libraries, Search, rank_table};
use eplb_ascend_sys::{AclRuntime, aclError, aclrtContext, aclrtStream};
use eplb_device::{
    Backend, Communicator, CommunicatorOptions, ContextHandle, Device, ErrorKind, Expired,
    MemoryCopy, StreamHandle, StreamPriority, VendorCode, Wait,
};
use eplb_emulators::{Control, ascend};

struct Deadline(Instant);

impl Wait for Deadline {
    fn pause(&mut self) -> Result<(), Expired> {
        std::thread::sleep(Duration::from_micros(50));
        if Instant::now() < self.0 { Ok(()) } else { Err(Expired) }
    }
}

fn patience() -> Deadline {
    Deadline(Instant::now() + Duration::from_secs(20))
}

/// Orders are the process's, so that tests go one after another.
static TURN: Mutex<()> = Mutex::new(());
static CONTROL: LazyLock<Control> = LazyLock::new(|| Control::of(&ascend()).unwrap());

struct Rig {
    backend: Arc<dyn Backend>,
    device: Device,
    _turn: MutexGuard<'static, ()>,
}

fn libraries() -> Libraries {
    let mut libraries = Libraries::default();
    libraries.runtime = Search::at(ascend().file("EPLB_ASCENDCL").unwrap());
    libraries.hccl = Search::at(ascend().file("EPLB_HCCL").unwrap());
    libraries
}

fn rig() -> Rig {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    CONTROL.clear_orders();
    CONTROL.take_violations();
    let backend: Arc<dyn Backend> = Arc::new(AscendBackend::open(&libraries()).unwrap());
    let device = Device::open(&backend, 0).unwrap();
    Rig { backend, device, _turn: turn }
}

impl Rig {
    fn finish(self) {
        CONTROL.clear_orders();
        self.device.drain(&mut patience()).unwrap();
        drop(self.device);
        assert_eq!(CONTROL.violations(), []);
        let mut live = CONTROL.live();
        live.retain(|_, count| *count > 0);
        assert!(live.is_empty(), "left: {live:?}");
    }

    fn alone(&self) -> Communicator {
        let id = self.device.communicator_id().unwrap();
        let end = self.device.communicator(&id, 0, 1, CommunicatorOptions::default()).unwrap();
        end.wait_ready(&mut patience()).unwrap();
        end
    }
}

fn order(orders: &str) {
    CONTROL.order(orders).unwrap();
}

#[test]
fn a_failed_task_fails_its_stream_for_good() {
    let rig = rig();
    let stream = rig.device.stream(StreamPriority::Normal).unwrap();
    let memory = rig.device.allocate(64).unwrap();
    let [before, after] = [(); 2].map(|()| rig.device.event().unwrap());
    stream.fill(&memory, 1).unwrap();
    stream.record(&before).unwrap();
    order("fail_later aclrtMemsetAsync 507015");
    // By the time of the record behind it, it may have failed.
    let _ = stream.fill(&memory, 2);
    let is_recorded = stream.record(&after).is_ok();
    for _ in 0..2 {
        let error = stream.wait(&mut patience()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(error.code(), Some(VendorCode(507_015)));
        assert!(error.text().contains("ACL_ERROR_RT_AICORE_EXCEPTION"), "{error}");
    }
    assert_eq!(stream.fill(&memory, 3).unwrap_err().code(), Some(VendorCode(507_015)));
    if is_recorded {
        assert_eq!(after.wait(&mut patience()).unwrap_err().code(), Some(VendorCode(507_015)));
    }
    assert_eq!(before.is_complete(), Ok(true));
    // Others go on: their streams have not failed.
    let other = rig.device.stream(StreamPriority::Normal).unwrap();
    other.fill(&memory, 4).unwrap();
    other.wait(&mut patience()).unwrap();
    drop((stream, other, memory, before, after));
    rig.finish();
}

/// The library tells of the failure once, and goes on.
#[test]
fn a_failed_task_of_the_engines_stream_is_not_forgotten() {
    let rig = rig();
    let acl = AclRuntime::open(&libraries().runtime).unwrap().table;
    let must = |status| assert_eq!(status, aclError::ACL_SUCCESS);
    let (mut context, mut raw): (aclrtContext, aclrtStream) =
        (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: writes one pointer, which lives.
    must(unsafe { (acl.aclrtCreateContext)(&raw mut context, 0) });
    // SAFETY: as above.
    must(unsafe { (acl.aclrtCreateStreamWithConfig)(&raw mut raw, 0, 0) });
    let handle = ContextHandle(context as usize);
    // SAFETY: alive until it is destroyed below.
    let device = unsafe { Device::adopt(&rig.backend, 0, handle) }.unwrap();
    // SAFETY: as above.
    let stream = unsafe { device.borrow_stream(StreamHandle(raw as usize)) }.unwrap();
    let memory = device.allocate(64).unwrap();
    order("fail_later aclrtMemsetAsync 507015; delay aclrtMemsetAsync 20000 times 1");
    let event = device.event().unwrap();
    stream.fill(&memory, 1).unwrap();
    stream.record(&event).unwrap();
    assert_eq!(stream.is_complete(), Ok(false));
    for _ in 0..2 {
        let error = event.wait(&mut patience()).unwrap_err();
        assert_eq!(error.code(), Some(VendorCode(507_015)));
        assert_eq!(stream.wait(&mut patience()).unwrap_err(), error);
    }
    drop((stream, memory, event));
    device.drain(&mut patience()).unwrap();
    drop(device);
    // SAFETY: still alive, and the engine's; the thread has its context.
    must(unsafe { (acl.aclrtDestroyStream)(raw) });
    // SAFETY: as above.
    must(unsafe { (acl.aclrtDestroyContext)(context) });
    rig.finish();
}

#[test]
fn what_fails_to_initialise_is_tried_again() {
    let rig = rig();
    let fresh = AscendBackend::open(&libraries()).unwrap();
    order("fail aclInit 500000");
    let error = fresh.devices().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Failed, Some(VendorCode(500_000))));
    assert_eq!(fresh.devices(), Ok(4));
    order("fail aclrtGetDeviceCount 207004");
    assert_eq!(fresh.devices(), Ok(0));
    order("fail aclrtSetDevice 507033");
    let shared: Arc<dyn Backend> = Arc::new(fresh);
    let error = Device::open(&shared, 1).unwrap_err();
    assert_eq!(error.code(), Some(VendorCode(507_033)));
    Device::open(&shared, 1).unwrap();
    rig.finish();
}

#[test]
fn a_stream_that_cannot_stop_at_failures_is_none() {
    let rig = rig();
    order("fail aclrtSetStreamFailureMode 207000");
    let error = rig.device.stream(StreamPriority::Normal).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    rig.finish();
}

#[test]
fn copies_go_one_by_one_where_batches_are_refused() {
    let rig = rig();
    order("refuse batch_copy");
    let stream = rig.device.stream(StreamPriority::Normal).unwrap();
    let memory = rig.device.allocate(100).unwrap();
    let pinned = rig.device.pin(&[3; 100]).unwrap();
    let part = |at: usize| {
        MemoryCopy::upload(&memory.slice(at, 50).unwrap(), &pinned.slice(at, 50).unwrap())
    };
    for _ in 0..2 {
        stream.copy(&[part(0), part(50)]).unwrap();
    }
    let back = rig.device.allocate_pinned(100).unwrap();
    stream.download(&back, &memory).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(back.to_vec().unwrap(), [3; 100]);
    drop((stream, memory, pinned, back));
    rig.finish();
}

#[test]
fn a_creation_that_fails_says_why() {
    let rig = rig();
    for (orders, kind, code) in [
        ("fail HcclCommInitRootInfoConfig 9", ErrorKind::TimedOut, 9),
        ("fail HcclCommInitRootInfoConfig 1", ErrorKind::Failed, 1),
        ("fail HcclGetRankId 4", ErrorKind::Failed, 4),
    ] {
        let id = rig.device.communicator_id().unwrap();
        order(orders);
        let end = rig.device.communicator(&id, 0, 1, CommunicatorOptions::default()).unwrap();
        let error = end.wait_ready(&mut patience()).unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, Some(VendorCode(code))), "{error}");
        assert!(error.text().contains("HCCL_E_"), "{error}");
        assert!(error.text().contains("(emulated)"), "the runtime's words: {error}");
    }
    order("fail HcclGetRootInfo 19");
    assert_eq!(rig.device.communicator_id().unwrap_err().code(), Some(VendorCode(19)));
    rig.finish();
}

#[test]
fn a_creation_that_comes_back_late_is_destroyed() {
    let rig = rig();
    order("delay HcclCommInitRootInfoConfig 300000 times 1");
    let id = rig.device.communicator_id().unwrap();
    let started = Instant::now();
    let end = rig.device.communicator(&id, 0, 1, CommunicatorOptions::default()).unwrap();
    assert_eq!(end.is_ready(), Ok(false));
    end.abort().unwrap();
    assert_eq!(end.is_ready().unwrap_err().kind(), ErrorKind::Aborted);
    drop(end);
    rig.device.drain(&mut patience()).unwrap();
    assert!(started.elapsed() < Duration::from_millis(250), "nobody has waited for it");
    while CONTROL.live()["communicators"] == 0 && started.elapsed() < Duration::from_millis(280) {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(200));
    // The next one has its turn.
    drop(rig.alone());
    rig.finish();
}

#[test]
fn what_is_in_use_is_destroyed_later() {
    let rig = rig();
    let end = rig.alone();
    order("fail HcclCommDestroy 20 times 3");
    drop(end);
    rig.device.collect();
    assert_eq!(rig.device.take_errors(), []);
    rig.finish();
}

#[test]
fn failed_collectives_fail_their_stream() {
    let rig = rig();
    let end = rig.alone();
    let stream = rig.device.stream(StreamPriority::Normal).unwrap();
    order("fail HcclBarrier 4");
    let error = end.barrier(&stream).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Failed, Some(VendorCode(4))));
    order("fail_later HcclBarrier 507057");
    // By the time of the record behind it, it may have failed.
    let _ = end.barrier(&stream);
    let error = stream.wait(&mut patience()).unwrap_err();
    assert_eq!(error.code(), Some(VendorCode(507_057)));
    assert_eq!(end.check(), Ok(()), "the library does not notice by itself");
    order("fail HcclGetCommAsyncError 15");
    assert_eq!(end.check().unwrap_err().code(), Some(VendorCode(15)));
    drop((end, stream));
    rig.finish();
}

/// A table with so many ranks, each on the device of its number.
fn table(folder: &tempfile::TempDir, ranks: u32) -> PathBuf {
    let path = folder.path().join(format!("{ranks}.json"));
    let device = |rank| {
        format!(r#"{{"device_id": "{rank}", "device_ip": "127.0.0.1", "rank_id": "{rank}"}}"#)
    };
    let devices: Vec<String> = (0..ranks).map(device).collect();
    let text = format!(
        r#"{{"version": "1.0", "status": "completed", "server_count": "1", "server_list":
            [{{"server_id": "127.0.0.1", "device": [{}]}}]}}"#,
        devices.join(", ")
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_rank_table_makes_a_communicator() {
    let rig = rig();
    let folder = tempfile::tempdir().unwrap();
    let id = rank_table(table(&folder, 2)).unwrap();
    let ends = [0, 1].map(|rank| {
        let device = Device::open(&rig.backend, rank).unwrap();
        device.communicator(&id, rank, 2, CommunicatorOptions::default()).unwrap()
    });
    for end in &ends {
        end.wait_ready(&mut patience()).unwrap();
        assert_eq!(end.reserved_bytes(), 64 << 20);
    }
    for end in ends {
        let device = end.device().clone();
        drop(end);
        device.drain(&mut patience()).unwrap();
    }
    rig.finish();
}

#[test]
fn a_rank_table_of_another_size_is_refused() {
    let rig = rig();
    let folder = tempfile::tempdir().unwrap();
    let id = rank_table(table(&folder, 1)).unwrap();
    let end = rig.device.communicator(&id, 0, 2, CommunicatorOptions::default()).unwrap();
    let error = end.wait_ready(&mut patience()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUse);
    assert!(error.text().contains("rank 0 of 1"), "{error}");
    drop(end);
    let id = rank_table(folder.path().join("none.json")).unwrap();
    let end = rig.device.communicator(&id, 0, 1, CommunicatorOptions::default()).unwrap();
    let error = end.wait_ready(&mut patience()).unwrap_err();
    assert!(error.text().contains("cannot be read"), "{error}");
    drop(end);
    rig.finish();
}
