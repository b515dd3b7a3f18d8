//! `eplb.Executor`: the acting side, one rank's part.

use std::mem::forget;
use std::sync::Arc;
use std::time::Duration;

use eplb::core::formats::PlacementMaps;
use eplb::core::{ExpertLoad, LayerId, ModelShape, RankId, Topology};
use eplb::device::{Device, StreamPriority};
use eplb::{
    Config, CountForm, Lent, LoadReport, Patience, PendingSession, Phase, Session, SystemClock,
};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::arrays::{self, Maps};
use crate::backend::PyBackend;
use crate::config;
use crate::error::{Kind, OrException};
use crate::handle::Handle;
use crate::lent::{Owners, TensorForm, borrow_stream, borrow_weights};
use crate::manager::{PyPlanDigest, seconds};
use crate::topology::PyTopology;

/// How long an executor that goes waits for its device to come to rest.
const REST: Duration = Duration::from_secs(10);

/// A session on a device; see `eplb.Executor` in the stubs.
#[pyclass(frozen, name = "Executor", module = "eplb")]
pub(crate) struct PyExecutor {
    state: Handle<ExecutorState>,
    rank: RankId,
    shape: ModelShape,
    topology: Topology,
    endpoint: Vec<u8>,
    backend: Py<PyBackend>,
}

/// What an executor holds of the library, and of Python.
struct ExecutorState {
    session: SessionState,
    device: Device,
    /// Of its own weights and those of its peers.
    owners: Vec<Arc<Owners>>,
}

enum SessionState {
    Pending(Box<PendingSession>),
    Connected(Box<Session>),
    /// It could not be connected, or is being taken down.
    Gone,
}

/// Epoch, offsets, slots and shares.
type Routing<'py> =
    (u64, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u16>>);

impl ExecutorState {
    fn connect(&mut self, endpoints: &[Vec<u8>], peers: Vec<Arc<Owners>>) -> PyResult<()> {
        match std::mem::replace(&mut self.session, SessionState::Gone) {
            SessionState::Pending(pending) => {
                // Before anything is imported: what was begun may go on after a failure.
                self.owners.extend(peers);
                let clock = Arc::new(SystemClock::new());
                let session = pending.connect(endpoints, clock).or_exception()?;
                self.session = SessionState::Connected(Box::new(session));
                Ok(())
            }
            SessionState::Connected(session) => {
                self.session = SessionState::Connected(session);
                Err(Kind::State.says("the executor is connected already"))
            }
            SessionState::Gone => Err(gone()),
        }
    }

    fn session(&mut self) -> PyResult<&mut Session> {
        match &mut self.session {
            SessionState::Connected(session) => Ok(session),
            SessionState::Pending(_) => {
                Err(Kind::State.says("the executor is not connected yet; call connect"))
            }
            SessionState::Gone => Err(gone()),
        }
    }
}

fn gone() -> PyErr {
    Kind::Broken.says("the executor could not be connected; close it and make another one")
}

impl Drop for ExecutorState {
    fn drop(&mut self) {
        self.session = SessionState::Gone;
        if self.device.drain(&mut Patience::new(REST)).is_err() {
            // Work of the device may still touch the memory, so its owners stay for good.
            forget(std::mem::take(&mut self.owners));
        }
    }
}

