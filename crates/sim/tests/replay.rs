//! Policies on recorded traffic: what each plan is worth on the window after it.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the recorded trace has failed")]

use std::path::Path;

use eplb::core::{Ensemble, EnsembleSettings, Placement, Topology};
use eplb::policy::by_name;
use eplb_sim::{PolicyScore, Replay, Trace};

fn trace(name: &str, windows: usize) -> Trace {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/traces");
    let mut trace = Trace::read(folder.join(name)).unwrap();
    trace.windows.truncate(windows);
    trace
}

fn scores(trace: &Trace, ranks: u32, slots: u32, policies: &[&str]) -> Vec<PolicyScore> {
    let topology = Topology::uniform(ranks, slots, 1).unwrap();
    let start = Placement::initial(trace.shape, &topology).unwrap();
    let (topology, start) = (&topology, &start);
    let known = &Ensemble::new(trace.shape, EnsembleSettings::default()).unwrap();
    let (estimator, stopwatch) = (None, &|| 0.0);
    let replay =
        Replay { trace, topology, start, known, estimator, expert_bytes: 1_000, stopwatch };
    let limit = replay.limit();
    let oracle = replay.oracle(by_name("deepseek").unwrap().as_ref()).unwrap();
    assert!(oracle.mean <= limit.mean);
    policies
        .iter()
        .map(|name| {
            let score = replay.score(by_name(name).unwrap().as_ref(), &mut |_| ()).unwrap();
            assert!(score.next.mean <= oracle.mean, "{name} cannot know what comes: {score:?}");
            assert!(score.next.worst <= score.next.mean);
            assert_eq!(score.bytes_moved, score.moved_slots * 1_000);
            score
        })
        .collect()
}

#[test]
fn robust_fits_the_next_window_better_than_planning_anew_and_moves_little() {
    let trace = trace("v3like_abrupt_w120.npz", 120);
    let scores = scores(&trace, 32, 9, &["static", "deepseek", "xllm", "robust"]);
    let [stay, deepseek, xllm, robust] = &scores[..] else { panic!("four scores") };
    assert_eq!(stay.moved_slots, 0);
    assert!(deepseek.fit.mean > 0.98, "{deepseek:?}");
    let best = deepseek.next.mean.max(xllm.next.mean);
    assert!(best > stay.next.mean + 0.1);
    assert!(robust.next.mean > best + 0.02, "{robust:?} {best}");
    assert!(robust.sent_experts < 0.03 * xllm.sent_experts, "{robust:?} {xllm:?}");
}

#[test]
fn on_a_steady_load_robust_comes_to_rest() {
    let trace = trace("qwen3like_steady_w24.npz", 24);
    let scores = scores(&trace, 16, 9, &["deepseek", "robust"]);
    assert!(scores[1].next.mean > scores[0].next.mean, "{scores:?}");
    assert!(scores[1].sent_experts < 0.2 * scores[0].sent_experts, "{scores:?}");
}

#[test]
fn a_replay_repeats() {
    let trace = trace("qwen3like_steady_w24.npz", 12);
    let policies = ["deepseek", "xllm", "robust"];
    assert_eq!(scores(&trace, 8, 18, &policies), scores(&trace, 8, 18, &policies));
}
