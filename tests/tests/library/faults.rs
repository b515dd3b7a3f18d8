//! Every device call of a rebalance fails in turn.

use std::collections::BTreeSet;

use eplb::core::Step;
use eplb::device::{ErrorKind, Event, Fault};
use eplb::{Note, Session};

use super::engine::Engine;

type Start = fn(&str) -> Engine;

/// Calls after whose failure a rank's order against the others is not known.
const MEETINGS: [&str; 5] = ["all_gather", "exchange", "create_event", "record_event", "abort"];

/// Takes all events that the devices keep for reuse: how many those are depends on timing, and while
/// they are taken, a rebalance has to create its own, which can fail.
fn take_spare_events(engine: &Engine) -> Vec<Event> {
    let devices = engine.ranks.iter().map(|(_, device, _)| device);
    devices.flat_map(|device| (0..64).map(|_| device.event().unwrap())).collect()
}

/// The names of the device calls that serving twelve steps with a rebalance makes.
fn calls_of_a_rebalance(start: Start, executor: &str) -> BTreeSet<&'static str> {
    let mut engine = start(executor);
    let before = engine.coordinator.placement().clone();
    let taken = take_spare_events(&engine);
    let made = engine.faults.calls().len();
    engine.steps(12, 0);
    assert_eq!(engine.committed(), 2, "without a fault both layers are updated");
    assert_ne!(engine.coordinator.placement(), &before);
    let calls = engine.faults.calls().into_iter().skip(made).collect();
    drop(taken);
    engine.end();
    calls
}

/// Runs a rebalance with the nth call of each name failing, for every n up to the last. Calls are
/// counted by name, since how often is polled differs from run to run.
fn fail_every_call(start: Start, executor: &str) {
    let calls = calls_of_a_rebalance(start, executor);
    for call in ["copy", "create_event", "record_event", "query_event"] {
        assert!(calls.contains(call), "{call} is not among {calls:?}");
    }
    for call in calls {
        let mut named = 0;
        for nth in 1.. {
            let mut engine = start(executor);
            let taken = take_spare_events(&engine);
            let fault = engine.faults.count_of(call) + nth;
            engine.faults.inject(Fault::error_of(call, fault, ErrorKind::Failed));
            engine.steps(12, 0);
            let fired = engine.faults.fired();
            engine.faults.clear();
            drop(taken);
            // The layers that failed are in their old epoch on every rank, the others in their new.
            engine.verify();
            for note in &engine.notes {
                if let Note::LayerRefused { reason, .. } | Note::CommitFailed { reason, .. } = note
                {
                    let reason = reason.as_str();
                    // Others may be told sooner that a rank has ended the communicator, or did not come.
                    // And a rank that could not pack its slots goes through with its round.
                    let follows = MEETINGS.contains(&call) && reason.contains("aborted")
                        || reason.contains("was not brought by rounds")
                        || executor.contains("collective") && reason.contains("has checksum");
                    assert!(reason.contains(call) || follows, "{call} {nth}: {reason}");
                    named += 1;
                }
            }
            // Without faults everything heals: under another load both layers are updated. Only what
            // ranks can't meet for any more is refused from then on.
            let committed = engine.committed();
            engine.steps(30, 3);
            let healed = engine.committed() - committed;
            let counters = engine.coordinator.counters();
            let losses = |(_, _, session): &(_, _, Session)| session.figures().collective.losses;
            if engine.ranks.iter().map(losses).sum::<u64>() == 0 {
                assert!(
                    healed >= 2,
                    "{call} {nth}: only {healed} layers were updated: {counters:?}"
                );
            } else {
                assert!(MEETINGS.contains(&call), "{call} {nth} lost the communicator");
                assert!(counters.layers_refused > 0, "{call} {nth}: {counters:?}");
            }
            engine.verify();
            engine.end();
            if fired == 0 {
                break;
            }
            assert!(nth < 1_000, "a rebalance of two small layers never makes so many calls");
        }
        // A failed query of an idle stream only delays what it was asked for, as does a question for errors
        // of a communicator.
        let is_silent = ["query_stream", "async_error"].contains(&call);
        assert!(named > 0 || is_silent, "no failure of {call} was reported");
    }
}

#[test]
fn in_place_every_failing_call_ends_in_the_old_epoch() {
    fail_every_call(Engine::start, "commit = \"in_place\"");
}

#[test]
fn indirect_every_failing_call_ends_in_the_old_epoch() {
    fail_every_call(Engine::start, "commit = \"indirect\"\nspare_slots = 3");
}

#[test]
fn in_place_with_tables_on_the_device_every_failing_call_ends_in_the_old_epoch() {
    fail_every_call(Engine::routing_on_device, "commit = \"in_place\"");
}

#[test]
fn indirect_with_tables_on_the_device_every_failing_call_ends_in_the_old_epoch() {
    fail_every_call(Engine::routing_on_device, "commit = \"indirect\"\nspare_slots = 3");
}

#[test]
fn in_place_with_checksums_every_failing_call_ends_in_the_old_epoch() {
    fail_every_call(Engine::start, "commit = \"in_place\"\nverify = \"canary\"");
}

#[test]
fn indirect_with_checksums_every_failing_call_ends_in_the_old_epoch() {
    fail_every_call(Engine::start, "commit = \"indirect\"\nspare_slots = 3\nverify = \"canary\"");
}

#[test]
fn in_place_by_rounds_every_failing_call_ends_in_the_old_epoch() {
    let executor = "commit = \"in_place\"\ntransport = \"collective\"\nround_timeout = 0.5";
    fail_every_call(Engine::start, executor);
}

#[test]
fn indirect_by_rounds_every_failing_call_ends_in_the_old_epoch() {
    let executor = "commit = \"indirect\"\nspare_slots = 3\nverify = \"arrivals\"\n\
                    transport = \"collective\"\nround_timeout = 0.5";
    fail_every_call(Engine::start, executor);
}

#[test]
fn a_failed_switch_over_names_the_call_and_stops_the_step() {
    let mut engine = Engine::start("commit = \"in_place\"");
    let before = engine.coordinator.placement().clone();
    let copies = |engine: &Engine| engine.faults.count_of("copy");
    // Preparing a layer takes one copy on each rank; the next step switches it.
    let loaded = copies(&engine);
    while copies(&engine) == loaded {
        engine.step(0);
        assert!(engine.step < Step(20), "no layer was prepared");
    }
    assert_eq!(engine.committed(), 0);
    let second = copies(&engine) + 2;
    engine.faults.inject(Fault::error_of("copy", second, ErrorKind::Failed));
    engine.step(0);
    assert_eq!(engine.faults.fired(), 1);
    assert_eq!(engine.refusals.len(), 1, "{:?}", engine.refusals);
    let refusal = &engine.refusals[0];
    assert!(refusal.contains("the switch-over of layer") && refusal.contains("copy"), "{refusal}");
    // The other ranks had switched; with the next step all are back on the old epoch.
    engine.step(0);
    assert_eq!(engine.refusals.len(), 1);
    assert_eq!(engine.coordinator.placement(), &before);
    engine.verify();
    engine.steps(40, 4);
    assert!(engine.committed() > 0);
    engine.verify();
    engine.end();
}
