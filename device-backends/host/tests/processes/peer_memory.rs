//! Memory of another process: pulled, pushed to, lent, withdrawn, gone.

#![allow(unsafe_code, reason = "an engine lends memory, and processes change their permissions")]

use std::time::{Duration, Instant};

use eplb_device::raw::Address;
use eplb_device::{Device, ErrorKind, MemoryCopy, PeerKey, PeerMemory, StreamPriority};
use eplb_host::HostBackend;

use crate::child::{Player, from_hex, listen, say, to_hex};
use crate::support::{bytes_of, eventually, open, patience, with_bytes};

pub(crate) const PARTS: &[(&str, fn())] = &[
    ("exporter", exporter),
    ("lender", lender),
    ("lender that ends", lender_that_ends),
    ("hidden exporter", hidden_exporter),
    ("importer of another user", importer_of_another_user),
];

pub(crate) const CHECKS: &[(&str, fn())] = &[
    ("memory is pulled from and pushed to another process", pulls_and_pushes),
    ("parts of memory that an engine lent are pulled", lent_memory_is_pulled),
    ("an export withdrawn in mid-copy gives an error and no wrong bytes", withdrawn_in_mid_copy),
    ("an exporter killed in mid-copy gives an error", killed_in_mid_copy),
    ("a stream is aborted in mid-copy", aborted_in_mid_copy),
    ("what the kernel refuses is not supported, with the reason", refused_by_the_kernel),
];

/// Bytes that depend on `seed`, different at each place for a long way.
fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|index| ((index * 7 + (index >> 8) + seed) % 251) as u8).collect()
}

/// Exports memory with a pattern and does what it is told with it.
fn exporter() {
    let host = HostBackend::new(1);
    let device = open(&host, 0);
    let bytes: usize = listen().parse().unwrap();
    let memory = with_bytes(&device, &pattern(1, bytes));
    say(&to_hex(device.export(&memory).unwrap().as_bytes()));
    let mut memory = Some(memory);
    loop {
        match listen().as_str() {
            "check" => {
                let found = bytes_of(memory.as_ref().unwrap());
                say(if found == pattern(2, bytes) { "right" } else { "wrong" });
            }
            "withdraw" => {
                memory = None;
                device.collect();
                // What the system gives out next is likely to be in the same place.
                let other = with_bytes(&device, &vec![0xee; bytes]);
                say("withdrawn");
                memory = memory.or(Some(other));
            }
            _ => return,
        }
    }
}

/// Lends memory of its own to the library, and exports a part.
fn lender() {
    let host = HostBackend::new(1);
    let device = open(&host, 0);
    let mut owned = pattern(1, listen().parse().unwrap());
    let address = Address(owned.as_mut_ptr() as usize);
    // SAFETY: the vector stays until the device has been drained, and nothing else uses it.
    let lent = unsafe { device.borrow_memory(address, owned.len()) }.unwrap();
    let part = lent.slice(1_003, 50_001).unwrap();
    say(&to_hex(device.export(&part).unwrap().as_bytes()));
    listen();
    drop((part, lent));
    device.drain(&mut patience()).unwrap();
    drop(owned);
}

/// Lends and exports memory, and uses it for something else once it has been told to take it back.
fn lender_that_ends() {
    let device = open(&HostBackend::new(1), 0);
    let mut owned = pattern(1, listen().parse().unwrap());
    let address = Address(owned.as_mut_ptr() as usize);
    // SAFETY: the vector stays until the memory was given back, and nothing else uses it before.
    let lent = unsafe { device.borrow_memory(address, owned.len()) }.unwrap();
    say(&to_hex(device.export(&lent).unwrap().as_bytes()));
    assert_eq!(listen(), "withdraw");
    drop(lent);
    device.drain(&mut patience()).unwrap();
    owned.fill(0xee);
    say("withdrawn");
    listen();
    drop(owned);
}

fn hidden_exporter() {
    // SAFETY: changes a permission of this process alone.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }, 0);
    exporter();
}

/// Becomes another user where it may, and tries to import.
fn importer_of_another_user() {
    const NOBODY: u32 = 65_534;
    // SAFETY: takes nothing and changes nothing.
    if unsafe { libc::geteuid() } == 0 {
        // SAFETY: changes the user of this process alone.
        assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
    }
    let device = open(&HostBackend::new(1), 0);
    let key = PeerKey::from_bytes(&from_hex(&listen())).unwrap();
    let error = device.import(&key).unwrap_err();
    say(&format!("{:?}: {}", error.kind(), error.text()));
    listen();
}

