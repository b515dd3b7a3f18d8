//! What a follower remembers of one change.

use eplb_core::{LayerId, LayerPlacement, Step};

use crate::{Reason, Status};

/// A change that headers still name.
#[derive(Clone, Debug)]
pub(crate) struct Outstanding {
    pub(crate) layer: LayerId,
    pub(crate) from: LayerPlacement,
    pub(crate) to: LayerPlacement,
    pub(crate) state: State,
    /// Whether the executor was told of it, and so has to be told of its end.
    pub(crate) handed_out: bool,
}

/// How far this rank got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Preparing,
    Prepared,
    Refused(Reason),
    /// The switch was asked for, before the forward of this step.
    Committing(Step),
    Committed(Step),
    CommitFailed(Reason),
    /// The switch back was asked for; until it is done, this is what the rank says.
    Reverting(Option<Status>),
    Reverted,
    RevertFailed(Reason),
}

impl State {
    /// What a report says; nothing for what is only begun.
    pub(crate) fn status(&self) -> Option<Status> {
        match self {
            Self::Preparing => None,
            // Until the executor answers, the rank is where it was.
            Self::Prepared | Self::Committing(_) => Some(Status::Prepared),
            Self::Refused(reason) => Some(Status::Refused { reason: reason.clone() }),
            Self::Committed(step) => Some(Status::Committed { step: *step }),
            Self::CommitFailed(reason) => Some(Status::CommitFailed { reason: reason.clone() }),
            Self::Reverting(before) => before.clone(),
            Self::Reverted => Some(Status::Reverted),
            Self::RevertFailed(reason) => Some(Status::RevertFailed { reason: reason.clone() }),
        }
    }

    /// Whether the new placement is live here.
    pub(crate) fn is_switched(&self) -> bool {
        matches!(self, Self::Committing(_) | Self::Committed(_) | Self::RevertFailed(_))
    }

    /// Whether the executor was asked to switch and has not answered.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self, Self::Committing(_) | Self::Reverting(_))
    }
}
