//! What the backend reports when its user breaks the contract, which the safe layer never does.

#![allow(
    unsafe_code,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the tests break promises that this backend is known to check"
)]

mod support;

use std::sync::Arc;

use eplb_device::raw::{
    Address, Backend, Copy, CopyKind, Driver, EventHandle, PeerBuffer, Progress, StreamHandle,
};
use eplb_device::{CommunicatorOptions, ErrorKind, StreamPriority};
use eplb_host::HostBackend;
use support::{eventually, kind};

fn driver(host: &Arc<HostBackend>) -> Arc<dyn Driver> {
    host.open(0).expect("device 0")
}

fn copy(destination: Address, source: Address, kind: CopyKind) -> Copy {
    Copy { destination, source, bytes: 64, kind }
}

fn is_complete(driver: &dyn Driver, stream: StreamHandle) -> bool {
    // SAFETY: the backend looks handles up.
    let progress = unsafe { driver.query_stream(stream) };
    progress.expect("a live stream") == Progress::Complete
}

#[test]
fn memory_freed_while_work_uses_it_is_reported_and_kept() {
    let host = HostBackend::new(1);
    let driver = driver(&host);
    let stream = driver.create_stream(StreamPriority::Normal).unwrap();
    let [a, b] = [0, 1].map(|_| driver.allocate(64).unwrap());
    let hold = host.hold(stream).unwrap();
    // SAFETY: both ranges are live; this backend keeps them when they are freed too early.
    unsafe { driver.copy(&[copy(a, b, CopyKind::Device)], stream) }.unwrap();
    // SAFETY: against the contract, which is what this test is about; the backend checks it.
    assert_eq!(kind(unsafe { driver.free(a) }), ErrorKind::InvalidUse);
    assert_eq!(host.live_allocations(), 2);
    // SAFETY: freed before, which the backend checks.
    assert_eq!(kind(unsafe { driver.free(a) }), ErrorKind::InvalidUse);
    // SAFETY: names freed memory, which the backend checks.
    let late = unsafe { driver.fill(a, 0, 64, stream) };
    assert_eq!(kind(late), ErrorKind::InvalidUse);
    hold.release();
    eventually("the copy ends", || is_complete(&*driver, stream));
    assert_eq!(host.live_allocations(), 1);
    drop(driver);
    assert_eq!(host.live_allocations(), 0, "a driver takes along what it made");
    assert_eq!(host.live_streams(), 0);
}

#[test]
fn ranges_that_are_not_what_the_kind_says_are_refused() {
    let host = HostBackend::new(2);
    let driver = driver(&host);
    let other = host.open(1).unwrap();
    let stream = driver.create_stream(StreamPriority::Normal).unwrap();
    let memory = driver.allocate(64).unwrap();
    let pinned = driver.allocate_pinned(64).unwrap();
    let elsewhere = other.allocate(64).unwrap();
    let beyond = Address(memory.0 + 1);
    for (destination, source, copy_kind) in [
        (memory, pinned, CopyKind::Device),
        (memory, memory, CopyKind::Upload),
        (memory, pinned, CopyKind::Download),
        (memory, elsewhere, CopyKind::Device),
        (memory, elsewhere, CopyKind::Peer),
        (beyond, pinned, CopyKind::Upload),
        (Address(8), pinned, CopyKind::Upload),
    ] {
        // SAFETY: the backend looks ranges up before it queues anything.
        let result = unsafe { driver.copy(&[copy(destination, source, copy_kind)], stream) };
        assert_eq!(kind(result), ErrorKind::InvalidUse, "{copy_kind:?}");
    }
    assert!(is_complete(&*driver, stream));
}

#[test]
fn dead_handles_and_those_of_other_devices_are_refused() {
    let host = HostBackend::new(2);
    let driver = driver(&host);
    let other = host.open(1).unwrap();
    let stream = other.create_stream(StreamPriority::Normal).unwrap();
    let event = driver.create_event().unwrap();
    // SAFETY: the backend looks handles up, here and below.
    let results = unsafe {
        [
            kind(driver.query_stream(stream)),
            kind(driver.destroy_stream(stream)),
            kind(driver.abort_stream(stream)),
            kind(driver.record_event(event, stream)),
            kind(other.record_event(event, stream)),
            kind(other.wait_event(stream, event)),
            kind(driver.query_event(EventHandle(12_345))),
            kind(other.destroy_event(event)),
            kind(driver.free_pinned(Address(4096))),
        ]
    };
    assert_eq!(results, [ErrorKind::InvalidUse; 9]);
    assert_eq!(kind(host.hold(StreamHandle(12_345))), ErrorKind::InvalidUse);
}

#[test]
fn a_stream_destroyed_with_work_left_is_reported_and_ends() {
    let host = HostBackend::new(1);
    let driver = driver(&host);
    let stream = driver.create_stream(StreamPriority::Normal).unwrap();
    let _hold = host.hold(stream).unwrap();
    // SAFETY: alive; that it has work left is checked by the backend.
    let destroyed = unsafe { driver.destroy_stream(stream) };
    assert_eq!(kind(destroyed), ErrorKind::InvalidUse);
    assert_eq!(host.live_streams(), 0);
}

#[test]
fn communicators_check_memory_and_readiness_too() {
    let host = HostBackend::new(1);
    let driver = driver(&host);
    let stream = driver.create_stream(StreamPriority::Normal).unwrap();
    let id = driver.communicator_id().unwrap();
    let options = CommunicatorOptions::default();
    let end = driver.communicator(&id, 0, 2, options).unwrap();
    // SAFETY: the backend checks that it is ready.
    assert_eq!(kind(unsafe { end.barrier(stream) }), ErrorKind::InvalidUse);
    let _other = driver.communicator(&id, 1, 2, options).unwrap();
    let buffer = PeerBuffer { peer: 1, address: Address(64), bytes: 8 };
    // SAFETY: the backend looks ranges up before it queues anything.
    let result = unsafe { end.exchange(&[buffer], &[], stream) };
    assert_eq!(kind(result), ErrorKind::InvalidUse);
    assert!(is_complete(&*driver, stream));
}
