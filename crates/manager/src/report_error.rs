//! Why a manager does not accept a report.

use eplb_core::{ExpertLoad, LayerId, RankId, Step};
use thiserror::Error;

use crate::Token;

/// Why a report was rejected. A report is accepted as a whole or changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The rank field names another rank than the one that sent the bytes.
    #[error("{sender} sent a report in the name of {claimed}")]
    Forged {
        /// Who sent it.
        sender: RankId,
        /// Whose report it says it is.
        claimed: RankId,
    },
    /// No such rank.
    #[error("{rank} is not one of the {ranks} ranks")]
    UnknownRank {
        /// The rank named.
        rank: RankId,
        /// Ranks of the group.
        ranks: usize,
    },
    /// A rank that takes no part.
    #[error("{rank} counts as dead and reports nevertheless")]
    DeadRank {
        /// The rank.
        rank: RankId,
    },
    /// The same report again.
    #[error("{rank} has already reported after {step}")]
    Repeated {
        /// The rank.
        rank: RankId,
        /// The step.
        step: Step,
    },
    /// An older report than one already accepted; reports are cumulative, so it holds nothing new.
    #[error("{rank} reports after {step}, but has already reported after {last}")]
    Late {
        /// The rank.
        rank: RankId,
        /// The step of the report.
        step: Step,
        /// The step of the newest report accepted.
        last: Step,
    },
    /// A step that has not begun.
    #[error("{rank} reports after {step}, which has not begun")]
    FromTheFuture {
        /// The rank.
        rank: RankId,
        /// The step of the report.
        step: Step,
    },
    /// Load of steps that were already reported, or that begin after they end, or that end after the
    /// report's step.
    #[error(
        "{rank} reports load of {first} to {last}, allowed are steps after those already reported, up to {step}"
    )]
    LoadSteps {
        /// The rank.
        rank: RankId,
        /// The first step of the load.
        first: Step,
        /// The last step of the load.
        last: Step,
        /// The step of the report.
        step: Step,
    },
    /// Not one count for each layer and local slot.
    #[error("{rank} reports {found} counts, it has layers times slots = {expected}")]
    LoadLength {
        /// The rank.
        rank: RankId,
        /// Counts given.
        found: usize,
        /// Layers times slots of the rank.
        expected: usize,
    },
    /// Prefix sums that go down, or more tokens than can be.
    #[error(
        "{rank} reports impossible load of {layer}: prefix sums that fall, or more than {} tokens",
        ExpertLoad::MOST_TOKENS
    )]
    LoadCounts {
        /// The rank.
        rank: RankId,
        /// The layer.
        layer: LayerId,
    },
    /// A status that cannot be, after what the rank said before or what the manager asked for.
    #[error("{rank} gives a status of {token} that cannot be at this point")]
    Contradiction {
        /// The rank.
        rank: RankId,
        /// The change.
        token: Token,
    },
}
