//! Load that the device counts.

use eplb::core::Step;
use eplb::{LoadFigures, LoadReport, Patience, Phase};

use super::engine::{Engine, LIMIT};

#[test]
fn counters_on_the_device_bring_the_same_updates_as_loads_that_are_told() {
    for executor in ["commit = \"in_place\"", "commit = \"indirect\"\nspare_slots = 3"] {
        let mut told = Engine::start(executor);
        let mut counted = Engine::counting(executor);
        for engine in [&mut told, &mut counted] {
            engine.steps(12, 0);
            engine.steps(20, 3);
            assert!(engine.committed() >= 4, "{}", engine.committed());
            engine.verify();
        }
        assert_eq!(told.coordinator.placement(), counted.coordinator.placement());
        assert_eq!(told.coordinator.counters(), counted.coordinator.counters());
        for (_, _, session) in &counted.ranks {
            let expected = LoadFigures { collected: 32, ..LoadFigures::default() };
            assert_eq!(session.figures().load, expected);
        }
        told.end();
        counted.end();
    }
}

#[test]
fn a_device_that_is_behind_brings_its_loads_late_and_none_is_lost() {
    let mut engine = Engine::counting("commit = \"in_place\"");
    engine.steps(12, 0);
    assert_eq!(engine.committed(), 2);
    let complete = engine.coordinator.counters().samples_complete;
    assert_eq!(complete, 12);
    // Two ranks' devices come to nothing for five steps.
    let hold = |engine: &Engine, rank: usize| {
        let stream = engine.ranks[rank].2.engine_stream();
        engine.host.hold(stream.handle()).unwrap()
    };
    engine.behind = vec![0, 2];
    let holds = [hold(&engine, 0), hold(&engine, 2)];
    engine.steps(5, 0);
    assert_eq!(engine.coordinator.counters().samples_complete, complete);
    holds.into_iter().for_each(|hold| hold.release());
    engine.behind.clear();
    engine.step(0);
    let counters = engine.coordinator.counters();
    assert_eq!(counters.samples_complete, complete + 6, "{counters:?}");
    assert_eq!(counters.samples_incomplete, 0);
    assert_eq!(counters.layer_samples_uncredited, 0);
    // Behind by more than the ring is long: the oldest are kept, the rest is dropped and counted.
    engine.behind = vec![1];
    let held = hold(&engine, 1);
    engine.steps(10, 0);
    held.release();
    let stream = engine.ranks[1].2.engine_stream();
    stream.wait(&mut Patience::new(LIMIT)).unwrap();
    engine.behind.clear();
    engine.step(0);
    let counters = engine.coordinator.counters();
    assert_eq!(counters.samples_complete, complete + 6 + 8 + 1, "{counters:?}");
    assert_eq!(counters.samples_incomplete, 2);
    let load = engine.ranks[1].2.figures().load;
    assert_eq!(load, LoadFigures { collected: 27, dropped: 2, ..LoadFigures::default() });
    engine.end();
}

#[test]
fn what_cannot_be_collected_is_said() {
    let mut told = Engine::start("commit = \"in_place\"");
    let session = &mut told.ranks[0].2;
    let error = session.collect(Phase::Decode).unwrap_err().to_string();
    assert_eq!(
        error,
        "no load counters were lent; give them to the session before it is connected"
    );
    told.end();
    let mut engine = Engine::counting("commit = \"in_place\"");
    let error = engine.ranks[0].2.collect(Phase::Decode).unwrap_err().to_string();
    assert_eq!(
        error,
        "step 0 has no forward pass on this rank: its begin failed, or none has begun"
    );
    engine.step(0);
    let session = &mut engine.ranks[0].2;
    let error = session.collect(Phase::Decode).unwrap_err().to_string();
    assert_eq!(
        error,
        "load of step 0 is collected after that of step 0; collect once after each forward pass"
    );
    // A step whose header is no header is not run, and has no load.
    session.begin_step(b"no header").unwrap_err();
    assert!(session.collect(Phase::Decode).is_err());
    // Two tellers would contradict each other: the counters are believed.
    session.end_step(Some(LoadReport::of_step(Step(0), vec![7; 6])), None);
    assert_eq!(session.figures().loads_ignored, 1);
    engine.end();
}
