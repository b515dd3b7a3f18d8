//! The backends that this program was built with, by name. The only place that knows them all.

mod names;
mod settings;

use std::sync::Arc;

use eplb::device::{Backend, Diagnosis};
use eplb_host::HostBackend;

pub(crate) use names::BackendName;
pub(crate) use settings::{BackendSettings, LibrarySettings};

use crate::failure::Failure;

/// Opens a backend; `devices` is how many the host shows, which has as many as are wanted.
pub(crate) fn open(
    name: BackendName,
    libraries: &LibrarySettings,
    devices: u32,
) -> Result<Arc<dyn Backend>, Failure> {
    match name {
        BackendName::Host => Ok(HostBackend::new(devices)),
        BackendName::Cuda => open_cuda(libraries),
        BackendName::Ascend => open_ascend(libraries),
    }
}

/// What each backend finds here, the host first.
pub(crate) fn diagnose(libraries: &LibrarySettings) -> Vec<Diagnosis> {
    vec![HostBackend::new(1).diagnose(), diagnose_cuda(libraries), diagnose_ascend(libraries)]
}

#[cfg(feature = "cuda")]
fn open_cuda(libraries: &LibrarySettings) -> Result<Arc<dyn Backend>, Failure> {
    eplb_cuda::CudaBackend::open(&libraries.cuda())
        .map(|backend| Arc::new(backend) as _)
        .map_err(Failure::new)
}

#[cfg(feature = "cuda")]
fn diagnose_cuda(libraries: &LibrarySettings) -> Diagnosis {
    eplb_cuda::CudaBackend::diagnose(&libraries.cuda())
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: &LibrarySettings) -> Result<Arc<dyn Backend>, Failure> {
    Err(Failure::new(built_without("cuda")))
}

#[cfg(not(feature = "cuda"))]
fn diagnose_cuda(_: &LibrarySettings) -> Diagnosis {
    Diagnosis::unusable("cuda", built_without("cuda"), Vec::new())
}

#[cfg(feature = "ascend")]
fn open_ascend(libraries: &LibrarySettings) -> Result<Arc<dyn Backend>, Failure> {
    eplb_ascend::AscendBackend::open(&libraries.ascend())
        .map(|backend| Arc::new(backend) as _)
        .map_err(Failure::new)
}

#[cfg(feature = "ascend")]
fn diagnose_ascend(libraries: &LibrarySettings) -> Diagnosis {
    eplb_ascend::AscendBackend::diagnose(&libraries.ascend())
}

#[cfg(not(feature = "ascend"))]
fn open_ascend(_: &LibrarySettings) -> Result<Arc<dyn Backend>, Failure> {
    Err(Failure::new(built_without("ascend")))
}

#[cfg(not(feature = "ascend"))]
fn diagnose_ascend(_: &LibrarySettings) -> Diagnosis {
    Diagnosis::unusable("ascend", built_without("ascend"), Vec::new())
}

#[cfg(not(all(feature = "cuda", feature = "ascend")))]
fn built_without(feature: &str) -> String {
    format!("this program was built without {feature}; build it with --features {feature}")
}
