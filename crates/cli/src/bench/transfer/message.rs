//! What the benchmark and its ranks say to each other: one JSON object a line where ranks are processes.

use std::io::{BufRead, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::arguments::{CommitArgument, TransportArgument};
use crate::bench::ground::{DeviceFacts, Polling};
use crate::failure::Failure;

/// From an order until ranks begin: long enough for the order to reach all of them.
const HEAD_START: Duration = Duration::from_millis(5);

/// To a rank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Open a device, and make weights.
    Open(Opening),
    /// Other ranks' endpoints, and their memory that plain copies read, by rank.
    Connect { endpoints: Vec<Vec<u8>>, sources: Vec<Vec<u8>> },
    /// Make plain copies, from this moment on.
    Ceiling { begin_unix_ns: u64 },
    /// Bring the weights of all layers, from this moment on.
    Transfer { begin_unix_ns: u64, in_flight: usize },
    /// Let go of other ranks' memory.
    LetGo,
    /// Free everything; the last order.
    End,
}

/// What a rank is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    pub(super) rank: u32,
    pub(super) ranks: u32,
    /// The ordinal of its device.
    pub(super) device: u32,
    pub(super) layers: u32,
    pub(super) slots: u32,
    pub(super) expert_bytes: usize,
    pub(super) commit: CommitArgument,
    pub(super) layers_in_flight: usize,
    pub(super) transport: TransportArgument,
    pub(super) round_slots: u32,
    pub(super) polling: Polling,
    pub(super) deadline_s: u64,
    /// The ceiling is `memcpy` between this process's own memory.
    pub(super) plain_memory: bool,
}

/// From a rank, one for each order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Opened(Opened),
    Moved(Moved),
    Done,
    Failed(String),
}

/// A rank that is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) device: DeviceFacts,
    pub(super) endpoint: Vec<u8>,
    /// The memory that other ranks' plain copies read; empty if they read none.
    pub(super) source: Vec<u8>,
    pub(super) weights_bytes: u64,
    pub(super) free_before_bytes: u64,
    pub(super) free_after_bytes: u64,
}

/// One run of a rank.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) received_bytes: u64,
    /// Slots, and of them those that came by rounds.
    pub(super) received_slots: u64,
    pub(super) collective_slots: u64,
    pub(super) begun_unix_ns: u64,
    pub(super) elapsed: Duration,
}

impl Moved {
    pub(super) fn ended_unix_ns(&self) -> u64 {
        self.begun_unix_ns + crate::bench::figures::nanoseconds(self.elapsed)
    }
}

impl Reply {
    /// The error of a reply that does not fit its order.
    pub(super) fn unexpected(&self, rank: u32) -> Failure {
        match self {
            Self::Failed(text) => Failure::new(format!("rank {rank}: {text}")),
            other => Failure::new(format!("rank {rank} gave another answer than asked: {other:?}")),
        }
    }
}

/// The system's clock, which processes of a machine share.
pub(super) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment that orders given now are in time for.
pub(super) fn soon() -> u64 {
    unix_ns() + crate::bench::figures::nanoseconds(HEAD_START)
}

/// Waits, without giving up the processor, for a moment that [`soon`] gave.
pub(super) fn wait_until(moment_unix_ns: u64) {
    let begun = std::time::Instant::now();
    // The other condition ends it should the clock be set back meanwhile.
    while unix_ns() < moment_unix_ns && begun.elapsed() < 2 * HEAD_START {
        std::hint::spin_loop();
    }
}

pub(super) fn send(
    pipe: &mut (impl Write + ?Sized),
    message: &impl Serialize,
) -> std::io::Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    pipe.write_all(line.as_bytes())?;
    pipe.flush()
}

/// The next message, nothing at the end of the pipe.
pub(super) fn receive<Message: DeserializeOwned>(
    pipe: &mut impl BufRead,
) -> std::io::Result<Option<Message>> {
    let mut line = String::new();
    match pipe.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_str(&line)?)),
    }
}
