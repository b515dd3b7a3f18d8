//! Rounds: when one opens, what its plan becomes, and how it ends.

use std::collections::VecDeque;

use eplb_core::{Estimate, LayerId, RankId};

use super::Manager;
use crate::round::{Agreement, Divided, Planning, Round, check_plan, divide};
use crate::{
    Carriage, Command, Note, PlanDigest, PlanJob, PlannedLayer, Reason, RoundAbort, RoundId,
    Timestamp,
};

impl Manager {
    /// When the present interval ends by time, if its end would open a round.
    pub(super) fn interval_end(&self) -> Option<Timestamp> {
        let by_time = self.config.update_interval_steps.is_none();
        let (start, _) = self.interval_start?;
        (by_time && self.round.is_none() && self.fresh_windows)
            .then(|| start.plus(self.config.update_interval))
    }

    /// Opens a round if none is open, there is load that was not looked at yet, and the interval is
    /// over.
    pub(super) fn open_round_when_due(&mut self) {
        if self.round.is_some() || !self.fresh_windows {
            return;
        }
        let present = (self.now, self.step.unwrap_or_default());
        let (start, start_step) = *self.interval_start.get_or_insert(present);
        let is_over = match self.config.update_interval_steps {
            Some(steps) => present.1.0.saturating_sub(start_step.0) >= steps,
            None => present.0 >= start.plus(self.config.update_interval),
        };
        if !is_over {
            return;
        }
        self.interval_start = Some(present);
        self.fresh_windows = false;
        self.intervals += 1;
        let layers = self.layers_worth_a_plan();
        if layers.is_empty() {
            self.counters.rounds_skipped += 1;
            self.note(Note::RoundSkipped);
        } else {
            self.open_round_for(layers);
        }
    }

    fn layers_worth_a_plan(&self) -> Vec<(LayerId, Vec<u64>)> {
        let is_free = |layer: &LayerId| {
            let unsettled = self.changes.iter().any(|change| change.layer == *layer);
            !unsettled && !self.layers[layer.index()].is_left_alone(self.intervals)
        };
        let threshold = self.config.update_threshold;
        let loads = self.shape.layer_ids().filter(is_free);
        loads
            .map(|layer| (layer, self.windows.present(layer)))
            // Of a layer whose samples were all divided nothing is known.
            .filter(|(_, load)| load.iter().any(|&tokens| tokens > 0))
            .filter(|(layer, load)| self.layers[layer.index()].wants_update(load, threshold))
            .collect()
    }

    fn open_round_for(&mut self, layers: Vec<(LayerId, Vec<u64>)>) {
        let id = self.next_round;
        self.next_round = RoundId(id.0 + 1);
        let mut deadline = self.now.plus(self.config.plan_timeout);
        if self.config.carriage != Carriage::Leader {
            // One deadline for both waits: when a rank's own planning ends is nothing that ranks share.
            deadline = deadline.plus(self.config.agreement_timeout);
        }
        let Estimate { windows, weights } = self.windows.estimate(self.config.estimator);
        let job = PlanJob {
            round: id,
            layers: layers.iter().map(|&(layer, _)| layer).collect(),
            windows,
            weights,
            present: self.placement.clone(),
        };
        let planning = Planning::new(deadline, &job, &self.topology);
        self.round = Some(Round {
            id,
            layers,
            planning: Some(planning),
            queue: VecDeque::new(),
            abort: None,
            committed: 0,
        });
        self.counters.rounds_started += 1;
        self.note(Note::RoundStarted { round: id, layers: job.layers.clone() });
        self.commands.push_back(Command::Plan(job));
    }

    pub(super) fn take_plan(&mut self, id: RoundId, plan: Result<Vec<PlannedLayer>, String>) {
        let open = self.round.as_mut().filter(|round| round.id == id);
        let Some((round, planning)) = open.and_then(|round| {
            let planning = round.planning.as_mut()?;
            Some((&round.layers, planning))
        }) else {
            self.counters.plans_late += 1;
            return;
        };
        let checked = plan
            .map_err(Reason::new)
            .and_then(|plan| check_plan(plan, round, &self.placement, &self.topology));
        if self.config.carriage != Carriage::Leader {
            // Ranks finish planning at different moments; what they share is the digests in reports, so
            // only those may move anything. A failure travels as a digest too.
            if !planning.set_own(id, checked.ok()) {
                self.counters.plans_late += 1;
            }
            return;
        }
        match checked {
            Ok(plan) => self.use_plan(&plan),
            Err(reason) => self.abort_round(RoundAbort::PlanFailed { reason }),
        }
    }

