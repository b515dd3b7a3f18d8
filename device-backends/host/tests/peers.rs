//! Memory shared between ranks, and what the engine lends.

#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "an engine lends several things on the same grounds"
)]

mod support;

use eplb_device::raw::{Address, Backend, CommunicatorHandle};
use eplb_device::{
    CommunicatorOptions, ContextHandle, Device, ErrorKind, MemoryCopy, PeerKey, StreamPriority,
    Transfer,
};
use eplb_host::HostBackend;
use std::sync::Arc;
use support::{bytes_of, kind, open, patience, rig, with_bytes, within};

#[test]
fn a_rank_pulls_from_the_exported_part_of_another() {
    let host = HostBackend::new(2);
    let (exporter, importer) = (open(&host, 0), open(&host, 1));
    let bytes: Vec<u8> = (0..200).collect();
    let source = with_bytes(&exporter, &bytes);
    let key = exporter.export(&source.slice(50, 100).unwrap()).unwrap();
    assert_eq!(key.bytes(), 100);
    let key = PeerKey::from_bytes(key.as_bytes()).unwrap();
    let peer = importer.import(&key).unwrap();
    assert!(peer.memory().is_peer());
    let target = importer.allocate(100).unwrap();
    let stream = importer.stream(StreamPriority::Low).unwrap();
    stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), bytes[50..150]);

    // Pushing works as well.
    let fresh = with_bytes(&importer, &[250; 100]);
    stream.copy(&[MemoryCopy::new(peer.memory(), &fresh)]).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&source.slice(50, 100).unwrap()), [250; 100]);

    drop(peer);
    importer.drain(&mut patience()).unwrap();
    drop(source);
    exporter.drain(&mut patience()).unwrap();
    assert_eq!(exporter.take_errors(), []);
    assert_eq!(importer.take_errors(), []);
}

#[test]
fn another_backend_of_the_process_imports_as_another_process_would() {
    let (host, other) = (HostBackend::new(1), HostBackend::new(1));
    let (exporter, importer) = (open(&host, 0), open(&other, 0));
    let source = with_bytes(&exporter, &[5; 10_000]);
    let key = exporter.export(&source).unwrap();
    let peer = importer.import(&key).unwrap();
    let (target, stream) =
        (importer.allocate(10_000).unwrap(), importer.stream(StreamPriority::Normal).unwrap());
    stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), [5; 10_000]);

    drop(source);
    exporter.collect();
    stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    let error = stream.wait(&mut patience()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUse);
    assert!(error.text().contains("has withdrawn the export"), "{error}");
    assert_eq!(kind(importer.import(&key)), ErrorKind::InvalidUse);
}

#[test]
fn stale_and_damaged_keys_are_refused() {
    let host = HostBackend::new(2);
    let (exporter, importer) = (open(&host, 0), open(&host, 1));
    let source = exporter.allocate(64).unwrap();
    let key = exporter.export(&source).unwrap();
    assert_eq!(key, exporter.export(&source).unwrap());

    for index in 0..key.as_bytes().len() {
        let mut bytes = key.as_bytes().to_vec();
        bytes[index] ^= 0x40;
        let damaged = PeerKey::from_bytes(&bytes).unwrap();
        let result = importer.import(&damaged);
        // A smaller offset or length would be a valid key for other bytes; none is here.
        assert_eq!(kind(result), ErrorKind::InvalidUse, "byte {index}");
    }
    assert!(PeerKey::from_bytes(&key.as_bytes()[..10]).is_err());

    drop(source);
    exporter.collect();
    assert_eq!(kind(importer.import(&key)), ErrorKind::InvalidUse);
    importer.drain(&mut patience()).unwrap();
    assert_eq!(importer.take_errors(), []);
    assert_eq!(host.live_allocations(), 0);
}

