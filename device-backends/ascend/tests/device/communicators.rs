//! Communicators of ours, as far as one device goes.

use std::time::{Duration, Instant};

use eplb_device::{
    Communicator, CommunicatorOptions, Device, ErrorKind, Memory, StreamPriority, Transfer,
};

use crate::support::{
    Hold, Rig, bytes_of, kind, patience, pattern, rig, run_child, with_bytes, within,
};

fn alone(rig: &Rig) -> Communicator {
    let id = rig.device.communicator_id().unwrap();
    let end = rig.device.communicator(&id, 0, 1, CommunicatorOptions::default()).unwrap();
    end.wait_ready(&mut patience()).unwrap();
    end
}

pub(crate) fn one_rank_exchanges_with_itself() {
    let rig = rig();
    let before = rig.device.memory_info().unwrap().free;
    let start = Instant::now();
    let end = alone(&rig);
    let after = rig.device.memory_info().unwrap().free;
    println!(
        "  ready after {} ms; {} bytes reserved, {} fewer are free",
        start.elapsed().as_millis(),
        end.reserved_bytes(),
        before.saturating_sub(after)
    );
    let stream = rig.stream();
    for round in 0..20 {
        let bytes = pattern(round, 100_001);
        let source = with_bytes(&rig.device, &bytes);
        let target = rig.device.allocate(bytes.len()).unwrap();
        let start = Instant::now();
        end.exchange(&[Transfer::new(0, &source)], &[Transfer::new(0, &target)], &stream).unwrap();
        if round % 19 == 0 {
            println!("  round {round}: the call took {} us", start.elapsed().as_micros());
        }
        stream.wait(&mut patience()).unwrap();
        assert_eq!(bytes_of(&target), bytes);
    }
    assert_eq!(end.check(), Ok(()));
    drop((end, stream));
    rig.finish();
}

pub(crate) fn collectives_of_one_rank() {
    let rig = rig();
    // The smallest buffers.
    let before = rig.device.memory_info().unwrap().free;
    let id = rig.device.communicator_id().unwrap();
    let options = CommunicatorOptions { buffer_bytes: Some(1) };
    let end = rig.device.communicator(&id, 0, 1, options).unwrap();
    end.wait_ready(&mut patience()).unwrap();
    let after = rig.device.memory_info().unwrap().free;
    println!(
        "  {} bytes reserved, {} fewer are free",
        end.reserved_bytes(),
        before.saturating_sub(after)
    );
    let stream = rig.stream();
    let bytes = pattern(9, 1003);
    let source = with_bytes(&rig.device, &bytes);
    let target = rig.device.allocate(bytes.len()).unwrap();
    end.barrier(&stream).unwrap();
    stream.wait(&mut patience()).unwrap();
    rig.device.drain(&mut patience()).unwrap();
    let hold = Hold::on(stream.handle());
    end.all_gather(&source, &target, &stream).unwrap();
    end.broadcast(&source, 0, &stream).unwrap();
    end.barrier(&stream).unwrap();
    // All three are on the stream by now, behind what holds it.
    assert_eq!(stream.is_complete(), Ok(false));
    hold.release();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), bytes);
    assert_eq!(bytes_of(&source), bytes);
    assert_eq!(end.check(), Ok(()));
    drop((end, stream, source, target));
    rig.finish();
}

pub(crate) fn a_lonely_creation_is_aborted() {
    assert!(run_child("lonely", "").contains("given up"));
}

