//! What the engine and its ranks say to each other: one JSON object a line.

use std::io::{BufRead, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// From the engine to a rank.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Open a session on fresh weights; ranks that are `dead` have no part in it.
    Open { config: String, dead: Vec<u32> },
    /// The other ranks' endpoints.
    Connect { endpoints: Vec<Vec<u8>> },
    /// Run a step, and with `verify` read all weights back.
    Step { step: u64, header: Vec<u8>, load: Vec<u64>, verify: bool },
    /// Let go of what other ranks own; the own weights stay, as others may still have them open.
    Close,
    /// End the process, leaving nothing alive.
    End,
}

/// From a rank to the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Opened { endpoint: Vec<u8> },
    Connected,
    Closed,
    Stepped(Stepped),
    Ended,
}

/// What became of a step on a rank.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stepped {
    pub(crate) report: Vec<u8>,
    /// Why the rank did not run it.
    pub(crate) refused: Option<String>,
    pub(crate) epochs: Vec<u64>,
    /// Slots that hold other bytes than the rank's placement says.
    pub(crate) wrong_slots: usize,
}

pub(crate) fn send(pipe: &mut impl Write, message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    pipe.write_all(line.as_bytes())?;
    pipe.flush()
}

/// The next message, nothing at the end of the pipe.
pub(crate) fn receive<Message: DeserializeOwned>(
    pipe: &mut impl BufRead,
) -> std::io::Result<Option<Message>> {
    let mut line = String::new();
    match pipe.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_str(&line)?)),
    }
}
