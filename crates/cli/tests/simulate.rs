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
