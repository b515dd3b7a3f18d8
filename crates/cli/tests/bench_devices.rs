//! `eplb bench transfer`, `commit` and `step`, on the host and with tiny sizes: that they end, that their
//! reports hold together, and that bad input is refused. How long anything takes is nowhere asserted.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use program::{json, line, printed};
use serde_json::Value;

const TRANSFER: &str = "bench transfer --ranks 3 --expert-bytes 5000 --slots 2 --layers 3 \
                        --in-flight 1,3 --repeat 2";
const COMMIT: &str = "bench commit --expert-bytes 5000 --slots 3 --layers 2 --repeat 2";
const STEP: &str = "bench step --expert-bytes 5000 --slots 3 --layers 4 --steps 30 --piece-us 50 \
                    --repeat 2";

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} of {value}"))
}

/// Whether `ratio` is that of the two figures, or 0 where there is none.
fn is_ratio(ratio: f64, part: f64, whole: f64) -> bool {
    let expected = if whole > 0.0 { part / whole } else { 0.0 };
    (ratio - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

/// Samples in order: none is above the next.
fn check_times(value: &Value, path: &str) {
    let times = value.pointer(path).unwrap_or_else(|| panic!("{path} of {value}"));
    assert!(number(times, "/samples") > 0.0, "{path}: {times}");
    let [min, median, p99, max] =
        ["/min_ns", "/median_ns", "/p99_ns", "/max_ns"].map(|key| number(times, key));
    assert!(0.0 < min && min <= median && median <= p99 && p99 <= max, "{path}: {times}");
}

/// Every number says in its name what it counts, or is one of the plain counts.
fn check_units(name: &str, value: &Value) {
    let units = ["_ns", "_bytes", "_gb_per_s", "_bytes_per_s", "ratio", "_ns_per_layer"];
    let ratios = ["cost_ratio_slots", "cost_ratio_whole"];
    let counts = [
        "ranks",
        "layers",
        "slots",
        "experts",
        "repeat",
        "in_flight",
        "layers_in_flight",
        "rank",
        "device",
        "ordinal",
        "samples",
        "steps",
        "median",
        "most",
        "staged_slots",
        "round_slots",
        "peer_slots",
        "collective_slots",
        "gb_per_s",
        "blocker_pieces",
        "layers_committed",
    ];
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| check_units(name, value)),
        Value::Array(values) => values.iter().for_each(|value| check_units(name, value)),
        Value::Number(_) => {
            let known = units.iter().any(|unit| name.ends_with(unit));
            let known = known || counts.contains(&name) || ratios.contains(&name);
            assert!(known, "{name} has no unit");
        }
        _ => {}
    }
}

fn check_ground(report: &Value, bench: &str) {
    assert_eq!(report["bench"], bench);
    assert_eq!(report["backend"], "host");
    let devices = report["devices"].as_array().unwrap();
    assert!(!devices.is_empty());
    for device in devices {
        assert_eq!(device["name"], "host memory");
        assert!(device["software"].as_str().unwrap().starts_with("eplb-host "));
    }
    let command = report["command"].as_str().unwrap();
    assert!(command.contains(&format!("bench {bench} ")), "{command}");
    check_units("", report);
}

#[test]
fn transfers_are_set_against_plain_copies_of_the_same_bytes() {
    const BY_HAND: &str = "memcpy on 3 threads, 3 × 2 of 5000 bytes a rank";
    const BY_COPIES: &str =
        "copies on a stream out of memory of other processes, 3 × 2 of 5000 bytes a rank";
    for (commit, mode, method) in [
        ("in_place", "threads", BY_HAND),
        ("indirect", "threads", BY_HAND),
        ("indirect", "processes", BY_COPIES),
    ] {
        let report = json(&line(&format!("{TRANSFER} --commit {commit} --{mode} --json")));
        check_ground(&report, "transfer");
        assert_eq!((&report["mode"], &report["commit"]), (&mode.into(), &commit.into()));
        assert_eq!(report["ceiling"]["method"], method);
        let transfers = report["transfers"].as_array().unwrap();
        let in_flight: Vec<_> = transfers.iter().map(|series| &series["in_flight"]).collect();
        assert_eq!(in_flight, [1, 3]);
        for (runs, ranks) in [("together", 3), ("alone", 1)] {
            let ceiling = &report["ceiling"][runs];
            for rate in transfers.iter().map(|series| &series[runs]).chain([ceiling]) {
                let bytes = f64::from(ranks) * 5_000.0 * 2.0 * 3.0;
                assert_eq!(number(rate, "/received_bytes"), bytes, "every slot comes from others");
                let median = number(rate, "/median_ns");
                assert!(0.0 < number(rate, "/min_ns") && number(rate, "/min_ns") <= median);
                assert!(median <= number(rate, "/max_ns"));
                assert!(is_ratio(number(rate, "/gb_per_s"), bytes, median), "{rate}");
                let by_rank = rate["rank_gb_per_s"].as_array().unwrap();
                assert_eq!(by_rank.len(), ranks as usize);
                assert!(by_rank.iter().all(|rate| rate.as_f64() > Some(0.0)), "{rate}");
            }
            for series in transfers {
                let ratio = number(series, &format!("/{runs}_ratio"));
                let reached = number(&series[runs], "/gb_per_s");
                assert!(is_ratio(ratio, reached, number(ceiling, "/gb_per_s")), "{series}");
            }
        }
        // In place, three lanes of two slots for what comes and as many for what goes are reserved.
        for memory in report["memory"].as_array().unwrap() {
            let reserved =
                number(memory, "/free_before_bytes") - number(memory, "/free_after_bytes");
            let least = if commit == "in_place" { 3.0 * 2.0 * 2.0 * 5_000.0 } else { 0.0 };
            assert!(reserved >= least && reserved < least + 10_000.0, "{memory}");
        }
    }
}

