//! One layer's change on its way through all ranks, as the manager sees it.

use eplb_core::{LayerId, LayerPlacement, RankId, Step, Topology};

use crate::round::Move;
use crate::{Directive, ReportError, Status, Timestamp, Token};

/// Where a layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerPhase {
    /// Nothing is under way.
    Idle,
    /// Planned; its turn comes.
    Queued,
    /// Ranks get the new weights ready.
    Preparing,
    /// All ranks are ready; the next step that allows it commits.
    Prepared,
    /// The layer switched before this step; some rank has not confirmed it.
    Committing {
        /// The first step with the new epoch.
        at_step: Step,
    },
    /// The next step switches the layer back.
    RevertDue,
    /// The layer switched back before this step; some rank has not confirmed it.
    Reverting {
        /// The first step with the old epoch again.
        at_step: Step,
    },
}

/// One attempt to change one layer.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) token: Token,
    pub(crate) layer: LayerId,
    pub(crate) from: LayerPlacement,
    pub(crate) to: LayerPlacement,
    /// The layer's move that it is a part of, with the parts after it.
    pub(crate) rest: Move,
    pub(crate) phase: LayerPhase,
    /// When the present wait ends; none when nobody waits any more (an unconfirmed revert).
    pub(crate) deadline: Option<Timestamp>,
    /// The step that first named it.
    named_at: Step,
    committed_at: Option<Step>,
    reverted_at: Option<Step>,
    answers: Vec<Answer>,
}

/// The last thing that a rank said about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A rank that takes no part.
    NotAsked,
    None,
    Prepared,
    Refused,
    Committed(Step),
    CommitFailed,
    Reverted,
    RevertFailed,
}

impl Change {
    pub(crate) fn new(
        token: Token,
        tables: (LayerPlacement, LayerPlacement),
        rest: Move,
        step: Step,
        topology: &Topology,
    ) -> Self {
        let answer = |rank| {
            if topology.is_alive(rank) { Answer::None } else { Answer::NotAsked }
        };
        Self {
            token,
            layer: rest.layer,
            from: tables.0,
            to: tables.1,
            rest,
            phase: LayerPhase::Preparing,
            deadline: None,
            named_at: step,
            committed_at: None,
            reverted_at: None,
            answers: topology.rank_ids().map(answer).collect(),
        }
    }

    /// Whether only shares change: no weight moves.
    pub(crate) fn is_only_rerouting(&self) -> bool {
        self.from.experts() == self.to.experts()
    }

    /// What headers say of it.
    pub(crate) fn directive(&self) -> Directive {
        let (token, layer) = (self.token, self.layer);
        if let Some(at_step) = self.reverted_at {
            Directive::Revert { token, layer, epoch: self.from.epoch(), at_step }
        } else if let Some(at_step) = self.committed_at {
            Directive::Commit { token, layer, epoch: self.to.epoch(), at_step }
        } else {
            let (from_epoch, epoch) = (self.from.epoch(), self.to.epoch());
            let experts = self.to.experts().to_vec();
            let shares = self.to.shares().map(<[u16]>::to_vec);
            Directive::Prepare { token, layer, from_epoch, epoch, experts, shares }
        }
    }

    pub(crate) fn commit(&mut self, at_step: Step, deadline: Timestamp) {
        self.committed_at = Some(at_step);
        self.phase = LayerPhase::Committing { at_step };
        self.deadline = Some(deadline);
    }

    pub(crate) fn revert_is_due(&mut self, deadline: Timestamp) {
        self.phase = LayerPhase::RevertDue;
        self.deadline = Some(deadline);
    }

    /// The revert is named from this step on. Its deadline starts anew, unless the wait was over before
    /// there was a step at all.
    pub(crate) fn revert(&mut self, at_step: Step, deadline: Timestamp) {
        self.reverted_at = Some(at_step);
        self.phase = LayerPhase::Reverting { at_step };
        self.deadline = self.deadline.map(|_| deadline);
    }

    /// What a status of this change would add to what is known: a new answer, nothing (`None`), or it
    /// cannot be.
    pub(crate) fn judge(
        &self,
        rank: RankId,
        status: &Status,
        report_step: Step,
    ) -> Result<Option<Answer>, ReportError> {
        let known = self.answers[rank.index()];
        let answer = match status {
            Status::Prepared => Answer::Prepared,
            Status::Refused { .. } => Answer::Refused,
            Status::Committed { step } => Answer::Committed(*step),
            Status::CommitFailed { .. } => Answer::CommitFailed,
            Status::Reverted => Answer::Reverted,
            Status::RevertFailed { .. } => Answer::RevertFailed,
        };
        let since = |asked: Option<Step>| asked.is_some_and(|step| step <= report_step);
        let possible = match answer {
            Answer::Prepared | Answer::Refused => {
                self.named_at <= report_step && (known == Answer::None || known == answer)
            }
            Answer::Committed(step) => {
                let asked = self.committed_at.is_some_and(|at| at <= step);
                asked && step <= report_step && (known == Answer::Prepared || known == answer)
            }
            Answer::CommitFailed => {
                since(self.committed_at) && (known == Answer::Prepared || known == answer)
            }
            // A rank that the manager last heard to be prepared may have committed since, or not.
            Answer::Reverted => since(self.reverted_at) && known != Answer::NotAsked,
            Answer::RevertFailed => {
                since(self.reverted_at) && known != Answer::NotAsked && known != Answer::Reverted
            }
            Answer::NotAsked | Answer::None => false,
        };
        if !possible {
            return Err(ReportError::Contradiction { rank, token: self.token });
        }
        Ok((known != answer).then_some(answer))
    }

    pub(crate) fn answer(&mut self, rank: RankId, answer: Answer) {
        self.answers[rank.index()] = answer;
    }

    /// The first rank whose answer does not end the present wait.
    pub(crate) fn first_waited_for(&self) -> Option<RankId> {
        let settled = |answer: &Answer| match self.phase {
            LayerPhase::Preparing => *answer != Answer::None,
            LayerPhase::Committing { .. } => matches!(answer, Answer::Committed(_)),
            LayerPhase::Reverting { .. } => *answer == Answer::Reverted,
            // No header has named the revert yet, so no rank can have answered.
            LayerPhase::RevertDue => false,
            LayerPhase::Idle | LayerPhase::Queued | LayerPhase::Prepared => true,
        };
        let waited_for = |answer: &Answer| *answer != Answer::NotAsked && !settled(answer);
        self.answers.iter().position(waited_for).map(RankId::from_index)
    }

    /// Whether it may be dropped without a word: no rank was told to switch.
    pub(crate) fn is_before_commit(&self) -> bool {
        matches!(self.phase, LayerPhase::Preparing | LayerPhase::Prepared)
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.deadline.is_some()
    }
}
