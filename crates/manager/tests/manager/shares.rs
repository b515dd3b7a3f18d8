//! Shares travel with tables, and may change alone.

use eplb_core::{Epoch, LayerId, LayerPlacement, Placement, RankId, RoutingError, Step};
use eplb_manager::{
    Action, Directive, Event, Follower, FollowerError, LayerPhase, Manager, PlannedLayer, Status,
    StepHeader, Token, epochs_digest,
};

use crate::rig::{RANKS, Rig, eager, initial, load, planned, shape, shared, topology};

const LAYER: LayerId = LayerId(1);

/// The layer's present table with shares of its own.
fn reshared(placement: &Placement) -> LayerPlacement {
    shared(placement.layer(LAYER), 40_000)
}

/// A rig with a plan in use that changes only shares of one layer.
fn reshared_rig() -> Rig {
    let mut rig = Rig::new(eager());
    rig.step_with(&load(1));
    let job = rig.jobs.pop().expect("a plan was asked for");
    let placement = reshared(&job.present);
    let plan = vec![PlannedLayer { placement, ..planned(&job.present, LAYER, 0.9) }];
    rig.event(Event::Planned { round: job.round, plan: Ok(plan) });
    assert_eq!(rig.manager.layer_phase(LAYER), LayerPhase::Queued);
    rig
}

fn prepare(shares: Option<Vec<u16>>) -> Directive {
    Directive::Prepare {
        token: Token(0),
        layer: LAYER,
        from_epoch: Epoch(0),
        epoch: Epoch(1),
        experts: initial().layer(LAYER).experts().to_vec(),
        shares,
    }
}

fn header(step: u64, shares: Option<Vec<u16>>) -> StepHeader {
    StepHeader {
        step: Step(step),
        directives: vec![prepare(shares)],
        epochs_digest: epochs_digest(&initial()),
    }
}

fn follower() -> Follower {
    Follower::new(RankId(2), shape(), topology(), initial()).expect("valid")
}

#[test]
fn a_change_of_shares_alone_goes_all_the_way() {
    let mut rig = reshared_rig();
    let expected = reshared(&initial()).with_epoch(Epoch(1));
    let shares = expected.shares().map(<[u16]>::to_vec);
    assert!(shares.is_some());
    assert_eq!(rig.step(true).directives, [prepare(shares)]);
    assert_eq!(rig.manager.placement(), &initial());
    rig.all_say(Token(0), &Status::Prepared);
    let at = rig.step(true).step;
    assert_eq!(rig.manager.placement().layer(LAYER), &expected);
    rig.all_say(Token(0), &Status::Committed { step: at });
    let counters = *rig.manager.counters();
    assert_eq!((counters.layers_committed, counters.layers_rerouted), (1, 1));
    // The same plan again changes nothing; the old shares again are a change.
    rig.step_with(&crate::rig::rotated(&load(1), LAYER));
    let job = rig.jobs.pop().unwrap();
    let placement = reshared(&job.present);
    let plan = vec![PlannedLayer { placement, ..planned(&job.present, LAYER, 0.9) }];
    rig.event(Event::Planned { round: job.round, plan: Ok(plan) });
    assert_eq!(rig.manager.layer_phase(LAYER), LayerPhase::Idle);
    assert_eq!(rig.manager.counters().layers_unchanged, 3);
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    let placement = initial().layer(LAYER).clone();
    let plan = vec![PlannedLayer { placement, ..planned(&job.present, LAYER, 0.9) }];
    rig.event(Event::Planned { round: job.round, plan: Ok(plan) });
    assert_eq!(rig.finish_round(), [LAYER]);
    assert_eq!(rig.manager.counters().layers_rerouted, 2);
    assert_eq!(rig.manager.placement().layer(LAYER).shares(), None);
}

#[test]
fn a_revert_brings_the_old_shares_back() {
    let mut rig = reshared_rig();
    rig.step(true);
    rig.all_say(Token(0), &Status::Prepared);
    rig.step(true);
    rig.says(3, Token(0), Status::CommitFailed { reason: eplb_manager::Reason::new("no") });
    rig.step(true);
    assert_eq!(rig.manager.placement(), &initial());
    rig.all_say(Token(0), &Status::Reverted);
    assert_eq!(rig.manager.counters().layers_rerouted, 0);
}