#[test]
fn rounds_are_set_against_the_same_copies_and_need_all_ranks() {
    for (commit, round_slots) in [("in_place", 1), ("indirect", 2)] {
        let flags = format!("--commit {commit} --transport collective --round-slots {round_slots}");
        let report = json(&line(&format!("{TRANSFER} {flags} --json")));
        check_ground(&report, "transfer");
        assert_eq!(report["transport"], "collective");
        assert_eq!(report["round_slots"], round_slots);
        let ceiling = number(&report["ceiling"], "/together/gb_per_s");
        for series in report["transfers"].as_array().unwrap() {
            assert_eq!(
                (&series["peer_slots"], &series["collective_slots"]),
                (&0.into(), &18.into())
            );
            assert_eq!(number(series, "/together/received_bytes"), 18.0 * 5_000.0);
            let reached = number(series, "/together/gb_per_s");
            assert!(is_ratio(number(series, "/together_ratio"), reached, ceiling), "{series}");
            assert!(series["alone"].is_null() && series["alone_ratio"].is_null(), "{series}");
        }
        let text = printed(&line(&format!("{TRANSFER} {flags}")));
        assert!(text.contains("0 slots through peer memory, 18 by rounds"), "{text}");
    }
    let report = json(&line(&format!("{TRANSFER} --json")));
    let series = &report["transfers"][0];
    assert_eq!((&series["peer_slots"], &series["collective_slots"]), (&18.into(), &0.into()));
}

#[test]
fn switches_are_set_against_plain_copies_of_the_same_bytes() {
    let report = json(&line(&format!("{COMMIT} --json")));
    check_ground(&report, "commit");
    let in_place = &report["in_place"];
    assert_eq!(number(in_place, "/layer_bytes"), 15_000.0);
    let time = number(in_place, "/stream_ns_per_layer");
    for ceiling in ["slots", "whole"] {
        let ceiling_time = number(in_place, &format!("/ceiling_{ceiling}_ns_per_layer"));
        let ratio = number(in_place, &format!("/cost_ratio_{ceiling}"));
        assert!(is_ratio(ratio, time, ceiling_time), "{in_place}");
    }
    let is_time = time > 0.0;
    assert_eq!(number(in_place, "/gb_per_s") > 0.0, is_time, "{in_place}");
    // Two layers, each with room for all slots twice.
    assert!(number(in_place, "/staging_bytes") >= 60_000.0, "{in_place}");
    assert_eq!(number(&report, "/indirect/staging_bytes"), 0.0);
    assert!(number(&report, "/blocker/piece_ns") > 0.0);
    for path in ["/in_place/host", "/in_place/host_ceiling", "/indirect/host"] {
        check_times(&report, path);
    }
    let only = json(&line(&format!("{COMMIT} --commit indirect --json")));
    assert!(only["in_place"].is_null() && only["indirect"].is_object());
}

