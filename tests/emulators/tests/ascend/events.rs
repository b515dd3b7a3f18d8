//! Events.

use std::time::Duration;

use eplb_ascend_sys::{
    ACL_EVENT_SYNC, ACL_EVENT_TIME_LINE, aclError, aclrtEvent, aclrtEventRecordedStatus,
};

use crate::rig::{HANDLE, PARAM, Rig, must, rig};

const READY: aclrtEventRecordedStatus =
    aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_COMPLETE;
const NOT_READY: aclrtEventRecordedStatus =
    aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_NOT_READY;

fn status(rig: &Rig, event: aclrtEvent) -> aclrtEventRecordedStatus {
    let mut status = aclrtEventRecordedStatus(99);
    must(unsafe { (rig.acl.aclrtQueryEventStatus)(event, &raw mut status) });
    status
}

#[test]
fn events_capture_anew_and_are_complete_before_the_first_record() {
    let rig = rig();
    let (stream, event) = (rig.stream(), rig.event());
    assert_eq!(status(&rig, event), READY);
    let hold = rig.hold(stream);
    must(unsafe { (rig.acl.aclrtRecordEvent)(event, stream) });
    assert_eq!((status(&rig, event), status(&rig, event).0), (NOT_READY, 0));
    let wait = rig.acl.aclrtSynchronizeEventWithTimeout.unwrap();
    assert_eq!(unsafe { wait(event, 20) }, aclError::ACL_ERROR_RT_EVENT_SYNC_TIMEOUT);
    drop(hold);
    must(unsafe { (rig.acl.aclrtSynchronizeEvent)(event) });
    assert_eq!((status(&rig, event), status(&rig, event).0), (READY, 1));
    rig.destroy_event(event);
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn an_event_may_go_while_streams_wait_for_it() {
    let rig = rig();
    let (first, second, event) = (rig.stream(), rig.stream(), rig.event());
    let memory = rig.memory(64);
    let hold = rig.hold(first);
    rig.fill(memory, 1, 64, first);
    must(unsafe { (rig.acl.aclrtRecordEvent)(event, first) });
    must(unsafe { (rig.acl.aclrtStreamWaitEvent)(second, event) });
    rig.fill(memory, 2, 64, second);
    rig.destroy_event(event);
    std::thread::sleep(Duration::from_millis(20));
    assert!(!rig.is_done(second));
    drop(hold);
    rig.wait(second);
    assert_eq!(rig.bytes(memory, 64), [2; 64]);
    assert_eq!(unsafe { (rig.acl.aclrtRecordEvent)(event, first) }, HANDLE);
    assert_eq!(rig.broken(), ["use_of_destroyed_event"]);
    rig.free(memory);
    rig.destroy(first);
    rig.destroy(second);
}

#[test]
fn flags_say_what_an_event_is_for() {
    let rig = rig();
    let stream = rig.stream();
    let (plain, timed) = (rig.event(), rig.event_with(ACL_EVENT_TIME_LINE));
    for event in [plain, timed] {
        must(unsafe { (rig.acl.aclrtRecordEvent)(event, stream) });
    }
    rig.wait(stream);
    assert_eq!(unsafe { (rig.acl.aclrtStreamWaitEvent)(stream, timed) }, PARAM);
    assert_eq!(rig.broken(), ["wait_for_event_without_sync"]);
    let mut time = -1.0;
    let elapsed = rig.acl.aclrtEventElapsedTime.unwrap();
    assert_eq!(unsafe { elapsed(&raw mut time, plain, timed) }, PARAM);
    assert_eq!(rig.broken(), ["time_of_event_without_time_line"]);
    let both = rig.event_with(ACL_EVENT_SYNC | ACL_EVENT_TIME_LINE);
    must(unsafe { (rig.acl.aclrtRecordEvent)(both, stream) });
    rig.wait(stream);
    must(unsafe { elapsed(&raw mut time, timed, both) });
    assert!(time >= 0.0);
    let mut none: aclrtEvent = std::ptr::null_mut();
    assert_eq!(unsafe { (rig.acl.aclrtCreateEventExWithFlag)(&raw mut none, 0) }, PARAM);
    for event in [plain, timed, both] {
        rig.destroy_event(event);
    }
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn events_stay_within_a_device() {
    let rig = rig();
    let event = rig.event();
    rig.set_device(1);
    let stream = rig.stream();
    let status = unsafe { (rig.acl.aclrtRecordEvent)(event, stream) };
    assert_eq!(status, aclError::ACL_ERROR_RT_STREAM_CONTEXT);
    assert_eq!(rig.broken(), ["event_of_other_device"]);
    rig.destroy(stream);
    rig.destroy_event(event);
    rig.finish();
}

#[test]
fn the_record_of_an_aborted_stream_never_comes() {
    let rig = rig();
    let (stream, waiting, event) = (rig.stream(), rig.stream(), rig.event());
    let hold = rig.hold(stream);
    must(unsafe { (rig.acl.aclrtRecordEvent)(event, stream) });
    must(unsafe { (rig.acl.aclrtStreamWaitEvent)(waiting, event) });
    let abort = rig.acl.aclrtStreamAbort.unwrap();
    must(unsafe { abort(stream) });
    drop(hold);
    rig.wait(stream);
    assert_eq!(status(&rig, event), NOT_READY);
    let waited = unsafe { (rig.acl.aclrtSynchronizeEvent)(event) };
    assert_eq!(waited, aclError::ACL_ERROR_RT_STREAM_ABORT);
    assert!(!rig.is_done(waiting), "who waits for it has to be aborted, too");
    must(unsafe { abort(waiting) });
    rig.wait(waiting);
    rig.destroy_event(event);
    rig.destroy(stream);
    rig.destroy(waiting);
    rig.finish();
}
