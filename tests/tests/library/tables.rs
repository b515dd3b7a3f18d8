//! Routing tables in device memory.

use eplb::core::{LayerId, Step};
use eplb::device::{ErrorKind, Fault};

use super::engine::Engine;

const COMMITS: [&str; 2] = ["commit = \"in_place\"", "commit = \"indirect\"\nspare_slots = 3"];

#[test]
fn tables_change_with_the_step_and_their_addresses_stay() {
    for executor in COMMITS {
        let mut engine = Engine::routing_on_device(executor);
        let addresses = |engine: &Engine| -> Vec<_> {
            let of_rank = |layer| {
                let sessions = engine.ranks.iter().map(|(_, _, session)| session);
                sessions.map(|session| session.device_routing(layer).unwrap().address()).collect()
            };
            [LayerId(0), LayerId(1)].map(of_rank).into_iter().flat_map(|of: Vec<_>| of).collect()
        };
        let before = addresses(&engine);
        let pinned = engine.faults.count_of("allocate_pinned");
        let mut epochs = Vec::new();
        for step in 0..40 {
            engine.step(step / 10);
            let made = engine.faults.count_of("allocate_pinned");
            engine.verify_tables();
            // Only this test's own readings.
            assert_eq!(engine.faults.count_of("allocate_pinned") - made, 6);
            epochs.push(engine.ranks[0].2.epochs());
        }
        epochs.dedup();
        assert!(epochs.len() >= 4, "{executor}: {epochs:?}");
        assert_eq!(engine.faults.count_of("allocate_pinned") - pinned, 6 * 40);
        assert_eq!(addresses(&engine), before);
        engine.verify();
        engine.end();
    }
}

#[test]
fn a_table_that_cannot_be_brought_to_the_device_stops_the_step_and_the_switch() {
    for executor in COMMITS {
        let mut engine = Engine::routing_on_device(executor);
        let before = engine.coordinator.placement().clone();
        // The first record of a switch is that of its weights or its mark; the copy of the table is
        // the last of a commit.
        let mut reference = Engine::routing_on_device(executor);
        let mut steps = 0;
        while reference.refusals.is_empty() && reference.ranks[0].2.epochs() == before_epochs() {
            reference.step(0);
            steps += 1;
        }
        let copies = reference.faults.count_of("copy");
        reference.end();
        for _ in 1..steps {
            engine.step(0);
        }
        // Each rank uploads a table in the step of the switch, the last rank last of all.
        let prepared = engine.faults.count_of("copy");
        assert!(copies > prepared, "{executor}");
        engine.faults.inject(Fault::error_of("copy", copies, ErrorKind::Failed));
        engine.step(0);
        assert_eq!(engine.faults.fired(), 1, "{executor}");
        let refusal = engine.refusals.first().cloned().unwrap_or_default();
        assert!(refusal.contains("the switch-over of layer"), "{executor}: {refusal}");
        engine.step(0);
        assert_eq!(engine.refusals.len(), 1, "{executor}: {:?}", engine.refusals);
        assert_eq!(engine.coordinator.placement(), &before);
        engine.verify();
        engine.steps(40, 4);
        assert!(engine.committed() > 0);
        engine.verify();
        assert!(engine.step > Step(40));
        engine.end();
    }
}

fn before_epochs() -> Vec<eplb::core::Epoch> {
    vec![eplb::core::Epoch(0); 2]
}
