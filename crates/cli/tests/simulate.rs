//! `eplb simulate`.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use program::{json, line, printed};

const SHORT: &str = "simulate configs/traces/qwen3like_steady_w24.npz --ranks 16 --slots 144";

#[test]
fn every_policy_is_scored_on_the_next_window() {
    let report = json(&line(&format!("{SHORT} --policy static,deepseek,robust --json")));
    let policies = report["policies"].as_array().unwrap();
    let names: Vec<_> = policies.iter().map(|score| score["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["static", "deepseek", "robust"]);
    for score in policies {
        for key in ["next", "fit"] {
            let (mean, worst) = (score[key]["mean"].as_f64(), score[key]["worst"].as_f64());
            assert!(worst > Some(0.0) && worst <= mean && mean <= Some(1.0), "{score}");
        }
        let moved = score["moved_slots"].as_u64().unwrap();
        assert_eq!(score["bytes_moved"].as_u64(), Some(moved * 44_040_192));
        // 24 windows are 23 rebalances.
        let sent = score["sent_experts"].as_f64().unwrap();
        assert!((sent * 23.0 - moved as f64).abs() < 1e-6, "{score}");
        let (p50, p99) = (score["plan_ms"]["p50"].as_f64(), score["plan_ms"]["p99"].as_f64());
        assert!(p50 > Some(0.0) && p50 <= p99, "{score}");
    }
    assert_eq!(policies[0]["moved_slots"], 0);
    let bounds = &report["bounds"];
    assert!(bounds["oracle"]["mean"].as_f64() <= bounds["limit"]["mean"].as_f64());
}

#[test]
fn the_table_names_policies_and_bounds() {
    let text = printed(&line(&format!("{SHORT} --windows 6")));
    for word in ["static", "deepseek", "xllm", "robust", "(oracle)", "(limit)", "next window"] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 90), "{text}");
}

#[test]
fn a_range_of_windows_is_replayed() {
    let replay = |windows: &str| {
        let mut report =
            json(&line(&format!("{SHORT} --policy static,deepseek --json --windows {windows}")));
        for score in report["policies"].as_array_mut().unwrap() {
            score["plan_ms"].take();
        }
        report
    };
    assert_eq!(replay("6"), replay("0..6"));
    let (whole, first, last) = (replay("4..10"), replay("4..7"), replay("6..10"));
    assert_eq!((&whole["first_window"], &whole["windows"]), (&4.into(), &6.into()));
    // Windows that are scored: 5 to 9, of which 5 and 6, and 7 to 9.
    let sum = |report: &serde_json::Value, scored: f64| {
        report["policies"][0]["next"]["mean"].as_f64().unwrap() * scored
    };
    assert!((sum(&whole, 5.0) - sum(&first, 2.0) - sum(&last, 3.0)).abs() < 1e-9);
    assert_ne!(first["policies"][0]["next"], last["policies"][0]["next"]);
}

#[test]
fn policies_plan_from_what_they_are_told_to() {
    let next = |estimator: &str| {
        let report = json(&line(&format!("{SHORT} --policy deepseek --json {estimator}")));
        report["policies"][0]["next"]["mean"].as_f64().unwrap()
    };
    // It plans from the last window unless told otherwise; from more it fits the next one better.
    let last = next("");
    assert_eq!(next("--estimator last"), last);
    assert_eq!(next("--estimator sliding:1"), last);
    for estimator in ["sum", "sliding:8", "exponential:0.2", "ensemble"] {
        let more = next(&format!("--estimator {estimator}"));
        assert!(more > last + 0.005, "{estimator}: {more}, last window alone: {last}");
    }
    let report = json(&line(&format!("{SHORT} --windows 3 --estimator sliding:8 --json")));
    assert_eq!(report["estimator"], "sliding:8");
}
