//! One coordinator on every rank, fed with the same gathered reports.

use eplb::core::{LayerId, RankId, Step};
use eplb::{Carriage, Coordinator, LoadReport};

use super::engine::{EXPERTS, Engine, LIMIT, config};

/// Runs `steps` steps in which every rank makes its own header from the reports of all.
fn run(engine: &mut Engine, coordinators: &mut [Coordinator], steps: u64, hot: u32) {
    let load: Vec<u64> = (0..EXPERTS).map(|expert| if expert == hot { 900 } else { 100 }).collect();
    for _ in 0..steps {
        engine.clock.advance(std::time::Duration::from_secs(1));
        let step = engine.step;
        engine.step = Step(step.0 + 1);
        let mut gathered = Vec::new();
        for ((rank, _, session), coordinator) in engine.ranks.iter_mut().zip(&mut *coordinators) {
            let header = coordinator.begin_step(step, true).unwrap();
            session.begin_step(&header).unwrap();
            session.settle(LIMIT).unwrap();
            let slots = engine.topology.slots_of(*rank);
            let counts = [LayerId(0), LayerId(1)].into_iter().flat_map(|layer| {
                let all = session.routing(layer).slot_loads(&load, &engine.topology);
                all[slots.clone()].to_vec()
            });
            let load = LoadReport::of_step(step, counts.collect());
            let report = session.end_step(Some(load), coordinator.plan_digest());
            gathered.push((*rank, report));
        }
        let epochs = engine.ranks[0].2.epochs();
        assert!(engine.ranks.iter().all(|(_, _, session)| session.epochs() == epochs), "{step}");
        for coordinator in &mut *coordinators {
            for (rank, report) in &gathered {
                coordinator.accept_report(*rank, report).unwrap();
            }
            coordinator.settle(LIMIT);
        }
    }
}

#[test]
fn ranks_agree_and_move_without_a_leader() {
    let mut engine = Engine::start("commit = \"in_place\"");
    let placement = engine.coordinator.placement().clone();
    let mut coordinators: Vec<_> = (0..3)
        .map(|rank| {
            Coordinator::start(
                &config("commit = \"in_place\""),
                placement.shape(),
                &engine.topology,
                placement.clone(),
                Carriage::Spmd { own_rank: RankId(rank) },
                engine.clock.clone(),
            )
            .unwrap()
        })
        .collect();
    run(&mut engine, &mut coordinators, 20, 0);
    let committed = coordinators[0].counters().layers_committed;
    assert_eq!(committed, 2, "{:?}", coordinators[0].counters());
    for coordinator in &coordinators {
        assert_eq!(coordinator.counters(), coordinators[0].counters());
        assert_eq!(coordinator.placement(), coordinators[0].placement());
    }
    run(&mut engine, &mut coordinators, 20, 4);
    assert!(coordinators[0].counters().layers_committed > committed);
    engine.coordinator = coordinators.swap_remove(0);
    drop(coordinators);
    engine.verify();
    engine.end();
}
