//! `eplb.plan`: a policy on its own.

use eplb::core::formats::PlacementMaps;
use eplb::core::{LayerId, ModelShape, Placement, SHARE_ONE};
use eplb::policy::{Budget, LayerPlan, PlanRequest, plan as plan_layers};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::prelude::*;

use crate::arrays::{self, Maps, matrix};
use crate::config;
use crate::error::{Kind, OrException};
use crate::topology::PyTopology;
use crate::workers;

/// The maps, then by layer and slot the shares, and by layer balancedness before and after, and the slots
/// that move, −1 where nothing is said.
type Planned<'py> = (
    Maps<'py>,
    Bound<'py, PyArray2<u16>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<i64>>,
);

/// Plans layers; see `eplb.plan`.
#[pyfunction]
#[pyo3(signature = (windows, topology, policy, present, weights, groups, layers, most_sent, most_sent_rank_pair))]
#[expect(clippy::too_many_arguments, reason = "they are named on Python's side")]
pub(crate) fn plan<'py>(
    py: Python<'py>,
    windows: PyReadonlyArray3<'py, i64>,
    topology: &PyTopology,
    policy: &Bound<'py, PyAny>,
    present: Option<PyReadonlyArray2<'py, i64>>,
    weights: Vec<f32>,
    groups: u32,
    layers: Option<Vec<u32>>,
    most_sent: Option<usize>,
    most_sent_rank_pair: Option<usize>,
) -> PyResult<Planned<'py>> {
    let policy = config::policy(policy)?.policy().or_exception()?;
    let (shape, windows) = arrays::windows(&windows, groups)?;
    let topology = &topology.topology;
    let present = present.map(|map| arrays::placement(Some(&map), shape, topology)).transpose()?;
    let layers: Vec<LayerId> = match layers {
        Some(layers) => layers.into_iter().map(LayerId).collect(),
        None => shape.layer_ids().collect(),
    };
    if layers.is_empty() {
        return Err(Kind::Argument.says("layers is empty; name at least one"));
    }
    let budget = Budget {
        rebalance: most_sent.unwrap_or(usize::MAX),
        rank_pair: most_sent_rank_pair.unwrap_or(usize::MAX),
        ..Budget::default()
    };
    let pool = workers::pool(py)?;
    let plans = py.detach(|| {
        let request = PlanRequest {
            shape,
            topology,
            windows: &windows,
            weights: &weights,
            present: present.as_ref(),
            layers: &layers,
            budget,
        };
        pool.install(|| plan_layers(&*policy, &request))
    });
    let plans = plans.or_exception()?;
    let planned = ModelShape::new(plans.len() as u32, shape.experts() as u32, groups);
    let tables: Vec<_> = plans.iter().map(|plan| plan.placement.experts()).collect();
    let placement = Placement::new(&tables, planned.or_exception()?, topology).or_exception()?;
    let shares: Vec<u16> = plans.iter().flat_map(|plan| shares_by_slot(plan, topology)).collect();
    let before = plans.iter().map(|plan| plan.balancedness_before.unwrap_or(f64::NAN));
    let moved = plans.iter().map(|plan| plan.moved_slots.map_or(-1, |slots| slots as i64));
    Ok((
        arrays::maps(py, PlacementMaps::new(&placement, topology))?,
        matrix(py, shares, [plans.len(), topology.slots()])?,
        before.collect::<Vec<_>>().into_pyarray(py),
        plans.iter().map(|plan| plan.balancedness_after).collect::<Vec<_>>().into_pyarray(py),
        moved.collect::<Vec<_>>().into_pyarray(py),
    ))
}

/// The share of its expert's tokens that each slot takes, in 1/65,535; 0 for slots of dead ranks.
fn shares_by_slot(plan: &LayerPlan, topology: &eplb::core::Topology) -> Vec<u16> {
    debug_assert_eq!(SHARE_ONE, u16::MAX);
    let routing = plan.placement.routing(topology);
    let mut shares = vec![0; topology.slots()];
    for (slot, &share) in routing.slots().iter().zip(routing.shares()) {
        shares[slot.index()] = share;
    }
    shares
}
