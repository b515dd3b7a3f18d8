//! Communicators of ours, as far as one device goes.

use std::time::{Duration, Instant};

use eplb_device::{Communicator, CommunicatorOptions, Device, ErrorKind, Transfer};

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
    let rig = rig();
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
    // One that is dropped while it is being created is aborted, too.
    let id = rig.device.communicator_id().unwrap();
    drop(rig.device.communicator(&id, 0, 2, CommunicatorOptions::default()).unwrap());
    rig.finish();
}

pub(crate) fn two_ranks_on_one_device_fail() {
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
        assert!(error.code().is_some());
    }
    drop(ends);
    rig.finish();
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
    });
    for (name, result) in [
        ("event before", before.wait(&mut patience())),
        ("event after", after.wait(&mut patience())),
        ("stream", stream.wait(&mut patience())),
        ("stream that waits", waiting.wait(&mut patience())),
        ("later work", stream.fill(&memory, 1)),
    ] {
        println!("  {name}: {result:?}");
        let expected = if name == "event before" { None } else { Some(ErrorKind::Aborted) };
        assert_eq!(result.err().map(|error| error.kind()), expected, "{name}");
    }
    // Nothing is broken by it.
    assert_eq!(bytes_of(&with_bytes(&rig.device, b"still there")), b"still there");
    drop((end, stream, waiting, memory, before, after));
    rig.finish();
    println!("  failed as it has to");
}
