//! Memory: bounds, overlaps, life, and the host's access to pinned memory.

mod support;

use std::sync::Arc;

use eplb_device::{Backend, Device, ErrorKind, MemoryCopy, StreamPriority};
use eplb_host::HostBackend;
use support::{bytes_of, kind, open, patience, rig, with_bytes};

#[test]
fn bytes_travel_up_across_and_down() {
    let rig = rig();
    let bytes: Vec<u8> = (0..=255).collect();
    let memory = with_bytes(&rig.device, &bytes);
    let target = with_bytes(&rig.device, &[0; 256]);
    let copies = [
        MemoryCopy::new(&target.slice(0, 128).unwrap(), &memory.slice(128, 128).unwrap()),
        MemoryCopy::new(&target.slice(128, 128).unwrap(), &memory.slice(0, 128).unwrap()),
    ];
    rig.stream.copy(&copies).unwrap();
    rig.stream.wait(&mut patience()).unwrap();
    let expected: Vec<u8> = (128..=255).chain(0..128).collect();
    assert_eq!(bytes_of(&target), expected);
    assert_eq!(memory.address().0 % rig.device.info().alignment, 0);
}

#[test]
fn memory_lives_as_long_as_queued_work_needs_it() {
    let rig = rig();
    let target = with_bytes(&rig.device, &[0; 4096]);
    let hold = rig.host.hold(rig.stream.handle()).unwrap();
    {
        let source = with_bytes(&rig.device, &[8; 8192]);
        let part = source.slice(4096, 4096).unwrap();
        rig.stream.copy(&[MemoryCopy::new(&target, &part)]).unwrap();
    }
    rig.device.collect();
    assert_eq!(rig.host.live_allocations(), 2);
    hold.release();
    rig.stream.wait(&mut patience()).unwrap();
    rig.device.collect();
    assert_eq!(rig.host.live_allocations(), 1);
    assert_eq!(rig.host.allocated_bytes(), 4096);
    assert_eq!(bytes_of(&target), [8; 4096]);
}

#[test]
fn ranges_outside_and_empty_ranges_are_refused() {
    let rig = rig();
    let memory = rig.device.allocate(100).unwrap();
    for (offset, bytes) in [(0, 101), (100, 1), (101, 0), (0, 0), (1, usize::MAX), (usize::MAX, 2)]
    {
        assert_eq!(kind(memory.slice(offset, bytes)), ErrorKind::InvalidUse);
    }
    let part = memory.slice(10, 50).unwrap();
    assert_eq!(kind(part.slice(40, 11)), ErrorKind::InvalidUse);
    assert_eq!(part.slice(40, 10).unwrap().address().0, memory.address().0 + 50);
    assert_eq!(kind(rig.device.allocate(0)), ErrorKind::InvalidUse);
    assert_eq!(kind(rig.device.allocate_pinned(0)), ErrorKind::InvalidUse);
    assert_eq!(kind(rig.device.pin(&[])), ErrorKind::InvalidUse);
}

#[test]
fn copies_that_make_no_sense_are_refused_and_nothing_is_queued() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[1; 100]);
    let target = with_bytes(&rig.device, &[2; 100]);
    let part = |from: usize| memory.slice(from, 50).unwrap();
    let refuse = |copies: &[MemoryCopy]| {
        assert_eq!(kind(rig.stream.copy(copies)), ErrorKind::InvalidUse);
    };
    refuse(&[MemoryCopy::new(&part(0), &target)]);
    refuse(&[MemoryCopy::new(&part(0), &part(49))]);
    let good = MemoryCopy::new(&target.slice(0, 50).unwrap(), &part(0));
    refuse(&[good.clone(), MemoryCopy::new(&target.slice(49, 50).unwrap(), &part(0))]);
    refuse(&[good.clone(), MemoryCopy::new(&part(10), &target.slice(50, 50).unwrap())]);
    let elsewhere = open(&rig.host, 0).allocate(50).unwrap();
    refuse(&[good.clone(), MemoryCopy::new(&elsewhere, &part(50))]);
    rig.stream.copy(&[]).unwrap();
    rig.stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), [2; 100]);
    assert_eq!(bytes_of(&memory), [1; 100]);
    // Sources may be read twice.
    let second = MemoryCopy::new(&target.slice(50, 50).unwrap(), &part(0));
    rig.stream.copy(&[good, second]).unwrap();
    rig.stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), [1; 100]);
}

