//! Order, asynchrony and failure of streams and events.

mod support;

use std::time::{Duration, Instant};

use eplb_device::{ErrorKind, MemoryCopy, StreamPriority};
use support::{bytes_of, eventually, kind, open, patience, rig, with_bytes, within};

#[test]
fn work_of_a_stream_runs_in_order() {
    let rig = rig();
    let memory = rig.device.allocate(1000).unwrap();
    for value in 0..200 {
        rig.stream.fill(&memory, value).unwrap();
    }
    rig.stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&memory), vec![199; 1000]);
}

#[test]
fn queueing_returns_while_the_work_is_still_to_be_done() {
    let rig = rig();
    let hold = rig.host.hold(rig.stream.handle()).unwrap();
    let memory = with_bytes(&rig.device, &[1; 64]);
    let pinned = rig.device.allocate_pinned(64).unwrap();
    for _ in 0..500 {
        rig.stream.fill(&memory, 9).unwrap();
    }
    rig.stream.download(&pinned, &memory).unwrap();
    assert!(!rig.stream.is_complete().unwrap());
    assert_eq!(bytes_of(&memory), [1; 64], "nothing has run");
    assert_eq!(kind(rig.stream.wait(&mut within(20))), ErrorKind::TimedOut);
    hold.release();
    rig.stream.wait(&mut patience()).unwrap();
    assert_eq!(pinned.to_vec().unwrap(), [9; 64]);
}

#[test]
fn streams_run_beside_each_other_and_events_order_them() {
    let rig = rig();
    let other = rig.device.stream(StreamPriority::High).unwrap();
    let memory = with_bytes(&rig.device, &[0; 16]);
    let event = rig.device.event().unwrap();

    let hold = rig.host.hold(rig.stream.handle()).unwrap();
    rig.stream.fill(&memory, 1).unwrap();
    rig.stream.record(&event).unwrap();
    let unordered = rig.device.allocate(16).unwrap();
    other.fill(&unordered, 7).unwrap();
    other.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&unordered), [7; 16], "another stream goes on");

    other.wait_for(&event).unwrap();
    other.fill(&memory, 2).unwrap();
    assert_eq!(kind(other.wait(&mut within(20))), ErrorKind::TimedOut);
    assert!(!event.is_complete().unwrap());
    hold.release();
    other.wait(&mut patience()).unwrap();
    assert!(event.is_complete().unwrap());
    assert_eq!(bytes_of(&memory), [2; 16]);
}

#[test]
fn an_event_never_recorded_is_complete_even_if_its_handle_was_used_before() {
    let rig = rig();
    let hold = rig.host.hold(rig.stream.handle()).unwrap();
    let used = rig.device.event().unwrap();
    rig.stream.record(&used).unwrap();
    drop(used); // back to the pool, with a record that is pending
    let fresh = rig.device.event().unwrap();
    assert!(fresh.is_complete().unwrap());
    let other = rig.device.stream(StreamPriority::Normal).unwrap();
    other.wait_for(&fresh).unwrap();
    other.wait(&mut patience()).unwrap();
    hold.release();
}

#[test]
fn recording_again_captures_anew_and_queued_waits_keep_what_they_had() {
    let rig = rig();
    let [early, late] = [0, 1].map(|_| rig.device.stream(StreamPriority::Normal).unwrap());
    let event = rig.device.event().unwrap();
    rig.stream.record(&event).unwrap();
    early.wait_for(&event).unwrap();
    let hold = rig.host.hold(rig.stream.handle()).unwrap();
    rig.stream.record(&event).unwrap();
    late.wait_for(&event).unwrap();
    early.wait(&mut patience()).unwrap();
    assert!(!event.is_complete().unwrap());
    assert!(!late.is_complete().unwrap());
    hold.release();
    event.wait(&mut patience()).unwrap();
    late.wait(&mut patience()).unwrap();
}

#[test]
fn a_dropped_event_still_orders_the_work_that_waits_for_it() {
    let rig = rig();
    let other = rig.device.stream(StreamPriority::Normal).unwrap();
    let memory = with_bytes(&rig.device, &[0; 8]);
    let hold = rig.host.hold(rig.stream.handle()).unwrap();
    let event = rig.device.event().unwrap();
    rig.stream.fill(&memory, 1).unwrap();
    rig.stream.record(&event).unwrap();
    other.wait_for(&event).unwrap();
    other.fill(&memory, 2).unwrap();
    drop(event);
    // The handle is taken from the pool and recorded on a stream that is idle.
    let reused = rig.device.event().unwrap();
    let idle = rig.device.stream(StreamPriority::Normal).unwrap();
    idle.record(&reused).unwrap();
    reused.wait(&mut patience()).unwrap();
    assert_eq!(kind(other.wait(&mut within(20))), ErrorKind::TimedOut);
    hold.release();
    other.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&memory), [2; 8]);
}

