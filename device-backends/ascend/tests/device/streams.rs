//! Streams, events and threads.

use std::time::{Duration, Instant};

use eplb_device::{ErrorKind, MemoryCopy, StreamPriority};

use eplb_ascend_sys::aclrtContext;

use crate::support::{
    Hold, bytes_of, current, engine, enter, kind, must, patience, rig, with_bytes, within,
};

pub(crate) fn work_runs_in_order() {
    let rig = rig();
    let memory = rig.device.allocate(1 << 20).unwrap();
    let copy = rig.device.allocate(1 << 20).unwrap();
    let stream = rig.stream();
    for value in 0..100 {
        stream.fill(&memory, value).unwrap();
        stream.copy(&[MemoryCopy::new(&copy, &memory)]).unwrap();
    }
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&copy), vec![99; 1 << 20]);
    drop((memory, copy, stream));
    rig.finish();
}

pub(crate) fn queued_work_is_pending_until_it_ran() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[1; 64]);
    let free = rig.device.allocate(64).unwrap();
    let (stream, other) = (rig.stream(), rig.stream());
    let event = rig.device.event().unwrap();
    // Freeing pinned memory waits for the device: nothing is to be freed below.
    rig.device.drain(&mut patience()).unwrap();
    let hold = Hold::on(stream.handle());
    stream.fill(&memory, 2).unwrap();
    stream.record(&event).unwrap();
    assert_eq!(stream.is_complete(), Ok(false));
    assert_eq!(event.is_complete(), Ok(false));
    assert_eq!(kind(stream.wait(&mut within(20))), ErrorKind::TimedOut);
    // What is dropped while work uses it is kept.
    drop(memory);
    rig.device.collect();
    assert_eq!(rig.faulty.live().memory, 2);
    // Other streams go on.
    other.fill(&free, 3).unwrap();
    other.wait(&mut patience()).unwrap();
    hold.release();
    event.wait(&mut patience()).unwrap();
    stream.wait(&mut patience()).unwrap();
    rig.device.collect();
    assert_eq!(rig.faulty.live().memory, 1);
    assert_eq!(bytes_of(&free), [3; 64]);
    drop((stream, event, other, free));
    rig.finish();
}

/// Which of the calls that may wait for the device (R9) do: a caller has to place them.
pub(crate) fn busy_streams_hold_up_few_calls() {
    let rig = rig();
    let names = ["allocate", "allocate_pinned", "free", "free_pinned", "create a stream"];
    for name in names {
        let stream = rig.stream();
        let memory = rig.device.allocate(4096).unwrap();
        let pinned = rig.device.allocate_pinned(4096).unwrap();
        rig.device.drain(&mut patience()).unwrap();
        let hold = Hold::on(stream.handle());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                hold.release();
            });
            let start = Instant::now();
            match name {
                "allocate" => drop(rig.device.allocate(4096).unwrap()),
                "allocate_pinned" => drop(rig.device.allocate_pinned(4096).unwrap()),
                "free" => drop(memory),
                "free_pinned" => drop(pinned),
                _ => drop(rig.stream()),
            }
            let dropped = start.elapsed();
            if name.starts_with("free") {
                rig.device.collect();
            }
            println!("  {name} beside a busy stream: {} us", start.elapsed().as_micros());
            if name.starts_with("free") {
                assert!(dropped < Duration::from_millis(50), "drops never wait");
            }
            assert!(start.elapsed() < Duration::from_secs(5), "{name} waits for too much");
        });
        stream.wait(&mut patience()).unwrap();
    }
    rig.finish();
}

pub(crate) fn events_order_two_streams() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[1; 64]);
    let target = with_bytes(&rig.device, &[0; 64]);
    let (first, second) = (rig.stream(), rig.stream());
    let event = rig.device.event().unwrap();
    rig.device.drain(&mut patience()).unwrap();
    let hold = Hold::on(first.handle());
    first.fill(&memory, 7).unwrap();
    first.record(&event).unwrap();
    second.wait_for(&event).unwrap();
    second.copy(&[MemoryCopy::new(&target, &memory)]).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(second.is_complete(), Ok(false));
    // Legal before its record and the wait have come about.
    drop(event);
    hold.release();
    second.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), [7; 64]);
    drop((memory, target, first, second));
    rig.finish();
}

