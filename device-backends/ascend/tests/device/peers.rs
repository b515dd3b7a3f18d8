//! Memory shared within a process and between two.

use std::fmt::Write as _;

use eplb_device::{Address, Device, ErrorKind, MemoryCopy, PeerKey};

use crate::support::{INPUT, bytes_of, kind, patience, pattern, rig, run_child, with_bytes};

pub(crate) fn one_process_shares_plain_memory() {
    let rig = rig();
    let importer = Device::open(rig.faulty.backend(), 0).unwrap();
    let bytes = pattern(1, 5000);
    let source = with_bytes(&rig.device, &bytes);
    let key = rig.device.export(&source.slice(50, 100).unwrap()).unwrap();
    let peer = importer.import(&PeerKey::from_bytes(key.as_bytes()).unwrap()).unwrap();
    let target = importer.allocate(100).unwrap();
    let stream = importer.stream(eplb_device::StreamPriority::Low).unwrap();
    stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), bytes[50..150]);
    for index in 16..key.as_bytes().len() {
        let mut damaged = key.as_bytes().to_vec();
        damaged[index] ^= 0x40;
        let damaged = PeerKey::from_bytes(&damaged).unwrap();
        assert_eq!(kind(importer.import(&damaged)), ErrorKind::InvalidUse, "byte {index}");
    }
    drop((peer, target, stream));
    importer.drain(&mut patience()).unwrap();
    drop(source);
    rig.device.drain(&mut patience()).unwrap();
    assert_eq!(kind(importer.import(&key)), ErrorKind::InvalidUse, "withdrawn");
    assert_eq!(importer.take_errors(), []);
    drop(importer);
    rig.finish();
}

pub(crate) fn two_processes_share_memory() {
    let rig = rig();
    let bytes = pattern(2, 100_000);
    let source = with_bytes(&rig.device, &bytes);
    let key = rig.device.export(&source.slice(1000, 50_000).unwrap()).unwrap();
    let input = key.as_bytes().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let output = run_child("pull", &input);
    assert!(output.contains("pulled and pushed"));
    // It has written back what it found, the other way round.
    let mut expected = bytes.clone();
    expected[1000..51_000].reverse();
    assert_eq!(bytes_of(&source), expected);
    drop(source);
    rig.finish();
}

/// In the second process.
pub(crate) fn pull() {
    let input = std::env::var(INPUT).unwrap();
    let digits = input.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let bytes: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let key = PeerKey::from_bytes(&bytes).unwrap();
    let rig = rig();
    // Twice is two imports.
    let [peer, again] = [(); 2].map(|()| rig.device.import(&key).unwrap());
    drop(again);
    rig.device.collect();
    assert_eq!(rig.faulty.live().imports, 1);
    let stream = rig.stream();
    let here = rig.device.allocate(key.bytes()).unwrap();
    stream.copy(&[MemoryCopy::new(&here, peer.memory())]).unwrap();
    stream.wait(&mut patience()).unwrap();
    let mut found = bytes_of(&here);
    assert_eq!(found, pattern(2, 100_000)[1000..51_000]);
    found.reverse();
    let back = with_bytes(&rig.device, &found);
    // As a batch of two, which the library may treat in another way.
    let half = found.len() / 2;
    let part = |memory: &eplb_device::Memory, at| memory.slice(at, half).unwrap();
    let copies = [0, half].map(|at| MemoryCopy::new(&part(peer.memory(), at), &part(&back, at)));
    stream.copy(&copies).unwrap();
    stream.wait(&mut patience()).unwrap();
    drop((copies, peer, here, back, stream));
    rig.finish();
    println!("  process {}: pulled and pushed {} bytes", std::process::id(), found.len());
}

pub(crate) fn too_early_a_withdrawal_keeps_the_memory() {
    let rig = rig();
    let importer = Device::open(rig.faulty.backend(), 0).unwrap();
    let source = with_bytes(&rig.device, &[9; 4096]);
    let peer = importer.import(&rig.device.export(&source).unwrap()).unwrap();
    drop(source);
    rig.device.drain(&mut patience()).unwrap();
    let errors = rig.device.take_errors();
    assert_eq!(errors[0].kind(), ErrorKind::InvalidUse);
    assert_eq!(errors[0].operation(), "withdraw");
    let target = importer.allocate(4096).unwrap();
    let stream = importer.stream(eplb_device::StreamPriority::Low).unwrap();
    stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), [9; 4096]);
    drop((peer, target, stream));
    importer.drain(&mut patience()).unwrap();
    drop(importer);
    rig.finish();
}

/// Two pieces that the engine lends are exported by one key of the library.
pub(crate) fn pieces_of_one_allocation_are_exported() {
    let rig = rig();
    let whole = with_bytes(&rig.device, &pattern(6, 8192));
    let importer = Device::open(rig.faulty.backend(), 0).unwrap();
    let stream = importer.stream(eplb_device::StreamPriority::Low).unwrap();
    let target = importer.allocate(100).unwrap();
    // SAFETY: pieces of live memory of this device, until they are dropped below.
    let pieces = [10, 5000].map(|at| unsafe {
        let address = Address(whole.address().0 + at);
        rig.device.borrow_memory(address, 100).unwrap()
    });
    for (piece, at) in pieces.into_iter().zip([10, 5000]) {
        let key = rig.device.export(&piece).unwrap();
        let peer = importer.import(&key).unwrap();
        stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
        stream.wait(&mut patience()).unwrap();
        assert_eq!(bytes_of(&target), pattern(6, 8192)[at..at + 100]);
        drop(peer);
        importer.drain(&mut patience()).unwrap();
        drop(piece);
        rig.device.collect();
        assert_eq!(kind(importer.import(&key)), ErrorKind::InvalidUse, "withdrawn");
    }
    drop((stream, target));
    importer.drain(&mut patience()).unwrap();
    drop((importer, whole));
    rig.finish();
}
