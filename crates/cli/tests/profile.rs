//! `eplb profile`, and what is begun with a profile.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use std::path::Path;

use program::{eplb, json, line, printed};
use serde_json::{Value, json as object};

const TRACE: &str = "configs/traces/v3like_abrupt_w120.npz";
const RANKS: &str = "--ranks 32 --slots 288";

/// Makes a profile of windows of the recorded trace; what is said of it.
fn profile(path: &Path, more: &str) -> Value {
    json(&line(&format!("profile {TRACE} -o {} --json {more}", path.display())))
}

#[test]
fn a_few_windows_stand_for_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let report = profile(&path, "--windows 60 --representatives 4");
    let text = std::fs::read_to_string(&path).unwrap();
    let expected = object!({
        "profile": path, "trace": "v3like_abrupt_w120", "layers": 11, "experts": 256, "groups": 8,
        "first_window": 0, "windows": 60, "kept": 36, "bytes": text.len(),
    });
    assert_eq!(report, expected);
    let written: Value = serde_json::from_str(&text).unwrap();
    let windows = written["windows"].as_array().unwrap();
    let count = |window: &Value| window["count"].as_f64().unwrap();
    assert_eq!(windows.iter().map(count).sum::<f64>(), 60.0);
    // Each of the trace's windows is 65,536 tokens for 8 experts.
    for window in windows {
        let row = window["counts"][10].as_array().unwrap();
        let tokens = row.iter().map(|tokens| tokens.as_u64().unwrap()).sum::<u64>();
        assert_eq!(tokens as f64, 524_288.0 * count(window));
    }
    // The same windows make the same profile, and it replaces the one before.
    let other = profile(&path, "--windows 20..25");
    assert_eq!((&other["first_window"], &other["windows"]), (&object!(20), &object!(5)));
    assert_eq!(other["kept"], 5);
    assert_eq!(profile(&path, "--windows 60 --representatives 4"), report);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

    let said = printed(&line(&format!("profile {TRACE} -o {} --windows 40", path.display())));
    let start = format!("{}: 40 windows stand for 40 of v3like_abrupt_w120", path.display());
    assert!(said.starts_with(&start) && said.lines().count() == 1, "{said}");
}

/// Scores by policy of windows of the recorded trace.
fn simulate(more: &str) -> Value {
    json(&line(&format!("simulate {TRACE} {RANKS} --json {more}")))
}

fn next(report: &Value, policy: usize) -> f64 {
    report["policies"][policy]["next"]["mean"].as_f64().unwrap()
}

#[test]
fn a_replay_begins_with_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    // Windows of one mix of requests; those that follow are of the same.
    profile(&path, "--windows 60..80");
    let policies = "--policy static,deepseek,robust --windows 80..98";
    let without = simulate(policies);
    let with = simulate(&format!("{policies} --profile {}", path.display()));
    assert_eq!(without["profile"], Value::Null);
    assert_eq!(with["profile"], path.to_str().unwrap());
    assert_eq!((&with["first_window"], &with["windows"]), (&object!(80), &object!(18)));
    assert_eq!(with["policies"][0]["moved_slots"], 0);
    assert!(next(&with, 0) > next(&without, 0) + 0.1, "static: {with} {without}");
    assert!(next(&with, 0) > next(&with, 1), "a good start is worth more than plans: {with}");
    assert!(next(&with, 2) >= next(&with, 0) - 0.005, "{with}");
    assert!(next(&with, 2) > next(&without, 2), "robust: {with} {without}");
    assert_eq!(with["bounds"], without["bounds"]);

    let (policies, path) = ("--policy static --windows 80..83", path.display());
    let text = printed(&line(&format!("simulate {TRACE} {RANKS} {policies} --profile {path}")));
    assert!(text.contains(&format!("all start from the placement for {path}")), "{text}");
}

