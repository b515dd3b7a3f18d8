//! Plans of recorded loads, fixed by their digests: a change of arithmetic, of an order, or of what a
//! platform computes shows here.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the recorded trace has failed")]

use std::path::Path;

use eplb::core::{Ensemble, EnsembleSettings, LayerId, Placement, Topology};
use eplb::policy::{Budget, PlanRequest, by_name, plan};
use eplb_sim::Trace;
use xxhash_rust::xxh3::Xxh3;

/// Plans are made after each of this many windows.
const EVERY: usize = 3;

/// Policy, trace, ranks, slots of each rank, nodes; and the digest of all plans, in order.
const DIGESTS: [(&str, &str, u32, u32, u32, u64); 9] = [
    ("deepseek", "v3like_abrupt_w120", 32, 9, 4, 0x2c3a_0af6_8a2d_e1df),
    ("deepseek", "qwen3like_steady_w24", 16, 9, 1, 0x4f26_ef7b_5fd2_2e45),
    ("deepseek", "qwen3like_steady_w24", 64, 3, 8, 0xec4b_e247_01a9_0862),
    ("xllm", "v3like_abrupt_w120", 32, 9, 1, 0x1ca2_485f_c993_5969),
    ("xllm", "qwen3like_steady_w24", 16, 9, 1, 0x336c_62dd_ebb4_92c2),
    ("xllm", "qwen3like_steady_w24", 128, 2, 1, 0x504e_3b84_a6c5_4c52),
    ("robust", "v3like_abrupt_w120", 32, 9, 1, 0xc0cf_32af_1c9e_c030),
    ("robust", "qwen3like_steady_w24", 16, 9, 1, 0x19d1_5d72_75a8_1b38),
    ("robust", "qwen3like_steady_w24", 128, 2, 1, 0x318f_0674_4565_525a),
];

/// The digest of a chain of plans, each from the placement that the one before left.
fn digest(policy: &str, name: &str, ranks: u32, slots: u32, nodes: u32) -> (usize, u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/traces");
    let trace = Trace::read(folder.join(name).with_extension("npz")).unwrap();
    let topology = Topology::uniform(ranks, slots, nodes).unwrap();
    let policy = by_name(policy).unwrap();
    let layers: Vec<LayerId> = trace.shape.layer_ids().collect();
    let mut present = Placement::initial(trace.shape, &topology).unwrap();
    let mut ensemble = Ensemble::new(trace.shape, EnsembleSettings::default()).unwrap();
    let (mut hasher, mut plans, mut seen) = (Xxh3::new(), 0, 0);
    for last in (0..trace.windows.len()).step_by(EVERY) {
        for window in &trace.windows[seen..=last] {
            ensemble.push(window.clone()).unwrap();
        }
        seen = last + 1;
        let estimate = policy.estimator().estimate(&ensemble);
        let request = PlanRequest {
            shape: trace.shape,
            topology: &topology,
            windows: &estimate.windows,
            weights: &estimate.weights,
            present: Some(&present),
            layers: &layers,
            budget: Budget::default(),
        };
        for plan in plan(policy.as_ref(), &request).unwrap() {
            for expert in plan.placement.experts() {
                hasher.update(&expert.0.to_le_bytes());
            }
            present.set_layer(plan.layer, plan.placement);
            plans += 1;
        }
    }
    (plans, hasher.digest())
}

#[test]
fn plans_of_recorded_loads_stay_what_they_are() {
    let mut all = 0;
    let mut changed = Vec::new();
    for (policy, trace, ranks, slots, nodes, expected) in DIGESTS {
        let (plans, found) = digest(policy, trace, ranks, slots, nodes);
        all += plans;
        if found != expected {
            changed.push(format!("{policy} on {trace}, {ranks} × {slots}: {found:#018x}"));
        }
    }
    assert!(changed.is_empty(), "plans have changed:\n{}", changed.join("\n"));
    assert!(all > 1_000, "only {all} plans were made");
}
