//! Every wait ends by its deadline, and the next interval works again.

use std::time::Duration;

use eplb_core::{LayerId, RankId};
use eplb_manager::{
    Directive, Event, LayerPhase, ManagerConfig, Note, Reason, RoundAbort, Status, Token,
};

use crate::rig::{RANKS, Rig, eager, initial, load, rotated};

const SECOND: Duration = Duration::from_secs(1);

/// Every wait with a length of its own.
fn config() -> ManagerConfig {
    ManagerConfig {
        plan_timeout: Duration::from_secs(50),
        prepare_timeout: Duration::from_secs(30),
        commit_timeout: Duration::from_secs(20),
        revert_timeout: Duration::from_secs(10),
        ..eager()
    }
}

fn planned_rig() -> Rig {
    let mut rig = Rig::new(config());
    rig.step_with(&load(1));
    rig.plan();
    rig.step(true);
    rig.take_notes();
    rig
}

/// Waits until just before `length` from now, when nothing may happen, and then until then.
fn wait_out(rig: &mut Rig, length: Duration) -> Vec<Note> {
    assert_eq!(rig.manager.poll_timeout(), Some(rig.now.plus(length)));
    rig.wait(length - Duration::from_nanos(1));
    assert_eq!(rig.take_notes(), []);
    rig.wait(Duration::from_nanos(1));
    rig.take_notes()
}

