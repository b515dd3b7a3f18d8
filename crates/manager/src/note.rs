//! What a manager lets its surroundings know.

use eplb_core::{Account, Epoch, LayerId, RankId, Step};
use thiserror::Error;

use crate::{Reason, ReportError, RoundId, Token};

/// Something that happened inside a manager; nobody has to act on it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// A round began: these layers are to be planned.
    RoundStarted {
        /// The round.
        round: RoundId,
        /// The layers.
        layers: Vec<LayerId>,
    },
    /// The interval passed and no layer was worth a plan.
    RoundSkipped,
    /// What a plan says of one layer; one note for each layer planned, in order, before
    /// [`Note::RoundPlanned`].
    LayerPlanned {
        /// The round.
        round: RoundId,
        /// The layer.
        layer: LayerId,
        /// Balancedness under the load planned for, as things are.
        balancedness_before: f64,
        /// Balancedness under the load planned for, with the plan.
        balancedness_after: f64,
        /// Expected gain, price, the most that could be gained, and why the plan moves no more; from
        /// policies that weigh it.
        account: Option<Account>,
        /// Whether the layer will be changed; if not, it is what it was, or it gains too little.
        is_moving: bool,
    },
    /// A plan is in use: how many layers will be moved.
    RoundPlanned {
        /// The round.
        round: RoundId,
        /// Layers that will be moved, the one that gains most first.
        moving: Vec<LayerId>,
    },
    /// A round ended, every layer settled.
    RoundFinished {
        /// The round.
        round: RoundId,
        /// Layers that were changed in it.
        committed: u32,
    },
    /// A round was given up; layers already changed in it stay changed.
    RoundAborted {
        /// The round.
        round: RoundId,
        /// Why.
        reason: RoundAbort,
        /// Layers that were changed in it.
        committed: u32,
    },
    /// All ranks route a layer with its new epoch, for good.
    LayerCommitted {
        /// The layer.
        layer: LayerId,
        /// The attempt.
        token: Token,
        /// The new epoch.
        epoch: Epoch,
        /// The first step with it.
        at_step: Step,
        /// Parts of the layer's change that are still to come.
        parts_left: usize,
    },
    /// The change of a layer replaces more slots of a rank than one change may, and comes in no smaller
    /// parts: experts without another replica trade places. The layer stays as it is.
    LayerIndivisible {
        /// The layer.
        layer: LayerId,
        /// Slots of a rank that one change may replace.
        most_slots: usize,
    },
    /// A rank refused to prepare a layer; the attempt is over.
    LayerRefused {
        /// The layer.
        layer: LayerId,
        /// The attempt.
        token: Token,
        /// The rank.
        rank: RankId,
        /// What the rank said.
        reason: Reason,
    },
    /// A rank could not switch; the layer goes back to its old epoch on all.
    CommitFailed {
        /// The layer.
        layer: LayerId,
        /// The attempt.
        token: Token,
        /// The rank.
        rank: RankId,
        /// What the rank said.
        reason: Reason,
    },
    /// A rank could not go back yet.
    RevertFailed {
        /// The layer.
        layer: LayerId,
        /// The attempt.
        token: Token,
        /// The rank.
        rank: RankId,
        /// What the rank said.
        reason: Reason,
    },
    /// All ranks are back on a layer's old epoch.
    LayerReverted {
        /// The layer.
        layer: LayerId,
        /// The attempt.
        token: Token,
        /// The old epoch.
        epoch: Epoch,
    },
    /// The wait for a revert is over, but some rank has not confirmed it. Headers go on naming it, the
    /// layer is left alone until all have, and a rank that is not back runs no step.
    RevertUnconfirmed {
        /// The layer.
        layer: LayerId,
        /// The attempt.
        token: Token,
        /// The first rank that has not confirmed.
        rank: RankId,
    },
    /// A report was not accepted.
    ReportRejected {
        /// Who sent it.
        sender: RankId,
        /// Why.
        error: ReportError,
    },
}

/// Why a round was given up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RoundAbort {
    /// The planner gave an error, or a plan that is none.
    #[error("no plan: {reason}")]
    PlanFailed {
        /// What was wrong.
        reason: Reason,
    },
    /// No plan in time.
    #[error("no plan in time; give plan_timeout more time or a cheaper policy")]
    PlanTimeout,
    /// Ranks planned differently, or one of them not at all.
    #[error("{rank} planned something else than the lowest live rank, or failed to plan")]
    Disagreement {
        /// The first rank that differs.
        rank: RankId,
    },
    /// Some rank's digest did not come in time.
    #[error("no digest of a plan from {rank} in time")]
    AgreementTimeout {
        /// The first rank without one.
        rank: RankId,
    },
    /// Some rank did not answer a prepare in time.
    #[error("{rank} did not answer the prepare of {layer} in time")]
    PrepareTimeout {
        /// The layer.
        layer: LayerId,
        /// The first rank without an answer.
        rank: RankId,
    },
    /// A layer was prepared, but no step allowed the commit in time.
    #[error("no step allowed the commit of {layer} in time")]
    NoStepToCommit {
        /// The layer.
        layer: LayerId,
    },
    /// Some rank did not confirm a commit in time.
    #[error("{rank} did not confirm the commit of {layer} in time")]
    CommitTimeout {
        /// The layer.
        layer: LayerId,
        /// The first rank without an answer.
        rank: RankId,
    },
    /// Some rank did not confirm a revert in time.
    #[error("{rank} did not confirm the revert of {layer} in time")]
    RevertTimeout {
        /// The layer.
        layer: LayerId,
        /// The first rank without an answer.
        rank: RankId,
    },
}
