//! Plans of recorded loads, fixed by their digests: a change of arithmetic, of an order, or of what a
//! platform computes shows here. Where a change is meant, the failure shows the table to put here.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the recorded trace has failed")]

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use eplb::core::{
    Ensemble, EnsembleSettings, ExpertLoad, LayerId, NodeId, Placement, RankId, RankSpec, Topology,
};
use eplb::policy::{
    Budget, LayerPlan, MovePrice, Objective, PlanRequest, Policy, Robust, by_name, plan,
};
use eplb_sim::Trace;
use xxhash_rust::xxh3::Xxh3;

/// A trace, and after how many windows plans are made, again and again.
type Windows = (&'static str, usize);
const V3LIKE: Windows = ("v3like_abrupt_w120", 20);
const QWEN3LIKE: Windows = ("qwen3like_steady_w24", 4);

/// What plans start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing: every plan is a full one.
    Nothing,
    /// The placement that the plans before left, the first ones the initial one.
    Chain,
    /// The same with limits on what is sent.
    Limited,
    /// The same, on ranks of several sizes and speeds, of which one dies after the first plans.
    Mixed,
}
use Start::{Chain, Limited, Mixed, Nothing};

/// Policy, windows, (ranks, slots of each rank, nodes), start; and the digest of all plans, in order.
type Input = (&'static str, Windows, (u32, u32, u32), Start, u64);

#[rustfmt::skip]
const INPUTS: [Input; 50] = [
    ("deepseek", V3LIKE, (32, 9, 1), Nothing, 0x8df2028067fda3dc),
    ("deepseek", V3LIKE, (32, 9, 4), Chain, 0x8b1c19f5e8ae7211),
    ("deepseek", QWEN3LIKE, (16, 9, 1), Chain, 0x528c961a4c693ad3),
    ("deepseek", QWEN3LIKE, (16, 9, 2), Nothing, 0xf0917e35b74f62dc),
    ("deepseek", QWEN3LIKE, (64, 3, 8), Chain, 0xcd4db006ecc51036),
    ("deepseek", QWEN3LIKE, (144, 1, 18), Chain, 0xc78d6f5693cef29e),
    ("deepseek", QWEN3LIKE, (72, 2, 1), Nothing, 0xfd427f2456133783),
    ("xllm", V3LIKE, (32, 9, 1), Nothing, 0x9c4b1ec4f1dad8d2),
    ("xllm", V3LIKE, (32, 9, 4), Chain, 0x836ccfd16cbf94d6),
    ("xllm", QWEN3LIKE, (16, 9, 1), Chain, 0x5f0473dd92def731),
    ("xllm", QWEN3LIKE, (16, 9, 2), Nothing, 0xeedbf7b9685bab5f),
    ("xllm", QWEN3LIKE, (64, 3, 8), Chain, 0x814a23738ffd1046),
    ("xllm", QWEN3LIKE, (144, 1, 18), Chain, 0x38e0f09037bd6683),
    ("xllm", QWEN3LIKE, (72, 2, 1), Nothing, 0x77c2dd1e13cc7d6d),
    ("greedy", V3LIKE, (32, 9, 1), Nothing, 0x5b9faa0386b5900d),
    ("greedy", V3LIKE, (32, 9, 4), Chain, 0x9e4bf69ee97bfd20),
    ("greedy", QWEN3LIKE, (16, 9, 1), Chain, 0xb14e509e2c825962),
    ("greedy", QWEN3LIKE, (16, 9, 2), Nothing, 0x27f4834f987f9876),
    ("greedy", QWEN3LIKE, (64, 3, 8), Chain, 0x9a2f2b4b32afbc11),
    ("greedy", QWEN3LIKE, (144, 1, 18), Chain, 0x1045bae769db57d0),
    ("greedy", QWEN3LIKE, (72, 2, 1), Nothing, 0xf458f2b421e50790),
    ("robust", V3LIKE, (32, 9, 1), Nothing, 0xbb702a2e68bc727e),
    ("robust", V3LIKE, (32, 9, 4), Chain, 0x97ff10d982acb513),
    ("robust", QWEN3LIKE, (16, 9, 1), Chain, 0x092da94d0ad1ce83),
    ("robust", QWEN3LIKE, (16, 9, 2), Nothing, 0x89beddb49346b800),
    ("robust", QWEN3LIKE, (64, 3, 8), Chain, 0x2b439e33b5452f1b),
    ("robust", QWEN3LIKE, (144, 1, 18), Chain, 0x8a2db0da0a44136c),
    ("robust", QWEN3LIKE, (72, 2, 1), Nothing, 0x369117fb3b73c720),
    ("xllm", QWEN3LIKE, (24, 9, 3), Mixed, 0xb73eabcf9d053900),
    ("greedy", QWEN3LIKE, (24, 9, 3), Mixed, 0x86780da3d5771234),
    ("robust", QWEN3LIKE, (24, 9, 3), Mixed, 0xded48fafaf1d657d),
    ("greedy", V3LIKE, (144, 2, 18), Chain, 0xe569039c05aa03d1),
    ("robust", V3LIKE, (144, 2, 18), Chain, 0x5b2694e98fdbbdf7),
    ("robust", V3LIKE, (288, 1, 36), Chain, 0xe1d3416cba1459ec),
    ("deepseek", V3LIKE, (144, 2, 18), Nothing, 0x38e22ae8325c7ea4),
    ("greedy-fast", V3LIKE, (32, 9, 1), Nothing, 0xf8b464ab9b96e33f),
    ("greedy-fast", QWEN3LIKE, (72, 2, 1), Chain, 0xa819a96e3d27b12b),
    ("robust free", V3LIKE, (32, 9, 1), Chain, 0xb8ab237dcee7e678),
    ("robust free", QWEN3LIKE, (16, 9, 2), Chain, 0xf5cd661572ff3fdd),
    ("robust dear", V3LIKE, (32, 9, 4), Chain, 0xea2815280ad126c5),
    ("robust dear", QWEN3LIKE, (72, 2, 8), Chain, 0x09bd8f2b9e155fcc),
    ("robust spread", V3LIKE, (32, 9, 4), Chain, 0x3675ff601adc72dd),
    ("robust spread", QWEN3LIKE, (64, 3, 8), Nothing, 0x62b02dc2aad58143),
    ("robust decode", V3LIKE, (144, 2, 18), Chain, 0xf863a1369fa9e655),
    ("robust decode", QWEN3LIKE, (16, 9, 2), Chain, 0xd43873c8984b0542),
    ("robust decode", QWEN3LIKE, (72, 2, 1), Nothing, 0x6b92f203285b6ed9),
    ("robust", V3LIKE, (32, 9, 1), Limited, 0x0411af01e78efb80),
    ("robust", QWEN3LIKE, (16, 9, 2), Limited, 0xc51950f4c2e5781e),
    ("robust dear", QWEN3LIKE, (16, 9, 1), Limited, 0xaad8387ee8b51463),
    ("robust spread", QWEN3LIKE, (16, 9, 2), Limited, 0xcaa115d9eaa0e851),
];

fn policy(name: &str) -> Arc<dyn Policy> {
    let default = Robust::default();
    match name {
        "robust free" => Arc::new(Robust { price: MovePrice::FREE, most_sent: 1.0, ..default }),
        "robust dear" => {
            // Over NVLink and over InfiniBand, an expert of 44 MB; a layer takes 1 ms.
            let price = MovePrice::of_links(0.000_1, 0.001, 0.001, 1_000.0);
            Arc::new(Robust { price, ..default })
        }
        "robust spread" => Arc::new(Robust { spread: true, ..default }),
        "robust decode" => {
            let objective = Objective::ActivatedExperts { tokens_per_step: 32, top_k: 8 };
            Arc::new(Robust { objective, ..default })
        }
        _ => by_name(name).unwrap(),
    }
}

fn topology((ranks, slots, nodes): (u32, u32, u32), start: Start) -> Topology {
    if start != Mixed {
        return Topology::uniform(ranks, slots, nodes).unwrap();
    }
    let spec = |rank: u32| RankSpec {
        speed: [1_000, 1_000, 1_500][rank as usize % 3],
        ..RankSpec::new(NodeId(rank * nodes / ranks), slots - rank % 3)
    };
    Topology::new((0..ranks).map(spec).collect()).unwrap()
}

/// Adds every slot's expert and share.
fn digest(hasher: &mut Xxh3, plan: &LayerPlan, topology: &Topology) {
    for expert in plan.placement.experts() {
        hasher.update(&expert.0.to_le_bytes());
    }
    let routing = plan.placement.routing(topology);
    for share in routing.shares() {
        hasher.update(&share.to_le_bytes());
    }
}

/// The number of plans of an input, and their digest.
fn digest_plans(trace: &Trace, input: &Input) -> (usize, u64) {
    let &(name, (_, every), sizes, start, _) = input;
    let (policy, mut topology) = (policy(name), topology(sizes, start));
    let layers: Vec<LayerId> = trace.shape.layer_ids().collect();
    let mut present = Placement::initial(trace.shape, &topology).unwrap();
    let mut ensemble = Ensemble::new(trace.shape, EnsembleSettings::default()).unwrap();
    let budget = match start {
        Limited => Budget { layer: 40, rebalance: 200, rank_pair: 6 },
        _ => Budget::default(),
    };
    let (mut hasher, mut plans) = (Xxh3::new(), 0);
    for windows in trace.windows.chunks(every) {
        let mut push = |window: &ExpertLoad| ensemble.push(window.clone()).unwrap();
        windows.iter().for_each(&mut push);
        let estimate = policy.estimator().estimate(&ensemble);
        let request = PlanRequest {
            shape: trace.shape,
            topology: &topology,
            windows: &estimate.windows,
            weights: &estimate.weights,
            present: (start != Nothing).then_some(&present),
            layers: &layers,
            budget,
        };
        for plan in plan(policy.as_ref(), &request).unwrap() {
            digest(&mut hasher, &plan, &topology);
            present.set_layer(plan.layer, plan.placement);
            plans += 1;
        }
        if start == Mixed {
            topology = topology.without(RankId(5)).unwrap();
        }
    }
    (plans, hasher.digest())
}

#[test]
fn plans_of_recorded_loads_stay_what_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/traces");
    let read = |(name, _): Windows| Trace::read(folder.join(name).with_extension("npz")).unwrap();
    let traces = [(V3LIKE, "V3LIKE"), (QWEN3LIKE, "QWEN3LIKE")]
        .map(|(windows, constant)| (windows, constant, read(windows)));
    let (mut all, mut table, mut changed) = (0, String::new(), Vec::new());
    for input in &INPUTS {
        let &(policy, windows, sizes, start, expected) = input;
        let (_, constant, trace) = traces.iter().find(|(it, ..)| *it == windows).unwrap();
        let (plans, found) = digest_plans(trace, input);
        all += plans;
        if found != expected {
            changed.push(format!("{policy} on {constant}, {sizes:?}, {start:?}"));
        }
        writeln!(table, "    ({policy:?}, {constant}, {sizes:?}, {start:?}, {found:#018x}),")
            .unwrap();
    }
    let count = changed.len();
    assert!(changed.is_empty(), "{count} plans have changed: {changed:#?}\nAll are now\n{table}");
    assert!(all > 3_000, "only {all} plans were made");
}

#[test]
fn inputs_differ() {
    for (index, input) in INPUTS.iter().enumerate() {
        for other in &INPUTS[..index] {
            assert_ne!(input.4, other.4, "{input:?} and {other:?} give the same plans");
        }
    }
}
