//! What is found on a machine, for whoever sets it up.

use std::ffi::c_int;
use std::sync::Arc;

use eplb_cuda_sys::{
    CUresult, CudaDriver, CudaRuntime, LibraryNames, LoadError, Loaded, Nccl, cudaError_t, file_of,
    ncclResult_t,
};
use eplb_device::raw::Backend;
use eplb_device::{Diagnosis, LibraryDiagnosis};

use crate::backend::CudaBackend;
use crate::error::NAME;
use crate::library::{Api, Libraries};

/// Where the kernel's module says its version, which the driver's library does not.
const KERNEL_MODULE: &str = "/proc/driver/nvidia/version";

impl CudaBackend {
    /// Looks for the libraries and the devices, and says what is there and what is missing. Opens each
    /// device, which creates its primary context.
    pub fn diagnose(libraries: &Libraries) -> Diagnosis {
        let runtime = CudaRuntime::open(&libraries.runtime);
        let driver = CudaDriver::open(&libraries.driver);
        let nccl = Nccl::open(&libraries.nccl);
        let found = vec![
            library(&CudaRuntime::NAMES, &runtime, runtime_version, |table| {
                table.cudaGetDeviceCount as usize
            }),
            library(&CudaDriver::NAMES, &driver, driver_version, |table| table.cuInit as usize),
            library(&Nccl::NAMES, &nccl, nccl_version, |table| table.ncclGetVersion as usize),
        ];
        let backend = match CudaBackend::open(libraries) {
            Ok(backend) => Arc::new(backend),
            Err(error) => return Diagnosis::unusable(NAME, not_found(&error), found),
        };
        if let Some(error) = backend.missing_driver() {
            return Diagnosis::unusable(NAME, not_found(error), found);
        }
        let shared: Arc<dyn Backend> = backend.clone();
        let mut diagnosis = Diagnosis::of_devices(&shared, found);
        diagnosis.peer_access = backend.peer_access(diagnosis.devices.len());
        diagnosis
    }

    fn peer_access(&self, devices: usize) -> Vec<Vec<bool>> {
        let devices = c_int::try_from(devices).unwrap_or(0);
        let reads = |device, peer| {
            let mut can = 0;
            // SAFETY: writes one number, which lives; both are devices that the library counted.
            let status =
                unsafe { (self.api().runtime.cudaDeviceCanAccessPeer)(&raw mut can, device, peer) };
            device == peer || status == cudaError_t::cudaSuccess && can != 0
        };
        (0..devices).map(|device| (0..devices).map(|peer| reads(device, peer)).collect()).collect()
    }
}

/// What was tried stands with the library.
fn not_found(error: &LoadError) -> String {
    format!("the {} was not found", error.names.title)
}

/// The versions of all, in one line.
pub(crate) fn software(api: &Api) -> String {
    let mut parts = Vec::new();
    if let Some(version) = api.driver.as_ref().ok().and_then(driver_version) {
        parts.push(format!("driver {version}"));
    }
    parts.extend(runtime_version(&api.runtime).map(|version| format!("CUDA runtime {version}")));
    if let Some(version) = api.nccl.as_ref().ok().and_then(nccl_version) {
        parts.push(format!("NCCL {version}"));
    }
    parts.join(", ")
}

fn library<T>(
    names: &LibraryNames,
    loaded: &Result<Loaded<T>, LoadError>,
    version: fn(&T) -> Option<String>,
    address: fn(&T) -> usize,
) -> LibraryDiagnosis {
    let (title, variable) = (names.title.to_owned(), names.variable.to_owned());
    let found = LibraryDiagnosis { title, variable, ..LibraryDiagnosis::default() };
    match loaded {
        Err(error) => LibraryDiagnosis { problem: Some(error.to_string()), ..found },
        Ok(loaded) => LibraryDiagnosis {
            files: file_of(address(&loaded.table)).map_or(loaded.files.clone(), |file| vec![file]),
            version: version(&loaded.table),
            absent: loaded.absent.iter().map(|&symbol| symbol.to_owned()).collect(),
            ..found
        },
    }
}

fn runtime_version(runtime: &CudaRuntime) -> Option<String> {
    let mut version = 0;
    // SAFETY: writes one number, which lives; needs no device.
    let status = unsafe { (runtime.cudaRuntimeGetVersion)(&raw mut version) };
    (status == cudaError_t::cudaSuccess).then(|| cuda_version(version))
}

/// What the library serves, and the version of the kernel's module where it is told.
fn driver_version(driver: &CudaDriver) -> Option<String> {
    let mut version = 0;
    // SAFETY: writes one number, which lives; may be called before the driver is started.
    let status = unsafe { (driver.cuDriverGetVersion)(&raw mut version) };
    let serves = format!("for CUDA {}", cuda_version(version));
    let module = std::fs::read_to_string(KERNEL_MODULE).ok();
    let number = module.as_deref().and_then(module_version);
    (status == CUresult::CUDA_SUCCESS)
        .then(|| number.map_or(serves.clone(), |number| format!("{number} {serves}")))
}

/// The first word of the form `580.159.04`.
fn module_version(text: &str) -> Option<&str> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_whitespace().find(|word| word.contains('.') && word.split('.').all(is_number))
}

fn nccl_version(nccl: &Nccl) -> Option<String> {
    let mut version = 0;
    // SAFETY: writes one number, which lives; needs no device.
    let status = unsafe { (nccl.ncclGetVersion)(&raw mut version) };
    let text = format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100);
    (status == ncclResult_t::ncclSuccess).then_some(text)
}

fn cuda_version(version: c_int) -> String {
    format!("{}.{}", version / 1_000, version % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_the_vendor_writes_them() {
        assert_eq!(cuda_version(13_000), "13.0");
        assert_eq!(cuda_version(12_090), "12.9");
        let text =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build";
        assert_eq!(module_version(text), Some("580.159.04"));
        assert_eq!(module_version("no number here"), None);
    }
}