#[pymethods]
impl PyExecutor {
    #[new]
    #[pyo3(signature = (config, rank, weights, *, backend, device = None, stream = None, topology = None, placement = None))]
    #[expect(clippy::too_many_arguments, reason = "they are named on Python's side")]
    fn new(
        py: Python<'_>,
        config: &Bound<'_, PyAny>,
        rank: u32,
        weights: Vec<Vec<TensorForm>>,
        backend: Py<PyBackend>,
        device: Option<u32>,
        stream: Option<usize>,
        topology: Option<&PyTopology>,
        placement: Option<PyReadonlyArray2<'_, i64>>,
    ) -> PyResult<Self> {
        let config: Config = config::read(config)?;
        let shape = config::shape(&config)?;
        let topology = config::topology(&config, shape, topology)?;
        let rank = RankId(rank);
        if !topology.contains(rank) {
            let ranks = topology.ranks();
            return Err(Kind::Argument.says(format!("{rank} is not one of the {ranks} ranks")));
        }
        let placement = arrays::placement(placement.as_ref(), shape, &topology)?;
        let opened = backend.get();
        let device = opened.device(py, device, rank.0)?;
        let engine_stream = match stream {
            Some(handle) => borrow_stream(&device, handle)?,
            None => device.stream(StreamPriority::High).or_exception()?,
        };
        let (manifest, owners) = borrow_weights(py, &device, &weights)?;
        let mut state = ExecutorState {
            session: SessionState::Gone,
            device: device.clone(),
            owners: vec![Arc::clone(&owners)],
        };
        let lent = Lent { device, engine_stream, weights: manifest };
        let pending =
            py.detach(|| PendingSession::open(&config, rank, shape, &topology, &placement, lent));
        let pending = pending.or_exception()?;
        let endpoint = pending.endpoint();
        state.session = SessionState::Pending(Box::new(pending));
        opened.note_lent(py, endpoint.clone(), &owners)?;
        let state = Handle::new("executor", state);
        Ok(Self { state, rank, shape, topology, endpoint, backend })
    }

