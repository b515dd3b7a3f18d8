//! The vocabulary of the cases: what a step can do.

use eplb::device::{ErrorKind, StreamPriority};
use serde::Deserialize;
use thiserror::Error;

use crate::number::Number;

/// One step of a case, as the files write it: `{ fill = "m", value = 7, on = "s" }`. The first key is
/// the verb; its value is the object that the verb is about.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(crate) struct Step {
    /// The verb and its object, for texts.
    pub(crate) label: String,
    pub(crate) action: Action,
    /// The step has to fail, with one of these kinds.
    pub(crate) fails: Vec<Kind>,
    /// What the error's text has to hold, beside what every error holds.
    pub(crate) says: Vec<String>,
    /// Only this rank does it.
    pub(crate) rank: Option<Number>,
    /// All ranks but this one do it.
    pub(crate) not_rank: Option<Number>,
    /// Only this thread of `threads` does it.
    pub(crate) thread: Option<Number>,
}

/// The keys that every step may have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    #[serde(default)]
    fails: Vec<Kind>,
    #[serde(default)]
    says: Vec<String>,
    rank: Option<Number>,
    not_rank: Option<Number>,
    thread: Option<Number>,
}

/// What a step does. `name` is the object that the verb is about; streams are named by `on`, opened
/// devices by `device` (without it, the rank's own).
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Action {
    // --- devices
    /// Opens a device: the n-th of those under test, or any ordinal.
    Open { name: String, nth: Option<Number>, ordinal: Option<Number> },
    /// The number of devices is the same each of so many times, and all under test are among them.
    CountDevices {
        #[serde(rename = "name")]
        times: Number,
    },
    /// What an opened device says of itself makes sense: the n-th of those under test.
    CheckInfo { name: String, nth: Option<Number> },
    /// Notes how much memory is free.
    NoteFree { name: String, device: Option<String> },
    /// As much memory is free as was noted, give or take `slack` bytes.
    FreeAgain { name: String, slack: Number, device: Option<String> },
    /// At least `bytes` less are free than was noted, give or take `slack`.
    FreeLess { name: String, bytes: Number, slack: Number, device: Option<String> },
    /// Waits for all work of a device, and frees what was dropped.
    Drain { name: String, within_ms: Option<Number> },
    /// Frees what was dropped and is no longer in use.
    Collect { name: String },
    /// The errors of drops and collections since the last look: of these operations.
    TakeErrors { name: String, of: Vec<String> },
    /// So many resources of this kind are alive.
    Live { name: Resource, is: Number },
    /// The case goes on without the object.
    Drop { name: String },

    // --- memory
    /// Allocates device memory.
    Allocate { name: String, bytes: Number, device: Option<String> },
    /// Allocates device memory and puts a pattern or a value in it.
    Put {
        name: String,
        bytes: Number,
        pattern: Option<Number>,
        value: Option<Number>,
        device: Option<String>,
    },
    /// Allocates pinned memory, with zeros, a pattern or a value in it.
    Pin {
        name: String,
        bytes: Number,
        pattern: Option<Number>,
        value: Option<Number>,
        device: Option<String>,
    },
    /// A part of memory, under a name of its own.
    Slice { name: String, of: String, at: Number, bytes: Number },
    /// The host writes pinned memory.
    Write { name: String, pattern: Option<Number>, value: Option<Number> },
    /// The host reads pinned memory.
    Read { name: String },
    /// The bytes are these: read back through a stream of its own, or from pinned memory.
    Expect {
        name: String,
        pattern: Option<Number>,
        value: Option<Number>,
        /// Where in the pattern the range starts.
        offset: Option<Number>,
        /// The pattern cut into pieces of so many bytes, the last piece first.
        reversed_by: Option<Number>,
    },
    /// Two ranges have no byte in common, and start where the device says that ranges start.
    Apart { name: String, from: String },

    // --- work
    /// Queues one copy; the kinds of memory say which.
    Copy { name: String, from: String, on: String },
    /// Queues copies as one batch.
    Batch { name: String, copies: Vec<Pair> },
    /// Queues a batch that copies `pieces` parts, the last one first.
    Scatter { name: String, from: String, pieces: Number, on: String },
    /// Queues writing a value to every byte.
    Fill { name: String, value: Number, on: String },
    /// Creates a stream.
    Stream { name: String, priority: Option<Priority>, device: Option<String> },
    /// Creates an event.
    Event { name: String, device: Option<String> },
    /// Sets an event.
    Record { name: String, on: String },
    /// Makes a stream wait for an event.
    WaitFor { name: String, until: String },
    /// Waits for a stream or an event.
    Wait { name: String, within_ms: Option<Number> },
    /// Asks a stream or an event.
    Query { name: String, is: State },
    /// Gives up a stream, a communicator or all of a device.
    Abort { name: String },
    /// Keeps a stream busy for a while: queues so many fills of a range.
    Busy { name: String, with: String, times: Number },
    /// Queueing returns before the work is over: seen by queueing more and more.
    RunsBehind { name: String, with: String },
    /// Keeps a stream busy until it is released: by a barrier for which the other rank has not come.
    Hold { name: String, on: String },
    /// Lets a held stream go on.
    Release { name: String },

    // --- between ranks
    /// All ranks come here, on the host.
    Meet { name: String },
    /// Exports memory and tells the ranks the key.
    Export { name: String, device: Option<String> },
    /// Imports what a rank exported. `damaged` flips a bit of the key's n-th last byte; `cut` takes
    /// that many bytes off it.
    Import {
        name: String,
        of: String,
        from: Option<Number>,
        damaged: Option<Number>,
        cut: Option<Number>,
        device: Option<String>,
    },
    /// Begins to create a communicator, and waits until it can be used.
    Connect { name: String, buffer_bytes: Option<Number>, device: Option<String> },
    /// Begins to create a communicator: as any rank of any number, alone or with others of this rank.
    Communicator {
        name: String,
        rank_of: Number,
        size: Number,
        /// The communicator whose name (id) it shares.
        with: Option<String>,
        /// An id that no backend made.
        made_up: Option<bool>,
        device: Option<String>,
    },
    /// Waits until a communicator can be used.
    Ready { name: String, within_ms: Option<Number> },
    /// Asks whether a communicator can be used.
    IsReady { name: String, is: bool },
    /// Queues one round.
    Exchange {
        name: String,
        on: String,
        #[serde(default)]
        sends: Vec<Buffer>,
        #[serde(default)]
        receives: Vec<Buffer>,
    },
    /// Queues one round with every rank: `bytes` from and to each, whose content is checked later by
    /// `expect_round`.
    ExchangeAll { name: String, on: String, bytes: Number, seed: Number },
    /// The round brought what every rank sent.
    ExpectRound { name: String },
    /// Queues gathering every rank's part.
    AllGather { name: String, on: String, send: String, receive: String },
    /// The gathered bytes are every rank's pattern, in the order of ranks: `seed` and the rank.
    ExpectGathered { name: String, seed: Number },
    /// Queues copying the root's bytes to all.
    Broadcast { name: String, on: String, what: String, root: Number },
    /// Queues a barrier.
    Barrier { name: String, on: String },
    /// Asks for a failure that the library noticed by itself.
    Check { name: String },
    /// A communicator reserves no more than another one.
    ReservesAtMost { name: String, what: String },

    // --- what an engine lends
    /// A stream, memory or pinned memory of one opened device, lent to another.
    Lend { name: String, of: String, device: String },

    // --- faults
    /// A call of the backend fails without being made (or `late`: is made and reports a failure).
    Fault { name: String, nth: Option<Number>, kind: Kind, late: Option<bool> },
    /// A call was made, and a fault was met.
    FaultWasMet { name: String },

    // --- composition
    /// Threads that do the steps at the same time; each knows its number as `thread`.
    Threads {
        #[serde(rename = "name")]
        count: Number,
        steps: Vec<Step>,
    },
    /// Does the steps again and again, with the number of the time as `round`.
    Repeat {
        #[serde(rename = "name")]
        times: Number,
        steps: Vec<Step>,
    },
}

