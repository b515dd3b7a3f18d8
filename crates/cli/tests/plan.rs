//! `eplb plan`.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use std::path::Path;

use program::{eplb, json, line, printed, root};
use serde_json::{Value, json as object};

#[test]
fn every_golden_vector_is_reproduced() {
    let folder = tempfile::tempdir().unwrap();
    let mut vectors = 0;
    for entry in std::fs::read_dir(root().join("tests/data/golden")).unwrap() {
        let path = entry.unwrap().path();
        let vector: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let load = folder.path().join("load.json");
        std::fs::write(&load, vector["weight"].to_string()).unwrap();
        let number = |key: &str| vector[key].as_u64().unwrap().to_string();
        let report = json(&eplb(&[
            "plan",
            "--policy",
            "deepseek",
            "--json",
            "--load",
            load.to_str().unwrap(),
            "--ranks",
            &number("num_gpus"),
            "--slots",
            &number("num_replicas"),
            "--nodes",
            &number("num_nodes"),
            "--groups",
            &number("num_groups"),
        ]));
        for map in ["physical_to_logical_map", "logical_replica_count"] {
            assert_eq!(report[map], vector[map], "{map} of {}", path.display());
        }
        assert_eq!(report["moved_slots"], Value::Null);
        assert!(report["plan_ms"].as_f64() > Some(0.0));
        vectors += 1;
    }
    assert!(vectors >= 21, "only {vectors} vectors were read");
}

fn plan(load: &Path, more: &[&str]) -> Value {
    let mut arguments = vec!["plan", "--json", "--load", load.to_str().unwrap()];
    arguments.extend(["--ranks", "4", "--slots", "12"]);
    arguments.extend(more);
    json(&eplb(&arguments))
}

#[test]
fn a_plan_is_read_back_as_the_present_placement() {
    let folder = tempfile::tempdir().unwrap();
    let load = folder.path().join("load.json");
    std::fs::write(&load, "[[90, 10, 20, 30, 40, 10, 10, 10], [1, 2, 3, 4, 5, 6, 7, 80]]").unwrap();
    for (policy, form) in [
        ("deepseek", "sglang"),
        ("deepseek", "vllm-ascend"),
        ("xllm", "vllm-ascend"),
        ("robust", "sglang"),
        ("static", "sglang"),
    ] {
        let file = folder.path().join(form);
        let file = file.to_str().unwrap();
        let first = plan(&load, &["--policy", policy, "--output", file, "--format", form]);
        assert_eq!(first["policy"], policy);
        let again = plan(&load, &["--policy", policy, "--placement", file]);
        assert_eq!(again["moved_slots"], 0, "{policy}: the same load moves nothing");
        assert_eq!(again["physical_to_logical_map"], first["physical_to_logical_map"]);
        assert_eq!(again["balancedness_before"], again["balancedness"]);
    }
    let present = folder.path().join("present.json");
    let row = object!([0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 0]);
    std::fs::write(&present, object!([row, row]).to_string()).unwrap();
    let report = plan(&load, &["--placement", present.to_str().unwrap()]);
    assert!(report["moved_slots"].as_u64() > Some(0));
    let (before, after) = (&report["balancedness_before"], &report["balancedness"]);
    assert!(after["mean"].as_f64() > before["mean"].as_f64(), "{before} {after}");
    assert!(after["worst"].as_f64() <= after["mean"].as_f64());
}

#[test]
fn recorded_windows_are_planned_together() {
    let load = "plan --load configs/traces/qwen3like_steady_w24.npz --ranks 16 --slots 144";
    for policy in ["deepseek", "xllm", "robust"] {
        let report = json(&line(&format!("{load} --policy {policy} --json")));
        assert_eq!(report["physical_to_logical_map"].as_array().unwrap().len(), 14);
        let counts = report["logical_replica_count"][0].as_array().unwrap();
        assert_eq!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 144);
        assert!(report["balancedness"]["mean"].as_f64() > Some(0.9), "{policy}");
    }
    let text = printed(&line(load));
    assert!(text.contains("the 12 worst of 14 layers"), "{text}");
    assert!(text.contains("policy deepseek: balancedness 0."), "{text}");
}

/// A `.npy` file of 8-byte integers.
fn npy(shape: &str, counts: &[i64]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{dictionary:<117}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let data: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()
}

#[test]
fn a_load_means_the_same_in_each_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("two.json"), "[[90, 10, 20, 30, 40, 10, 10, 10]]").unwrap();
    std::fs::write(path("two.npy"), npy("(1, 8)", &[90, 10, 20, 30, 40, 10, 10, 10])).unwrap();
    // The same load in two windows.
    let windows = "[[[80, 10, 10, 20, 20, 5, 5, 5]], [[10, 0, 10, 10, 20, 5, 5, 5]]]";
    std::fs::write(path("three.json"), windows).unwrap();
    let counts = [80, 10, 10, 20, 20, 5, 5, 5, 10, 0, 10, 10, 20, 5, 5, 5];
    std::fs::write(path("three.npy"), npy("(2, 1, 8)", &counts)).unwrap();
    let plans: Vec<_> = ["two.json", "two.npy", "three.json", "three.npy"]
        .map(|name| plan(&path(name), &["--policy", "deepseek"])["physical_to_logical_map"].clone())
        .into();
    assert!(plans.iter().all(|map| map == &plans[0]), "{plans:?}");
    assert_eq!(plans[0].as_array().unwrap().len(), 1);
}