/// A process that has exported so many bytes, and their import here.
fn import(part: &str, bytes: usize) -> (Player, Device, PeerMemory) {
    let mut player = Player::start(part);
    player.tell(&bytes.to_string());
    let key = PeerKey::from_bytes(&from_hex(&player.hear())).unwrap();
    let device = open(&HostBackend::new(1), 0);
    let peer = device.import(&key).unwrap();
    (player, device, peer)
}

fn pulls_and_pushes() {
    for bytes in [1, 4_097, 10_000_019] {
        let (mut player, device, peer) = import("exporter", bytes);
        let stream = device.stream(StreamPriority::Normal).unwrap();
        let target = device.allocate(bytes).unwrap();
        stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
        stream.wait(&mut patience()).unwrap();
        assert!(bytes_of(&target) == pattern(1, bytes), "{bytes} bytes");

        let source = with_bytes(&device, &pattern(2, bytes));
        stream.copy(&[MemoryCopy::new(peer.memory(), &source)]).unwrap();
        stream.wait(&mut patience()).unwrap();
        player.tell("check");
        assert_eq!(player.hear(), "right", "{bytes} bytes");
        player.end();
    }
}

fn lent_memory_is_pulled() {
    let (player, device, peer) = import("lender", 100_000);
    assert_eq!(peer.memory().bytes(), 50_001);
    let inner = peer.memory().slice(100, 301).unwrap();
    let target = device.allocate(301).unwrap();
    let stream = device.stream(StreamPriority::Normal).unwrap();
    stream.copy(&[MemoryCopy::new(&target, &inner)]).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), pattern(1, 100_000)[1_103..1_404]);
    player.end();
}

/// Large enough that a copy of it is under way for some time.
const LARGE: usize = 48 << 20;

fn withdrawn_in_mid_copy() {
    // The memory of one is gone then, that of the other is there, with other bytes.
    withdrawn_in_mid_copy_by("exporter");
    for _ in 0..2 {
        withdrawn_in_mid_copy_by("lender that ends");
    }
}

fn withdrawn_in_mid_copy_by(part: &str) {
    let (mut player, device, peer) = import(part, LARGE);
    let right = pattern(1, LARGE);
    let target = device.allocate(LARGE).unwrap();
    let mut told = false;
    let mut copies = 0;
    let error = loop {
        let stream = device.stream(StreamPriority::Normal).unwrap();
        stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
        if copies > 0 && !told {
            player.tell("withdraw");
            told = true;
        }
        match stream.wait(&mut patience()) {
            Ok(()) => assert!(bytes_of(&target) == right, "copy {copies} is wrong"),
            Err(error) => break error,
        }
        copies += 1;
        assert!(copies < 200, "copies go on after the export was withdrawn");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidUse);
    assert!(error.text().contains("has withdrawn the export"), "{error}");
    assert_eq!(player.hear(), "withdrawn");
    player.end();
}

fn killed_in_mid_copy() {
    let (mut player, device, peer) = import("exporter", LARGE);
    let target = device.allocate(LARGE).unwrap();
    let stream = device.stream(StreamPriority::Normal).unwrap();
    let started = device.event().unwrap();
    stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    stream.record(&started).unwrap();
    for _ in 0..2_000 {
        stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    }
    eventually("the first copy ends", || started.is_complete().unwrap());
    let killed = Instant::now();
    player.kill();
    let error = stream.wait(&mut patience()).unwrap_err();
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.text().contains("which exported the memory, has ended"), "{error}");

    let next = device.stream(StreamPriority::Normal).unwrap();
    next.fill(&target, 3).unwrap();
    next.wait(&mut patience()).unwrap();
}

fn aborted_in_mid_copy() {
    let (player, device, peer) = import("exporter", LARGE);
    let target = device.allocate(LARGE).unwrap();
    let stream = device.stream(StreamPriority::Normal).unwrap();
    for _ in 0..2_000 {
        stream.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    }
    let aborted = Instant::now();
    stream.abort().unwrap();
    let error = stream.wait(&mut patience()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
    assert!(aborted.elapsed() < Duration::from_secs(1), "{:?}", aborted.elapsed());
    player.end();
}

fn refused_by_the_kernel() {
    // Where this runs as root, the importer is another user; elsewhere the exporter hides its memory.
    let mut exporter = Player::start("hidden exporter");
    exporter.tell("5000");
    let key = exporter.hear();
    let mut importer = Player::start("importer of another user");
    importer.tell(&key);
    let answer = importer.hear();
    assert!(answer.starts_with("Unsupported: the kernel does not let"), "{answer}");
    assert!(answer.ends_with("its bytes have to come by a communicator"), "{answer}");
    importer.end();
    exporter.end();
}