/// The verbs of [`Action`].
const VERBS: &[&str] = &[
    "open",
    "count_devices",
    "check_info",
    "note_free",
    "free_again",
    "free_less",
    "drain",
    "collect",
    "take_errors",
    "live",
    "drop",
    "allocate",
    "put",
    "pin",
    "slice",
    "write",
    "read",
    "expect",
    "apart",
    "copy",
    "batch",
    "scatter",
    "fill",
    "stream",
    "event",
    "record",
    "wait_for",
    "wait",
    "query",
    "abort",
    "busy",
    "runs_behind",
    "hold",
    "release",
    "meet",
    "export",
    "import",
    "connect",
    "communicator",
    "ready",
    "is_ready",
    "exchange",
    "exchange_all",
    "expect_round",
    "all_gather",
    "expect_gathered",
    "broadcast",
    "barrier",
    "check",
    "reserves_at_most",
    "lend",
    "fault",
    "fault_was_met",
    "threads",
    "repeat",
];

/// A copy of a batch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    pub(crate) to: String,
    pub(crate) from: String,
}

/// A buffer of a round.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Buffer {
    pub(crate) peer: Number,
    pub(crate) what: String,
}

/// What a query answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Complete,
    Pending,
}

/// Resources that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resource {
    Streams,
    Memory,
    Pinned,
    Exports,
    Imports,
    Communicators,
    Borrowed,
}

