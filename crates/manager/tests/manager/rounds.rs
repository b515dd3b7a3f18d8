//! Layers on their way: what goes in and the list of what comes out.

use eplb_core::{
    Account, Epoch, ExpertLoad, LayerId, ModelShape, Placement, RankId, Step, Topology, Verdict,
};
use eplb_manager::{
    Command, Directive, Event, LayerPhase, ManagerConfig, Note, PlannedLayer, Reason, RoundAbort,
    RoundId, Status, StepHeader, Token,
};

use crate::rig::{LAYERS, RANKS, Rig, eager, initial, load, planned, rotated, turned};

/// A rig with a plan in use for all layers; layer 0 gains most.
fn planned_rig(config: ManagerConfig) -> Rig {
    let mut rig = Rig::new(config);
    rig.step_with(&load(1));
    rig.plan();
    rig.take_notes();
    rig
}

fn prepare(token: u64, layer: u32) -> Directive {
    Directive::Prepare {
        token: Token(token),
        layer: LayerId(layer),
        from_epoch: Epoch(0),
        epoch: Epoch(1),
        experts: turned(&initial(), LayerId(layer)),
        shares: None,
    }
}

fn commit(token: u64, layer: u32, at_step: u64) -> Directive {
    let (token, layer) = (Token(token), LayerId(layer));
    Directive::Commit { token, layer, epoch: Epoch(1), at_step: Step(at_step) }
}

fn revert(token: u64, layer: u32, at_step: u64) -> Directive {
    let (token, layer) = (Token(token), LayerId(layer));
    Directive::Revert { token, layer, epoch: Epoch(0), at_step: Step(at_step) }
}

fn reason() -> Reason {
    Reason::new("no memory")
}

#[test]
fn one_layer_from_plan_to_settled_command_by_command() {
    let mut rig = Rig::new(eager());
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    assert_eq!(job.layers, [LayerId(0), LayerId(1), LayerId(2)]);
    let plan = Ok(vec![planned(&job.present, LayerId(1), 0.7)]);
    rig.event(Event::Planned { round: job.round, plan });
    assert_eq!(rig.manager.layer_phase(LayerId(1)), LayerPhase::Queued);
    assert_eq!(rig.manager.layer_phase(LayerId(0)), LayerPhase::Idle);
    rig.take_notes();
    // Named in every header until all ranks are done, with the old epochs live.
    let old = eplb_manager::epochs_digest(&initial());
    for _ in 0..2 {
        let header = rig.step(true);
        assert_eq!(header.directives, [prepare(0, 1)]);
        assert_eq!(header.epochs_digest, old);
    }
    assert_eq!(rig.manager.layer_phase(LayerId(1)), LayerPhase::Preparing);
    for rank in 0..RANKS - 1 {
        rig.says(rank, Token(0), Status::Prepared);
    }
    let header = rig.step(true);
    assert_eq!(header.directives, [prepare(0, 1)], "rank 3 is not ready");
    rig.says(3, Token(0), Status::Prepared);
    assert_eq!(rig.manager.layer_phase(LayerId(1)), LayerPhase::Prepared);
    // The step that first names the commit is the first with the new epoch.
    let header = rig.step(true);
    let at = header.step.0;
    assert_eq!(header.directives, [commit(0, 1, at)]);
    assert_ne!(header.epochs_digest, old);
    assert_eq!(rig.manager.placement().layer(LayerId(1)).epoch(), Epoch(1));
    assert_eq!(rig.manager.placement().layer(LayerId(1)).experts(), turned(&initial(), LayerId(1)));
    assert_eq!(
        rig.manager.layer_phase(LayerId(1)),
        LayerPhase::Committing { at_step: header.step }
    );
    assert_eq!(rig.step(true).directives, [commit(0, 1, at)]);
    // A rank that got the header late committed late.
    for rank in 0..RANKS {
        let step = Step(at + u64::from(rank % 2));
        rig.says(rank, Token(0), Status::Committed { step });
    }
    let (layer, token, epoch) = (LayerId(1), Token(0), Epoch(1));
    let committed = Note::LayerCommitted { layer, token, epoch, at_step: Step(at), parts_left: 0 };
    let finished = Note::RoundFinished { round: RoundId(0), committed: 1 };
    assert_eq!(rig.take_notes(), [committed, finished]);
    let header = rig.step(true);
    assert_eq!(header.directives, [], "no longer named: final");
    assert_eq!(rig.manager.layer_phase(LayerId(1)), LayerPhase::Idle);
}

