//! The place of the scenario: open devices, what is lent, and what came out.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eplb_device::{
    Backend, CommunicatorId, Device, DeviceError, Expired, Memory, PeerKey, Result, Stream,
    StreamPriority, Wait,
};

use crate::child;
use crate::vendor::{Lent, Vendor};

/// How long anything may be waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What stays over all runs of a process.
pub(crate) struct Stage {
    pub(crate) vendor: &'static dyn Vendor,
    pub(crate) lent: Lent,
    /// Memory of another process, which holds the bytes of `pattern(7, EXPORTED_BYTES)`.
    pub(crate) key: PeerKey,
    pub(crate) second_way: Option<CommunicatorId>,
    exporter: Child,
}

pub(crate) const EXPORTED_BYTES: usize = 3000;

impl Stage {
    pub(crate) fn set(line: &str, vendor: &'static dyn Vendor, folder: &std::path::Path) -> Self {
        let mut exporter = Command::new(std::env::current_exe().unwrap())
            .env(child::ROLE, format!("export {line}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut digits = String::new();
        BufReader::new(exporter.stdout.take().unwrap()).read_line(&mut digits).unwrap();
        let digits = digits.trim_end().as_bytes().chunks(2);
        let bytes: Vec<u8> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let key = PeerKey::from_bytes(&bytes).unwrap();
        Self { vendor, lent: vendor.lend(), key, second_way: vendor.second_way(folder), exporter }
    }

    pub(crate) fn clear(mut self) {
        // It ends when nobody is left to tell it anything.
        drop(self.exporter.stdin.take());
        assert!(self.exporter.wait().unwrap().success());
        self.vendor.take_back(&self.lent);
    }
}

/// An error that a piece of the scenario has met.
pub(crate) struct Told {
    pub(crate) piece: &'static str,
    pub(crate) error: DeviceError,
}

/// What came out of a run.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) told: Vec<Told>,
    /// What must not be, whatever fails.
    pub(crate) problems: Vec<String>,
    /// The piece in which the call failed that was to fail.
    pub(crate) failed_in: Option<&'static str>,
}

/// A run.
pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) device: Device,
    pub(crate) other: Device,
    pub(crate) account: &'a Account<'a>,
}

/// What a run writes down.
pub(crate) struct Account<'a> {
    pub(crate) outcome: Mutex<Outcome>,
    /// Whether the call that is to fail has failed.
    pub(crate) has_failed: &'a (dyn Fn() -> bool + Sync),
}

impl Account<'_> {
    fn open(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an error.
    pub(crate) fn tell(&self, piece: &'static str, error: DeviceError) {
        self.open().told.push(Told { piece, error });
    }

    /// Notes what must not be.
    pub(crate) fn complain(&self, problem: String) {
        self.open().problems.push(problem);
    }

    /// A piece is over.
    pub(crate) fn end(&self, piece: &'static str) {
        if (self.has_failed)() {
            self.open().failed_in.get_or_insert(piece);
        }
    }
}

/// What fails once works when it is tried again.
fn twice<T, E>(
    mut attempt: impl FnMut() -> std::result::Result<T, E>,
    note: impl Fn(E),
) -> Option<T> {
    for _ in 0..2 {
        match attempt() {
            Ok(value) => return Some(value),
            Err(error) => note(error),
        }
    }
    None
}

impl<'a> Scene<'a> {
    /// Opens the libraries and two devices.
    pub(crate) fn open(
        stage: &'a Stage,
        account: &'a Account<'a>,
        all_is_well: bool,
    ) -> Option<Self> {
        let note = |piece| move |error| account.tell(piece, error);
        let not_loaded = |text: String| {
            account.tell("load", DeviceError::new(eplb_device::ErrorKind::Failed, "load", text));
        };
        let backend = twice(|| stage.vendor.backend(), not_loaded)?;
        let devices = twice(|| backend.devices(), note("devices"));
        if all_is_well && devices != Some(4) {
            account.complain(format!("{devices:?} devices"));
        }
        let device = twice(|| Device::open(&backend, 0), note("open"))?;
        let other = twice(|| Device::open(&backend, 1), note("open"))?;
        account.end("open");
        Some(Self { stage, backend, device, other, account })
    }

    /// Plays a piece, and then looks for what it has left to be told.
    pub(crate) fn piece(&self, name: &'static str, play: impl FnOnce(&Self) -> Result<()>) {
        if let Err(error) = play(self) {
            self.account.tell(name, error);
        }
        for device in [&self.device, &self.other] {
            self.settle(name, device);
        }
        self.account.end(name);
    }

    /// All that was dropped is given back, and has told what went wrong.
    pub(crate) fn settle(&self, piece: &'static str, device: &Device) {
        if let Err(error) = device.drain(&mut patience()) {
            self.problem(format!("{piece}: {error}"));
        }
        for error in device.take_errors() {
            self.account.tell(piece, error);
        }
    }

    pub(crate) fn note(&self, piece: &'static str, result: Result<()>) {
        if let Err(error) = result {
            self.account.tell(piece, error);
        }
    }

    pub(crate) fn problem(&self, problem: String) {
        self.account.complain(problem);
    }

    /// What a piece did without an error has to be right.
    pub(crate) fn expect(&self, piece: &'static str, memory: &Memory, bytes: &[u8]) -> Result<()> {
        let found = bytes_of(memory)?;
        if found != bytes {
            self.problem(format!("{piece}: without an error, the bytes are wrong"));
        }
        Ok(())
    }
}

/// Waits until a deadline, or until somebody says stop.
pub(crate) struct Deadline<'a> {
    until: Instant,
    stop: Option<&'a AtomicBool>,
}

impl Wait for Deadline<'_> {
    fn pause(&mut self) -> std::result::Result<(), Expired> {
        let stopped = self.stop.is_some_and(|stop| stop.load(Ordering::SeqCst));
        if stopped || Instant::now() >= self.until {
            return Err(Expired);
        }
        std::thread::sleep(Duration::from_micros(50));
        Ok(())
    }
}

pub(crate) fn patience() -> Deadline<'static> {
    Deadline { until: Instant::now() + PATIENCE, stop: None }
}

pub(crate) fn patience_unless(stop: &AtomicBool) -> Deadline<'_> {
    Deadline { until: Instant::now() + PATIENCE, stop: Some(stop) }
}

pub(crate) fn stream(device: &Device) -> Result<Stream> {
    device.stream(StreamPriority::Normal)
}

pub(crate) fn with_bytes(device: &Device, bytes: &[u8]) -> Result<Memory> {
    let stream = stream(device)?;
    let memory = device.allocate(bytes.len())?;
    stream.upload(&memory, &device.pin(bytes)?)?;
    stream.wait(&mut patience())?;
    Ok(memory)
}

pub(crate) fn bytes_of(memory: &Memory) -> Result<Vec<u8>> {
    let device = memory.device();
    let stream = stream(device)?;
    let pinned = device.allocate_pinned(memory.bytes())?;
    stream.download(&pinned, memory)?;
    stream.wait(&mut patience())?;
    pinned.to_vec()
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let byte = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(byte).collect()
}
