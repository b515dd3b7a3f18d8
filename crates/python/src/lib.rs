//! The Python module `eplb._eplb`: what the package in `python/eplb` is made of.
//!
//! It translates: numpy arrays to the library's types and back, errors to exceptions. While the library
//! works, the interpreter's lock (GIL) is released, so that other Python threads go on.

mod arrays;
mod backend;
mod config;
mod error;
mod executor;
mod handle;
mod lent;
mod manager;
mod plan;
mod rebalance;
mod simulate;
mod topology;
mod trace;
mod workers;

use pyo3::pymodule;

#[pymodule]
mod _eplb {
    /// The version of the library.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "its name in Python")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// The policies by name.
    #[pymodule_export]
    const POLICIES: &[&str] = eplb::policy::NAMES;

    #[pymodule_export]
    use crate::backend::PyBackend;
    #[pymodule_export]
    use crate::executor::PyExecutor;
    #[pymodule_export]
    use crate::manager::{PyManager, PyPlanDigest};
    #[pymodule_export]
    use crate::plan::plan;
    #[pymodule_export]
    use crate::rebalance::rebalance_experts;
    #[pymodule_export]
    use crate::simulate::simulate;
    #[pymodule_export]
    use crate::topology::PyTopology;
    #[pymodule_export]
    use crate::trace::{format_placement, parse_placement, read_trace};
}
