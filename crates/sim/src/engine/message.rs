//! What the leader and the ranks say to each other.

use std::time::Duration;

use eplb::CollectiveFigures;
use eplb::core::{RankId, Step};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::interruption::Interruption;
use crate::RunError;

/// From the leader to all ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Run a step on a window of the trace.
    Step { step: Step, header: Vec<u8>, window: u64, passed: Duration },
    /// Take a header without running a step, and verify all slots: a rank is gone.
    Settle { step: Step, header: Vec<u8>, passed: Duration },
    /// There is no other step; how the run was interrupted, if it was.
    End { interruption: Option<Interruption> },
}

/// What a rank answers to an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) report: Vec<u8>,
    /// Why the rank could not run the step; then no rank ran it.
    pub(super) refused: Option<String>,
    pub(super) ran: bool,
    /// The epoch of each layer that the rank routes with.
    pub(super) epochs: Vec<u64>,
    /// What the rank has received since the start.
    pub(super) moved: Moved,
    /// Of that, what came by rounds of the communicator.
    pub(super) by_rounds: Moved,
    /// What its collective transport has done.
    pub(super) collective: CollectiveFigures,
    /// Why the rank has lost the communicator, if it has.
    pub(super) lost: Option<String>,
    pub(super) verified: Verified,
    /// Of all that the rank routed with and held since the start.
    pub(super) digest: u128,
}

/// Slots and bytes that came from other ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) slots: u64,
    pub(super) bytes: u64,
}

/// Slots whose bytes were compared with the expert that the placement names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verified {
    pub(super) slots: u64,
    pub(super) mismatches: u64,
}

pub(super) fn encode(message: &impl Serialize) -> Result<Vec<u8>, RunError> {
    postcard::to_stdvec(message).map_err(|error| RunError::Message {
        sender: RankId(0),
        problem: format!("it cannot be written: {error}"),
    })
}

/// A message of another rank.
pub(super) fn decode<Message: DeserializeOwned>(
    sender: RankId,
    bytes: &[u8],
) -> Result<Message, RunError> {
    postcard::from_bytes(bytes)
        .map_err(|error| RunError::Message { sender, problem: error.to_string() })
}
