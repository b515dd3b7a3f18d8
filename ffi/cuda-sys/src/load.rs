//! Loading the tables.

use std::ffi::c_int;
use std::path::PathBuf;

use eplb_loading::{LibraryNames, load};

use crate::names::{CUBLAS, CUDA_DRIVER, CUDA_RUNTIME, NCCL};
use crate::{Cublas, CudaDriver, CudaRuntime, Nccl, Origin, cudaError_t};

/// The first version of the CUDA runtime whose `cudaMemcpyBatchAsync` has the arguments of 13.
const RUNTIME_13: c_int = 13_000;

/// Where to look for a library.
///
/// A path given here, or else one in the environment variable of [`LibraryNames`], is the only place
/// looked at: whoever names a file does not want another. Without one, symbols that the process has
/// already are taken if they are complete (the engine may have linked or preloaded the library), then
/// the file names are left to the loader, which searches as usual and finds a library that the process
/// has loaded by itself before.
pub type Search = eplb_loading::Search<PathBuf>;

/// A table, and where it came from.
pub type Loaded<T> = eplb_loading::Loaded<T, Origin>;

/// A library was not found, or none of those found was complete.
pub type LoadError = eplb_loading::LoadError<Origin>;

/// A place that was looked at without success.
pub type Attempt = eplb_loading::Attempt<Origin>;

impl CudaRuntime {
    /// How the library is called.
    pub const NAMES: LibraryNames = CUDA_RUNTIME;

    /// Loads the CUDA runtime. Of `cudaMemcpyBatchAsync`, which 12 and 13 export under one symbol with
    /// different arguments, only the form of the library that was found is kept. Needs no driver
    /// and no device.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        let mut loaded: Loaded<Self> = load(&Self::NAMES, search)?;
        let mut version = 0;
        // SAFETY: the function writes one integer, which outlives the call; any thread may call it.
        let status = unsafe { (loaded.table.cudaRuntimeGetVersion)(&raw mut version) };
        let known = status == cudaError_t::cudaSuccess && version > 0;
        if !known || version < RUNTIME_13 {
            loaded.table.cudaMemcpyBatchAsync_v13 = None;
        }
        if !known || version >= RUNTIME_13 {
            loaded.table.cudaMemcpyBatchAsync_v12 = None;
        }
        loaded.absent.dedup();
        Ok(loaded)
    }
}

impl CudaDriver {
    /// How the library is called.
    pub const NAMES: LibraryNames = CUDA_DRIVER;

    /// Loads the CUDA driver.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        load(&Self::NAMES, search)
    }
}

impl Nccl {
    /// How the library is called.
    pub const NAMES: LibraryNames = NCCL;

    /// Loads NCCL, 2.14.3 or later. Needs no device.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        load(&Self::NAMES, search)
    }
}

impl Cublas {
    /// How the library is called.
    pub const NAMES: LibraryNames = CUBLAS;

    /// Loads cuBLAS. Needs no device.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        load(&Self::NAMES, search)
    }
}