#[test]
fn layers_go_one_after_the_other_the_one_that_gains_most_first() {
    let mut rig = Rig::new(eager());
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    let gains = [(2, 0.6), (0, 0.6), (1, 0.9)];
    let plan = gains.iter().map(|&(layer, after)| planned(&job.present, LayerId(layer), after));
    rig.event(Event::Planned { round: job.round, plan: Ok(plan.collect()) });
    assert_eq!(rig.finish_round(), [LayerId(1), LayerId(0), LayerId(2)]);
    assert_eq!(rig.manager.counters().layers_committed, 3);
    assert_eq!(rig.manager.counters().rounds_finished, 1);
}

#[test]
fn two_layers_in_flight_at_once() {
    let mut rig = planned_rig(ManagerConfig { layers_in_flight: 2, ..eager() });
    assert_eq!(rig.step(true).directives, [prepare(0, 0), prepare(1, 1)]);
    rig.all_say(Token(1), &Status::Prepared);
    let header = rig.step(true);
    let at = header.step.0;
    assert_eq!(header.directives, [prepare(0, 0), commit(1, 1, at)]);
    rig.all_say(Token(1), &Status::Committed { step: header.step });
    assert_eq!(rig.step(true).directives, [prepare(0, 0), prepare(2, 2)]);
}

#[test]
fn a_step_that_allows_no_changes_begins_none_and_names_those_under_way() {
    let mut rig = planned_rig(eager());
    assert_eq!(rig.step(false).directives, []);
    assert_eq!(rig.step(true).directives, [prepare(0, 0)]);
    assert_eq!(rig.step(false).directives, [prepare(0, 0)]);
    rig.all_say(Token(0), &Status::Prepared);
    assert_eq!(rig.step(false).directives, [prepare(0, 0)], "prepared, and waits");
    let header = rig.step(true);
    let at = header.step.0;
    assert_eq!(header.directives, [commit(0, 0, at)]);
    assert_eq!(rig.step(false).directives, [commit(0, 0, at)]);
    let reason = reason();
    rig.says(2, Token(0), Status::CommitFailed { reason });
    // Until this is put right, rank 2 can run no step at all, so it cannot wait.
    assert_eq!(rig.step(false).directives, [revert(0, 0, at + 2)]);
}

#[test]
fn the_same_step_again_gives_the_same_header() {
    let mut rig = planned_rig(eager());
    let header = rig.step(true);
    let again = |rig: &mut Rig, step: Step, allow_changes: bool| -> Vec<StepHeader> {
        rig.manager.handle_event(rig.now, Event::StepBegins { step, allow_changes });
        rig.drain()
    };
    rig.all_say(Token(0), &Status::Prepared);
    assert_eq!(again(&mut rig, header.step, true), std::slice::from_ref(&header));
    assert_eq!(again(&mut rig, header.step, false), std::slice::from_ref(&header));
    assert_eq!(again(&mut rig, Step(0), true), []);
    assert_eq!(rig.manager.counters().steps_repeated, 2);
    assert_eq!(rig.manager.counters().steps_out_of_order, 1);
    // Steps may leave numbers out: a failed step is not run again.
    rig.next_step += 5;
    let next = rig.step(true);
    assert_eq!(next.directives, [commit(0, 0, next.step.0)]);
}