fn aborted(notes: &[Note]) -> Vec<RoundAbort> {
    let reason = |note: &Note| match note {
        Note::RoundAborted { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    notes.iter().filter_map(reason).collect()
}

/// A whole round goes through on all ranks.
fn next_interval_works(rig: &mut Rig) {
    assert_eq!(rig.manager.open_round(), None);
    let changed = rotated(&load(1), LayerId(0));
    rig.step_with(&changed);
    let planned = rig.plan();
    assert!(planned.contains(&LayerId(0)));
    assert_eq!(rig.finish_round(), planned);
}

#[test]
fn no_plan_in_time() {
    let mut rig = Rig::new(config());
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    rig.take_notes();
    let notes = wait_out(&mut rig, Duration::from_secs(50));
    assert_eq!(aborted(&notes), [RoundAbort::PlanTimeout]);
    assert_eq!(rig.manager.counters().plan_timeouts, 1);
    // The plan comes after all.
    rig.event(Event::Planned { round: job.round, plan: Ok(vec![]) });
    assert_eq!(rig.manager.counters().plans_late, 1);
    next_interval_works(&mut rig);
}

#[test]
fn a_rank_that_does_not_prepare() {
    let mut rig = planned_rig();
    for rank in [0, 1, 3] {
        rig.says(rank, Token(0), Status::Prepared);
    }
    let notes = wait_out(&mut rig, Duration::from_secs(30));
    let silent = RoundAbort::PrepareTimeout { layer: LayerId(0), rank: RankId(2) };
    assert_eq!(aborted(&notes), [silent]);
    let counters = rig.manager.counters();
    assert_eq!((counters.prepare_timeouts, counters.layers_dropped), (1, 1));
    assert_eq!(rig.step(true).directives, [], "nobody waits for the other layers either");
    assert_eq!(rig.manager.placement(), &initial());
    rig.says(2, Token(0), Status::Prepared);
    assert_eq!(rig.manager.counters().statuses_stale, 1);
    next_interval_works(&mut rig);
}

#[test]
fn no_step_that_allows_the_commit() {
    let mut rig = planned_rig();
    rig.all_say(Token(0), &Status::Prepared);
    for _ in 0..5 {
        rig.step(false);
    }
    let notes = wait_out(&mut rig, Duration::from_secs(20) - 5 * SECOND);
    assert_eq!(aborted(&notes), [RoundAbort::NoStepToCommit { layer: LayerId(0) }]);
    assert_eq!(rig.manager.counters().step_timeouts, 1);
    assert_eq!(rig.step(true).directives, []);
    next_interval_works(&mut rig);
}

/// A rig whose layer 0 was committed everywhere but on rank 2, which did not say so in time.
fn commit_timed_out() -> Rig {
    let mut rig = planned_rig();
    rig.all_say(Token(0), &Status::Prepared);
    let step = rig.step(true).step;
    for rank in [0, 1, 3] {
        rig.says(rank, Token(0), Status::Committed { step });
    }
    let notes = wait_out(&mut rig, Duration::from_secs(20));
    assert_eq!(notes, [], "the round is open until the layer is back");
    assert_eq!(rig.manager.counters().commit_timeouts, 1);
    assert_eq!(rig.manager.layer_phase(LayerId(0)), LayerPhase::RevertDue);
    rig
}

#[test]
fn a_rank_that_does_not_confirm_a_commit() {
    let mut rig = commit_timed_out();
    let header = rig.step(true);
    assert!(matches!(header.directives[..], [Directive::Revert { .. }]));
    assert_eq!(rig.manager.placement(), &initial());
    // Rank 2 had committed after all, and says so before it hears of the revert.
    let step = rig.last_step();
    for rank in [0, 1, 3] {
        rig.says(rank, Token(0), Status::Reverted);
    }
    rig.says(2, Token(0), Status::Committed { step });
    assert_eq!(rig.manager.counters().reports_contradicting, 0);
    rig.step(true);
    rig.says(2, Token(0), Status::Reverted);
    let notes = rig.take_notes();
    assert!(matches!(notes[0], Note::LayerReverted { .. }));
    let silent = RoundAbort::CommitTimeout { layer: LayerId(0), rank: RankId(2) };
    assert_eq!(aborted(&notes), [silent]);
    next_interval_works(&mut rig);
}

#[test]
fn a_rank_that_does_not_confirm_a_revert() {
    let mut rig = commit_timed_out();
    let at = rig.step(true).step;
    for rank in [0, 1, 3] {
        rig.says(rank, Token(0), Status::Reverted);
    }
    let notes = wait_out(&mut rig, Duration::from_secs(10));
    let (layer, token, rank) = (LayerId(0), Token(0), RankId(2));
    assert_eq!(notes[0], Note::RevertUnconfirmed { layer, token, rank });
    assert_eq!(aborted(&notes), [RoundAbort::CommitTimeout { layer, rank }]);
    assert_eq!(rig.manager.counters().revert_timeouts, 1);
    assert_eq!(rig.manager.poll_timeout(), None, "nobody waits any more");
    // Other layers go on; this one is named until rank 2 is back, and left alone so long.
    rig.step_with(&load(1));
    assert_eq!(rig.plan(), [LayerId(1), LayerId(2)]);
    let header = rig.step(true);
    assert_eq!(header.directives.len(), 2);
    assert!(matches!(
        header.directives[0],
        Directive::Revert { token: Token(0), at_step, .. } if at_step == at
    ));
    rig.says(2, Token(0), Status::Reverted);
    assert_eq!(rig.manager.layer_phase(LayerId(0)), LayerPhase::Idle);
    assert_eq!(rig.finish_round(), [LayerId(1), LayerId(2)]);
    next_interval_works(&mut rig);
}

#[test]
fn no_step_at_all_for_a_revert() {
    let mut rig = commit_timed_out();
    let notes = wait_out(&mut rig, Duration::from_secs(10));
    assert_eq!(aborted(&notes).len(), 1);
    assert_eq!(rig.manager.open_round(), None);
    // The engine wakes up: the revert is still named, or ranks would take the commit for final.
    let header = rig.step(false);
    assert!(matches!(header.directives[..], [Directive::Revert { .. }]));
    assert_eq!(rig.manager.poll_timeout(), None, "the wait is over and does not begin again");
    assert_eq!(rig.manager.placement(), &initial());
    for rank in 0..RANKS {
        rig.says(rank, Token(0), Status::Reverted);
    }
    assert_eq!(rig.step(true).directives, []);
    next_interval_works(&mut rig);
}

#[test]
fn an_answer_after_its_deadline_is_too_late() {
    let mut rig = planned_rig();
    for rank in 0..RANKS - 1 {
        rig.says(rank, Token(0), Status::Prepared);
    }
    rig.now = rig.now.plus(Duration::from_secs(30));
    rig.says(3, Token(0), Status::Prepared);
    assert_eq!(rig.manager.counters().prepare_timeouts, 1);
    assert_eq!(rig.manager.counters().layers_prepared, 0);
}

#[test]
fn a_round_given_up_sees_committed_layers_through() {
    let mut rig = Rig::new(ManagerConfig { layers_in_flight: 2, ..config() });
    rig.step_with(&load(1));
    rig.plan();
    rig.step(true);
    rig.all_say(Token(1), &Status::Prepared);
    rig.wait(Duration::from_secs(15));
    let at = rig.step(true).step;
    rig.take_notes();
    // Layer 0 is never prepared; layer 1 was committed meanwhile.
    rig.wait(Duration::from_secs(14));
    assert_eq!(rig.manager.counters().prepare_timeouts, 1);
    assert_eq!(rig.take_notes(), [], "layer 1 is still open");
    assert!(matches!(rig.step(true).directives[..], [Directive::Commit { .. }]));
    rig.all_say(Token(1), &Status::Committed { step: at });
    let notes = rig.take_notes();
    assert!(matches!(notes[0], Note::LayerCommitted { layer: LayerId(1), .. }));
    assert!(matches!(notes[1], Note::RoundAborted { committed: 1, .. }));
    next_interval_works(&mut rig);
}

#[test]
fn a_failed_commit_after_its_deadline_changes_nothing_more() {
    let mut rig = commit_timed_out();
    let reason = Reason::new("late");
    rig.step(true);
    rig.says(2, Token(0), Status::CommitFailed { reason });
    assert!(matches!(rig.manager.layer_phase(LayerId(0)), LayerPhase::Reverting { .. }));
    rig.step(true);
    rig.all_say(Token(0), &Status::Reverted);
    assert_eq!(rig.manager.counters().layers_reverted, 1);
}