#[test]
fn an_error_names_the_call_and_says_what_is_allowed() {
    let rig = rig();
    let short = rig.device.allocate(4).unwrap();
    let long = rig.device.allocate(5).unwrap();
    let error = rig.stream.copy(&[MemoryCopy::new(&short, &long)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "copy on host device 0: invalid use: copy 0 of 1: 5 bytes to a range of 4; \
         both sides have to be equally long"
    );
}

#[test]
fn the_host_keeps_off_pinned_memory_that_work_uses() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[6; 64]);
    let pinned = rig.device.pin(&[1; 128]).unwrap();
    let [low, high] = [0, 64].map(|from| pinned.slice(from, 64).unwrap());
    let hold = rig.host.hold(rig.stream.handle()).unwrap();

    rig.stream.download(&low, &memory).unwrap();
    assert_eq!(kind(low.to_vec()), ErrorKind::InvalidUse);
    assert_eq!(kind(pinned.to_vec()), ErrorKind::InvalidUse);
    assert_eq!(kind(low.write(&[0; 64])), ErrorKind::InvalidUse);
    assert!(!low.is_idle());
    high.write(&[2; 64]).unwrap(); // another part
    rig.stream.upload(&memory, &high).unwrap();
    assert_eq!(high.to_vec().unwrap(), [2; 64], "work only reads it");
    assert_eq!(kind(high.write(&[3; 64])), ErrorKind::InvalidUse);

    let event = rig.device.event().unwrap();
    rig.stream.record(&event).unwrap();
    hold.release();
    event.wait(&mut patience()).unwrap();
    // More work behind the event changes nothing for what came before it.
    let later = rig.host.hold(rig.stream.handle()).unwrap();
    assert_eq!(low.to_vec().unwrap(), [6; 64]);
    high.write(&[3; 64]).unwrap();
    assert!(pinned.is_idle());
    assert_eq!(kind(pinned.read(&mut [0; 3])), ErrorKind::InvalidUse);
    assert_eq!(kind(pinned.write(&[0; 129])), ErrorKind::InvalidUse);
    later.release();
}

#[test]
fn pinned_memory_of_failed_work_comes_free() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[6; 64]);
    let pinned = rig.device.allocate_pinned(64).unwrap();
    rig.host.fail(rig.stream.handle(), "broken").unwrap();
    rig.stream.download(&pinned, &memory).unwrap();
    assert_eq!(kind(rig.stream.wait(&mut patience())), ErrorKind::Failed);
    assert_eq!(pinned.to_vec().unwrap(), [0; 64]);
}

#[test]
fn fresh_pinned_memory_is_zero_even_where_it_was_used_before() {
    let rig = rig();
    for _ in 0..20 {
        let pinned = rig.device.allocate_pinned(1000).unwrap();
        assert_eq!(pinned.to_vec().unwrap(), [0; 1000]);
        pinned.write(&[255; 1000]).unwrap();
    }
}

#[test]
fn memory_runs_out_and_comes_back() {
    let host = HostBackend::with_memory(1, 10_000);
    let backend: Arc<dyn Backend> = host.clone();
    let device = Device::open(&backend, 0).unwrap();
    let memory = device.allocate(9_000).unwrap();
    assert_eq!(device.memory_info().unwrap().free, 1_000);
    let error = device.allocate(1_001).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert_eq!(error.operation(), "allocate");
    drop(memory);
    device.allocate(10_000).unwrap(); // collects first
    device.allocate_pinned(20_000).unwrap();
    assert_eq!(device.memory_info().unwrap().total, 10_000);
}

#[test]
fn an_ordinal_out_of_range_is_refused() {
    let backend: Arc<dyn Backend> = HostBackend::new(2);
    assert_eq!(backend.devices().unwrap(), 2);
    assert_eq!(kind(Device::open(&backend, 2)), ErrorKind::InvalidUse);
}

#[test]
fn two_streams_on_the_same_bytes_give_one_order_or_the_other() {
    let rig = rig();
    let other = rig.device.stream(StreamPriority::Normal).unwrap();
    let memory = rig.device.allocate(1 << 20).unwrap();
    for _ in 0..20 {
        rig.stream.fill(&memory, 1).unwrap();
        other.fill(&memory, 2).unwrap();
    }
    rig.stream.wait(&mut patience()).unwrap();
    other.wait(&mut patience()).unwrap();
    let bytes = bytes_of(&memory);
    assert!(bytes.iter().all(|byte| *byte == bytes[0]) && [1, 2].contains(&bytes[0]));
}
