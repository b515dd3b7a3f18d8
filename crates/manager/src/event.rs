//! What can happen to a manager.

use eplb_core::{Account, LayerId, LayerPlacement, RankId, Step};

use crate::{RankReport, RoundId};

/// Something that happened outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The engine is about to send out a step; exactly one [`crate::Command::Header`] answers it. Steps
    /// rise; the same number again gives the same header again.
    StepBegins {
        /// The step.
        step: Step,
        /// Whether new changes may begin and prepared ones be committed on it (xLLM allows decode
        /// steps only). Changes in flight are named anyway, and a revert begins anyway: until then a
        /// rank whose commit failed can run no step at all.
        allow_changes: bool,
    },
    /// A rank's report arrived.
    Report {
        /// Who sent it, as the carriage knows it.
        sender: RankId,
        /// The report.
        report: RankReport,
    },
    /// The plan that [`crate::Command::Plan`] asked for is there, or failed.
    Planned {
        /// The round.
        round: RoundId,
        /// One entry for each layer to change, or why there is none. Layers left out stay as they are.
        plan: Result<Vec<PlannedLayer>, String>,
    },
}

/// The plan for one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedLayer {
    /// The layer.
    pub layer: LayerId,
    /// The new table, and the shares of its replicas. A change of shares alone moves no weight. Its
    /// epoch does not matter: it gets one of its own when the change begins.
    pub placement: LayerPlacement,
    /// Balancedness under the load planned for, as things are, 0 to 1.
    pub balancedness_before: f64,
    /// Balancedness under the load planned for, with the new placement, 0 to 1.
    pub balancedness_after: f64,
    /// What the policy expects of the change, if it weighs that.
    pub account: Option<Account>,
}

impl PlannedLayer {
    /// What the layer gains: the expected gain less its price where the policy weighs them, else what
    /// balancedness gains. A plan for windows that differ can be right although balancedness under
    /// their sum doesn't rise.
    pub fn gain(&self) -> f64 {
        match self.account {
            Some(account) => account.gain - account.price,
            None => self.balancedness_after - self.balancedness_before,
        }
    }
}