#[test]
fn a_refusal_drops_the_layer_and_the_next_one_begins() {
    let mut rig = planned_rig(ManagerConfig { refusal_backoff: 1, ..eager() });
    rig.step(true);
    rig.says(1, Token(0), Status::Refused { reason: reason() });
    let (layer, token, rank) = (LayerId(0), Token(0), RankId(1));
    let refused = Note::LayerRefused { layer, token, rank, reason: reason() };
    assert_eq!(rig.take_notes(), [refused]);
    // Others may have prepared it; what they say of it is stale, and no lie.
    rig.says(0, Token(0), Status::Prepared);
    assert_eq!(rig.manager.counters().statuses_stale, 1);
    assert_eq!(rig.step(true).directives, [prepare(1, 1)]);
    assert_eq!(rig.finish_round(), [LayerId(1), LayerId(2)]);
    assert_eq!(rig.manager.placement().layer(LayerId(0)), initial().layer(LayerId(0)));
    // Left alone for one interval, then back, with an epoch that was never used.
    rig.step_with(&load(1));
    assert!(rig.jobs.is_empty());
    rig.step_with(&load(1));
    assert_eq!(rig.plan(), [LayerId(0)]);
    let [Directive::Prepare { token, epoch, from_epoch, .. }] = rig.step(true).directives[..]
    else {
        panic!("one prepare");
    };
    assert_eq!((token, from_epoch, epoch), (Token(3), Epoch(0), Epoch(2)));
}

#[test]
fn back_off_doubles_and_a_commit_starts_it_anew() {
    let mut rig = Rig::new(ManagerConfig { refusal_backoff: 1, ..eager() });
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    // Layer 1 and 2 are settled at once: only layer 0 has its way to go.
    let plan = Ok(vec![planned(&job.present, LayerId(0), 0.9)]);
    rig.event(Event::Planned { round: job.round, plan });
    let refuse = |rig: &mut Rig| {
        let token = rig.step(true).directives[0].token();
        rig.says(2, token, Status::Refused { reason: reason() });
    };
    // Gives how many intervals pass before the layer is planned again.
    let left_alone = |rig: &mut Rig, load: &ExpertLoad| {
        let skipped = rig.manager.counters().rounds_skipped;
        for _ in 0..20 {
            rig.step_with(load);
            if !rig.jobs.is_empty() {
                break;
            }
        }
        assert_eq!(rig.plan(), [LayerId(0)]);
        rig.manager.counters().rounds_skipped - skipped
    };
    let changed = rotated(&load(1), LayerId(0));
    let mut lengths = Vec::new();
    for _ in 0..3 {
        refuse(&mut rig);
        lengths.push(left_alone(&mut rig, &changed));
    }
    assert_eq!(lengths, [1, 2, 4]);
    assert_eq!(rig.finish_round(), [LayerId(0)]);
    rig.step_with(&load(1));
    assert_eq!(rig.plan(), [LayerId(0)]);
    refuse(&mut rig);
    assert_eq!(left_alone(&mut rig, &load(1)), 1);
}

#[test]
fn a_failed_commit_goes_back_on_all_ranks_in_one_step() {
    let mut rig = planned_rig(eager());
    rig.step(true);
    rig.all_say(Token(0), &Status::Prepared);
    let old = eplb_manager::epochs_digest(&initial());
    let at = rig.step(true).step;
    rig.says(0, Token(0), Status::Committed { step: at });
    rig.says(3, Token(0), Status::CommitFailed { reason: reason() });
    assert_eq!(rig.manager.layer_phase(LayerId(0)), LayerPhase::RevertDue);
    let header = rig.step(true);
    let back = header.step;
    assert_eq!(header.directives, [revert(0, 0, back.0)]);
    assert_eq!(header.epochs_digest, old, "the old epoch number, not a new one");
    assert_eq!(rig.manager.placement(), &initial());
    // Rank 1 never said that it committed; it is back all the same.
    for rank in 0..RANKS {
        rig.says(rank, Token(0), Status::Reverted);
    }
    let (layer, token) = (LayerId(0), Token(0));
    let failed = Note::CommitFailed { layer, token, rank: RankId(3), reason: reason() };
    let reverted = Note::LayerReverted { layer, token, epoch: Epoch(0) };
    assert_eq!(rig.take_notes(), [failed, reverted]);
    assert_eq!(rig.finish_round(), [LayerId(1), LayerId(2)], "the round goes on");
    rig.step_with(&load(1));
    assert_eq!(rig.plan(), [LayerId(0)], "not updated, so wanted again");
    let header = rig.step(true);
    let Directive::Prepare { epoch, .. } = header.directives[0] else { panic!("a prepare") };
    assert_eq!(epoch, Epoch(2), "epoch 1 stood for another attempt");
}

