//! Changes in flight: what ranks' answers and deadlines make of them.

use eplb_core::RankId;

use super::Manager;
use crate::change::Answer;
use crate::round::Move;
use crate::{
    LayerPhase, Note, RankReport, Reason, ReportError, RoundAbort, Status, Token, TokenStatus,
};

impl Manager {
    /// Whether every status of a report can be; changes nothing.
    pub(super) fn check_statuses(&self, report: &RankReport) -> Result<(), ReportError> {
        let rank = report.rank;
        let mut before: Option<Token> = None;
        for TokenStatus { token, status } in &report.statuses {
            // In token order, so none comes twice; and none that was never given.
            if before.is_some_and(|before| before >= *token) || *token >= self.next_token {
                return Err(ReportError::Contradiction { rank, token: *token });
            }
            before = Some(*token);
            if let Some(index) = self.change_of(*token) {
                self.changes[index].judge(rank, status, report.step)?;
            }
        }
        Ok(())
    }

    /// Takes over statuses that passed [`Manager::check_statuses`].
    pub(super) fn take_statuses(&mut self, report: &RankReport) {
        for TokenStatus { token, status } in &report.statuses {
            let Some(index) = self.change_of(*token) else {
                self.counters.statuses_stale += 1;
                continue;
            };
            let judged = self.changes[index].judge(report.rank, status, report.step);
            if let Ok(Some(answer)) = judged {
                self.take_answer(index, report.rank, answer, status);
            }
        }
    }

    fn change_of(&self, token: Token) -> Option<usize> {
        self.changes.binary_search_by_key(&token, |change| change.token).ok()
    }

    fn take_answer(&mut self, index: usize, rank: RankId, answer: Answer, status: &Status) {
        let change = &mut self.changes[index];
        change.answer(rank, answer);
        let (layer, token) = (change.layer, change.token);
        match status {
            Status::Refused { reason } => {
                // Nobody has switched: no header names it any more, and so it is over.
                self.changes.remove(index);
                self.counters.layers_refused += 1;
                self.layers[layer.index()].failed(self.intervals, self.config.refusal_backoff);
                self.note(Note::LayerRefused { layer, token, rank, reason: reason.clone() });
                return;
            }
            Status::CommitFailed { reason } => self.commit_failed(index, rank, reason),
            Status::RevertFailed { reason } => {
                self.counters.reverts_failed += 1;
                self.note(Note::RevertFailed { layer, token, rank, reason: reason.clone() });
            }
            Status::Prepared | Status::Committed { .. } | Status::Reverted => {}
        }
        if self.changes[index].first_waited_for().is_none() {
            self.all_answered(index);
        }
    }

    fn commit_failed(&mut self, index: usize, rank: RankId, reason: &Reason) {
        let change = &mut self.changes[index];
        let (layer, token) = (change.layer, change.token);
        if matches!(change.phase, LayerPhase::Committing { .. }) {
            change.revert_is_due(self.now.plus(self.config.revert_timeout));
        }
        self.counters.commits_failed += 1;
        self.note(Note::CommitFailed { layer, token, rank, reason: reason.clone() });
    }

    fn all_answered(&mut self, index: usize) {
        match self.changes[index].phase {
            LayerPhase::Preparing => {
                self.counters.layers_prepared += 1;
                let deadline = self.now.plus(self.config.commit_timeout);
                let change = &mut self.changes[index];
                change.phase = LayerPhase::Prepared;
                change.deadline = Some(deadline);
            }
            LayerPhase::Committing { at_step } => {
                let change = self.changes.remove(index);
                let (layer, token, epoch) = (change.layer, change.token, change.to.epoch());
                let parts_left = change.rest.parts.len();
                self.note(Note::LayerCommitted { layer, token, epoch, at_step, parts_left });
                self.layers[layer.index()].committed();
                if parts_left > 0 {
                    self.counters.parts_committed += 1;
                    self.go_on_with(change.rest);
                    return;
                }
                self.counters.layers_committed += 1;
                self.counters.layers_rerouted += u64::from(change.is_only_rerouting());
                self.layers[layer.index()].planned_for(change.rest.load);
                if let Some(round) = &mut self.round {
                    round.committed += 1;
                }
            }
            LayerPhase::Reverting { .. } => {
                let change = self.changes.remove(index);
                let (layer, token, epoch) = (change.layer, change.token, change.from.epoch());
                self.counters.layers_reverted += 1;
                self.layers[layer.index()].failed(self.intervals, self.config.refusal_backoff);
                self.note(Note::LayerReverted { layer, token, epoch });
            }
            LayerPhase::Idle
            | LayerPhase::Queued
            | LayerPhase::Prepared
            | LayerPhase::RevertDue => {}
        }
    }

    /// The next part of a layer comes before other layers, unless the round is given up: then the layer
    /// stays as it is, and is planned anew when its turn comes.
    fn go_on_with(&mut self, rest: Move) {
        if let Some(round) = self.round.as_mut().filter(|round| round.abort.is_none()) {
            round.queue.push_front(rest);
        }
    }

    /// Ends every wait whose deadline has come. A rank that did not answer for one layer will not
    /// answer for the next either, so the round is given up.
    pub(super) fn expire(&mut self) {
        let mut abort = self.planning_expired();
        for index in 0..self.changes.len() {
            let is_over = self.changes[index].deadline.is_some_and(|deadline| deadline <= self.now);
            if is_over {
                let reason = self.change_expired(index);
                abort.get_or_insert(reason);
            }
        }
        if let Some(reason) = abort {
            self.abort_round(reason);
        }
    }

    fn change_expired(&mut self, index: usize) -> RoundAbort {
        let lowest = self.lowest_live_rank();
        let change = &mut self.changes[index];
        let (layer, token) = (change.layer, change.token);
        let rank = change.first_waited_for().unwrap_or(lowest);
        match change.phase {
            LayerPhase::Committing { .. } => {
                change.revert_is_due(self.now.plus(self.config.revert_timeout));
                self.counters.commit_timeouts += 1;
                RoundAbort::CommitTimeout { layer, rank }
            }
            LayerPhase::RevertDue | LayerPhase::Reverting { .. } => {
                change.deadline = None;
                self.counters.revert_timeouts += 1;
                self.note(Note::RevertUnconfirmed { layer, token, rank });
                RoundAbort::RevertTimeout { layer, rank }
            }
            LayerPhase::Prepared => {
                self.counters.step_timeouts += 1;
                RoundAbort::NoStepToCommit { layer }
            }
            LayerPhase::Idle | LayerPhase::Queued | LayerPhase::Preparing => {
                self.counters.prepare_timeouts += 1;
                RoundAbort::PrepareTimeout { layer, rank }
            }
        }
    }
}
