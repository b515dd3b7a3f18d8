//! Why there are no shares.

use eplb_core::{ExpertId, ExpertLoad};
use thiserror::Error;

/// Why the tokens of a layer's experts cannot be divided over its replicas.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SharesError {
    /// The placement was made for another topology.
    #[error("the placement has {found} slots, the ranks hold {expected}")]
    Slots {
        /// Slots of the placement.
        found: usize,
        /// Slots of the topology.
        expected: usize,
    },
    /// An expert that no live rank holds: its tokens can go nowhere, however they are divided.
    #[error("{expert} has no live replica; give a placement that holds every expert")]
    Unplaced {
        /// The expert.
        expert: ExpertId,
    },
    /// A load that belongs to another model.
    #[error("window {window} has load for {found} experts, the placement holds {expected}")]
    Experts {
        /// The window, counted from 0; 0 where there is but one load.
        window: usize,
        /// Experts of the load.
        found: usize,
        /// Experts of the placement.
        expected: usize,
    },
    /// More tokens than exact arithmetic holds.
    #[error(
        "window {window} has more than {} tokens; give shorter windows",
        ExpertLoad::MOST_TOKENS
    )]
    TooManyTokens {
        /// The window, counted from 0; 0 where there is but one load.
        window: usize,
    },
    /// Not one weight for each window.
    #[error("{found} weights for {windows} windows; give one for each, or none")]
    Weights {
        /// Weights given.
        found: usize,
        /// Windows given.
        windows: usize,
    },
    /// A weight that is no weight.
    #[error("window {window} has weight {weight}, allowed are finite numbers from 0")]
    Weight {
        /// The window, counted from 0.
        window: usize,
        /// The weight, as text.
        weight: String,
    },
    /// A slack that is no slack.
    #[error("the slack is {slack}, allowed are finite numbers from 0")]
    Slack {
        /// The slack, as text.
        slack: String,
    },
}
