//! Numpy arrays from and to the library's types.

use eplb::core::formats::PlacementMaps;
use eplb::core::{ExpertLoad, ModelShape, Placement, Topology};
use numpy::{
    Element, IntoPyArray, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::error::{Kind, OrException};

/// `physical_to_logical_map`, `logical_to_physical_map` and `logical_replica_count`.
pub(crate) type Maps<'py> =
    (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray3<i64>>, Bound<'py, PyArray2<i64>>);

/// A vector in C order as an array of these dimensions, which owns its memory.
pub(crate) fn matrix<T: Element>(
    py: Python<'_>,
    values: Vec<T>,
    dimensions: [usize; 2],
) -> PyResult<Bound<'_, PyArray2<T>>> {
    values.into_pyarray(py).reshape(dimensions)
}

/// The same in three dimensions.
pub(crate) fn cube<T: Element>(
    py: Python<'_>,
    values: Vec<T>,
    dimensions: [usize; 3],
) -> PyResult<Bound<'_, PyArray3<T>>> {
    values.into_pyarray(py).reshape(dimensions)
}

/// The maps of a placement.
pub(crate) fn maps<'py>(py: Python<'py>, maps: PlacementMaps) -> PyResult<Maps<'py>> {
    let PlacementMaps { layers, experts, slots, most_replicas, .. } = maps;
    Ok((
        matrix(py, maps.physical_to_logical_map, [layers, slots])?,
        cube(py, maps.logical_to_physical_map, [layers, experts, most_replicas])?,
        matrix(py, maps.logical_replica_count, [layers, experts])?,
    ))
}

/// The placement that a `physical_to_logical_map` stands for, or the one to start with.
pub(crate) fn placement(
    map: Option<&PyReadonlyArray2<'_, i64>>,
    shape: ModelShape,
    topology: &Topology,
) -> PyResult<Placement> {
    let Some(map) = map else { return Placement::initial(shape, topology).or_exception() };
    let (found, wanted) = (map.shape(), [shape.layers(), topology.slots()]);
    if found != wanted {
        let text = format!("a placement of {found:?}, the model and the ranks have {wanted:?}");
        return Err(Kind::Placement.says(format!("{text}: layers and slots")));
    }
    let values: Vec<i64> = map.as_array().iter().copied().collect();
    PlacementMaps::placement(&values, shape, topology).or_exception()
}

/// Load windows, windows × layers × experts.
pub(crate) fn windows(
    counts: &PyReadonlyArray3<'_, i64>,
    groups: u32,
) -> PyResult<(ModelShape, Vec<ExpertLoad>)> {
    let &[windows, layers, experts] = counts.shape() else {
        return Err(Kind::Argument.says("windows must have three dimensions"));
    };
    // Too large for u32 is too large for a shape: its own error says what is allowed.
    let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    let shape = ModelShape::new(narrow(layers), narrow(experts), groups).or_exception()?;
    let counts = counts.as_array();
    let mut loads = Vec::with_capacity(windows);
    for (window, rows) in counts.outer_iter().enumerate() {
        let mut load = Vec::with_capacity(layers);
        for (layer, row) in rows.outer_iter().enumerate() {
            if let Some(expert) = row.iter().position(|&count| count < 0) {
                let place = format!("windows[{window}][{layer}][{expert}]");
                let text = format!("{place} is {}, allowed are counts from 0", row[expert]);
                return Err(Kind::Load.says(text));
            }
            load.push(row.iter().map(|&count| count as u64).collect::<Vec<u64>>());
        }
        loads.push(ExpertLoad::from_rows(shape, &load).or_exception()?);
    }
    Ok((shape, loads))
}