/// A stream's priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    Low,
    Normal,
    High,
}

impl From<Priority> for StreamPriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
        }
    }
}

/// A kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Lost,
    OutOfMemory,
    Unsupported,
    InvalidUse,
    Aborted,
    TimedOut,
    Failed,
}

impl From<Kind> for ErrorKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Lost => Self::Lost,
            Kind::OutOfMemory => Self::OutOfMemory,
            Kind::Unsupported => Self::Unsupported,
            Kind::InvalidUse => Self::InvalidUse,
            Kind::Aborted => Self::Aborted,
            Kind::TimedOut => Self::TimedOut,
            Kind::Failed => Self::Failed,
        }
    }
}

/// Why a table is no step.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum StepError {
    #[error("a step has exactly one verb; {{ {keys} }} has {found}")]
    Verbs { keys: String, found: usize },
    #[error("{verb}: {text}")]
    Fields { verb: String, text: String },
}

impl TryFrom<toml::Table> for Step {
    type Error = StepError;

    fn try_from(mut table: toml::Table) -> Result<Self, StepError> {
        let verbs: Vec<String> =
            table.keys().filter(|key| VERBS.contains(&key.as_str())).cloned().collect();
        let [verb] = verbs.as_slice() else {
            let keys = table.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(StepError::Verbs { keys, found: verbs.len() });
        };
        let fields = |error: toml::de::Error| StepError::Fields {
            verb: verb.clone(),
            text: error.message().replace('\n', "; "),
        };
        let mut common = toml::Table::new();
        for key in ["fails", "says", "rank", "not_rank", "thread"] {
            if let Some(value) = table.remove(key) {
                // One kind may be written without brackets.
                let one = key == "fails" && value.is_str();
                let value = if one { toml::Value::Array(vec![value]) } else { value };
                common.insert(key.to_owned(), value);
            }
        }
        let Common { fails, says, rank, not_rank, thread } = common.try_into().map_err(fields)?;
        let mut label = verb.clone();
        if let Some(object) = table.remove(verb) {
            label = format!("{verb} {}", object.to_string().trim_matches('"'));
            table.insert("name".to_owned(), object);
        }
        table.insert("do".to_owned(), toml::Value::String(verb.clone()));
        let action = table.try_into().map_err(fields)?;
        Ok(Self { label, action, fails, says, rank, not_rank, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> Result<Step, StepError> {
        Step::try_from(text.parse::<toml::Table>().unwrap())
    }

    #[test]
    fn a_verb_its_object_and_its_fields_make_a_step() {
        let step = step("allocate = 'm'\nbytes = '2 * rank'\nfails = 'out_of_memory'").unwrap();
        assert!(matches!(step.action, Action::Allocate { name, .. } if name == "m"));
        assert_eq!(step.fails, [Kind::OutOfMemory]);
    }

    #[test]
    fn unknown_fields_missing_fields_and_verbs_are_refused() {
        for (text, part) in [
            ("allocate = 'm'", "missing field `bytes`"),
            ("allocate = 'm'\nbytes = 1\nsize = 2", "unknown field `size`"),
            ("allocate = 'm'\nbytes = 1\nfails = 'badly'", "unknown variant `badly`"),
            ("allot = 'm'", "has 0"),
            ("allocate = 'm'\nfill = 'm'", "has 2"),
        ] {
            let error = step(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
