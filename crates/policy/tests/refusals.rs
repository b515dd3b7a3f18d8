//! Requests that are none are refused, with what is allowed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{load, placement, plan_all, policies};
use eplb_core::{
    ExpertId, ExpertLoad, LayerId, LoadError, ModelShape, Placement, PlacementError, RankId,
    Topology,
};
use eplb_policy::{
    Budget, LayerRequest, PlanRequest, Policy, PolicyError, Static, Xllm, plan, rebalance_experts,
};

const WEIGHTS: [[f32; 4]; 2] = [[4.0, 3.0, 2.0, 1.0]; 2];

fn shape(layers: u32, experts: u32) -> ModelShape {
    ModelShape::new(layers, experts, 1).unwrap()
}

fn refusal(weights: &[[f32; 4]], sizes: [usize; 4]) -> String {
    let [replicas, groups, nodes, gpus] = sizes;
    rebalance_experts(weights, replicas, groups, nodes, gpus).unwrap_err().to_string()
}

#[test]
fn sizes_that_do_not_divide_are_named() {
    let cases = [
        ([7, 1, 1, 2], "num_replicas = 7 does not divide by num_gpus = 2; give a multiple of it"),
        ([6, 2, 2, 3], "num_gpus = 3 does not divide by num_nodes = 2; give a multiple of it"),
        (
            [6, 3, 1, 2],
            "number of experts = 4 does not divide by num_groups = 3; give a multiple of it",
        ),
        ([6, 1, 0, 2], "num_groups = 1 does not divide by num_nodes = 0; give a multiple of it"),
        (
            [6, 0, 1, 2],
            "number of experts = 4 does not divide by num_groups = 0; give a multiple of it",
        ),
        ([6, 1, 1, 0], "num_replicas = 6 does not divide by num_gpus = 0; give a multiple of it"),
        ([2, 1, 1, 2], "2 replicas cannot hold 4 experts; give at least 4"),
    ];
    for (sizes, message) in cases {
        assert_eq!(refusal(&WEIGHTS, sizes), message);
    }
}

#[test]
fn weights_that_are_no_loads_are_named() {
    for bad in [f32::NAN, f32::INFINITY, -1.0] {
        let mut weights = WEIGHTS;
        weights[1][2] = bad;
        assert_eq!(
            refusal(&weights, [6, 1, 1, 2]),
            format!("weight row 1 expert 2 is {bad}, allowed are finite numbers from 0")
        );
    }
    let rows = [vec![1.0, 2.0], vec![1.0]];
    let error = rebalance_experts(&rows, 2, 1, 1, 1).unwrap_err();
    assert_eq!(error, PolicyError::WeightRow { row: 1, found: 1, expected: 2 });
}

#[test]
fn a_negative_zero_ties_with_zero() {
    let positive = rebalance_experts(&[[0.0f32, 0.0, 1.0]], 6, 1, 1, 2).unwrap();
    let negative = rebalance_experts(&[[-0.0f32, 0.0, 1.0]], 6, 1, 1, 2).unwrap();
    assert_eq!(positive, negative);
}

