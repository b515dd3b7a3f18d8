//! What policies say of their plans decides, and shows.

use eplb_core::{Account, LayerId, Verdict};
use eplb_manager::{Counters, Event, ManagerConfig, Note, PlannedLayer, RoundId};

use crate::rig::{Rig, eager, load, planned};

fn account(gain: f64, price: f64, verdict: Verdict) -> Option<Account> {
    Some(Account { gain, price, bound: 0.5, verdict })
}

/// Answers the first plan with these accounts and balancedness after (0.5 before).
fn planned_with(config: ManagerConfig, layers: [(Option<Account>, f64); 3]) -> Rig {
    let mut rig = Rig::new(config);
    rig.step_with(&load(1));
    let job = rig.jobs.pop().expect("a plan was asked for");
    let layers = layers.into_iter().zip(&job.layers);
    let plan = layers.map(|((account, after), &layer)| PlannedLayer {
        account,
        ..planned(&job.present, layer, after)
    });
    let plan = Ok(plan.collect());
    rig.event(Event::Planned { round: job.round, plan });
    rig
}

#[test]
fn gain_less_price_decides_where_both_are_known() {
    let layers = [
        // Worth it although balancedness under the sum of the windows falls.
        (account(0.30, 0.15, Verdict::NotWorthIt), 0.4),
        // Not worth it although balancedness rises.
        (account(0.30, 0.25, Verdict::Settled), 0.9),
        (None, 0.7),
    ];
    let config = ManagerConfig { min_gain: 0.1, ..eager() };
    let mut rig = planned_with(config, layers);
    let moving = rig.take_notes().into_iter().find_map(|note| match note {
        Note::RoundPlanned { moving, .. } => Some(moving),
        _ => None,
    });
    // 0.2 of the one and 0.15 of the other; the most first.
    assert_eq!(moving, Some(vec![LayerId(2), LayerId(0)]));
    assert_eq!(rig.finish_round(), [LayerId(2), LayerId(0)]);
    assert_eq!(rig.manager.counters().layers_unchanged, 1);
}

#[test]
fn every_planned_layer_is_told_of() {
    let accounts = [account(0.3, 0.1, Verdict::Budget), None, account(0.0, 0.0, Verdict::Settled)];
    let [first, second, third] = accounts;
    let mut rig = planned_with(eager(), [(first, 0.7), (second, 0.8), (third, 0.5)]);
    let notes = rig.take_notes();
    let told = |layer, account, balancedness_after, is_moving| Note::LayerPlanned {
        round: RoundId(0),
        layer: LayerId(layer),
        balancedness_before: 0.5,
        balancedness_after,
        account,
        is_moving,
    };
    let expected =
        [told(0, first, 0.7, true), told(1, second, 0.8, true), told(2, third, 0.5, false)];
    assert_eq!(notes[1..4], expected, "after the start of the round, before the plan is in use");
    assert!(matches!(notes[4], Note::RoundPlanned { .. }), "{notes:?}");
}

#[test]
fn verdicts_are_counted() {
    type Counter = fn(&Counters) -> u64;
    let cases: [(Option<Verdict>, Counter); 5] = [
        (None, |counters| counters.layers_planned_unweighed),
        (Some(Verdict::Idle), |counters| counters.layers_planned_idle),
        (Some(Verdict::Settled), |counters| counters.layers_planned_settled),
        (Some(Verdict::NotWorthIt), |counters| counters.layers_planned_not_worth_more),
        (Some(Verdict::Budget), |counters| counters.layers_planned_over_budget),
    ];
    for (index, (verdict, _)) in cases.iter().enumerate() {
        let account = verdict.and_then(|verdict| account(0.1, 0.0, verdict));
        let rig = planned_with(eager(), [(account, 0.6); 3]);
        for (other, (_, counter)) in cases.iter().enumerate() {
            let expected = if other == index { 3 } else { 0 };
            assert_eq!(counter(rig.manager.counters()), expected, "{verdict:?}");
        }
    }
}