#[test]
fn a_failed_revert_is_waited_for() {
    let mut rig = planned_rig(eager());
    rig.step(true);
    rig.all_say(Token(0), &Status::Prepared);
    rig.step(true);
    rig.says(3, Token(0), Status::CommitFailed { reason: reason() });
    let at = rig.step(true).step;
    for rank in [1, 2, 3] {
        rig.says(rank, Token(0), Status::Reverted);
    }
    rig.says(0, Token(0), Status::RevertFailed { reason: reason() });
    assert_eq!(rig.manager.counters().reverts_failed, 1);
    assert_eq!(rig.step(true).directives, [revert(0, 0, at.0)]);
    rig.says(0, Token(0), Status::Reverted);
    assert_eq!(rig.manager.counters().layers_reverted, 1);
}

#[test]
fn what_is_no_plan_ends_the_round() {
    let good = || planned(&initial(), LayerId(0), 0.9);
    // Placements of other models and of other ranks.
    let made_for = |experts: u32, slots: u32| {
        let shape = ModelShape::new(LAYERS, experts, 1).unwrap();
        let topology = Topology::uniform(RANKS, slots, 1).unwrap();
        Placement::initial(shape, &topology).unwrap().layer(LayerId(0)).clone()
    };
    let account =
        |gain, price, bound| Some(Account { gain, price, bound, verdict: Verdict::Settled });
    let plans: Vec<Result<Vec<PlannedLayer>, String>> = vec![
        Err("solver gave up".to_owned()),
        Ok(vec![good(), good()]),
        Ok(vec![PlannedLayer { layer: LayerId(9), ..good() }]),
        Ok(vec![PlannedLayer { balancedness_after: f64::NAN, ..good() }]),
        Ok(vec![PlannedLayer { balancedness_before: -0.1, ..good() }]),
        Ok(vec![PlannedLayer { placement: made_for(6, 3), ..good() }]),
        Ok(vec![PlannedLayer { placement: made_for(5, 2), ..good() }]),
        Ok(vec![PlannedLayer { placement: made_for(8, 2), ..good() }]),
        Ok(vec![PlannedLayer { account: account(f64::NAN, 0.0, 1.0), ..good() }]),
        Ok(vec![PlannedLayer { account: account(1.0, f64::NEG_INFINITY, 1.0), ..good() }]),
        Ok(vec![PlannedLayer { account: account(1.0, 0.0, f64::INFINITY), ..good() }]),
    ];
    for plan in plans {
        let mut rig = Rig::new(eager());
        rig.step_with(&load(1));
        let job = rig.jobs.pop().unwrap();
        rig.event(Event::Planned { round: RoundId(7), plan: Ok(vec![]) });
        assert_eq!(rig.manager.counters().plans_late, 1);
        rig.take_notes();
        rig.event(Event::Planned { round: job.round, plan });
        let notes = rig.take_notes();
        let [Note::RoundAborted { round: RoundId(0), reason, committed: 0 }] = &notes[..] else {
            panic!("the round is given up: {notes:?}");
        };
        assert!(matches!(reason, RoundAbort::PlanFailed { .. }));
        assert_eq!(rig.manager.counters().plans_failed, 1);
        assert_eq!(rig.step(true).directives, []);
        rig.step_with(&rotated(&load(1), LayerId(0)));
        assert_eq!(rig.plan().len(), 3, "the next interval works");
        assert_eq!(rig.finish_round().len(), 3);
    }
}

#[test]
fn commands_that_nobody_fetches_do_not_pile_up() {
    let mut rig = Rig::new(eager());
    for step in 0..5_000 {
        let step = Step(step);
        rig.manager.handle_event(rig.now, Event::StepBegins { step, allow_changes: true });
        rig.next_step = step.0 + 1;
        let report = rig.report_of(1, None);
        rig.manager.handle_event(rig.now, Event::Report { sender: RankId(2), report });
    }
    let mut commands = 0;
    let mut headers = Vec::new();
    while let Some(command) = rig.manager.poll_command() {
        commands += 1;
        if let Command::Header(header) = command {
            headers.push(header.step);
        }
    }
    assert!(commands < 5_000);
    assert_eq!(headers, [Step(4_999)]);
    assert!(rig.manager.counters().notes_dropped > 0);
}
