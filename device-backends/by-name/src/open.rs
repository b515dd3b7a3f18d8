//! Opening a backend, and what each finds on a machine.

use std::sync::Arc;

use eplb_device::{Backend, Diagnosis};
use eplb_host::{HostBackend, Links};

use crate::{BackendName, LibrarySettings, OpenError};

/// Opens a backend; `devices` is how many the host shows, which has as many as are wanted.
///
/// # Errors
/// A backend that is not built in, or a library of it that was found and can't be used.
pub fn open(
    name: BackendName,
    libraries: &LibrarySettings,
    devices: u32,
) -> Result<Arc<dyn Backend>, OpenError> {
    match name {
        BackendName::Host => Ok(HostBackend::new(devices)),
        BackendName::Cuda => open_cuda(libraries),
        BackendName::Ascend => open_ascend(libraries),
    }
}

/// Opens the host with as many devices as are wanted, for ranks in several processes, whose communicators
/// reach each other as `links` says.
pub fn open_host(devices: u32, links: Links) -> Arc<dyn Backend> {
    HostBackend::with_links(devices, links)
}

/// What each backend finds here, the host first.
pub fn diagnose(libraries: &LibrarySettings) -> Vec<Diagnosis> {
    vec![HostBackend::new(1).diagnose(), diagnose_cuda(libraries), diagnose_ascend(libraries)]
}

#[cfg(feature = "cuda")]
fn open_cuda(libraries: &LibrarySettings) -> Result<Arc<dyn Backend>, OpenError> {
    eplb_cuda::CudaBackend::open(&libraries.cuda())
        .map(|backend| Arc::new(backend) as _)
        .map_err(|error| OpenError::Library(error.to_string()))
}

#[cfg(feature = "cuda")]
fn diagnose_cuda(libraries: &LibrarySettings) -> Diagnosis {
    eplb_cuda::CudaBackend::diagnose(&libraries.cuda())
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: &LibrarySettings) -> Result<Arc<dyn Backend>, OpenError> {
    Err(OpenError::NotBuiltIn { name: BackendName::Cuda })
}

#[cfg(not(feature = "cuda"))]
fn diagnose_cuda(_: &LibrarySettings) -> Diagnosis {
    without(BackendName::Cuda)
}

#[cfg(feature = "ascend")]
fn open_ascend(libraries: &LibrarySettings) -> Result<Arc<dyn Backend>, OpenError> {
    eplb_ascend::AscendBackend::open(&libraries.ascend())
        .map(|backend| Arc::new(backend) as _)
        .map_err(|error| OpenError::Library(error.to_string()))
}

#[cfg(feature = "ascend")]
fn diagnose_ascend(libraries: &LibrarySettings) -> Diagnosis {
    eplb_ascend::AscendBackend::diagnose(&libraries.ascend())
}

#[cfg(not(feature = "ascend"))]
fn open_ascend(_: &LibrarySettings) -> Result<Arc<dyn Backend>, OpenError> {
    Err(OpenError::NotBuiltIn { name: BackendName::Ascend })
}

#[cfg(not(feature = "ascend"))]
fn diagnose_ascend(_: &LibrarySettings) -> Diagnosis {
    without(BackendName::Ascend)
}

#[cfg(not(all(feature = "cuda", feature = "ascend")))]
fn without(name: BackendName) -> Diagnosis {
    let reason = OpenError::NotBuiltIn { name }.to_string();
    Diagnosis::unusable(&name.to_string(), reason, Vec::new())
}
