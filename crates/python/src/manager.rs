//! `eplb.Manager`: the deciding side.

use std::sync::Arc;
use std::time::Duration;

use eplb::core::formats::PlacementMaps;
use eplb::core::{RankId, Step, Topology};
use eplb::{Carriage, Coordinator, PlanDigest, SystemClock};
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::arrays::{self, Maps};
use crate::config;
use crate::error::{Kind, OrException};
use crate::handle::Handle;
use crate::topology::PyTopology;

/// A coordinator; see `eplb.Manager` in the stubs.
#[pyclass(frozen, name = "Manager", module = "eplb")]
pub(crate) struct PyManager {
    coordinator: Handle<Coordinator>,
    topology: Topology,
}

/// The digest of a rank's plan, for its report; opaque.
#[pyclass(frozen, name = "PlanDigest", module = "eplb")]
#[derive(Debug)]
pub(crate) struct PyPlanDigest {
    pub(crate) digest: PlanDigest,
}

#[pymethods]
impl PyPlanDigest {
    /// The round of planning.
    #[getter]
    fn round(&self) -> u64 {
        self.digest.round.0
    }

    /// The digest of loads and plan; 0 for a plan that failed.
    #[getter]
    fn digest(&self) -> u64 {
        self.digest.digest
    }

    fn __repr__(&self) -> String {
        format!("PlanDigest(round={}, digest={:#018x})", self.digest.round.0, self.digest.digest)
    }
}

#[pymethods]
impl PyManager {
    #[new]
    #[pyo3(signature = (config, *, topology = None, placement = None, spmd_rank = None))]
    fn new(
        py: Python<'_>,
        config: &Bound<'_, PyAny>,
        topology: Option<&PyTopology>,
        placement: Option<PyReadonlyArray2<'_, i64>>,
        spmd_rank: Option<u32>,
    ) -> PyResult<Self> {
        let config = config::read(config)?;
        let shape = config::shape(&config)?;
        let carriage = match spmd_rank {
            Some(rank) => Carriage::Spmd { own_rank: RankId(rank) },
            None => Carriage::Leader,
        };
        let topology = config::topology(&config, shape, topology)?;
        let placement = arrays::placement(placement.as_ref(), shape, &topology)?;
        let clock = Arc::new(SystemClock::new());
        let coordinator =
            py.detach(|| Coordinator::start(&config, shape, &topology, placement, carriage, clock));
        let coordinator = Handle::new("manager", coordinator.or_exception()?);
        Ok(Self { coordinator, topology })
    }

    /// The header of a step, to be carried to every rank.
    #[pyo3(signature = (step, allow_changes = true))]
    fn begin_step<'py>(
        &self,
        py: Python<'py>,
        step: u64,
        allow_changes: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let header = self.coordinator.with(py, |coordinator| {
            coordinator.begin_step(Step(step), allow_changes).or_exception()
        })?;
        Ok(PyBytes::new(py, &header))
    }

    /// Takes the report of the rank `sender`.
    fn accept_report(&self, py: Python<'_>, sender: u32, report: &[u8]) -> PyResult<()> {
        self.coordinator.with(py, |coordinator| {
            coordinator.accept_report(RankId(sender), report).or_exception()
        })
    }

    /// Waits for the plan under way, at most so many seconds.
    #[pyo3(signature = (timeout = 10.0))]
    fn settle(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let limit = seconds(timeout)?;
        self.coordinator.with(py, |coordinator| {
            coordinator.settle(limit);
            Ok(())
        })
    }

    /// The digest of this rank's plan, in spmd while plans are compared.
    fn plan_digest(&self, py: Python<'_>) -> PyResult<Option<PyPlanDigest>> {
        let digest = self.coordinator.with(py, |coordinator| Ok(coordinator.plan_digest()))?;
        Ok(digest.map(|digest| PyPlanDigest { digest }))
    }

    /// The maps of the placement that the next step routes with.
    fn maps<'py>(&self, py: Python<'py>) -> PyResult<Maps<'py>> {
        let maps = self.coordinator.with(py, |coordinator| {
            Ok(PlacementMaps::new(coordinator.placement(), &self.topology))
        })?;
        arrays::maps(py, maps)
    }

    /// What was seen and done since the start, by name.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = self.coordinator.with(py, |coordinator| Ok(coordinator.counters()))?;
        let entries = PyDict::new(py);
        for (name, count) in counters.entries() {
            entries.set_item(name, count)?;
        }
        Ok(entries)
    }

    /// What happened since the last call, oldest first, as text.
    fn take_notes(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let notes = self.coordinator.with(py, |coordinator| Ok(coordinator.take_notes()))?;
        Ok(notes.iter().map(|note| format!("{note:?}")).collect())
    }

    /// What is known of the traffic, as the text of a profile.
    fn profile(&self, py: Python<'_>) -> PyResult<String> {
        self.coordinator.with(py, |coordinator| coordinator.profile().or_exception())
    }

    /// Ends the manager and its planning thread; calls after it are refused.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.coordinator.close(py)
    }
}

/// A time to wait, as Python gives it.
pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    // Longer than any wait should be: a day.
    if (0.0..=86_400.0).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Kind::Argument.says(format!("timeout is {seconds}, allowed are 0 to 86400 seconds")))
}
