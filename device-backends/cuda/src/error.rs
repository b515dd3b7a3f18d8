//! The vendor's status codes as errors (R26): the one place where they are translated.

use std::ffi::{CStr, c_char, c_int};

use eplb_cuda_sys::{
    CUresult, CudaDriver, CudaRuntime, Nccl, cudaError_t, ncclComm_t, ncclResult_t,
};
use eplb_device::{DeviceError, ErrorKind, Result, VendorCode};

/// The name of the backend.
pub(crate) const NAME: &str = "cuda";

/// A call against the contract.
pub(crate) fn invalid(operation: &'static str, text: impl Into<String>) -> DeviceError {
    DeviceError::new(ErrorKind::InvalidUse, operation, text)
}

/// What is not there.
pub(crate) fn unsupported(operation: &'static str, text: impl Into<String>) -> DeviceError {
    DeviceError::new(ErrorKind::Unsupported, operation, text)
}

/// Whether a status of the runtime says that there are no devices, which is no failure (R1).
pub(crate) fn means_no_devices(status: cudaError_t) -> bool {
    matches!(
        status,
        cudaError_t::cudaErrorStubLibrary
            | cudaError_t::cudaErrorInsufficientDriver
            | cudaError_t::cudaErrorNoDevice
    )
}

/// `Ok` for success. Forgets the failure in the runtime, which would else give it to whoever asks next
/// for the thread's last error: the engine.
pub(crate) fn check(
    runtime: &CudaRuntime,
    operation: &'static str,
    status: cudaError_t,
) -> Result<()> {
    if status == cudaError_t::cudaSuccess {
        return Ok(());
    }
    forget(runtime);
    // SAFETY: takes any number, on any thread, and gives a text that stays.
    let name = unsafe { (runtime.cudaGetErrorName)(status) };
    // SAFETY: as above.
    let text = unsafe { (runtime.cudaGetErrorString)(status) };
    let text = format!("{}: {}", words(name), words(text));
    Err(DeviceError::new(runtime_kind(status), operation, text)
        .with_code(VendorCode(status.0.into())))
}

/// Clears the thread's last error. "Not ready" counts as one, too.
pub(crate) fn forget(runtime: &CudaRuntime) {
    // SAFETY: acts on a value of this thread alone.
    unsafe { (runtime.cudaGetLastError)() };
}

/// `Ok` for success of a call of the driver.
pub(crate) fn check_driver(
    driver: &CudaDriver,
    operation: &'static str,
    status: CUresult,
) -> Result<()> {
    if status == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let mut text: *const c_char = std::ptr::null();
    // SAFETY: takes any number and writes a pointer to a text that stays, or null.
    unsafe { (driver.cuGetErrorString)(status, &raw mut text) };
    // The numbers of both enumerations mean the same.
    let kind = runtime_kind(cudaError_t(status.0));
    let text = format!("{status:?}: {}", words(text));
    Err(DeviceError::new(kind, operation, text).with_code(VendorCode(status.0.into())))
}

/// The error of a status of NCCL that is neither success nor "in progress".
pub(crate) fn nccl_error(
    nccl: &Nccl,
    operation: &'static str,
    communicator: ncclComm_t,
    status: ncclResult_t,
) -> DeviceError {
    // SAFETY: takes any number and gives a text that stays.
    let text = unsafe { (nccl.ncclGetErrorString)(status) };
    // SAFETY: the communicator is alive or null, which both are allowed; the text stays, and is copied
    // here at once, because the next failure of the process overwrites it.
    let last = unsafe { (nccl.ncclGetLastError)(communicator) };
    let (mut text, last) = (words(text), words(last));
    if !last.is_empty() {
        text = format!("{text}: {last}");
    }
    DeviceError::new(nccl_kind(status), operation, format!("{status:?}: {text}"))
        .with_code(VendorCode(status.0.into()))
}

/// Whether the error leaves nothing running: a CUDA context is unusable after such a failure.
pub(crate) fn ends_all_work(error: &DeviceError) -> bool {
    error.kind() == ErrorKind::Lost
}

