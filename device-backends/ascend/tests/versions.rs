//! The backend on other versions of the libraries, and on those that only pretend, all emulated.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb_ascend::{AscendBackend, Libraries, Search};
use eplb_device::{
    Backend, CommunicatorOptions, Device, ErrorKind, Expired, MemoryCopy, StreamPriority, Wait,
};

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

/// The libraries in a folder of the emulated ones.
fn libraries(folder: &str) -> Libraries {
    let path = eplb_emulators::ascend().folder().join(folder);
    let mut libraries = Libraries::default();
    libraries.runtime = Search::at(&path);
    libraries.hccl = Search::at(&path);
    libraries
}

fn open(folder: &str) -> Device {
    let backend = AscendBackend::open(&libraries(folder)).unwrap();
    assert!(backend.missing_hccl().is_none());
    Device::open(&(Arc::new(backend) as Arc<dyn Backend>), 0).unwrap()
}

/// Moves bytes, makes a communicator, and leaves nothing.
fn works(device: &Device) {
    let stream = device.stream(StreamPriority::Low).unwrap();
    let [memory, copy] = [(); 2].map(|()| device.allocate(100).unwrap());
    stream.upload(&memory, &device.pin(&[7; 100]).unwrap()).unwrap();
    let half = |memory: &eplb_device::Memory, at| memory.slice(at, 50).unwrap();
    let halves = [0, 50].map(|at| MemoryCopy::new(&half(&copy, at), &half(&memory, at)));
    stream.copy(&halves).unwrap();
    let id = device.communicator_id().unwrap();
    let end = device.communicator(&id, 0, 1, CommunicatorOptions::default()).unwrap();
    end.wait_ready(&mut patience()).unwrap();
    end.broadcast(&copy, 0, &stream).unwrap();
    let pinned = device.allocate_pinned(100).unwrap();
    stream.download(&pinned, &copy).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(pinned.to_vec().unwrap(), [7; 100]);
    drop((stream, memory, copy, halves, end, pinned));
    device.drain(&mut patience()).unwrap();
    assert_eq!(device.take_errors(), []);
}

#[test]
fn libraries_that_only_pretend_show_no_devices() {
    for folder in ["stub", "silent"] {
        let backend = AscendBackend::open(&libraries(folder)).unwrap();
        assert_eq!(backend.devices(), Ok(0), "{folder}");
        let error = backend.open(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUse);
        let diagnosis = AscendBackend::diagnose(&libraries(folder));
        assert!(!diagnosis.usable);
        assert_eq!(diagnosis.reason, "the libraries show no device");
        assert_eq!(diagnosis.libraries[0].version, None);
    }
}

#[test]
fn the_names_of_cann_9_work() {
    let device = open("cann-9");
    assert!(device.info().peer_memory);
    works(&device);
}

#[test]
fn older_libraries_can_do_less_and_say_so() {
    let device = open("acl-1.15");
    assert!(!device.info().peer_memory);
    assert!(device.info().stream_abort);
    works(&device);
    let memory = device.allocate(64).unwrap();
    assert_eq!(device.export(&memory).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn the_least_library_works() {
    let device = open("least");
    let info = device.info();
    assert_eq!((info.name.as_str(), info.software.as_str()), ("Ascend", ""));
    assert!(!info.peer_memory && !info.stream_abort && info.communicators);
    works(&device);
    let stream = device.stream(StreamPriority::Normal).unwrap();
    let error = stream.abort().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.text().contains("aclrtStreamAbort"), "{error}");
}

#[test]
fn what_is_there_is_diagnosed() {
    let diagnosis = AscendBackend::diagnose(&libraries("acl-1.15"));
    assert!(diagnosis.usable);
    assert_eq!(diagnosis.devices.len(), 4);
    let row = &diagnosis.peer_access[1];
    assert_eq!(row.as_slice(), [true; 4]);
    let [runtime, hccl] = &diagnosis.libraries[..] else { panic!("two libraries") };
    assert_eq!(runtime.version.as_deref(), Some("1.17.0"));
    assert!(runtime.files[0].ends_with("acl-1.15/libascendcl.so"), "{:?}", runtime.files);
    assert!(runtime.absent.iter().any(|symbol| symbol == "aclrtIpcMemImportByKey"));
    assert_eq!(hccl.problem, None);
}
