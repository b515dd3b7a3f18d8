//! Every call of the device fails once, from the first to the last of a rebalance.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use cluster::{Cluster, options, random_table};
use eplb_core::{LayerId, ModelShape, Topology};
use eplb_device::{ErrorKind, Fault};
use eplb_executor::{CommitMode, ExecutorError};

/// The calls that a rebalance of two layers makes; each of them must have been made to fail.
fn fail_every_call(commit: CommitMode, must_have_failed: &[&str]) {
    let shape = ModelShape::new(2, 6, 1).unwrap();
    let mut failed_calls = Vec::new();
    let mut number = 0;
    let mut quiet_runs = 0;
    // Polling makes the number of calls differ a little between runs, so the end is only believed
    // when it was seen three times.
    while quiet_runs < 3 {
        number += 1;
        let topology = Topology::uniform(3, 3, 1).unwrap();
        let mut cluster = Cluster::new(shape, topology, options(commit));
        let fault = cluster.faults.call_count() + number;
        cluster.faults.inject(Fault::error(fault, ErrorKind::Failed));
        let mut failures = 0;
        for layer in [LayerId(0), LayerId(1)] {
            let before = cluster.placement.layer(layer).clone();
            let to = cluster.layer_placement(layer, &random_table(6, 9, 40 + number), 1);
            match cluster.change(layer, &to) {
                Ok(()) => assert_eq!(cluster.placement.layer(layer), &to),
                Err(error) => {
                    failures += 1;
                    let ExecutorError::Device(device) = &error else {
                        panic!("call {number}: {error} is not the injected error");
                    };
                    assert!(error.to_string().contains(device.operation()), "{error}");
                    failed_calls.push(device.operation());
                    assert_eq!(cluster.placement.layer(layer), &before);
                }
            }
        }
        let fired = cluster.faults.fired();
        quiet_runs = if fired == 0 { quiet_runs + 1 } else { 0 };
        assert!(failures <= fired, "call {number}: {failures} changes failed by {fired} fault");
        cluster.faults.clear();
        // Whatever failed, the bytes are those of the placement in force …
        cluster.verify();
        // … and the next rebalance works.
        for layer in [LayerId(0), LayerId(1)] {
            let to = cluster.layer_placement(layer, &random_table(6, 9, 90 + number), 2);
            cluster.change(layer, &to).unwrap();
        }
        cluster.verify();
        cluster.end();
        assert!(number < 2_000, "a rebalance of two small layers never makes so many calls");
    }
    for call in must_have_failed {
        assert!(failed_calls.contains(call), "{call} never failed; failed were {failed_calls:?}");
    }
}

#[test]
fn in_place_every_call_may_fail_once() {
    fail_every_call(CommitMode::InPlace, &["copy", "event_create", "event_record", "event_query"]);
}

#[test]
fn indirect_every_call_may_fail_once() {
    let calls = ["copy", "event_create", "event_record", "event_query", "stream_wait_event"];
    fail_every_call(CommitMode::Indirect, &calls[..4]);
}