#[test]
fn an_exporter_that_frees_too_early_is_told_and_the_importer_is_safe() {
    let host = HostBackend::new(2);
    let (exporter, importer) = (open(&host, 0), open(&host, 1));
    let source = with_bytes(&exporter, &[9; 4096]);
    let peer = importer.import(&exporter.export(&source).unwrap()).unwrap();
    drop(source);
    exporter.drain(&mut patience()).unwrap();
    let errors = exporter.take_errors();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].kind(), ErrorKind::InvalidUse);
    assert_eq!(errors[0].operation(), "withdraw");

    let target = importer.allocate(4096).unwrap();
    let stream = importer.stream(StreamPriority::Low).unwrap();
    stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), [9; 4096]);
    drop((peer, target, stream));
    importer.drain(&mut patience()).unwrap();
    assert_eq!(host.live_allocations(), 0);
}

#[test]
fn imported_memory_is_for_copies_with_own_memory_only() {
    let host = HostBackend::new(2);
    let (exporter, importer) = (open(&host, 0), open(&host, 1));
    let source = exporter.allocate(64).unwrap();
    let key = exporter.export(&source).unwrap();
    let [one, two] = [0, 1].map(|_| importer.import(&key).unwrap());
    let stream = importer.stream(StreamPriority::Low).unwrap();
    let pinned = importer.allocate_pinned(64).unwrap();
    let peer = one.memory();
    assert_eq!(kind(stream.upload(peer, &pinned)), ErrorKind::InvalidUse);
    assert_eq!(kind(stream.download(&pinned, peer)), ErrorKind::InvalidUse);
    assert_eq!(kind(stream.fill(peer, 0)), ErrorKind::InvalidUse);
    let between = MemoryCopy::new(peer, two.memory());
    assert_eq!(kind(stream.copy(&[between])), ErrorKind::InvalidUse);
    assert_eq!(kind(importer.export(peer)), ErrorKind::InvalidUse);
    // The exporter's own handle is no memory of the importer.
    let target = importer.allocate(64).unwrap();
    let direct = MemoryCopy::new(&target, &source);
    assert_eq!(kind(stream.copy(&[direct])), ErrorKind::InvalidUse);
    assert_eq!(kind(importer.export(&source)), ErrorKind::InvalidUse);
}

#[test]
fn an_import_in_use_is_closed_after_its_use() {
    let host = HostBackend::new(2);
    let (exporter, importer) = (open(&host, 0), open(&host, 1));
    let source = with_bytes(&exporter, &[4; 64]);
    let target = importer.allocate(64).unwrap();
    let stream = importer.stream(StreamPriority::Low).unwrap();
    let hold = host.hold(stream.handle()).unwrap();
    {
        let peer = importer.import(&exporter.export(&source).unwrap()).unwrap();
        stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    }
    assert_eq!(kind(importer.drain(&mut within(20))), ErrorKind::TimedOut);
    hold.release();
    importer.drain(&mut patience()).unwrap();
    drop(source);
    exporter.drain(&mut patience()).unwrap();
    assert_eq!(exporter.take_errors(), [], "the importer had closed");
    assert_eq!(bytes_of(&target), [4; 64]);
}

