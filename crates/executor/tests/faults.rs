//! Every call of the device fails once, from the first to the last of a rebalance.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::{Cluster, EXPERTS, LAYERS, Start, by_rounds, options, random_table, sharded};
use eplb_core::{LayerId, ModelShape, RankId, Topology};
use eplb_device::{ErrorKind, Event, Fault};
use eplb_executor::{CommitMode, ExecutorError, Verify};

/// Calls after whose failure this rank's order against the others is not known: other ranks match them, or
/// they follow right behind in the same call of the library's.
const MEETINGS: [&str; 5] = ["all_gather", "exchange", "create_event", "record_event", "abort"];

/// How weights move.
#[derive(Clone, Copy, Debug)]
struct Way {
    commit: CommitMode,
    /// Whether some come from a pool, and all are verified.
    is_supplied: bool,
    /// Whether they travel by rounds.
    is_collective: bool,
}

/// Two layers of six experts on three ranks of three slots.
fn cluster(Way { commit, is_supplied, is_collective }: Way) -> Cluster {
    let shape = ModelShape::new(LAYERS, EXPERTS, 1).unwrap();
    let topology = Topology::uniform(3, 3, 1).unwrap();
    let options = if is_collective { by_rounds(commit) } else { options(commit) };
    let mut start = Start::new(shape, topology, options);
    if is_supplied {
        start.pool = Some(Arc::new(sharded().unwrap()));
        start.verify = Verify::Arrivals;
        start.unconnected = vec![(RankId(0), RankId(1)), (RankId(2), RankId(0))];
        if is_collective {
            // The first rank's endpoint names the communicator.
            start.unconnected = vec![(RankId(0), RankId(1)), (RankId(1), RankId(2))];
        }
    }
    Cluster::start(start).unwrap()
}

/// Takes all events that the devices keep for reuse: how many those are depends on timing, and while
/// they are taken, a rebalance has to create its own, which can fail.
fn take_spare_events(cluster: &Cluster) -> Vec<Event> {
    let devices = cluster.ranks.iter().map(|rank| &rank.device);
    devices.flat_map(|device| (0..64).map(|_| device.event().unwrap())).collect()
}

fn rebalance(cluster: &mut Cluster, seed: u64, epoch: u64) -> Vec<ExecutorError> {
    let mut errors = Vec::new();
    for layer in [LayerId(0), LayerId(1)] {
        let before = cluster.placement.layer(layer).clone();
        let to = cluster.layer_placement(layer, &random_table(6, 9, seed), epoch);
        match cluster.change(layer, &to) {
            Ok(()) => assert_eq!(cluster.placement.layer(layer), &to),
            Err(error) => {
                assert_eq!(cluster.placement.layer(layer), &before);
                errors.push(error);
            }
        }
    }
    errors
}

/// The names of the device calls that a rebalance makes.
fn calls_of_a_rebalance(way: Way) -> BTreeSet<&'static str> {
    let mut cluster = cluster(way);
    let taken = take_spare_events(&cluster);
    let made = cluster.faults.calls().len();
    assert!(rebalance(&mut cluster, 41, 1).is_empty());
    let calls = cluster.faults.calls().into_iter().skip(made).collect();
    drop(taken);
    cluster.end();
    calls
}

/// Fails the nth call of each name, for every n up to the last one. Calls are counted by name, since
/// how often is polled differs from run to run.
fn fail_every_call(way: Way) {
    let calls = calls_of_a_rebalance(way);
    for call in ["copy", "create_event", "record_event", "query_event"] {
        assert!(calls.contains(call), "{call} is not among {calls:?}");
    }
    for call in calls {
        let mut named = 0;
        for nth in 1.. {
            let mut cluster = cluster(way);
            let taken = take_spare_events(&cluster);
            let fault = cluster.faults.count_of(call) + nth;
            cluster.faults.inject(Fault::error_of(call, fault, ErrorKind::Failed));
            let errors = rebalance(&mut cluster, 40 + nth, 1);
            let fired = cluster.faults.fired();
            let is_lost = cluster.has_lost_rounds();
            assert!(!is_lost || MEETINGS.contains(&call), "{call} {nth} lost the communicator");
            let is_few = is_lost || errors.len() as u64 <= fired;
            assert!(is_few, "{call} {nth}: {errors:?} by {fired} fault");
            for error in errors {
                let text = error.to_string();
                // A rank may see that another has ended the communicator before that one says why.
                let is_named = text.contains(call) || is_lost && text.contains("aborted");
                assert!(is_named, "{call} {nth}: {error}");
                named += 1;
            }
            cluster.faults.clear();
            drop(taken);
            // Whatever failed, the bytes are those of the placement in force …
            cluster.verify();
            // … and the next rebalance works, or is refused where ranks can't meet any more.
            let errors = rebalance(&mut cluster, 90 + nth, 2);
            let is_refusal =
                |error: &ExecutorError| matches!(error, ExecutorError::CollectiveLost { .. });
            assert!(errors.iter().all(is_refusal), "{errors:?}");
            // Without rounds the pool has all experts.
            let is_refused = is_lost && !way.is_supplied;
            assert_eq!(errors.is_empty(), !is_refused, "{call} {nth}: {errors:?}");
            cluster.verify();
            cluster.end();
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
fn in_place_every_call_may_fail_once() {
    fail_every_call(Way { commit: CommitMode::InPlace, is_supplied: false, is_collective: false });
}

#[test]
fn indirect_every_call_may_fail_once() {
    fail_every_call(Way { commit: CommitMode::Indirect, is_supplied: false, is_collective: false });
}

#[test]
fn in_place_with_pool_and_checksums_every_call_may_fail_once() {
    fail_every_call(Way { commit: CommitMode::InPlace, is_supplied: true, is_collective: false });
}

#[test]
fn indirect_with_pool_and_checksums_every_call_may_fail_once() {
    fail_every_call(Way { commit: CommitMode::Indirect, is_supplied: true, is_collective: false });
}

#[test]
fn in_place_by_rounds_every_call_may_fail_once() {
    let commit = CommitMode::InPlace;
    fail_every_call(Way { commit, is_supplied: false, is_collective: true });
}

#[test]
fn indirect_by_rounds_every_call_may_fail_once() {
    let commit = CommitMode::Indirect;
    fail_every_call(Way { commit, is_supplied: false, is_collective: true });
}

#[test]
fn in_place_by_rounds_with_pool_and_checksums_every_call_may_fail_once() {
    let commit = CommitMode::InPlace;
    fail_every_call(Way { commit, is_supplied: true, is_collective: true });
}