#[test]
fn load_counted_across_a_change_of_shares_is_whole() {
    let mut rig = reshared_rig();
    rig.step(true);
    rig.all_say(Token(0), &Status::Prepared);
    let at = rig.step(true).step;
    rig.all_say(Token(0), &Status::Committed { step: at });
    let changed = crate::rig::rotated(&load(1), LAYER);
    rig.step(true);
    for rank in 0..RANKS {
        let mut part = rig.load_of(rank, &changed);
        part.first_step = Step(at.0 - 1);
        let report = rig.report_of(rank, Some(part));
        rig.send(report);
    }
    assert_eq!(rig.manager.counters().layer_samples_uncredited, 0);
    assert_eq!(rig.jobs[0].windows, [changed]);
}

#[test]
fn a_follower_takes_shares_and_holds_the_manager_to_them() {
    let mut follower = follower();
    let expected = reshared(&initial()).with_epoch(Epoch(1));
    let shares = expected.shares().unwrap().to_vec();
    let actions = follower.handle_header(&header(1, Some(shares.clone()))).unwrap();
    let [Action::Prepare { from, to, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((from, to), (initial().layer(LAYER), &expected));
    assert_eq!(follower.handle_header(&header(2, Some(shares.clone()))), Ok(vec![]));
    let other = shared(initial().layer(LAYER), 30_000).shares().unwrap().to_vec();
    for shares in [None, Some(other), Some(vec![]), Some(shares[1..].to_vec())] {
        let step = Step(3);
        let error = follower.handle_header(&header(3, shares)).unwrap_err();
        assert_eq!(error, FollowerError::Contradiction { step, token: Token(0) });
    }
    assert_eq!(follower.handle_header(&header(3, Some(shares))), Ok(vec![]));
}

#[test]
fn even_shares_may_be_written_out() {
    let mut follower = follower();
    let even = initial().layer(LAYER).even_routing(&topology());
    let mut shares = vec![0; topology().slots()];
    for (slot, &share) in even.slots().iter().zip(even.shares()) {
        shares[slot.index()] = share;
    }
    for (step, shares) in [(1, Some(shares.clone())), (2, None), (3, Some(shares))] {
        let actions = follower.handle_header(&header(step, shares)).unwrap();
        assert_eq!(actions.len(), usize::from(step == 1), "the same in other words");
    }
}

#[test]
fn shares_that_are_no_routing_change_nothing() {
    let shares = reshared(&initial()).shares().unwrap().to_vec();
    let mut sum = shares.clone();
    sum[3] -= 1;
    let mut follower = follower();
    for shares in [sum, shares[1..].to_vec(), vec![], vec![0; shares.len()]] {
        let before = format!("{follower:?}");
        let error = follower.handle_header(&header(1, Some(shares))).unwrap_err();
        assert!(matches!(error, FollowerError::Shares { layer: LAYER, .. }), "{error}");
        assert_eq!(format!("{follower:?}"), before);
    }
    let source = RoutingError::Slots { found: 7, expected: 8 };
    let error = FollowerError::Shares { step: Step(1), layer: LAYER, source };
    let text = "the header of step 1 has shares of layer 1 that are no routing: shares for 7 slots, \
                the placement has 8";
    assert_eq!(error.to_string(), text);
}

#[test]
fn planned_shares_must_add_up_on_the_ranks_that_live() {
    let dead = topology().without(RankId(2)).unwrap();
    let start = Placement::initial(shape(), &dead).unwrap();
    // The same table while rank 2 was alive, and took tokens of experts that others hold too.
    let stale = shared(start.layer(LAYER), 30_000);
    let mut rig = Rig::new(eager());
    rig.topology = dead.clone();
    rig.manager = Manager::new(eager(), shape(), dead.clone(), start.clone()).unwrap();
    let plan = |rig: &mut Rig, placement: &LayerPlacement| {
        rig.step(true);
        for rank in [0, 1, 3] {
            let part = rig.load_of(rank, &load(1));
            let report = rig.report_of(rank, Some(part));
            rig.send(report);
        }
        let job = rig.jobs.pop().unwrap();
        let placement = placement.clone();
        let plan = vec![PlannedLayer { placement, ..planned(&initial(), LAYER, 0.9) }];
        rig.event(Event::Planned { round: job.round, plan: Ok(plan) });
    };
    plan(&mut rig, &stale);
    assert_eq!(rig.manager.counters().plans_failed, 1, "{:?}", rig.notes);
    // A start with them is possible: replicas share evenly then, and they may stay.
    let mut stale_start = start;
    stale_start.set_layer(LAYER, stale.clone());
    rig.manager = Manager::new(eager(), shape(), dead, stale_start).unwrap();
    rig.next_step = 0;
    plan(&mut rig, &stale);
    let counters = rig.manager.counters();
    assert_eq!((counters.plans_failed, counters.layers_unchanged), (0, 3));
}
