//! The deepseek policy against results of the public reference: `tests/data/golden`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use eplb_core::{ExpertLoad, LayerId, ModelShape, Topology};
use eplb_policy::{Budget, DeepSeek, PlanRequest, RebalancedExperts, plan, rebalance_experts};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    name: String,
    weight: Vec<Vec<u64>>,
    num_replicas: usize,
    num_groups: usize,
    num_nodes: usize,
    num_gpus: usize,
    physical_to_logical_map: Vec<Vec<i64>>,
    logical_to_physical_map: Vec<Vec<Vec<i64>>>,
    logical_replica_count: Vec<Vec<i64>>,
}

/// Every vector of the folder; a file that cannot be read fails the test.
fn vectors() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/golden");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let vectors: Vec<Golden> = paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
        })
        .collect();
    assert!(vectors.len() >= 20, "only {} golden vectors found", vectors.len());
    vectors
}

#[test]
fn all_three_maps_equal_the_reference() {
    for golden in vectors() {
        let weights: Vec<Vec<f32>> = golden
            .weight
            .iter()
            .map(|row| row.iter().map(|&tokens| tokens as f32).collect())
            .collect();
        let maps = rebalance_experts(
            &weights,
            golden.num_replicas,
            golden.num_groups,
            golden.num_nodes,
            golden.num_gpus,
        )
        .unwrap();
        let replicas_of = &golden.logical_to_physical_map;
        let expected = RebalancedExperts {
            layers: golden.weight.len(),
            experts: golden.weight[0].len(),
            replicas: golden.num_replicas,
            most_replicas: replicas_of[0][0].len(),
            physical_to_logical_map: golden.physical_to_logical_map.concat(),
            logical_to_physical_map: replicas_of.concat().concat(),
            logical_replica_count: golden.logical_replica_count.concat(),
        };
        assert_eq!(maps, expected, "{}", golden.name);
    }
}

#[test]
fn plans_equal_the_reference_also_when_the_load_comes_in_several_windows() {
    for golden in vectors() {
        let (layers, experts) = (golden.weight.len() as u32, golden.weight[0].len() as u32);
        let shape = ModelShape::new(layers, experts, golden.num_groups as u32).unwrap();
        let slots_per_rank = (golden.num_replicas / golden.num_gpus) as u32;
        let topology =
            Topology::uniform(golden.num_gpus as u32, slots_per_rank, golden.num_nodes as u32)
                .unwrap();
        let half: Vec<Vec<u64>> =
            golden.weight.iter().map(|row| row.iter().map(|tokens| tokens / 2).collect()).collect();
        let rest: Vec<Vec<u64>> = golden
            .weight
            .iter()
            .map(|row| row.iter().map(|tokens| tokens - tokens / 2).collect())
            .collect();
        let windows = [
            ExpertLoad::from_rows(shape, &half).unwrap(),
            ExpertLoad::from_rows(shape, &rest).unwrap(),
        ];
        let layers: Vec<LayerId> = shape.layer_ids().collect();
        let request = PlanRequest {
            shape,
            topology: &topology,
            windows: &windows,
            present: None,
            layers: &layers,
            weights: &[],
            budget: Budget::default(),
        };
        let plans = plan(&DeepSeek, &request).unwrap();
        assert_eq!(plans.len(), golden.physical_to_logical_map.len());
        for (plan, expected) in plans.iter().zip(&golden.physical_to_logical_map) {
            let table: Vec<i64> =
                plan.placement.experts().iter().map(|expert| i64::from(expert.0)).collect();
            assert_eq!(&table, expected, "{} {}", golden.name, plan.layer);
        }
    }
}