    /// What the other ranks need to know of this one.
    #[getter]
    fn endpoint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.endpoint)
    }

    /// The rank that it is of.
    #[getter]
    fn rank(&self) -> u32 {
        self.rank.0
    }

    /// Connects to the other ranks, whose endpoints stand in rank order.
    fn connect(&self, py: Python<'_>, endpoints: Vec<Vec<u8>>) -> PyResult<()> {
        let (found, ranks) = (endpoints.len(), self.topology.ranks());
        if found != ranks {
            let text = format!("{found} endpoints, needed is one for each of the {ranks} ranks");
            return Err(Kind::Argument.says(text));
        }
        let peers = self.backend.get().owners_of(py, &endpoints)?;
        self.state.with(py, |state| state.connect(&endpoints, peers))
    }

    /// Begins a step with the header of the manager.
    fn begin_step(&self, py: Python<'_>, header: &[u8]) -> PyResult<()> {
        self.state.with(py, |state| state.session()?.begin_step(header).or_exception())
    }

    /// Ends the step that has begun, and gives the report for the manager.
    #[pyo3(signature = (load = None, *, prefix_sums = false, phase = "mixed", plan = None))]
    fn end_step<'py>(
        &self,
        py: Python<'py>,
        load: Option<PyReadonlyArray2<'py, i64>>,
        prefix_sums: bool,
        phase: &str,
        plan: Option<&PyPlanDigest>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let phase = match phase {
            "mixed" => Phase::Mixed,
            "prefill" => Phase::Prefill,
            "decode" => Phase::Decode,
            _ => {
                let allowed = "allowed are \"mixed\", \"prefill\" and \"decode\"";
                return Err(Kind::Argument.says(format!("phase is {phase:?}, {allowed}")));
            }
        };
        let counts = load.map(|load| self.counts(&load)).transpose()?;
        let digest = plan.map(|plan| plan.digest);
        let form = if prefix_sums { CountForm::PrefixSums } else { CountForm::Plain };
        let report = self.state.with(py, |state| {
            let session = state.session()?;
            let step = session.step();
            let load = counts
                .map(|counts| LoadReport { form, ..LoadReport::of_step(step, counts) })
                .map(|load| load.in_phase(phase));
            Ok(session.end_step(load, digest))
        })?;
        Ok(PyBytes::new(py, &report))
    }

    /// The routing table of a layer for the step that has begun.
    fn routing<'py>(&self, py: Python<'py>, layer: u32) -> PyResult<Routing<'py>> {
        self.check_layer(layer)?;
        let table = self
            .state
            .with(py, |state| Ok(Arc::clone(state.session()?.routing(LayerId(layer)))))?;
        let slots: Vec<u32> = table.slots().iter().map(|slot| slot.0).collect();
        Ok((
            table.epoch().0,
            table.offsets().to_vec().into_pyarray(py),
            slots.into_pyarray(py),
            table.shares().to_vec().into_pyarray(py),
        ))
    }

    /// How the tokens of each expert of a layer divide over all slots.
    fn divide<'py>(
        &self,
        py: Python<'py>,
        layer: u32,
        tokens: Vec<u64>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        self.check_layer(layer)?;
        let experts = self.shape.experts();
        if tokens.len() != experts {
            let text = format!("tokens has {} entries, the layer has {experts}", tokens.len());
            return Err(Kind::Argument.says(text));
        }
        let model = ModelShape::new(1, experts as u32, 1).or_exception()?;
        let load = ExpertLoad::from_rows(model, &[tokens]).or_exception()?;
        let slots = self.state.with(py, |state| {
            let table = state.session()?.routing(LayerId(layer));
            Ok(table.slot_loads(load.layer(LayerId(0)), &self.topology))
        })?;
        // A load has at most 2^56 tokens.
        Ok(slots.into_iter().map(|tokens| tokens as i64).collect::<Vec<_>>().into_pyarray(py))
    }

    /// The maps of the placement that this rank routes with.
    fn maps<'py>(&self, py: Python<'py>) -> PyResult<Maps<'py>> {
        let maps = self.state.with(py, |state| {
            Ok(PlacementMaps::new(state.session()?.placement(), &self.topology))
        })?;
        arrays::maps(py, maps)
    }

    /// The epoch that each layer routes with.
    fn epochs(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        self.state.with(py, |state| {
            Ok(state.session()?.epochs().into_iter().map(|epoch| epoch.0).collect())
        })
    }

    /// Which of its buffers holds each of this rank's slots.
    fn slot_buffers(&self, py: Python<'_>, layer: u32) -> PyResult<Vec<u32>> {
        self.check_layer(layer)?;
        self.state.with(py, |state| Ok(state.session()?.slot_buffers(LayerId(layer))))
    }

    /// Waits until nothing moves and no switch is under way.
    #[pyo3(signature = (timeout = 10.0))]
    fn settle(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let limit = seconds(timeout)?;
        self.state.with(py, |state| state.session()?.settle(limit).or_exception())
    }

    /// What has been done since the start, by name.
    fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let figures = self.state.with(py, |state| Ok(state.session()?.figures()))?;
        let entries = PyDict::new(py);
        for (name, count) in [
            ("layers_committed", figures.layers_committed),
            ("layers_undone", figures.layers_undone),
            ("moved_slots", figures.moved.changed_slots),
            ("moved_local_bytes", figures.moved.local_bytes),
            ("moved_received_bytes", figures.moved.received_bytes),
            ("moved_pool_bytes", figures.moved.pool_bytes),
            ("moved_verified_slots", figures.moved.verified_slots),
        ] {
            entries.set_item(name, count)?;
        }
        Ok(entries)
    }

    /// Ends the executor, waits for its device to come to rest, and lets the weights go.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.state.close(py)
    }
}

impl PyExecutor {
    fn check_layer(&self, layer: u32) -> PyResult<()> {
        let layers = self.shape.layers();
        if (layer as usize) < layers {
            return Ok(());
        }
        Err(Kind::Argument.says(format!("layer is {layer}, allowed are layers below {layers}")))
    }

    /// The tokens of this rank's slots, layers × slots.
    fn counts(&self, load: &PyReadonlyArray2<'_, i64>) -> PyResult<Vec<u64>> {
        let wanted = [self.shape.layers(), self.topology.slots_of(self.rank).len()];
        if load.shape() != wanted {
            let text =
                format!("load is {:?}, this rank's layers and slots are {wanted:?}", load.shape());
            return Err(Kind::Argument.says(text));
        }
        let counts = load.as_array();
        match counts.iter().find(|&&count| count < 0) {
            Some(count) => {
                Err(Kind::Argument.says(format!("load has {count}, allowed are counts from 0")))
            }
            None => Ok(counts.iter().map(|&count| count as u64).collect()),
        }
    }
}