fn runtime_kind(status: cudaError_t) -> ErrorKind {
    match status {
        cudaError_t::cudaErrorMemoryAllocation => ErrorKind::OutOfMemory,
        cudaError_t::cudaErrorInvalidValue
        | cudaError_t::cudaErrorInvalidDevicePointer
        | cudaError_t::cudaErrorInvalidDevice
        | cudaError_t::cudaErrorInvalidResourceHandle
        | cudaError_t::cudaErrorPeerAccessNotEnabled
        | cudaError_t::cudaErrorHostMemoryAlreadyRegistered
        | cudaError_t::cudaErrorHostMemoryNotRegistered
        | cudaError_t::cudaErrorStreamCaptureUnsupported
        | cudaError_t::cudaErrorStreamCaptureInvalidated => ErrorKind::InvalidUse,
        cudaError_t::cudaErrorNotSupported
        | cudaError_t::cudaErrorCallRequiresNewerDriver
        | cudaError_t::cudaErrorInsufficientDriver
        | cudaError_t::cudaErrorStubLibrary
        | cudaError_t::cudaErrorPeerAccessUnsupported
        | cudaError_t::cudaErrorTooManyPeers => ErrorKind::Unsupported,
        // After these the context runs nothing any more, until the process ends.
        cudaError_t::cudaErrorCudartUnloading
        | cudaError_t::cudaErrorECCUncorrectable
        | cudaError_t::cudaErrorNvlinkUncorrectable
        | cudaError_t::cudaErrorIllegalAddress
        | cudaError_t::cudaErrorLaunchTimeout
        | cudaError_t::cudaErrorContextIsDestroyed
        | cudaError_t::cudaErrorAssert
        | cudaError_t::cudaErrorHardwareStackError
        | cudaError_t::cudaErrorIllegalInstruction
        | cudaError_t::cudaErrorMisalignedAddress
        | cudaError_t::cudaErrorInvalidAddressSpace
        | cudaError_t::cudaErrorInvalidPc
        | cudaError_t::cudaErrorLaunchFailure => ErrorKind::Lost,
        cudaError_t::cudaErrorTimeout => ErrorKind::TimedOut,
        _ => ErrorKind::Failed,
    }
}

fn nccl_kind(status: ncclResult_t) -> ErrorKind {
    match status {
        ncclResult_t::ncclInvalidArgument => ErrorKind::InvalidUse,
        ncclResult_t::ncclTimeout => ErrorKind::TimedOut,
        // `ncclInvalidUsage` is also what a second rank on one device gets, which R13 calls `Failed`.
        _ => ErrorKind::Failed,
    }
}

pub(crate) fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, so it is a text of the library that ends with a zero and stays during the call.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().trim().replace('\n', "; ")
}

/// A number as C has it.
pub(crate) fn c_number(operation: &'static str, what: &str, number: u32) -> Result<c_int> {
    c_int::try_from(number).map_err(|_| {
        invalid(operation, format!("{what} {number}; allowed are numbers up to {}", c_int::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_are_plain_failures_and_broken_contexts_are_lost() {
        assert_eq!(runtime_kind(cudaError_t(123_456)), ErrorKind::Failed);
        assert_eq!(runtime_kind(cudaError_t::cudaErrorIllegalAddress), ErrorKind::Lost);
        assert_eq!(runtime_kind(cudaError_t::cudaErrorMemoryAllocation), ErrorKind::OutOfMemory);
        assert_eq!(nccl_kind(ncclResult_t(99)), ErrorKind::Failed);
        assert_eq!(nccl_kind(ncclResult_t::ncclTimeout), ErrorKind::TimedOut);
    }

    #[test]
    fn a_stub_or_a_missing_driver_means_no_devices() {
        assert!(means_no_devices(cudaError_t(34)));
        assert!(means_no_devices(cudaError_t(35)));
        assert!(!means_no_devices(cudaError_t(999)));
    }
}