    pub(super) fn take_digest(&mut self, rank: RankId, digest: PlanDigest) {
        let Carriage::Spmd { own_rank } = self.config.carriage else {
            return;
        };
        let open = self.round.as_mut().filter(|round| round.id == digest.round);
        let Some(planning) = open.and_then(|round| round.planning.as_mut()) else {
            return;
        };
        planning.set_digest(rank, digest.digest);
        match planning.agreement(own_rank, &self.topology) {
            Agreement::Open => {}
            Agreement::Agreed(plan) => self.use_plan(&plan),
            Agreement::Differs(rank) => self.abort_round(RoundAbort::Disagreement { rank }),
        }
    }

    fn use_plan(&mut self, plan: &[PlannedLayer]) {
        let Some(round) = &mut self.round else { return };
        round.planning = None;
        let layers = std::mem::take(&mut round.layers);
        let most_slots = self.config.most_changed_slots.unwrap_or(usize::MAX);
        let limits = (self.config.min_gain, most_slots);
        let divided = divide(plan, layers, &self.placement, &self.topology, limits);
        let Divided { moves, unchanged, indivisible } = divided;
        let moving: Vec<LayerId> = moves.iter().map(|next| next.layer).collect();
        round.queue = moves;
        let id = round.id;
        self.counters.layers_unchanged += unchanged.len() as u64;
        for (layer, load) in unchanged {
            self.layers[layer.index()].planned_for(load);
        }
        for (layer, load) in indivisible {
            self.counters.layers_indivisible += 1;
            self.layers[layer.index()].planned_for(load);
            self.note(Note::LayerIndivisible { layer, most_slots });
        }
        for planned in plan {
            self.counters.count_planned(planned.account.as_ref());
            self.note(Note::LayerPlanned {
                round: id,
                layer: planned.layer,
                balancedness_before: planned.balancedness_before,
                balancedness_after: planned.balancedness_after,
                account: planned.account,
                is_moving: moving.contains(&planned.layer),
            });
        }
        self.note(Note::RoundPlanned { round: id, moving });
    }

    pub(super) fn planning_expired(&self) -> Option<RoundAbort> {
        let planning = self.round.as_ref()?.planning.as_ref()?;
        if planning.deadline > self.now {
            return None;
        }
        Some(match self.config.carriage {
            Carriage::Leader => RoundAbort::PlanTimeout,
            Carriage::Spmd { own_rank } => {
                let rank = planning.first_silent(&self.topology).unwrap_or(own_rank);
                RoundAbort::AgreementTimeout { rank }
            }
        })
    }

    /// Gives the round up: nothing new begins, what no rank has switched to is dropped, and what was
    /// committed is still seen through.
    pub(super) fn abort_round(&mut self, reason: RoundAbort) {
        let Some(round) = &mut self.round else { return };
        round.planning = None;
        round.queue.clear();
        round.abort.get_or_insert(reason);
        let before = self.changes.len();
        self.changes.retain(|change| !change.is_before_commit());
        self.counters.layers_dropped += (before - self.changes.len()) as u64;
    }

    /// Closes the round once nothing of it is left to wait for.
    pub(super) fn close_round(&mut self) {
        let waiting = self.changes.iter().any(|change| change.is_waited_for());
        let is_done =
            |round: &mut Round| round.planning.is_none() && round.queue.is_empty() && !waiting;
        let Some(done) = self.round.take_if(is_done) else {
            return;
        };
        let (round, committed) = (done.id, done.committed);
        match done.abort {
            None => {
                self.counters.rounds_finished += 1;
                self.note(Note::RoundFinished { round, committed });
            }
            Some(reason) => {
                self.counters.count_abort(&reason);
                self.note(Note::RoundAborted { round, reason, committed });
            }
        }
    }
}
