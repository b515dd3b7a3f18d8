//! When a round opens, and for which layers.

use std::time::Duration;

use eplb_core::{Estimator, LayerId};
use eplb_manager::{Event, ManagerConfig, Note, PlannedLayer, RoundId, Timestamp};

use crate::rig::{Rig, eager, load, planned, rotated};

fn all_layers() -> Vec<LayerId> {
    vec![LayerId(0), LayerId(1), LayerId(2)]
}

/// A rig whose layers were all updated once for `load(1)`.
fn updated(config: ManagerConfig) -> Rig {
    let mut rig = Rig::new(config);
    rig.step_with(&load(1));
    assert_eq!(rig.plan(), all_layers(), "no layer was ever updated, so all are");
    assert_eq!(rig.finish_round(), all_layers());
    rig.take_notes();
    rig
}

#[test]
fn a_load_that_only_scales_updates_no_layer() {
    for threshold in [0.9, 1.0] {
        let mut rig = updated(ManagerConfig { update_threshold: threshold, ..eager() });
        for factor in [2, 3, 1, 50, 7] {
            rig.step_with(&load(factor));
            assert!(rig.jobs.is_empty());
        }
        assert_eq!(rig.take_notes(), vec![Note::RoundSkipped; 5]);
        assert_eq!(rig.manager.counters().rounds_skipped, 5);
        assert_eq!(rig.manager.counters().layers_committed, 3);
    }
}

#[test]
fn exactly_the_layer_whose_load_rotated_is_updated() {
    for layer in all_layers() {
        let mut rig = updated(ManagerConfig { update_threshold: 0.9, ..eager() });
        let rotated = rotated(&load(3), layer);
        rig.step_with(&rotated);
        assert_eq!(rig.plan(), [layer]);
        assert_eq!(rig.finish_round(), [layer]);
        rig.step_with(&rotated);
        assert!(rig.jobs.is_empty(), "the new load is the one that the layer is updated for");
        rig.step_with(&load(1));
        assert_eq!(rig.plan(), [layer], "and back again");
    }
}

#[test]
fn the_threshold_decides_how_much_is_enough() {
    let mut changed = load(1);
    let mut row = changed.layer(LayerId(1)).to_vec();
    row[2] += 6;
    changed.set_layer(LayerId(1), &row).unwrap();
    let mut strict = updated(eager());
    strict.step_with(&changed);
    assert_eq!(strict.plan(), [LayerId(1)], "at 1 any other proportions are enough");
    let mut tolerant = updated(ManagerConfig { update_threshold: 0.9, ..eager() });
    tolerant.step_with(&changed);
    assert!(tolerant.jobs.is_empty());
    let mut never = updated(ManagerConfig { update_threshold: 0.0, ..eager() });
    never.step_with(&rotated(&load(1), LayerId(1)));
    assert!(never.jobs.is_empty(), "nothing is below 0");
}

#[test]
fn an_interval_in_seconds_begins_with_the_first_windows() {
    let config =
        ManagerConfig { update_interval: Duration::from_secs(100), window_samples: 2, ..eager() };
    let mut rig = Rig::new(config);
    rig.step_with(&load(1));
    assert_eq!(rig.manager.poll_timeout(), None, "no window yet");
    rig.step_with(&load(1));
    let end = rig.now.plus(Duration::from_secs(100));
    assert_eq!(rig.manager.poll_timeout(), Some(end));
    rig.wait(Duration::from_secs(99));
    assert!(rig.jobs.is_empty());
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.now, end);
    assert_eq!(rig.jobs.len(), 1);
    rig.plan();
    rig.finish_round();
    assert_eq!(rig.manager.poll_timeout(), None, "no load since");
    rig.step_with(&load(2));
    rig.step_with(&rotated(&load(2), LayerId(2)));
    // The next interval began with the last round.
    assert_eq!(rig.manager.poll_timeout(), Some(end.plus(Duration::from_secs(100))));
    rig.wait(Duration::from_secs(200));
    assert_eq!(rig.jobs.len(), 1);
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut rig = Rig::new(ManagerConfig { update_interval: Duration::from_secs(9), ..eager() });
    rig.step_with(&load(1));
    let end = rig.manager.poll_timeout();
    rig.manager.handle_timeout(Timestamp(0));
    assert_eq!(rig.manager.poll_timeout(), end);
    rig.wait(Duration::from_secs(9));
    assert_eq!(rig.jobs.len(), 1);
}

