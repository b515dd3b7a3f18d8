//! Why a manager cannot be made.

use eplb_core::{EnsembleError, PlacementError, RankId};
use thiserror::Error;

/// Why settings and a placement give no [`crate::Manager`] or [`crate::Follower`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// A setting out of its range.
    #[error("{name} is {value}, allowed is {least} to {most}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// The least that is allowed.
        least: f64,
        /// The most that is allowed.
        most: f64,
    },
    /// A setting that must not be zero.
    #[error("{name} is 0, give more than 0")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// The rank of this process is not one that takes part.
    #[error("own rank is {rank}, it must be a live one of the {ranks} ranks")]
    OwnRank {
        /// The rank named.
        rank: RankId,
        /// Ranks of the group.
        ranks: usize,
    },
    /// The placement to start with belongs to another model or topology.
    #[error("the placement to start with does not fit the model and the ranks: {0}")]
    Placement(#[from] PlacementError),
    /// Windows to plan for that are of another model.
    #[error("the windows to plan for: {0}")]
    Ensemble(#[from] EnsembleError),
}
