//! What plans are made from, and what is told of them.

use eplb::core::{Ensemble, EnsembleSettings, Estimator, ExpertLoad, LayerId, ModelShape};
use eplb::{Carriage, Config, Coordinator, Note, Phase};

use super::engine::{EXPERTS, Engine, config};

/// An engine whose coordinator has other settings.
fn engine_with(change: impl FnOnce(&mut Config)) -> Engine {
    let mut engine = Engine::start("commit = \"in_place\"");
    let mut config = config("commit = \"in_place\"");
    change(&mut config);
    engine.coordinator = coordinator(&engine, &config);
    engine
}

fn coordinator(engine: &Engine, config: &Config) -> Coordinator {
    let placement = engine.coordinator.placement().clone();
    let (topology, clock) = (&engine.topology, engine.clock.clone());
    let shape = placement.shape();
    Coordinator::start(config, shape, topology, placement, Carriage::Leader, clock).unwrap()
}

#[test]
fn only_the_phase_that_is_asked_for_is_planned_for() {
    let mut engine = engine_with(|config| {
        config.manager = toml::from_str("phases = \"decode\"\nwindow_samples = 1").unwrap();
        config.manager.update_interval_steps = 4;
    });
    for phase in [Phase::Mixed, Phase::Prefill] {
        engine.phase = phase;
        engine.steps(10, 0);
    }
    let counters = engine.coordinator.counters();
    assert_eq!((counters.samples_of_other_phases, counters.samples_complete), (20, 0));
    assert_eq!(counters.rounds_started, 0);
    engine.phase = Phase::Decode;
    engine.steps(12, 0);
    assert!(engine.committed() >= 2, "{:?}", engine.coordinator.counters());
    engine.verify();
    engine.end();
}

#[test]
fn what_a_policy_expects_of_each_layer_is_told() {
    for name in eplb::policy::NAMES {
        let mut engine = engine_with(|config| config.policy.name = (*name).to_owned());
        engine.steps(16, 0);
        let (mut told, mut moving) = (Vec::new(), 0);
        for note in &engine.notes {
            let Note::LayerPlanned {
                layer,
                balancedness_before,
                balancedness_after,
                account,
                is_moving,
                ..
            } = *note
            else {
                continue;
            };
            let gain = match account {
                Some(account) => account.gain - account.price,
                None => balancedness_after - balancedness_before,
            };
            assert_eq!(is_moving, gain > 0.0, "{name} {layer}: {note:?}");
            moving += u64::from(is_moving);
            told.push(layer);
        }
        assert_eq!(told[..2], [LayerId(0), LayerId(1)], "{name}");
        let counters = engine.coordinator.counters();
        assert_eq!(counters.layers_committed, moving, "{name}: {counters:?}");
        let counted = counters.layers_planned_unweighed
            + counters.layers_planned_idle
            + counters.layers_planned_settled
            + counters.layers_planned_not_worth_more
            + counters.layers_planned_over_budget;
        assert_eq!(counted, told.len() as u64, "{name}");
        assert_eq!(moving > 0, *name != "static", "{name}");
        engine.verify();
        engine.end();
    }
}

#[test]
fn what_was_known_before_is_planned_for() {
    // The service before this one saw expert 5 hot; this one sees expert 0.
    let shape = ModelShape::new(2, EXPERTS, 1).unwrap();
    let mut rows = vec![vec![100; EXPERTS as usize]; 2];
    rows.iter_mut().for_each(|row| row[5] = 100_000_000);
    let mut known =
        Ensemble::new(shape, EnsembleSettings { recent: 1, representatives: 0 }).unwrap();
    known.push(ExpertLoad::from_rows(shape, &rows).unwrap()).unwrap();
    let replicas = |engine: &Engine, expert: u32| {
        let table = engine.coordinator.placement().layer(LayerId(0)).experts();
        table.iter().filter(|placed| placed.0 == expert).count()
    };
    let mut hot = Vec::new();
    for representatives in [0, 1] {
        let mut engine = engine_with(|config| {
            config.manager.representative_windows = representatives;
        });
        let mut config = config("commit = \"in_place\"");
        config.manager.representative_windows = representatives;
        config.policy.estimator = Some(Estimator::Sum);
        engine.coordinator = coordinator(&engine, &config).with_ensemble(&known).unwrap();
        engine.steps(12, 0);
        assert_eq!(engine.committed(), 2, "{:?}", engine.coordinator.counters());
        hot.push((replicas(&engine, 0), replicas(&engine, 5)));
        engine.verify();
        engine.end();
    }
    // The policy plans for the sum of all windows: without room for what was known, for expert 0 alone.
    assert!(hot[0].0 > hot[1].0 && hot[0].1 < hot[1].1, "{hot:?}");
    let other = ModelShape::new(2, EXPERTS + 1, 1).unwrap();
    let other = Ensemble::new(other, EnsembleSettings::default()).unwrap();
    let engine = engine_with(|_| ());
    let mut spoiled = other.clone();
    spoiled.push(ExpertLoad::zeros(other.shape())).unwrap();
    let error = coordinator(&engine, &config("commit = \"in_place\"")).with_ensemble(&spoiled);
    let text = "manager: the windows to plan for: a window has load for 2 layers of 7 experts, the \
                model has 2 of 6";
    assert_eq!(error.unwrap_err().to_string(), text);
    engine.end();
}
