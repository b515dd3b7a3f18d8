//! Streams, events and threads.

use std::time::{Duration, Instant};

use eplb_device::{ErrorKind, MemoryCopy, StreamPriority};

use crate::support::{Hold, bytes_of, engine, kind, patience, rig, with_bytes, within};

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
    let device = rig.device.clone();
    let thread = std::thread::spawn(move || {
        let driver = engine().driver;
        let current = || {
            let mut context = std::ptr::null_mut();
            // SAFETY: writes one pointer, which lives.
            let status = unsafe { (driver.cuCtxGetCurrent)(&raw mut context) };
            assert_eq!(status.0, 0);
            context as usize
        };
        assert_eq!(current(), 0, "a new thread has none");
        assert_eq!(bytes_of(&with_bytes(&device, b"thread")), b"thread");
        assert!(device.allocate(1 << 50).is_err());
        assert_eq!(current(), 0, "and still none after our calls");
    });
    thread.join().unwrap();
    rig.finish();
}

pub(crate) fn streams_are_not_aborted() {
    let rig = rig();
    let stream = rig.stream();
    let error = stream.abort().unwrap_err();
    println!("  {error}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    drop(stream);
    rig.finish();
}
