//! `eplb.rebalance_experts`: the function of DeepSeek's EPLB.

use eplb::policy;
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{Maps, cube, matrix};
use crate::error::{IntoException, Kind};
use crate::workers;

/// The maps for float32 weights, layers × experts; see `eplb.rebalance_experts`.
#[pyfunction]
#[pyo3(signature = (weight, num_replicas, num_groups, num_nodes, num_gpus))]
pub(crate) fn rebalance_experts<'py>(
    py: Python<'py>,
    weight: PyReadonlyArray2<'py, f32>,
    num_replicas: usize,
    num_groups: usize,
    num_nodes: usize,
    num_gpus: usize,
) -> PyResult<Maps<'py>> {
    let (layers, experts) = (weight.shape()[0], weight.shape()[1]);
    if layers == 0 || experts == 0 {
        let found = format!("weight has {layers} layers of {experts} experts");
        return Err(Kind::Argument.says(format!("{found}, allowed is at least one of each")));
    }
    // A copy: once the lock is released, another thread may write to the array.
    let weights = match weight.as_slice() {
        Ok(weights) => weights.to_vec(),
        Err(_) => weight.as_array().iter().copied().collect(),
    };
    let pool = workers::pool(py)?;
    let rebalanced = py.detach(|| {
        let rows: Vec<&[f32]> = weights.chunks_exact(experts).collect();
        pool.install(|| {
            policy::rebalance_experts(&rows, num_replicas, num_groups, num_nodes, num_gpus)
        })
    });
    let rebalanced = rebalanced.map_err(IntoException::into_exception)?;
    let most = rebalanced.most_replicas;
    Ok((
        matrix(py, rebalanced.physical_to_logical_map, [layers, num_replicas])?,
        cube(py, rebalanced.logical_to_physical_map, [layers, experts, most])?,
        matrix(py, rebalanced.logical_replica_count, [layers, experts])?,
    ))
}