/// In a process of its own: the library holds the creation for minutes, and no other can begin meanwhile.
pub(crate) fn abort_a_lonely_creation() {
    let rig = rig();
    let other = alone(&rig);
    let id = rig.device.communicator_id().unwrap();
    let start = Instant::now();
    let end = rig.device.communicator(&id, 0, 2, CommunicatorOptions::default()).unwrap();
    println!("  creation returned after {} ms", start.elapsed().as_millis());
    assert_eq!(kind(end.wait_ready(&mut within(500))), ErrorKind::TimedOut);
    let start = Instant::now();
    end.abort().unwrap();
    println!("  abort took {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() < Duration::from_secs(10));
    let error = end.is_ready().unwrap_err();
    println!("  {error}");
    assert_eq!(error.kind(), ErrorKind::Aborted);
    assert_eq!(kind(end.check()), ErrorKind::Aborted);
    drop(end);
    // One that is dropped while it is being created, or waits for that, is aborted, too.
    let id = rig.device.communicator_id().unwrap();
    drop(rig.device.communicator(&id, 0, 2, CommunicatorOptions::default()).unwrap());
    // Others go on.
    let stream = rig.stream();
    other.barrier(&stream).unwrap();
    stream.wait(&mut patience()).unwrap();
    drop((other, stream));
    rig.finish();
    println!("  given up");
}

pub(crate) fn two_ranks_on_one_device_fail() {
    assert!(run_child("two ranks", "").contains("refused"));
}

/// In a process of its own: the creation that came first may be inside the library for minutes.
pub(crate) fn put_two_ranks_on_one_device() {
    let rig = rig();
    assert!(!rig.device.info().ranks_share_device);
    let id = rig.device.communicator_id().unwrap();
    let ends = [0, 1].map(|rank| {
        let device = Device::open(rig.faulty.backend(), 0).unwrap();
        device.communicator(&id, rank, 2, CommunicatorOptions::default()).unwrap()
    });
    for end in &ends {
        let error = end.wait_ready(&mut patience()).unwrap_err();
        println!("  {error}");
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.text().contains("one rank"), "{error}");
    }
    drop(ends);
    rig.finish();
    println!("  refused");
}

pub(crate) fn aborted_twice_is_harmless() {
    let rig = rig();
    let end = alone(&rig);
    let stream = rig.stream();
    let memory = with_bytes(&rig.device, &[8; 100]);
    end.broadcast(&memory, 0, &stream).unwrap();
    stream.wait(&mut patience()).unwrap();
    end.abort().unwrap();
    end.abort().unwrap();
    assert_eq!(kind(end.broadcast(&memory, 0, &stream)), ErrorKind::Aborted);
    assert_eq!(kind(end.barrier(&stream)), ErrorKind::Aborted);
    // Its work was over, so its stream is as good as before.
    stream.fill(&memory, 9).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&memory), [9; 100]);
    drop((end, stream, memory));
    rig.finish();
}

pub(crate) fn pending_work_fails_by_an_abort() {
    assert!(run_child("abort", "").contains("failed as it has to"));
}

/// In a process of its own: what goes wrong here may break the device's context.
pub(crate) fn abort_pending_work() {
    let rig = rig();
    let end = alone(&rig);
    let (stream, waiting) = (rig.stream(), rig.stream());
    let memory = with_bytes(&rig.device, &[8; 100]);
    let [before, after] = [(); 2].map(|()| rig.device.event().unwrap());
    rig.device.drain(&mut patience()).unwrap();
    let hold = Hold::on(stream.handle());
    stream.record(&before).unwrap();
    end.broadcast(&memory, 0, &stream).unwrap();
    stream.record(&after).unwrap();
    waiting.wait_for(&after).unwrap();
    std::thread::scope(|scope| {
        let releasing = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            hold.release();
        });
        let start = Instant::now();
        let aborted = end.abort();
        println!("  abort took {} ms: {aborted:?}", start.elapsed().as_millis());
        releasing.join().unwrap();
        // Without it the work can only be waited for.
        assert_eq!(aborted.is_ok(), rig.device.info().stream_abort);
    });
    // What waits for it is to be aborted, too: the library may never let it go on.
    if rig.device.info().stream_abort {
        waiting.abort().unwrap();
    }
    for (name, result) in [
        ("event before", before.wait(&mut patience())),
        ("event after", after.wait(&mut patience())),
        ("stream", stream.wait(&mut patience())),
        ("stream that waits", waiting.wait(&mut patience())),
        ("later work", stream.fill(&memory, 1)),
    ] {
        println!("  {name}: {result:?}");
        // The stream is aborted with all that is on it.
        let is_done = name == "event before" && !rig.device.info().stream_abort;
        let expected = if is_done { None } else { Some(ErrorKind::Aborted) };
        assert_eq!(result.err().map(|error| error.kind()), expected, "{name}");
    }
    // Nothing is broken by it.
    assert_eq!(bytes_of(&with_bytes(&rig.device, b"still there")), b"still there");
    drop((end, stream, waiting, memory, before, after));
    rig.finish();
    println!("  failed as it has to");
}

