//! What a follower wants of the rank's executor.

use eplb_core::{LayerId, LayerPlacement};

use crate::Token;

/// Something for the rank's executor to do, before the step's forward where it changes what is live.
///
/// For every token that came with a `Prepare` there comes, sooner or later, exactly one of `Release`
/// and `Abort`: then whatever the executor still holds for it can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The commit is final on all ranks: what was kept of the old placement can go.
    Release {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
    },
    /// The attempt is over, the old placement is live: what was got ready can go.
    Abort {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
    },
    /// Switch the layer back before this step's forward; answer with
    /// [`crate::Follower::reverted`].
    Revert {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
        /// The old placement, to be live again.
        placement: LayerPlacement,
    },
    /// Switch the layer before this step's forward; answer with [`crate::Follower::committed`].
    Commit {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
        /// The new placement.
        placement: LayerPlacement,
    },
    /// Get ready for a switch, beside the forward; answer with [`crate::Follower::prepared`].
    Prepare {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
        /// The placement that is live.
        from: LayerPlacement,
        /// The placement to come.
        to: LayerPlacement,
    },
}