#[test]
fn parts_of_a_request_must_belong_together() {
    let topology = Topology::uniform(2, 3, 1).unwrap();
    let model = shape(2, 4);
    let good = [ExpertLoad::zeros(model)];
    let present = Placement::initial(model, &topology).unwrap();
    let request = PlanRequest {
        shape: model,
        topology: &topology,
        windows: &good,
        present: Some(&present),
        layers: &[LayerId(1)],
        weights: &[],
        budget: Budget::default(),
    };
    assert_eq!(plan(&Xllm, &request).unwrap().len(), 1);

    let windows: &[ExpertLoad] = &[];
    let error = plan(&Xllm, &PlanRequest { windows, ..request }).unwrap_err();
    assert_eq!(error, PolicyError::NoWindows);

    let windows = [ExpertLoad::zeros(model), ExpertLoad::zeros(shape(2, 5))];
    let error = plan(&Xllm, &PlanRequest { windows: &windows, ..request }).unwrap_err();
    assert!(matches!(error, PolicyError::WindowShape { window: 1, found_experts: 5, .. }));

    let layers = &[LayerId(0), LayerId(2)];
    let error = plan(&Xllm, &PlanRequest { layers, ..request }).unwrap_err();
    assert_eq!(error, PolicyError::UnknownLayer { layer: LayerId(2), layers: 2 });

    let other = Placement::initial(shape(1, 4), &topology).unwrap();
    let error = plan(&Xllm, &PlanRequest { present: Some(&other), ..request }).unwrap_err();
    assert!(matches!(error, PolicyError::PresentShape { found_layers: 1, .. }));

    let larger = Topology::uniform(2, 4, 1).unwrap();
    let error = plan(&Xllm, &PlanRequest { topology: &larger, ..request }).unwrap_err();
    assert_eq!(error, PolicyError::PresentSlots { layer: LayerId(1), found: 6, expected: 8 });

    let error = plan(&Xllm, &PlanRequest { weights: &[1.0, 1.0], ..request }).unwrap_err();
    assert_eq!(error, PolicyError::WindowWeights { found: 2, windows: 1 });
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        let error = plan(&Xllm, &PlanRequest { weights: &[weight], ..request }).unwrap_err();
        let message = format!("window 0 has weight {weight}, allowed are finite numbers from 0");
        assert_eq!(error.to_string(), message);
    }

    let heavy = load(model, &[vec![0; 4], vec![ExpertLoad::MOST_TOKENS, 0, 0, 0]]);
    let windows = [heavy.clone(), heavy];
    let error = plan(&Xllm, &PlanRequest { windows: &windows, ..request }).unwrap_err();
    assert_eq!(error, LoadError::TooManyTokens { layer: LayerId(1) }.into());
}

#[test]
fn a_policy_checks_its_request_also_without_plan() {
    let topology = Topology::uniform(2, 3, 1).unwrap();
    for policy in policies().filter(|policy| policy.name() != "static") {
        let request = |windows| LayerRequest {
            layer: LayerId(0),
            shape: shape(1, 4),
            topology: &topology,
            windows,
            weights: &[],
            most_sent: usize::MAX,
            present: None,
        };
        assert_eq!(policy.plan_layer(&request(&[])), Err(PolicyError::NoWindows));
        let error = policy.plan_layer(&request(&[&[1, 2, 3]])).unwrap_err();
        assert!(matches!(error, PolicyError::Load(LoadError::Experts { found: 3, .. })));
    }
}

#[test]
fn too_few_slots_are_an_error_of_every_policy() {
    let topology = Topology::uniform(2, 1, 1).unwrap();
    for policy in policies() {
        let error = plan_all(&*policy, &topology, &ExpertLoad::zeros(shape(1, 4)), None);
        let expected = PlacementError::TooFewSlots { slots: 2, experts: 4 };
        assert_eq!(error, Err(expected.into()));
    }
}

#[test]
fn an_expert_that_died_with_its_rank_comes_back_and_static_says_it_cannot() {
    let topology = Topology::uniform(3, 2, 1).unwrap();
    let model = shape(1, 4);
    let table = [0, 1, 2, 3, 0, 1].map(ExpertId);
    let present = Placement::new(&[table], model, &topology).unwrap();
    let topology = topology.without(RankId(1)).unwrap();
    let window = load(model, &[vec![5, 4, 3, 2]]);
    for policy in policies() {
        let plans = plan_all(&*policy, &topology, &window, Some(&present));
        if policy.name() == Static.name() {
            let lost = PlacementError::Unplaced { layer: LayerId(0), expert: ExpertId(2) };
            assert_eq!(plans, Err(lost.into()));
            continue;
        }
        let plans = plans.unwrap();
        assert_eq!(plans[0].balancedness_before, None);
        assert!(plans[0].moved_slots >= Some(2));
        placement(&plans, model, &topology);
    }
}

#[test]
fn of_several_layers_that_fail_the_first_is_named() {
    let topology = Topology::uniform(3, 2, 1).unwrap();
    let model = shape(64, 4);
    let present =
        Placement::new(&[[0, 1, 2, 3, 0, 1].map(ExpertId); 64], model, &topology).unwrap();
    let topology = topology.without(RankId(1)).unwrap();
    for _ in 0..20 {
        let error = plan_all(&Static, &topology, &ExpertLoad::zeros(model), Some(&present));
        let lost = PlacementError::Unplaced { layer: LayerId(0), expert: ExpertId(2) };
        assert_eq!(error, Err(lost.into()));
    }
}
