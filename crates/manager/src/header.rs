//! What the manager tells the ranks with each step.

use std::fmt;

use eplb_core::{Epoch, ExpertId, LayerId, LayerPlacement, Placement, Step};
use xxhash_rust::xxh3::Xxh3;

/// One attempt to change one layer. Given once, in rising order, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {}", self.0)
    }
}

/// The message from the manager to every rank for one engine step.
///
/// It names every change in flight, again and again until it is settled. What it no longer names is
/// over: committed changes become final, others are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepHeader {
    /// The step that this header is for. A rank runs a step only with its header.
    pub step: Step,
    /// Changes in flight, at most one for a layer, in token order.
    pub directives: Vec<Directive>,
    /// [`epochs_digest`] of the placement that this step must be routed with, all switches of this
    /// header included.
    pub epochs_digest: u64,
}

/// What is to become of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Get the weights for a new placement ready, without touching what is live.
    Prepare {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
        /// The epoch that the new placement is to follow.
        from_epoch: Epoch,
        /// The epoch of the new placement.
        epoch: Epoch,
        /// The whole new table: the logical expert of every slot of all ranks.
        experts: Vec<ExpertId>,
        /// The share of its expert's tokens that each of these slots takes, as
        /// [`eplb_core::LayerPlacement::with_shares`] takes them; none when replicas share evenly.
        shares: Option<Vec<u16>>,
    },
    /// Switch the layer to what was prepared, before the forward of `at_step`. A rank that sees this
    /// late switches at once: without headers it has run none of the steps between.
    Commit {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
        /// The epoch to switch to.
        epoch: Epoch,
        /// The first step with the new placement.
        at_step: Step,
    },
    /// Go back to the placement before the commit, before the forward of `at_step`.
    Revert {
        /// The attempt.
        token: Token,
        /// The layer.
        layer: LayerId,
        /// The old epoch to go back to.
        epoch: Epoch,
        /// The first step with the old placement again.
        at_step: Step,
    },
}

impl Directive {
    /// The attempt this belongs to.
    pub fn token(&self) -> Token {
        match self {
            Self::Prepare { token, .. }
            | Self::Commit { token, .. }
            | Self::Revert { token, .. } => *token,
        }
    }

    /// The layer this changes.
    pub fn layer(&self) -> LayerId {
        match self {
            Self::Prepare { layer, .. }
            | Self::Commit { layer, .. }
            | Self::Revert { layer, .. } => *layer,
        }
    }
}

/// A digest of the epochs of all layers. An epoch of a layer stands for one table and its shares for
/// ever, so ranks with equal digests route alike.
pub fn epochs_digest(placement: &Placement) -> u64 {
    digest_of_epochs(placement.layers().map(LayerPlacement::epoch))
}

/// The same digest, of the epochs themselves in layer order.
pub fn digest_of_epochs(epochs: impl IntoIterator<Item = Epoch>) -> u64 {
    let mut hasher = Xxh3::new();
    for epoch in epochs {
        hasher.update(&epoch.0.to_le_bytes());
    }
    hasher.digest()
}
