//! How a run ends when ranks are gone.

use eplb_launch::Loss;
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
    /// Slots of theirs that were compared with the expert that these epochs name.
    pub slots_verified: u64,
    /// Of these, slots that held other bytes.
    pub mismatches: u64,
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