#[test]
fn a_failure_stays_and_nothing_later_runs() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[3; 8]);
    let event = rig.device.event().unwrap();
    rig.host.fail(rig.stream.handle(), "a task broke").unwrap();
    rig.stream.fill(&memory, 4).unwrap();
    rig.stream.record(&event).unwrap();
    let error = rig.stream.wait(&mut patience()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("host device 0"), "{error}");
    assert!(error.text().contains("a task broke"), "{error}");
    assert_eq!(kind(rig.stream.is_complete()), ErrorKind::Failed);
    assert_eq!(kind(event.wait(&mut patience())), ErrorKind::Failed);
    assert_eq!(bytes_of(&memory), [3; 8]);
    let waiting = rig.device.stream(StreamPriority::Normal).unwrap();
    waiting.wait_for(&event).unwrap();
    assert_eq!(kind(waiting.wait(&mut patience())), ErrorKind::Failed);
    drop(memory);
    rig.device.drain(&mut patience()).unwrap();
    assert_eq!(rig.host.live_allocations(), 0, "failed work holds nothing");
}

#[test]
fn an_abort_ends_what_waits_and_the_stream_has_failed() {
    let rig = rig();
    let other = rig.device.stream(StreamPriority::Normal).unwrap();
    let event = rig.device.event().unwrap();
    let _hold = rig.host.hold(rig.stream.handle()).unwrap();
    rig.stream.record(&event).unwrap();
    other.wait_for(&event).unwrap();
    rig.stream.abort().unwrap();
    assert_eq!(kind(rig.stream.wait(&mut patience())), ErrorKind::Aborted);
    assert_eq!(kind(event.wait(&mut patience())), ErrorKind::Aborted);
    assert_eq!(kind(other.wait(&mut patience())), ErrorKind::Aborted);
    let idle = rig.device.stream(StreamPriority::Normal).unwrap();
    idle.abort().unwrap();
    idle.abort().unwrap();
    assert_eq!(kind(idle.wait(&mut patience())), ErrorKind::Aborted);
}

#[test]
fn drops_do_not_wait_and_drain_does() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[5; 1 << 16]);
    let hold = rig.host.hold(rig.stream.handle()).unwrap();
    let target = rig.device.allocate(1 << 16).unwrap();
    let event = rig.device.event().unwrap();
    rig.stream.copy(&[MemoryCopy::new(&target, &memory)]).unwrap();
    rig.stream.record(&event).unwrap();
    let support::Rig { host, device, stream } = rig;
    let begin = Instant::now();
    drop((memory, target, stream, event));
    assert!(begin.elapsed() < Duration::from_secs(5));
    device.collect();
    assert_eq!(host.live_allocations(), 2, "in use, so kept");
    assert_eq!(kind(device.drain(&mut within(20))), ErrorKind::TimedOut);
    hold.release();
    device.drain(&mut patience()).unwrap();
    assert_eq!(host.live_allocations(), 0);
    assert_eq!(host.live_streams(), 0);
    assert_eq!(device.take_errors(), []);
}

#[test]
fn the_last_handle_gives_up_what_is_stuck_and_leaves_nothing() {
    let support::Rig { host, device, stream } = rig();
    let hold = host.hold(stream.handle()).unwrap();
    let memory = device.allocate(4096).unwrap();
    stream.fill(&memory, 1).unwrap();
    drop((device, stream));
    assert_eq!(host.live_streams(), 1, "the memory is a handle, too");
    drop(memory);
    assert_eq!(host.live_streams(), 0);
    assert_eq!(host.live_allocations(), 0);
    drop(hold);
}

#[test]
fn the_device_can_give_up_everything_at_once() {
    let rig = rig();
    let dropped = rig.device.stream(StreamPriority::Low).unwrap();
    let _holds = [&rig.stream, &dropped].map(|stream| rig.host.hold(stream.handle()).unwrap());
    drop(dropped);
    rig.device.abort().unwrap();
    assert_eq!(kind(rig.stream.wait(&mut patience())), ErrorKind::Aborted);
    rig.device.drain(&mut patience()).unwrap();
    eventually("the dropped stream ends", || rig.host.live_streams() == 1);
}

#[test]
fn events_of_another_device_are_refused() {
    let rig = rig();
    let other = open(&rig.host, 0);
    let event = other.event().unwrap();
    assert_eq!(kind(rig.stream.record(&event)), ErrorKind::InvalidUse);
    assert_eq!(kind(rig.stream.wait_for(&event)), ErrorKind::InvalidUse);
}
