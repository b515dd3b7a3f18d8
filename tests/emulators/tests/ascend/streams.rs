//! Streams and callbacks.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use eplb_ascend_sys::{
    ACL_CONTINUE_ON_FAILURE, ACL_STOP_ON_FAILURE, aclError, aclrtCallbackBlockType, aclrtStream,
};

use crate::rig::{HANDLE, PARAM, Rig, UNSUPPORTED, must, rig};

const CODE: aclError = aclError::ACL_ERROR_RT_AICORE_EXCEPTION;

/// A context of its own: failure modes spread in it.
fn own_context(rig: &Rig) -> *mut c_void {
    let mut context: *mut c_void = std::ptr::null_mut();
    must(unsafe { (rig.acl.aclrtCreateContext)(&raw mut context, 0) });
    context
}

fn set_mode(rig: &Rig, stream: aclrtStream, mode: u64) -> aclError {
    unsafe { (rig.acl.aclrtSetStreamFailureMode)(stream, mode) }
}

#[test]
fn a_stream_goes_on_at_a_failure_and_tells_of_it_once_it_is_waited_for() {
    let rig = rig();
    let context = own_context(&rig);
    let stream = rig.stream();
    let memory = rig.memory(64);
    rig.order("fail_later aclrtMemsetAsync 507015");
    rig.fill(memory, 1, 64, stream);
    rig.fill(memory, 2, 64, stream);
    while !rig.is_done(stream) {
        std::thread::yield_now();
    }
    assert_eq!(rig.wait_for(stream, 1000), CODE);
    must(rig.wait_for(stream, 1000));
    assert_eq!(rig.bytes(memory, 64), [2; 64]);
    rig.free(memory);
    rig.destroy(stream);
    must(unsafe { (rig.acl.aclrtDestroyContext)(context) });
    rig.finish();
}

#[test]
fn a_stream_that_stops_does_nothing_after_a_failure_and_so_do_its_neighbours() {
    let rig = rig();
    let context = own_context(&rig);
    let (stream, neighbour) = (rig.stream(), rig.stream());
    must(set_mode(&rig, stream, ACL_STOP_ON_FAILURE));
    let memory = rig.memory(64);
    rig.fill(memory, 7, 64, neighbour);
    rig.wait(neighbour);
    rig.order("fail_later aclrtMemsetAsync 507015");
    rig.fill(memory, 1, 64, neighbour);
    let second = unsafe { (rig.acl.aclrtMemsetAsync)(memory, 64, 2, 64, neighbour) };
    assert!(second == aclError::ACL_SUCCESS || second == CODE);
    assert_eq!(rig.wait_for(neighbour, 1000), CODE);
    assert_eq!(rig.wait_for(neighbour, 1000), CODE, "it stays");
    assert_eq!(rig.bytes(memory, 64), [7; 64]);
    let third = unsafe { (rig.acl.aclrtMemsetAsync)(memory, 64, 3, 64, neighbour) };
    assert_eq!(third, CODE, "no more work is taken");
    must(rig.wait_for(stream, 1000));
    rig.free(memory);
    rig.destroy(stream);
    rig.destroy(neighbour);
    must(unsafe { (rig.acl.aclrtDestroyContext)(context) });
    rig.finish();
}

#[test]
fn the_failure_mode_is_set_once_and_first() {
    let rig = rig();
    let context = own_context(&rig);
    let stream = rig.stream();
    must(set_mode(&rig, stream, ACL_CONTINUE_ON_FAILURE));
    assert_eq!(set_mode(&rig, stream, ACL_STOP_ON_FAILURE), PARAM);
    assert_eq!(rig.broken(), ["failure_mode_set_twice"]);
    let late = rig.stream();
    let memory = rig.memory(64);
    rig.fill(memory, 1, 64, late);
    rig.wait(late);
    must(set_mode(&rig, late, ACL_STOP_ON_FAILURE));
    assert_eq!(rig.broken(), ["failure_mode_set_late"]);
    assert_eq!(set_mode(&rig, late, 2), PARAM);
    rig.free(memory);
    rig.destroy(stream);
    rig.destroy(late);
    must(unsafe { (rig.acl.aclrtDestroyContext)(context) });
    rig.finish();
}