pub(crate) fn events_capture_anew() {
    let rig = rig();
    let stream = rig.stream();
    let event = rig.device.event().unwrap();
    stream.record(&event).unwrap();
    event.wait(&mut patience()).unwrap();
    let hold = Hold::on(stream.handle());
    assert_eq!(event.is_complete(), Ok(true));
    stream.record(&event).unwrap();
    assert_eq!(event.is_complete(), Ok(false));
    hold.release();
    event.wait(&mut patience()).unwrap();
    drop((stream, event));
    rig.finish();
}

pub(crate) fn all_priorities_work() {
    let rig = rig();
    let streams = [StreamPriority::Low, StreamPriority::Normal, StreamPriority::High]
        .map(|priority| rig.device.stream(priority).unwrap());
    for (value, stream) in (1..).zip(&streams) {
        let memory = rig.device.allocate(64).unwrap();
        stream.fill(&memory, value).unwrap();
        stream.wait(&mut patience()).unwrap();
        assert_eq!(bytes_of(&memory), [value; 64]);
    }
    drop(streams);
    rig.finish();
}

pub(crate) fn threads_keep_their_context() {
    let rig = rig();
    enter();
    let default = current();
    let device = rig.device.clone();
    let thread = std::thread::spawn(move || {
        assert_eq!(current(), None, "a new thread has none");
        assert_eq!(bytes_of(&with_bytes(&device, b"thread")), b"thread");
        // The library has no call that takes a context away.
        assert_eq!(current(), default);
        let runtime = engine().runtime;
        let mut own: aclrtContext = std::ptr::null_mut();
        // SAFETY: writes one pointer, which lives.
        must(unsafe { (runtime.aclrtCreateContext)(&raw mut own, 0) });
        assert_eq!(current(), Some(own as usize));
        assert_eq!(bytes_of(&with_bytes(&device, b"own")), b"own");
        assert!(device.allocate(1 << 50).is_err());
        assert_eq!(current(), Some(own as usize), "put back after good and bad calls");
        // SAFETY: made above, and nothing is in it.
        must(unsafe { (runtime.aclrtDestroyContext)(own) });
    });
    thread.join().unwrap();
    rig.finish();
}

pub(crate) fn streams_are_aborted() {
    let rig = rig();
    if !rig.device.info().stream_abort {
        let stream = rig.stream();
        assert_eq!(kind(stream.abort()), ErrorKind::Unsupported);
        println!("  the library cannot abort streams");
        return;
    }
    let memory = with_bytes(&rig.device, &[1; 64]);
    let (stream, other) = (rig.stream(), rig.stream());
    let [before, after] = [(); 2].map(|()| rig.device.event().unwrap());
    stream.record(&before).unwrap();
    before.wait(&mut patience()).unwrap();
    let hold = Hold::on(stream.handle());
    stream.fill(&memory, 2).unwrap();
    stream.record(&after).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            hold.release();
        });
        stream.abort().unwrap();
    });
    stream.abort().unwrap();
    assert_eq!(kind(stream.wait(&mut patience())), ErrorKind::Aborted);
    assert_eq!(kind(after.wait(&mut patience())), ErrorKind::Aborted);
    assert_eq!(before.wait(&mut patience()), Ok(()));
    assert_eq!(kind(stream.fill(&memory, 3)), ErrorKind::Aborted);
    // What was given up has not been done, and other streams are as good as before.
    assert_eq!(bytes_of(&memory), [1; 64]);
    other.fill(&memory, 4).unwrap();
    other.wait(&mut patience()).unwrap();
    drop((stream, other, before, after, memory));
    rig.finish();
}

pub(crate) fn what_waits_for_aborted_work_fails() {
    let rig = rig();
    if !rig.device.info().stream_abort {
        println!("  the library cannot abort streams");
        return;
    }
    let memory = with_bytes(&rig.device, &[1; 64]);
    let (stream, waiting) = (rig.stream(), rig.stream());
    let event = rig.device.event().unwrap();
    let hold = Hold::on(stream.handle());
    stream.record(&event).unwrap();
    waiting.wait_for(&event).unwrap();
    waiting.fill(&memory, 2).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            hold.release();
        });
        stream.abort().unwrap();
    });
    // It is never said to be done; who waits for it has to abort it, too, if it stays pending.
    if let Err(error) = waiting.wait(&mut within(500)) {
        println!("  {error}");
        assert!(matches!(error.kind(), ErrorKind::Aborted | ErrorKind::TimedOut));
    } else {
        panic!("work that waits for aborted work is not complete");
    }
    waiting.abort().unwrap();
    assert_eq!(kind(waiting.wait(&mut patience())), ErrorKind::Aborted);
    drop((stream, waiting, event, memory));
    rig.finish();
}
