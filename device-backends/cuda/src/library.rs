//! The libraries that the backend calls.

use eplb_cuda_sys::{CudaDriver, CudaRuntime, LoadError, Nccl, Search};

/// Where to look for the libraries. The default looks at the environment variables of
/// [`Search`], in the process, and for the usual names.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Libraries {
    /// The CUDA runtime, `libcudart`.
    pub runtime: Search,
    /// The CUDA driver, `libcuda`.
    pub driver: Search,
    /// NCCL, `libnccl`.
    pub nccl: Search,
}

/// The functions that were found.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) runtime: CudaRuntime,
    pub(crate) driver: Result<CudaDriver, LoadError>,
    pub(crate) nccl: Result<Nccl, LoadError>,
}

impl Api {
    pub(crate) fn open(libraries: &Libraries) -> Result<Self, LoadError> {
        Ok(Self {
            runtime: CudaRuntime::open(&libraries.runtime)?.table,
            driver: CudaDriver::open(&libraries.driver).map(|loaded| loaded.table),
            nccl: Nccl::open(&libraries.nccl).map(|loaded| loaded.table),
        })
    }
}
