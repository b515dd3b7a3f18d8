//! How a run ends when ranks are gone.

use eplb::core::Placement;
use eplb_launch::{Group, Loss};
use serde::{Deserialize, Serialize};

/// How a run ended before its trace did, because ranks are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// The ranks that are gone.
    pub lost: Vec<LostRank>,
    /// Whether experts were allowed to move: a run serves its trace without EPLB first, and then with it.
    pub enable_eplb: bool,
    /// The window that was being served.
    pub window: u64,
    /// How many ranks are left.
    pub ranks_left: usize,
    /// Whether all that are left have said that they route with the epochs which the ranks had agreed on
    /// before, every change that was under way undone.
    pub old_epoch_confirmed: bool,
    /// The epoch of each layer that they route with.
    pub epochs: Vec<u64>,
    /// Slots of theirs that were compared with the expert that these epochs name; none where ranks were
    /// lost before the first step, since nothing has moved then.
    pub slots_verified: u64,
    /// Of these, slots that held other bytes.
    pub mismatches: u64,
}

impl Interruption {
    /// Ranks were lost before the first step: all that are left know it, and hold the first placement.
    pub(crate) fn before_the_first_step(
        group: &dyn Group,
        enable_eplb: bool,
        placement: &Placement,
    ) -> Self {
        let losses = group.losses();
        Self {
            enable_eplb,
            window: 0,
            ranks_left: group.size() as usize - losses.len(),
            lost: losses.into_iter().map(Into::into).collect(),
            old_epoch_confirmed: true,
            epochs: placement.layers().map(|layer| layer.epoch().0).collect(),
            slots_verified: 0,
            mismatches: 0,
        }
    }
}

/// A rank that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRank {
    /// Its number.
    pub rank: u32,
    /// How that was noticed.
    pub why: String,
}

impl From<Loss> for LostRank {
    fn from(loss: Loss) -> Self {
        let Loss { rank, why } = loss;
        Self { rank, why }
    }
}
