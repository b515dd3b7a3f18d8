//! What the tests share.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub(crate) mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb_device::{
    Backend, Communicator, CommunicatorId, CommunicatorOptions, Device, ErrorKind, Expired, Memory,
    Result, Stream, StreamPriority, Wait,
};
use eplb_host::HostBackend;

/// Waits until a deadline.
pub(crate) struct Deadline(Instant);

impl Wait for Deadline {
    fn pause(&mut self) -> std::result::Result<(), Expired> {
        if Instant::now() >= self.0 {
            return Err(Expired);
        }
        std::thread::sleep(Duration::from_micros(50));
        Ok(())
    }
}

/// More than anything that comes to an end takes.
pub(crate) fn patience() -> Deadline {
    within(20_000)
}

pub(crate) fn within(milliseconds: u64) -> Deadline {
    Deadline(Instant::now() + Duration::from_millis(milliseconds))
}

/// Polls until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut wait = patience();
    while !is_so() {
        assert!(wait.pause().is_ok(), "never: {what}");
    }
}

/// A backend, a device of it, and a stream.
pub(crate) struct Rig {
    pub(crate) host: Arc<HostBackend>,
    pub(crate) device: Device,
    pub(crate) stream: Stream,
}

pub(crate) fn rig() -> Rig {
    let host = HostBackend::new(1);
    let device = open(&host, 0);
    let stream = device.stream(StreamPriority::Normal).unwrap();
    Rig { host, device, stream }
}

pub(crate) fn open(host: &Arc<HostBackend>, ordinal: u32) -> Device {
    let backend: Arc<dyn Backend> = host.clone();
    Device::open(&backend, ordinal).unwrap()
}

/// Device memory with these bytes in it.
pub(crate) fn with_bytes(device: &Device, bytes: &[u8]) -> Memory {
    let stream = device.stream(StreamPriority::Normal).unwrap();
    let memory = device.allocate(bytes.len()).unwrap();
    stream.upload(&memory, &device.pin(bytes).unwrap()).unwrap();
    stream.wait(&mut patience()).unwrap();
    memory
}

/// The bytes in device memory.
pub(crate) fn bytes_of(memory: &Memory) -> Vec<u8> {
    let device = memory.device();
    let stream = device.stream(StreamPriority::Normal).unwrap();
    let pinned = device.allocate_pinned(memory.bytes()).unwrap();
    stream.download(&pinned, memory).unwrap();
    stream.wait(&mut patience()).unwrap();
    pinned.to_vec().unwrap()
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

/// Runs `rank` on a thread for each rank of a new communicator, each with a device of its own, and
/// gives what the ranks gave.
pub(crate) fn on_ranks<T: Send>(
    size: u32,
    rank: impl Fn(&Communicator, &Stream) -> T + Sync,
) -> Vec<T> {
    let host = HostBackend::new(size);
    let results = on_ranks_of(&host, size, &rank);
    assert_eq!(host.live_allocations(), 0);
    assert_eq!(host.live_streams(), 0);
    results
}

pub(crate) fn on_ranks_of<T: Send>(
    host: &Arc<HostBackend>,
    size: u32,
    rank: &(impl Fn(&Communicator, &Stream) -> T + Sync),
) -> Vec<T> {
    let id = open(host, 0).communicator_id().unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..size)
            .map(|number| {
                let id = id.clone();
                scope.spawn(move || {
                    let device = open(host, number);
                    let options = CommunicatorOptions::default();
                    let end = device.communicator(&id, number, size, options).unwrap();
                    end.wait_ready(&mut patience()).unwrap();
                    let stream = device.stream(StreamPriority::Low).unwrap();
                    let result = rank(&end, &stream);
                    drop((end, stream));
                    device.drain(&mut patience()).unwrap();
                    assert_eq!(device.take_errors(), []);
                    result
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Runs `rank` on a thread for each of these ranks, which may be some of a communicator only, and gives
/// what the ranks gave. Each has a device of its own.
pub(crate) fn on_some_ranks<T: Send>(
    host: &Arc<HostBackend>,
    id: &CommunicatorId,
    (ranks, size): (&[u32], u32),
    rank: &(impl Fn(&Communicator, &Stream) -> T + Sync),
) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(ranks)
            .map(|(device, number)| {
                scope.spawn(move || {
                    let device = open(host, device);
                    let options = CommunicatorOptions::default();
                    let end = device.communicator(id, *number, size, options).unwrap();
                    end.wait_ready(&mut patience()).unwrap();
                    let stream = device.stream(StreamPriority::Low).unwrap();
                    let result = rank(&end, &stream);
                    drop((end, stream));
                    device.drain(&mut patience()).unwrap();
                    result
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A small generator of numbers, the same on every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn size(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }
}
