//! Changes that are too large for one part.

use eplb_core::{Epoch, ExpertId, LayerId};
use eplb_manager::{
    Directive, Event, LayerPhase, ManagerConfig, Note, PlannedLayer, Reason, Status, Token,
};

use crate::rig::{RANKS, Rig, eager, initial, load, planned, rotated, table, topology};

const LAYER: LayerId = LayerId(1);

fn in_parts() -> ManagerConfig {
    ManagerConfig { most_changed_slots: Some(1), ..eager() }
}

/// A plan for layer 1, from 0 1, 1 2, 3 4, 4 5: both slots of rank 1 get other experts, and expert 2 has
/// to be on rank 3 before it leaves.
fn large() -> PlannedLayer {
    plan_of(&[0, 1, 3, 5, 3, 4, 2, 5])
}

fn plan_of(experts: &[u32]) -> PlannedLayer {
    let experts: Vec<_> = experts.iter().map(|&expert| ExpertId(expert)).collect();
    let mut planned = planned(&initial(), LAYER, 0.9);
    planned.placement = table(LAYER, &experts);
    planned
}

fn rig_with(plan: PlannedLayer) -> Rig {
    let mut rig = Rig::new(in_parts());
    rig.step_with(&load(1));
    let job = rig.jobs.pop().expect("a round has opened");
    rig.take_notes();
    rig.event(Event::Planned { round: job.round, plan: Ok(vec![plan]) });
    rig
}

/// Brings the change of `token` to its end on all ranks.
fn commit(rig: &mut Rig, token: u64) -> u64 {
    rig.all_say(Token(token), &Status::Prepared);
    let header = rig.step(true);
    assert!(
        matches!(header.directives[..], [Directive::Commit { token: now, .. }] if now.0 == token)
    );
    rig.all_say(Token(token), &Status::Committed { step: header.step });
    header.step.0
}

#[test]
fn parts_follow_each_other_each_with_an_epoch_of_its_own() {
    let plan = large();
    let expected = initial().layer(LAYER).parts(&plan.placement, &topology(), 1);
    let expected = expected.expect("the experts that leave have replicas by then");
    assert_eq!(expected.len(), 2);
    let mut rig = rig_with(plan);
    for (index, part) in expected.iter().enumerate() {
        let header = rig.step(true);
        let [Directive::Prepare { token, from_epoch, epoch, experts, .. }] = &header.directives[..]
        else {
            panic!("{header:?}");
        };
        assert_eq!(
            (token.0, from_epoch.0, epoch.0),
            (index as u64, index as u64, index as u64 + 1)
        );
        assert_eq!(experts, part.experts());
        rig.take_notes();
        let at = commit(&mut rig, index as u64);
        let left = expected.len() - 1 - index;
        let note = rig.take_notes().remove(0);
        assert!(
            matches!(note, Note::LayerCommitted { layer: LAYER, parts_left, at_step, .. }
                if parts_left == left && at_step.0 == at),
            "{note:?}"
        );
    }
    assert_eq!(rig.step(true).directives, []);
    let counters = rig.manager.counters();
    assert_eq!((counters.layers_committed, counters.parts_committed), (1, 1));
    assert_eq!(counters.rounds_finished, 1);
    assert_eq!(rig.manager.placement().layer(LAYER).epoch(), Epoch(2));
}

#[test]
fn a_layer_whose_next_part_is_refused_stays_as_it_is() {
    let mut rig = rig_with(large());
    rig.step(true);
    commit(&mut rig, 0);
    rig.step(true);
    rig.says(2, Token(1), Status::Refused { reason: Reason::new("no memory") });
    assert_eq!(rig.step(true).directives, [], "the rest of the change is dropped");
    assert_eq!(rig.manager.placement().layer(LAYER).epoch(), Epoch(1));
    assert_eq!(rig.manager.layer_phase(LAYER), LayerPhase::Idle);
    assert_eq!(rig.manager.counters().layers_committed, 0);
}

#[test]
fn a_round_that_is_given_up_begins_no_further_part() {
    let mut rig = rig_with(large());
    rig.step(true);
    rig.all_say(Token(0), &Status::Prepared);
    let header = rig.step(true);
    for rank in 0..RANKS - 1 {
        rig.says(rank, Token(0), Status::Committed { step: header.step });
    }
    // The last rank speaks too late: the layer goes back.
    rig.wait(in_parts().commit_timeout);
    let header = rig.step(true);
    assert!(matches!(header.directives[..], [Directive::Revert { token: Token(0), .. }]));
    rig.all_say(Token(0), &Status::Reverted);
    assert_eq!(rig.step(true).directives, []);
    assert_eq!(rig.manager.placement().layer(LAYER).experts(), initial().layer(LAYER).experts());
}

#[test]
fn a_change_that_comes_in_no_parts_leaves_the_layer_alone() {
    let mut rig = rig_with(large());
    for token in 0..2 {
        rig.step(true);
        commit(&mut rig, token);
    }
    rig.step_with(&rotated(&load(1), LAYER));
    let job = rig.jobs.pop().expect("the load of the layer is another one");
    rig.take_notes();
    // Rank 0 holds experts 0 and 1, and nobody else does.
    let trade = plan_of(&[1, 0, 3, 5, 3, 4, 2, 5]);
    rig.event(Event::Planned { round: job.round, plan: Ok(vec![trade]) });
    let indivisible = Note::LayerIndivisible { layer: LAYER, most_slots: 1 };
    assert!(rig.take_notes().contains(&indivisible));
    assert_eq!(rig.step(true).directives, []);
    assert_eq!(rig.manager.counters().layers_indivisible, 1);
    assert_eq!(rig.manager.counters().rounds_finished, 2);
}
