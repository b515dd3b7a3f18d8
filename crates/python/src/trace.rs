//! Recorded loads, and placements in the forms of other engines.

use std::path::PathBuf;

use eplb::core::ModelShape;
use eplb::core::formats::{PlacementMaps, parse_placement_json, sglang, vllm_ascend};
use eplb_sim::Trace;
use numpy::{PyArray2, PyArray3, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{self, cube, matrix};
use crate::error::{Kind, OrException};
use crate::topology::PyTopology;

/// Name, counts, experts a token, tokens of a window, expert groups, model, schedule.
type TraceForm<'py> =
    (String, Bound<'py, PyArray3<i64>>, usize, u64, usize, Option<String>, Option<String>);

/// Reads a trace; see `eplb.Trace.read`.
#[pyfunction]
pub(crate) fn read_trace(py: Python<'_>, path: PathBuf) -> PyResult<TraceForm<'_>> {
    let trace = py.detach(|| Trace::read(path)).or_exception()?;
    let shape = trace.shape;
    let mut counts = Vec::with_capacity(trace.windows.len() * shape.layers() * shape.experts());
    for row in trace.windows.iter().flat_map(|window| window.rows()) {
        // A load has at most 2^56 tokens.
        counts.extend(row.iter().map(|&count| count as i64));
    }
    let dimensions = [trace.windows.len(), shape.layers(), shape.experts()];
    let (top_k, tokens) = (trace.top_k, trace.tokens_per_window);
    let counts = cube(py, counts, dimensions)?;
    Ok((trace.name, counts, top_k, tokens, shape.groups(), trace.model, trace.schedule))
}

/// The `physical_to_logical_map` that a text gives; see `eplb.read_placement`.
#[pyfunction]
pub(crate) fn parse_placement<'py>(
    py: Python<'py>,
    text: &str,
    layers: u32,
    experts: u32,
    topology: &PyTopology,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let shape = ModelShape::new(layers, experts, 1).or_exception()?;
    let topology = &topology.topology;
    let placement = py.detach(|| parse_placement_json(text, shape, topology)).or_exception()?;
    let maps = PlacementMaps::new(&placement, topology);
    matrix(py, maps.physical_to_logical_map, [maps.layers, maps.slots])
}

/// The text of a placement; see `eplb.write_placement`.
#[pyfunction]
pub(crate) fn format_placement(
    map: PyReadonlyArray2<'_, i64>,
    experts: u32,
    topology: &PyTopology,
    form: &str,
) -> PyResult<String> {
    let layers = u32::try_from(map.shape()[0]).unwrap_or(u32::MAX);
    let shape = ModelShape::new(layers, experts, 1).or_exception()?;
    let placement = arrays::placement(Some(&map), shape, &topology.topology)?;
    match form {
        "sglang" => sglang::write(&placement).or_exception(),
        "vllm_ascend" => vllm_ascend::write(&placement, &topology.topology).or_exception(),
        _ => {
            let allowed = "allowed are \"sglang\" and \"vllm_ascend\"";
            Err(Kind::Argument.says(format!("form is {form:?}, {allowed}")))
        }
    }
}