/// Both ends in this process, with a device for each.
fn pair(rig: &Rig) -> Option<[Communicator; 2]> {
    if rig.faulty.backend().devices().unwrap() < 2 {
        println!("  there is one device only");
        return None;
    }
    let id = rig.device.communicator_id().unwrap();
    let mut ends = [0, 1].map(|rank| {
        let device = Device::open(rig.faulty.backend(), rank).unwrap();
        device.communicator(&id, rank, 2, CommunicatorOptions::default()).unwrap()
    });
    for end in &mut ends {
        end.wait_ready(&mut patience()).unwrap();
    }
    Some(ends)
}

pub(crate) fn two_devices_exchange() {
    let rig = rig();
    let Some(ends) = pair(&rig) else {
        return;
    };
    std::thread::scope(|scope| {
        for end in &ends {
            scope.spawn(move || {
                let (device, own, other) = (end.device(), end.rank(), 1 - end.rank());
                let stream = device.stream(StreamPriority::Low).unwrap();
                let bytes = |from: u32, to: u32| pattern(u64::from(10 * from + to), 70_001);
                let sources = [own, other].map(|to| with_bytes(device, &bytes(own, to)));
                let targets = [(); 2].map(|()| device.allocate(70_001).unwrap());
                let with = |memories: &[Memory; 2]| {
                    [Transfer::new(own, &memories[0]), Transfer::new(other, &memories[1])]
                };
                end.exchange(&with(&sources), &with(&targets), &stream).unwrap();
                stream.wait(&mut patience()).unwrap();
                assert_eq!(bytes_of(&targets[0]), bytes(own, own));
                assert_eq!(bytes_of(&targets[1]), bytes(other, own));
                let part = with_bytes(device, &pattern(own.into(), 333));
                let all = device.allocate(666).unwrap();
                end.all_gather(&part, &all, &stream).unwrap();
                end.broadcast(&part, 1, &stream).unwrap();
                end.barrier(&stream).unwrap();
                stream.wait(&mut patience()).unwrap();
                assert_eq!(bytes_of(&all), [pattern(0, 333), pattern(1, 333)].concat());
                assert_eq!(bytes_of(&part), pattern(1, 333));
                drop((stream, sources, targets, part, all));
                device.drain(&mut patience()).unwrap();
                assert_eq!(device.take_errors(), []);
            });
        }
    });
    drain(ends);
    rig.finish();
}

/// Drops the ends, and lets their devices release them.
fn drain(ends: [Communicator; 2]) {
    for end in ends {
        let device = end.device().clone();
        drop(end);
        device.drain(&mut patience()).unwrap();
    }
}

/// Links are set up at first use, in a call that blocks until the other rank comes, which it never does.
pub(crate) fn a_call_that_waits_for_links_is_aborted() {
    let rig = rig();
    let Some(ends) = pair(&rig) else {
        return;
    };
    let end = &ends[0];
    let device = end.device();
    let stream = device.stream(StreamPriority::Low).unwrap();
    let memory = with_bytes(device, &[8; 100]);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            println!("  abort: {:?}", end.abort());
        });
        let queued = end.exchange(&[Transfer::new(1, &memory)], &[], &stream);
        println!("  the call came back after {} ms: {queued:?}", start.elapsed().as_millis());
        if let Err(error) = queued {
            assert_eq!(error.kind(), ErrorKind::Aborted);
        }
    });
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(kind(stream.wait(&mut patience())), ErrorKind::Aborted);
    ends[1].abort().unwrap();
    drop((stream, memory));
    drain(ends);
    rig.finish();
}

/// Calls that queue work are made one after another, over all communicators of a device, also if it was
/// opened twice.
pub(crate) fn two_opened_devices_take_turns() {
    let rig = rig();
    let other = Device::open(rig.faulty.backend(), 0).unwrap();
    let ends = [&rig.device, &other].map(|device| {
        let id = device.communicator_id().unwrap();
        let end = device.communicator(&id, 0, 1, CommunicatorOptions::default()).unwrap();
        end.wait_ready(&mut patience()).unwrap();
        end
    });
    std::thread::scope(|scope| {
        for end in &ends {
            scope.spawn(|| {
                let stream = end.device().stream(StreamPriority::Normal).unwrap();
                for _ in 0..200 {
                    end.barrier(&stream).unwrap();
                }
                stream.wait(&mut patience()).unwrap();
            });
        }
    });
    drain(ends);
    drop(other);
    rig.finish();
}