#[test]
fn steps_of_each_kind_are_told_apart_and_a_rebalance_is_set_against_none() {
    for commit in ["in_place", "indirect"] {
        let report = json(&line(&format!("{STEP} --commit {commit} --json")));
        check_ground(&report, "step");
        for kind in ["steady", "steady_with_load", "begins", "commits"] {
            for call in ["begin", "end", "step", "coordinator"] {
                check_times(&report, &format!("/{kind}/{call}"));
            }
            let calls = &report[kind]["device_calls"];
            assert!(
                number(calls, "/steps") > 0.0 && number(calls, "/median") <= number(calls, "/most")
            );
            assert_eq!(calls["names"].as_array().unwrap().len() as f64, number(calls, "/most"));
        }
        assert_eq!(report["steady"]["step"]["samples"], 30);
        let samples = |kind: &str| number(&report, &format!("/{kind}/step/samples"));
        let kinds = samples("begins") + samples("moves") + samples("commits");
        assert_eq!(samples("mid_cycle"), kinds);
        assert_eq!(number(&report, "/steady/device_calls/most"), 0.0, "nothing is to be done");
        let switched = report["commits"]["device_calls"]["names"].as_array().unwrap();
        let copies = switched.iter().filter(|name| **name == "copy").count();
        assert_eq!(copies, usize::from(commit == "in_place"), "{switched:?}");

        let forward = &report["forward"];
        let runs = forward["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        for run in runs {
            let [with, without] = ["/rebalance_ns", "/quiet_ns"].map(|key| number(run, key));
            assert!(with > 0.0 && without > 0.0 && number(run, "/steps") > 0.0, "{run}");
            assert!(is_ratio(number(run, "/ratio"), with, without), "{run}");
            assert_eq!(number(run, "/layers_committed"), 4.0, "all layers change");
            assert!(number(run, "/received_bytes") >= 5_000.0, "{run}");
        }
        let mean = runs.iter().map(|run| number(run, "/ratio")).sum::<f64>() / 2.0;
        assert!((number(forward, "/ratio") - mean).abs() < 1e-9, "the median of two");

        let memory = &report["memory"];
        let reserved = number(memory, "/free_before_bytes") - number(memory, "/free_after_bytes");
        assert_eq!(number(memory, "/reserved_bytes"), reserved);
        assert_eq!(reserved > 0.0, commit == "in_place", "{memory}");
        assert_eq!(
            number(memory, "/most_beyond_reserved_bytes"),
            0.0,
            "nothing is allocated later"
        );
    }
}

#[test]
fn people_read_tables() {
    for (flags, words) in [
        (TRANSFER, ["transfer, 1 in flight", "transfer, 3 in flight", "ceiling: memcpy"]),
        (COMMIT, ["in place", "ceiling, slot by slot", "indirect"]),
        (STEP, ["steady, with load", "a layer is switched", "forward streams: 2, pieces of"]),
    ] {
        let text = printed(&line(flags));
        assert!(text.starts_with("backend host\n  device 0: host memory"), "{text}");
        for words in words {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

#[test]
fn a_rank_ends_with_its_orders() {
    // Its standard input is closed at once, as when the benchmark that started it is gone.
    let output = line("bench transfer-rank --backend host");
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let cases = [
        ("transfer --ranks 1", "--ranks 1 is not allowed; allowed: 2 to 64"),
        ("transfer --round-slots 0", "--round-slots 0 is not allowed; allowed: 1 to 1024"),
        ("transfer --transport rdma", "allowed: auto, peer, collective"),
        ("transfer --processes --threads", "cannot be used with"),
        ("transfer --slots 0", "--slots 0 is not allowed; allowed: 1 to 1024"),
        ("transfer --layers 0", "--layers 0 is not allowed; allowed: 1 to 1024"),
        ("transfer --expert-bytes 0", "--expert-bytes 0 is not allowed"),
        ("transfer --repeat 0", "--repeat 0 is not allowed"),
        ("transfer --in-flight 1,9", "--in-flight 9 is not allowed; allowed: 1 to 8"),
        ("transfer --device 4", "--device 4 is not allowed; allowed: 0 to 3"),
        ("transfer --deadline 0", "--deadline 0 is not allowed; allowed: 1 to 3600"),
        ("transfer --backend metal", "allowed: host, cuda, ascend"),
        ("commit --slots 1", "--slots 1 is not allowed; allowed: 2 to 1024"),
        ("commit --device 1", "--device 1 is not allowed; allowed: 0 to 0"),
        ("commit --expert-bytes 60000000000 --layers 1", "out of memory"),
        ("step --ranks 0", "--ranks 0 is not allowed; allowed: 2 to 64"),
        ("step --in-flight 65", "--in-flight 65 is not allowed; allowed: 1 to 64"),
        ("step --staged-slots 0", "--staged-slots 0 is not allowed"),
        ("step --bandwidth-cap 1", "executor.bandwidth_cap"),
        ("step --piece-us 0", "--piece-us 0 is not allowed"),
        ("step --steps 0", "--steps 0 is not allowed"),
    ];
    for (flags, said) in cases {
        let output = line(&format!("bench {flags}"));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags}: {error}");
        assert!(output.stdout.is_empty(), "{flags}");
        assert_eq!(error.trim_end().lines().count(), 1, "{flags}: {error}");
        assert!(error.starts_with("eplb: ") && error.contains(said), "{flags}: {error}");
    }
}
