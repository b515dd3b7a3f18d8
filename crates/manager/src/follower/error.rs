//! Why a rank must not run a step.

use eplb_core::{Epoch, LayerId, PlacementError, RoutingError, Step};
use thiserror::Error;

use crate::Token;

/// Why a follower does not take a header. The rank must not run the step; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FollowerError {
    /// A header of a step before the last one.
    #[error("the header is for {step}, but {last} has begun already; steps must rise")]
    StepWentBack {
        /// The header's step.
        step: Step,
        /// The step of the last header.
        last: Step,
    },
    /// Another header for the same step.
    #[error(
        "a second header for {step} says something else than the first; send the same one again"
    )]
    HeaderChanged {
        /// The step.
        step: Step,
    },
    /// A check for a step whose header was not taken.
    #[error("{step} has no header that was taken; a rank runs a step only with its header")]
    NoHeader {
        /// The step.
        step: Step,
    },
    /// A switch that was asked for, and whose result was not given back yet.
    #[error("the switch of {token} is not done; give its result before running {step}")]
    SwitchPending {
        /// The step.
        step: Step,
        /// The attempt.
        token: Token,
    },
    /// A layer that the model does not have.
    #[error("the header of {step} names {layer}, the model has {layers} layers")]
    UnknownLayer {
        /// The header's step.
        step: Step,
        /// The layer named.
        layer: LayerId,
        /// Layers of the model.
        layers: usize,
    },
    /// A layer or token named twice, or tokens out of order.
    #[error("the header of {step} names {layer} twice, or {token} out of order")]
    NamedTwice {
        /// The header's step.
        step: Step,
        /// The layer.
        layer: LayerId,
        /// The attempt.
        token: Token,
    },
    /// A table that is no placement.
    #[error("the header of {step} has a table that is no placement: {source}")]
    Table {
        /// The header's step.
        step: Step,
        /// What is wrong with it.
        source: PlacementError,
    },
    /// Shares that are no routing.
    #[error("the header of {step} has shares of {layer} that are no routing: {source}")]
    Shares {
        /// The header's step.
        step: Step,
        /// The layer.
        layer: LayerId,
        /// What is wrong with them.
        source: RoutingError,
    },
    /// An attempt that is older than one already seen, and not known (any more).
    #[error("the header of {step} names {token}, which is over or was never prepared here")]
    UnknownToken {
        /// The header's step.
        step: Step,
        /// The attempt.
        token: Token,
    },
    /// A commit of something that this rank did not report as prepared.
    #[error("the header of {step} commits {token}, which is not prepared on this rank")]
    NotPrepared {
        /// The header's step.
        step: Step,
        /// The attempt.
        token: Token,
    },
    /// A directive that does not fit what was said of the attempt before.
    #[error("the header of {step} contradicts what was said of {token} before")]
    Contradiction {
        /// The header's step.
        step: Step,
        /// The attempt.
        token: Token,
    },
    /// A new epoch that does not come after the live one.
    #[error("the header of {step} gives {layer} {epoch} after {live}; epochs must rise")]
    EpochWentBack {
        /// The header's step.
        step: Step,
        /// The layer.
        layer: LayerId,
        /// The epoch given.
        epoch: Epoch,
        /// The live epoch.
        live: Epoch,
    },
    /// This rank would route the step with other epochs than the manager wants.
    #[error(
        "this rank's epochs are not those that {step} must be routed with (digest {own:016x}, wanted {wanted:016x}); do not run the step, wait for the next header"
    )]
    EpochMismatch {
        /// The step.
        step: Step,
        /// The digest of the rank's epochs.
        own: u64,
        /// The header's digest.
        wanted: u64,
    },
}
