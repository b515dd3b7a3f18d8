//! The Python module `eplb._eplb`: what the package in `python/eplb` is made of.
//!
//! It translates: numpy arrays to the library's types and back, errors to exceptions. While the library
//! works, the interpreter's lock (GIL) is released, so that other Python threads go on.

#![forbid(unsafe_code)]

mod arrays;
mod error;
mod rebalance;
mod workers;

use pyo3::pymodule;

#[pymodule]
mod _eplb {
    #[pymodule_export]
    use crate::rebalance::rebalance_experts;

    /// The version of the library.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "its name in Python")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