#[test]
fn the_start_is_what_robust_plans_for_the_profile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let path = path.to_str().unwrap();
    profile(Path::new(path), "--windows 10");
    // A plan from the profile is as good on its last window as the start of a replay is.
    let plan = format!("plan --profile {path} {RANKS} --policy robust --json");
    let planned = json(&line(&plan));
    assert_eq!((&planned["layers"], &planned["experts"]), (&object!(11), &object!(256)));
    let placement = folder.path().join("placement.json");
    let placement = placement.to_str().unwrap();
    printed(&line(&format!("{plan} --output {placement}")));
    let trace = format!("simulate {TRACE} {RANKS} --policy static --windows 10..12 --json");
    let replayed = json(&line(&format!("{trace} --profile {path}")));
    let load = json(&line(&format!("profile {TRACE} -o {path} --windows 11..12 --json")));
    assert_eq!(load["kept"], 1);
    // Window 11 is the only one scored: nearly the balancedness that the written placement has there,
    // whose form knows no shares.
    let scored = json(&line(&format!(
        "plan --profile {path} {RANKS} --policy static --placement {placement} --json"
    )));
    let before = scored["balancedness_before"]["mean"].as_f64().unwrap();
    assert!((next(&replayed, 0) - before).abs() < 0.01, "{replayed} {before}");
}

#[test]
fn plans_are_made_from_profiles() {
    let folder = tempfile::tempdir().unwrap();
    let (profile, load) = (folder.path().join("p.json"), folder.path().join("l.json"));
    let window = |recent: f64, counts: [u64; 8]| object!({"recent": recent, "lasting": 0, "count": 1, "counts": [counts]});
    let text = object!({
        "format": "eplb-profile", "version": 1, "layers": 1, "experts": 8, "groups": 2, "windows": [
            window(0.5, [80, 10, 10, 20, 20, 5, 5, 5]), window(1.0, [10, 0, 10, 10, 20, 5, 5, 5]),
        ],
    });
    std::fs::write(&profile, text.to_string()).unwrap();
    std::fs::write(&load, "[[90, 10, 20, 30, 40, 10, 10, 10]]").unwrap();
    let plan = |source: &str, path: &Path, more: &[&str]| {
        let mut arguments = vec!["plan", "--json", "--ranks", "4", "--slots", "12", source];
        arguments.push(path.to_str().unwrap());
        arguments.extend(more);
        json(&eplb(&arguments))
    };
    // Policies that plan from one load plan from the sum.
    for policy in ["deepseek", "xllm"] {
        let (from_profile, from_load) = (
            plan("--profile", &profile, &["--policy", policy, "--nodes", "2"]),
            plan("--load", &load, &["--policy", policy, "--nodes", "2", "--groups", "2"]),
        );
        for key in ["physical_to_logical_map", "balancedness"] {
            assert_eq!(from_profile[key], from_load[key], "{policy}");
        }
    }
    // Robust weighs the windows: of one that counts nothing nothing is left.
    let mut faded = text.clone();
    faded["windows"][0]["recent"] = object!(0);
    faded["windows"][0]["counts"][0] = object!([1, 1, 1, 1, 1, 1, 1, 900]);
    std::fs::write(&profile, faded.to_string()).unwrap();
    let table = |path: &Path, source: &str| {
        plan(source, path, &["--policy", "robust"])["physical_to_logical_map"].clone()
    };
    std::fs::write(&load, "[[10, 0, 10, 10, 20, 5, 5, 5]]").unwrap();
    assert_eq!(table(&profile, "--profile"), table(&load, "--load"));
    faded["windows"][0]["recent"] = object!(1);
    std::fs::write(&profile, faded.to_string()).unwrap();
    assert_ne!(table(&profile, "--profile"), table(&load, "--load"));
}

#[test]
fn a_run_begins_with_the_profile_of_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    profile(&path, "--windows 20");
    let file = program::root().join("configs/quickstart.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let key = format!("[manager]\nprofile = {:?}", path.to_str().unwrap());
    let config = folder.path().join("c.toml");
    std::fs::write(&config, text.replacen("[manager]", &key, 1)).unwrap();
    let run = |config: &str| json(&line(&format!("run --config {config} --windows 4 --json")));
    let (with, without) = (run(config.to_str().unwrap()), run("configs/quickstart.toml"));
    let before = |report: &Value| report["balancedness"]["before"].as_f64().unwrap();
    assert!(before(&with) > before(&without) + 0.1, "{with} {without}");
    assert_eq!(with["verified"]["mismatches"], 0);
    assert_eq!(with["verified"]["outputs_equal"], true);
}
