//! Numpy arrays from and to the library's numbers.

use numpy::{Element, IntoPyArray, PyArray2, PyArray3, PyArrayMethods};
use pyo3::prelude::*;

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