#[test]
#[expect(unsafe_code, reason = "the test is the engine that lends")]
fn what_the_engine_lends_is_used_and_left_alone() {
    let engine = rig();
    let weights = with_bytes(&engine.device, &[1; 256]);
    let backend: Arc<dyn Backend> = engine.host.clone();
    let id = engine.device.communicator_id().unwrap();
    let options = CommunicatorOptions::default();
    let end = engine.device.communicator(&id, 0, 1, options).unwrap();
    let handle = engine.host.communicator_handle(&id, 0).unwrap();
    let mut shared_bytes = vec![7_u8; 64];

    // SAFETY: the engine's context, stream, memory and communicator outlive what borrows them, the
    // device is drained below before they go, and the engine leaves the bytes alone meanwhile.
    let (device, memory, stream, communicator, pinned) = unsafe {
        let device = Device::adopt(&backend, 0, engine.host.context(0)).unwrap();
        let memory = device.borrow_memory(weights.address(), 256).unwrap();
        let stream = device.borrow_stream(engine.stream.handle()).unwrap();
        let communicator = device.borrow_communicator(handle, 0, 1).unwrap();
        let address = Address(shared_bytes.as_mut_ptr() as usize);
        let pinned = device.borrow_pinned(address, 64).unwrap();
        (device, memory, stream, communicator, pinned)
    };
    assert!(memory.is_borrowed() && stream.is_borrowed() && communicator.is_borrowed());
    assert_eq!(kind(stream.abort()), ErrorKind::InvalidUse);
    assert_eq!(kind(communicator.abort()), ErrorKind::InvalidUse);

    // In the engine's stream, in order with the engine's own work.
    let hold = engine.host.hold(engine.stream.handle()).unwrap();
    engine.stream.fill(&weights, 2).unwrap();
    let part = memory.slice(0, 64).unwrap();
    stream.upload(&part, &pinned).unwrap();
    let other = memory.slice(64, 64).unwrap();
    communicator
        .exchange(&[Transfer::new(0, &part)], &[Transfer::new(0, &other)], &stream)
        .unwrap();
    device.abort().unwrap(); // leaves the engine's alone
    drop((memory, stream, communicator, pinned, part, other));
    assert_eq!(kind(device.drain(&mut within(20))), ErrorKind::TimedOut);
    hold.release();
    device.drain(&mut patience()).unwrap();
    assert_eq!(device.take_errors(), []);
    drop(device);

    engine.stream.wait(&mut patience()).unwrap();
    let expected = [[7; 64], [7; 64], [2; 64], [2; 64]].concat();
    assert_eq!(bytes_of(&weights), expected);
    end.barrier(&engine.stream).unwrap();
    engine.stream.wait(&mut patience()).unwrap();
    assert_eq!(shared_bytes, [7; 64]);
}

#[test]
#[expect(unsafe_code, reason = "the test is the engine that lends")]
fn wrong_handles_of_the_engine_are_refused() {
    let engine = rig();
    let weights = engine.device.allocate(64).unwrap();
    let backend: Arc<dyn Backend> = engine.host.clone();
    let id = engine.device.communicator_id().unwrap();
    let options = CommunicatorOptions::default();
    let _end = engine.device.communicator(&id, 0, 1, options).unwrap();
    let handle = engine.host.communicator_handle(&id, 0).unwrap();
    // SAFETY: this backend looks all of these up and touches nothing.
    let results = unsafe {
        [
            kind(Device::adopt(&backend, 0, ContextHandle(0))),
            kind(engine.device.borrow_memory(weights.address(), 65)),
            kind(engine.device.borrow_memory(weights.address(), 0)),
            kind(engine.device.borrow_memory(Address(0), 1)),
            kind(engine.device.borrow_pinned(weights.address(), 64)),
            kind(engine.device.borrow_communicator(handle, 0, 2)),
            kind(engine.device.borrow_communicator(handle, 1, 1)),
            kind(engine.device.borrow_communicator(CommunicatorHandle(999), 0, 1)),
        ]
    };
    assert_eq!(results, [ErrorKind::InvalidUse; 8]);
}

#[test]
#[expect(unsafe_code, reason = "the test is the engine that lends")]
fn an_event_on_the_engines_stream_tells_of_its_failure() {
    let engine = rig();
    // SAFETY: the engine's stream outlives the borrowed one; the device is drained below.
    let stream = unsafe { engine.device.borrow_stream(engine.stream.handle()) }.unwrap();
    let event = engine.device.event().unwrap();
    stream.record(&event).unwrap();
    engine.host.fail(engine.stream.handle(), "engine's own work").unwrap();
    assert_eq!(kind(engine.stream.wait(&mut patience())), ErrorKind::Failed);
    assert_eq!(kind(event.wait(&mut patience())), ErrorKind::Failed);
    drop(stream);
    engine.device.drain(&mut patience()).unwrap();
}
