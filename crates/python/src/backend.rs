//! `eplb.Backend`: devices by name.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use eplb::device::{Backend, Device};
use eplb_backends::{BackendName, LibrarySettings, open};
use pyo3::prelude::*;

use crate::error::{Kind, OrException};
use crate::handle::Handle;
use crate::lent::Owners;

/// An open backend; see `eplb.Backend` in the stubs. Executors of one process that are peers of each
/// other have to be made on one.
#[pyclass(frozen, name = "Backend", module = "eplb")]
pub(crate) struct PyBackend {
    name: BackendName,
    state: Handle<BackendState>,
}

/// What the executors of a backend share.
pub(crate) struct BackendState {
    backend: Arc<dyn Backend>,
    /// A device is opened once in a process.
    devices: BTreeMap<u32, Device>,
    /// By the endpoint of the executor that they were lent to.
    lent: HashMap<Vec<u8>, Weak<Owners>>,
}

impl BackendState {
    fn device_count(&self) -> PyResult<u32> {
        self.backend.devices().or_exception()
    }

    /// The device with this number, or the one that is a rank's turn.
    fn device(&mut self, ordinal: Option<u32>, rank: u32) -> PyResult<Device> {
        let ordinal = match (ordinal, self.device_count()?) {
            (Some(ordinal), _) => ordinal,
            (None, 0) => {
                let text = format!("{} has no device here", self.backend.name());
                return Err(Kind::Backend.says(text));
            }
            (None, devices) => rank % devices,
        };
        if let Some(device) = self.devices.get(&ordinal) {
            return Ok(device.clone());
        }
        let device = Device::open(&self.backend, ordinal).or_exception()?;
        self.devices.insert(ordinal, device.clone());
        Ok(device)
    }
}

impl PyBackend {
    pub(crate) fn device(
        &self,
        py: Python<'_>,
        ordinal: Option<u32>,
        rank: u32,
    ) -> PyResult<Device> {
        self.state.with(py, |state| state.device(ordinal, rank))
    }

    /// Notes whose memory an executor's peers will read.
    pub(crate) fn note_lent(
        &self,
        py: Python<'_>,
        endpoint: Vec<u8>,
        owners: &Arc<Owners>,
    ) -> PyResult<()> {
        self.state.with(py, |state| {
            state.lent.retain(|_, owners| owners.strong_count() > 0);
            state.lent.insert(endpoint, Arc::downgrade(owners));
            Ok(())
        })
    }

    /// The owners of the memory behind these endpoints, as far as they are of this process.
    pub(crate) fn owners_of(
        &self,
        py: Python<'_>,
        endpoints: &[Vec<u8>],
    ) -> PyResult<Vec<Arc<Owners>>> {
        self.state.with(py, |state| {
            let owners = endpoints.iter().filter_map(|endpoint| state.lent.get(endpoint));
            Ok(owners.filter_map(Weak::upgrade).collect())
        })
    }
}

#[pymethods]
impl PyBackend {
    #[new]
    #[pyo3(signature = (name = "host", *, devices = 1, libraries = None))]
    fn new(
        py: Python<'_>,
        name: &str,
        devices: u32,
        libraries: Option<HashMap<String, PathBuf>>,
    ) -> PyResult<Self> {
        let name: BackendName = name.parse().or_exception()?;
        let mut settings = LibrarySettings::default();
        for (library, path) in libraries.unwrap_or_default() {
            let known = settings.path_mut(&library);
            *known.ok_or_else(|| unknown_library(&library))? = Some(path);
        }
        let backend = py.detach(|| open(name, &settings, devices)).or_exception()?;
        let state = BackendState { backend, devices: BTreeMap::new(), lent: HashMap::new() };
        Ok(Self { name, state: Handle::new("backend", state) })
    }

    /// The name that it was opened by.
    #[getter]
    fn name(&self) -> String {
        self.name.to_string()
    }

    /// Devices that it shows.
    #[getter]
    fn devices(&self, py: Python<'_>) -> PyResult<u32> {
        self.state.with(py, |state| state.device_count())
    }

    fn __repr__(&self) -> String {
        format!("Backend({:?})", self.name.to_string())
    }
}

fn unknown_library(library: &str) -> PyErr {
    let allowed = LibrarySettings::KEYS.join(", ");
    Kind::Argument.says(format!("no library is called {library:?}, allowed are {allowed}"))
}
