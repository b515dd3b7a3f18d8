//! What every benchmark of devices says of where it ran, and how it waits there.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb::device::{Backend, Device, Expired, Memory, Stream, Wait};
use eplb_backends::{BackendName, LibrarySettings};
use serde::{Deserialize, Serialize};

use crate::arguments::BenchDeviceArguments;
use crate::failure::Failure;

/// Pause between two polls where there are too few processors to spin: short beside what is measured
/// there, and long enough to let copying threads run.
const NAP: Duration = Duration::from_micros(50);

/// Between two polls where there are enough: a few microseconds, since a poll may keep threads that move
/// weights out of the vendor's library.
const SPINS: u32 = 64;

/// Where a benchmark ran, for its report.
#[derive(Debug, Serialize)]
pub(super) struct Ground {
    /// The version of this program.
    pub(super) version: &'static str,
    /// The command line.
    pub(super) command: String,
    pub(super) backend: String,
    /// The devices that ranks are on, each once.
    pub(super) devices: Vec<DeviceFacts>,
    /// How completion was waited for.
    pub(super) polling: Polling,
}

/// A device, as reports name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeviceFacts {
    pub(super) ordinal: u32,
    pub(super) name: String,
    pub(super) software: String,
    pub(super) memory_total_bytes: u64,
}

/// How a thread waits for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Polling {
    /// All but without a pause: the finest measure, where processors are to spare.
    Spin,
    /// With short naps, which leave the processors to threads that copy.
    Nap,
}

/// Waits with an end.
#[derive(Debug)]
pub(super) struct Pace {
    polling: Polling,
    until: Instant,
}

impl Ground {
    pub(super) fn new(name: BackendName, mut devices: Vec<DeviceFacts>, polling: Polling) -> Self {
        devices.sort_by_key(|device| device.ordinal);
        devices.dedup();
        let words: Vec<_> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            command: words.join(" "),
            backend: name.to_string(),
            devices,
            polling,
        }
    }
}

impl DeviceFacts {
    pub(super) fn of(device: &Device) -> Result<Self, Failure> {
        let info = device.info();
        Ok(Self {
            ordinal: info.ordinal,
            name: info.name.clone(),
            software: info.software.clone(),
            memory_total_bytes: device.memory_info().map_err(Failure::new)?.total,
        })
    }
}

impl Polling {
    /// Spins where each of `threads` that wait has two processors: one to wait on, and one for whoever
    /// copies.
    pub(super) fn for_threads(threads: u32) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if processors >= 2 * threads as usize { Self::Spin } else { Self::Nap }
    }

    pub(super) fn pace(self, limit: Duration) -> Pace {
        Pace { polling: self, until: Instant::now() + limit }
    }
}

impl Wait for Pace {
    fn pause(&mut self) -> Result<(), Expired> {
        if Instant::now() >= self.until {
            return Err(Expired);
        }
        match self.polling {
            Polling::Spin => (0..SPINS).for_each(|_| std::hint::spin_loop()),
            Polling::Nap => std::thread::sleep(NAP),
        }
        Ok(())
    }
}

/// Polls until `poll` gives something; `what` says what did not come in time.
pub(super) fn wait_for<T>(
    pace: &mut Pace,
    what: &str,
    mut poll: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    loop {
        if let Some(found) = poll()? {
            return Ok(found);
        }
        let late = |Expired| Failure::new(format!("{what} did not end in time; see --deadline"));
        pace.pause().map_err(late)?;
    }
}

pub(super) fn wait_for_stream(stream: &Stream, pace: &mut Pace) -> Result<(), Failure> {
    stream.wait(pace).map_err(Failure::new)
}

/// Opens the backend of a benchmark; the host shows a device for each rank.
pub(super) fn open(on: &BenchDeviceArguments, ranks: u32) -> Result<Arc<dyn Backend>, Failure> {
    eplb_backends::open(on.backend, &LibrarySettings::default(), ranks).map_err(Failure::new)
}

/// The ordinals that ranks are dealt to in turn: those that were chosen, or all.
pub(super) fn ordinals(backend: &dyn Backend, chosen: &[u32]) -> Result<Vec<u32>, Failure> {
    let count = backend.devices().map_err(Failure::new)?;
    if count == 0 {
        return Err(Failure::new(format!(
            "{}: it shows no device; see eplb doctor",
            backend.name()
        )));
    }
    chosen.iter().try_for_each(|&ordinal| within("--device", ordinal, 0, count - 1))?;
    Ok(if chosen.is_empty() { (0..count).collect() } else { chosen.to_vec() })
}

/// Refuses a flag's value that is out of range.
pub(super) fn within<T: PartialOrd + Display>(
    flag: &str,
    given: T,
    least: T,
    most: T,
) -> Result<(), Failure> {
    if given >= least && given <= most {
        return Ok(());
    }
    Err(Failure::new(format!("{flag} {given} is not allowed; allowed: {least} to {most}")))
}

/// The limit of each wait.
pub(super) fn limit(on: &BenchDeviceArguments) -> Result<Duration, Failure> {
    within("--deadline", on.deadline, 1, 3_600)?;
    Ok(Duration::from_secs(on.deadline))
}

/// Memory of `bytes`, each of which has been written: memory that was never touched may cost nothing to
/// read.
pub(super) fn written_memory(
    device: &Device,
    stream: &Stream,
    bytes: usize,
) -> Result<Memory, Failure> {
    let memory = device.allocate(bytes).map_err(Failure::new)?;
    stream.fill(&memory, 0x5a).map_err(Failure::new)?;
    Ok(memory)
}
