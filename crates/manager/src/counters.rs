//! What a manager has seen and done, in numbers.

use eplb_core::{Account, Verdict};
use serde::Serialize;

use crate::{ReportError, RoundAbort};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the manager was made; they only rise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Every counter with its name, for metrics.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Steps begun.
    steps,
    /// A step begun again with the same number.
    steps_repeated,
    /// A step smaller than one already begun; ignored.
    steps_out_of_order,
    /// Reports accepted.
    reports_accepted,
    /// Reports older than one accepted from the same rank.
    reports_late,
    /// Reports after a step that the rank has already reported after.
    reports_repeated,
    /// Reports after a step that has not begun.
    reports_from_the_future,
    /// Reports in another rank's name or of an unknown rank.
    reports_forged,
    /// Reports of ranks that take no part.
    reports_of_dead_ranks,
    /// Reports with a status that cannot be.
    reports_contradicting,
    /// Reports with load of steps already reported or impossible steps.
    reports_with_wrong_steps,
    /// Reports with load of the wrong size or impossible counts.
    reports_malformed,
    /// Statuses of changes that were already over.
    statuses_stale,
    /// Steps whose load all ranks reported, and which are planned for.
    samples_complete,
    /// Steps whose load some rank never reported; dropped.
    samples_incomplete,
    /// Complete samples without a single token; dropped.
    samples_empty,
    /// Complete samples of a phase that is not planned for; dropped.
    samples_of_other_phases,
    /// Layers' parts of samples that a switch of placement divides; dropped.
    layer_samples_uncredited,
    /// Layers' parts of samples with more tokens than can be; dropped.
    layer_samples_overflowing,
    /// Load windows completed.
    windows_complete,
    /// Rounds begun.
    rounds_started,
    /// Intervals on which no layer was worth a plan.
    rounds_skipped,
    /// Rounds in which every layer settled.
    rounds_finished,
    /// Rounds given up.
    rounds_aborted,
    /// Plans that failed or were no plans.
    plans_failed,
    /// Plans for a round that is over.
    plans_late,
    /// Rounds that ranks planned differently.
    plans_disagreed,
    /// Planned layers by a policy that does not weigh gain against price.
    layers_planned_unweighed,
    /// Planned layers without load to plan for.
    layers_planned_idle,
    /// Planned layers that no further change would improve.
    layers_planned_settled,
    /// Planned layers of which further changes would gain less than they cost.
    layers_planned_not_worth_more,
    /// Planned layers whose changes a budget of moves ended.
    layers_planned_over_budget,
    /// Planned layers that were not worth moving.
    layers_unchanged,
    /// Layers that all ranks prepared.
    layers_prepared,
    /// Layers that a rank refused.
    layers_refused,
    /// Layers dropped between prepare and commit because their round was given up.
    layers_dropped,
    /// Layers not moved because their change comes in no parts that are small enough.
    layers_indivisible,
    /// Layers that all ranks committed.
    layers_committed,
    /// Parts of layers' changes that all ranks committed before the last one.
    parts_committed,
    /// Of these, layers whose table stayed: only shares changed, and no weight moved.
    layers_rerouted,
    /// Commits that failed on some rank.
    commits_failed,
    /// Layers that went back to their old epoch.
    layers_reverted,
    /// Reverts that failed on some rank (it tries again).
    reverts_failed,
    /// Waits for a plan that ended by their deadline.
    plan_timeouts,
    /// Waits for the ranks' digests that ended by their deadline.
    agreement_timeouts,
    /// Waits for a prepare that ended by their deadline.
    prepare_timeouts,
    /// Waits of prepared layers for a step that ended by their deadline.
    step_timeouts,
    /// Waits for a commit that ended by their deadline.
    commit_timeouts,
    /// Waits for a revert that ended by their deadline.
    revert_timeouts,
    /// Notes dropped because nobody fetched the commands.
    notes_dropped,
}

impl Counters {
    pub(crate) fn count_rejected(&mut self, error: &ReportError) {
        let counter = match error {
            ReportError::Forged { .. } | ReportError::UnknownRank { .. } => {
                &mut self.reports_forged
            }
            ReportError::DeadRank { .. } => &mut self.reports_of_dead_ranks,
            ReportError::Repeated { .. } => &mut self.reports_repeated,
            ReportError::Late { .. } => &mut self.reports_late,
            ReportError::FromTheFuture { .. } => &mut self.reports_from_the_future,
            ReportError::LoadSteps { .. } => &mut self.reports_with_wrong_steps,
            ReportError::LoadLength { .. } | ReportError::LoadCounts { .. } => {
                &mut self.reports_malformed
            }
            ReportError::Contradiction { .. } => &mut self.reports_contradicting,
        };
        *counter += 1;
    }

    /// Counts a planned layer by what the policy says of it, and nothing for a verdict of a later
    /// version.
    pub(crate) fn count_planned(&mut self, account: Option<&Account>) {
        let counter = match account.map(|account| account.verdict) {
            None => &mut self.layers_planned_unweighed,
            Some(Verdict::Idle) => &mut self.layers_planned_idle,
            Some(Verdict::Settled) => &mut self.layers_planned_settled,
            Some(Verdict::NotWorthIt) => &mut self.layers_planned_not_worth_more,
            Some(Verdict::Budget) => &mut self.layers_planned_over_budget,
            Some(_) => return,
        };
        *counter += 1;
    }

    pub(crate) fn count_abort(&mut self, reason: &RoundAbort) {
        self.rounds_aborted += 1;
        match reason {
            RoundAbort::PlanFailed { .. } => self.plans_failed += 1,
            RoundAbort::Disagreement { .. } => self.plans_disagreed += 1,
            RoundAbort::PlanTimeout => self.plan_timeouts += 1,
            RoundAbort::AgreementTimeout { .. } => self.agreement_timeouts += 1,
            // These waits are counted layer by layer where they end.
            RoundAbort::PrepareTimeout { .. }
            | RoundAbort::NoStepToCommit { .. }
            | RoundAbort::CommitTimeout { .. }
            | RoundAbort::RevertTimeout { .. } => {}
        }
    }
}
