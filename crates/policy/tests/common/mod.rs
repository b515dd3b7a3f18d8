//! What several tests need.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(unreachable_pub, reason = "a module of test binaries has no users outside")]

use std::sync::Arc;

use eplb_core::{ExpertLoad, LayerId, ModelShape, Placement, Topology};
use eplb_policy::{Budget, LayerPlan, NAMES, PlanRequest, Policy, PolicyError, by_name, plan};

/// All policies there are.
pub fn policies() -> impl Iterator<Item = Arc<dyn Policy>> {
    NAMES.iter().map(|name| by_name(name).unwrap())
}

/// A load of one layer for each row.
pub fn load(shape: ModelShape, rows: &[Vec<u64>]) -> ExpertLoad {
    ExpertLoad::from_rows(shape, rows).unwrap()
}

/// Plans all layers.
pub fn plan_all(
    policy: &dyn Policy,
    topology: &Topology,
    window: &ExpertLoad,
    present: Option<&Placement>,
) -> Result<Vec<LayerPlan>, PolicyError> {
    let shape = window.shape();
    let layers: Vec<LayerId> = shape.layer_ids().collect();
    let windows = std::slice::from_ref(window);
    plan(
        policy,
        &PlanRequest {
            shape,
            topology,
            windows,
            present,
            layers: &layers,
            weights: &[],
            budget: Budget::default(),
        },
    )
}

/// The placement that plans of all layers make up, with their shares.
pub fn placement(plans: &[LayerPlan], shape: ModelShape, topology: &Topology) -> Placement {
    let tables: Vec<_> = plans.iter().map(|plan| plan.placement.experts()).collect();
    let mut placement = Placement::new(&tables, shape, topology).unwrap();
    for plan in plans {
        placement.set_layer(plan.layer, plan.placement.clone());
    }
    placement
}

/// Live replicas of each expert of one plan.
pub fn counts(plan: &LayerPlan, shape: ModelShape, topology: &Topology) -> Vec<usize> {
    let mut counts = vec![0; shape.experts()];
    for slot in plan.placement.live_slots(topology) {
        counts[plan.placement.expert_at(slot).index()] += 1;
    }
    counts
}