#[test]
fn an_abort_drops_what_is_queued_and_wakes_who_waits() {
    let rig = rig();
    let stream = rig.stream();
    let memory = rig.memory(64);
    rig.fill(memory, 1, 64, stream);
    rig.wait(stream);
    let hold = rig.hold(stream);
    rig.fill(memory, 2, 64, stream);
    assert!(!rig.is_done(stream));
    let started = Instant::now();
    let handle = stream as usize;
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            rig.set_device(0);
            rig.wait_for(handle as aclrtStream, 5000)
        });
        std::thread::sleep(Duration::from_millis(50));
        must(unsafe { (rig.acl.aclrtStreamAbort.unwrap())(stream) });
        waiting.join().unwrap()
    });
    assert_eq!(waited, aclError::ACL_ERROR_RT_STREAM_ABORT);
    assert!(started.elapsed() < Duration::from_secs(3));
    drop(hold);
    rig.wait(stream);
    assert_eq!(rig.bytes(memory, 64), [1; 64]);
    rig.fill(memory, 3, 64, stream);
    rig.wait(stream);
    assert_eq!(rig.bytes(memory, 64), [3; 64], "the stream is as good as new");
    rig.order("refuse stream_abort");
    assert_eq!(unsafe { (rig.acl.aclrtStreamAbort.unwrap())(stream) }, UNSUPPORTED);
    rig.free(memory);
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn waiting_ends_by_its_limit() {
    let rig = rig();
    let stream = rig.stream();
    let hold = rig.hold(stream);
    assert_eq!(rig.wait_for(stream, 20), aclError::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    assert_eq!(rig.wait_for(stream, -2), PARAM);
    let wait_for_device = rig.acl.aclrtSynchronizeDeviceWithTimeout.unwrap();
    assert_eq!(unsafe { wait_for_device(20) }, aclError::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    drop(hold);
    rig.wait(stream);
    must(unsafe { (rig.acl.aclrtSynchronizeDevice)() });
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn streams_are_destroyed_idle_or_by_force_and_once() {
    let rig = rig();
    let stream = rig.stream();
    rig.order("delay aclrtMemsetAsync 50000 times 2");
    let memory = rig.memory(64);
    rig.fill(memory, 1, 64, stream);
    rig.destroy(stream);
    assert_eq!(rig.broken(), ["stream_destroyed_with_work"]);
    assert_eq!(unsafe { (rig.acl.aclrtDestroyStream)(stream) }, HANDLE);
    assert_eq!(rig.broken(), ["use_of_destroyed_stream"]);
    let stream = rig.stream();
    rig.fill(memory, 1, 64, stream);
    must(unsafe { (rig.acl.aclrtDestroyStreamForce.unwrap())(stream) });
    assert_eq!(unsafe { (rig.acl.aclrtDestroyStream)(std::ptr::null_mut()) }, PARAM);
    assert_eq!(rig.broken(), Vec::<String>::new());
}

#[test]
fn streams_and_events_are_used_up() {
    let rig = rig();
    rig.order("limit streams 0; limit events 0");
    let mut stream: aclrtStream = std::ptr::null_mut();
    let status = unsafe { (rig.acl.aclrtCreateStreamWithConfig)(&raw mut stream, 0, 0) };
    assert_eq!(status, aclError::ACL_ERROR_RT_NO_STREAM_RESOURCE);
    let mut event = std::ptr::null_mut();
    let status = unsafe { (rig.acl.aclrtCreateEventExWithFlag)(&raw mut event, 1) };
    assert_eq!(status, aclError::ACL_ERROR_RT_NO_EVENT_RESOURCE);
    rig.finish();
}

static CALLED: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn count(_: *mut c_void) {
    CALLED.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn call_the_library(acl: *mut c_void) {
    let rig = unsafe { &*acl.cast_const().cast::<Rig>() };
    let mut devices = 0;
    let status = unsafe { (rig.acl.aclrtGetDeviceCount)(&raw mut devices) };
    assert_eq!(status, aclError::ACL_ERROR_RT_NO_PERMISSION);
}

#[test]
fn callbacks_call_nothing_of_the_library() {
    let rig = rig();
    let stream = rig.stream();
    let launch = rig.acl.aclrtLaunchHostFunc.unwrap();
    must(unsafe { launch(stream, Some(call_the_library), (&raw const rig).cast_mut().cast()) });
    rig.wait(stream);
    assert_eq!(rig.broken(), ["call_in_callback"]);
    rig.destroy(stream);
}

#[test]
fn callbacks_need_a_subscribed_thread_and_are_of_one_kind() {
    let rig = rig();
    let stream = rig.stream();
    let launch = |stream| unsafe {
        let block = aclrtCallbackBlockType::ACL_CALLBACK_BLOCK;
        (rig.acl.aclrtLaunchCallback.unwrap())(Some(count), std::ptr::null_mut(), block, stream)
    };
    assert_eq!(launch(stream), PARAM);
    assert_eq!(rig.broken(), ["callback_without_subscriber"]);
    let own = own_thread();
    must(unsafe { (rig.acl.aclrtSubscribeReport.unwrap())(own, stream) });
    let before = CALLED.load(Ordering::SeqCst);
    must(launch(stream));
    assert!(!rig.is_done(stream));
    let process = rig.acl.aclrtProcessReport.unwrap();
    must(unsafe { process(1000) });
    assert_eq!(CALLED.load(Ordering::SeqCst), before + 1);
    rig.wait(stream);
    assert_eq!(unsafe { process(10) }, aclError::ACL_ERROR_RT_WAIT_TIMEOUT);
    let other_kind = rig.acl.aclrtLaunchHostFunc.unwrap();
    must(unsafe { other_kind(stream, Some(count), std::ptr::null_mut()) });
    assert_eq!(rig.broken(), ["two_kinds_of_callbacks"]);
    rig.wait(stream);
    must(unsafe { (rig.acl.aclrtUnSubscribeReport.unwrap())(own, stream) });
    rig.destroy(stream);
    rig.finish();
}

unsafe extern "C" {
    safe fn pthread_self() -> usize;
}

fn own_thread() -> u64 {
    pthread_self() as u64
}