#[test]
fn an_interval_in_steps_replaces_the_seconds() {
    let mut rig = Rig::new(ManagerConfig {
        update_interval: Duration::from_secs(1),
        update_interval_steps: Some(10),
        ..eager()
    });
    rig.step_with(&load(1));
    assert_eq!(rig.manager.poll_timeout(), None);
    let first = rig.last_step().0;
    while rig.jobs.is_empty() && rig.next_step < first + 50 {
        rig.step(true);
    }
    assert_eq!(rig.last_step().0, first + 10);
    let opened = rig.last_step().0;
    rig.plan();
    rig.finish_round();
    while rig.jobs.is_empty() && rig.next_step < opened + 50 {
        let changed = rotated(&load(1), LayerId(0));
        rig.step_with(&changed);
    }
    assert_eq!(rig.last_step().0, opened + 10);
}

#[test]
fn every_layer_needs_a_window_first() {
    let mut rig = Rig::new(ManagerConfig { window_samples: 3, ..eager() });
    rig.step_with(&load(1));
    rig.step_with(&load(2));
    assert!(rig.jobs.is_empty());
    rig.step_with(&load(3));
    let job = &rig.jobs[0];
    assert_eq!(job.windows, [load(6)]);
    assert_eq!(&job.present, rig.manager.placement());
    assert_eq!(job.round, RoundId(0));
}

#[test]
fn the_ensemble_is_the_newest_windows_oldest_first() {
    let mut rig =
        Rig::new(ManagerConfig { update_interval_steps: Some(3), windows_kept: 2, ..eager() });
    for factor in [1, 5, 7] {
        rig.step_with(&load(factor));
    }
    rig.step(true);
    assert_eq!(rig.jobs[0].windows, [load(5), load(7)]);
}

#[test]
fn the_estimator_makes_one_load_of_the_windows() {
    let planned_for = |estimator: Estimator| {
        let config = ManagerConfig { update_interval_steps: Some(3), windows_kept: 3, ..eager() };
        let mut rig = Rig::new(ManagerConfig { estimator, ..config });
        for factor in [1, 5, 7] {
            rig.step_with(&load(factor));
        }
        rig.step(true);
        assert!(rig.manager.ensemble().recent().eq([&load(1), &load(5), &load(7)]));
        let job = rig.jobs.pop().unwrap();
        assert_eq!(job.weights.len(), job.windows.len());
        job.windows
    };
    assert_eq!(planned_for(Estimator::Ensemble), [load(1), load(5), load(7)]);
    assert_eq!(planned_for(Estimator::Last), [load(7)]);
    assert_eq!(planned_for(Estimator::Sliding { windows: 2 }), [load(12)]);
    assert_eq!(planned_for(Estimator::Sum), [load(13)]);
}

#[test]
fn a_layer_that_gains_nothing_is_not_moved_and_not_planned_again() {
    let mut rig = Rig::new(ManagerConfig { min_gain: 0.1, ..eager() });
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    let same = PlannedLayer {
        placement: job.present.layer(LayerId(1)).clone(),
        ..planned(&job.present, LayerId(1), 0.9)
    };
    // Layer 0 gains too little, layer 1 keeps its table, layer 2 is left out.
    let plan = Ok(vec![planned(&job.present, LayerId(0), 0.6), same]);
    rig.event(Event::Planned { round: job.round, plan });
    let started = Note::RoundStarted { round: job.round, layers: all_layers() };
    let looked_at = |layer, balancedness_after| Note::LayerPlanned {
        round: job.round,
        layer,
        balancedness_before: 0.5,
        balancedness_after,
        account: None,
        is_moving: false,
    };
    let first = looked_at(LayerId(0), 0.6);
    let second = looked_at(LayerId(1), 0.9);
    let unmoved = Note::RoundPlanned { round: job.round, moving: vec![] };
    let finished = Note::RoundFinished { round: job.round, committed: 0 };
    assert_eq!(rig.take_notes(), [started, first, second, unmoved, finished]);
    assert_eq!(rig.manager.counters().layers_unchanged, 3);
    rig.step_with(&load(4));
    assert_eq!(rig.take_notes(), [Note::RoundSkipped]);
    let changed = rotated(&load(4), LayerId(2));
    rig.step_with(&changed);
    assert_eq!(rig.jobs[0].layers, [LayerId(2)]);
}
