//! The vendor's status codes as errors (R26): the one place where they are translated.

use std::ffi::{CStr, c_char};

use eplb_ascend_sys::{AclRuntime, Hccl, HcclResult, aclError, aclrtLastErrLevel};
use eplb_device::{DeviceError, ErrorKind, Result, VendorCode};

/// The name of the backend.
pub(crate) const NAME: &str = "ascend";

/// A call against the contract.
pub(crate) fn invalid(operation: &'static str, text: impl Into<String>) -> DeviceError {
    DeviceError::new(ErrorKind::InvalidUse, operation, text)
}

/// What is not there.
pub(crate) fn unsupported(operation: &'static str, text: impl Into<String>) -> DeviceError {
    DeviceError::new(ErrorKind::Unsupported, operation, text)
}

/// An optional function, which this library may lack.
pub(crate) fn need<F: Copy>(
    operation: &'static str,
    function: Option<F>,
    symbol: &'static str,
) -> Result<F> {
    function.ok_or_else(|| unsupported(operation, format!("the library has no {symbol}")))
}

/// Whether a status says that there are no devices, which is no failure (R1).
pub(crate) fn means_no_devices(status: aclError) -> bool {
    matches!(status, aclError::ACL_ERROR_COMPILING_STUB_MODE | aclError::ACL_ERROR_RT_NO_DEVICE)
}

/// `Ok` for success. Takes the text of the failure at once, on this thread, and forgets the failure in
/// the library, which would else give it to whoever asks next: the engine.
pub(crate) fn check(runtime: &AclRuntime, operation: &'static str, status: aclError) -> Result<()> {
    if status == aclError::ACL_SUCCESS {
        return Ok(());
    }
    let mut text = format!("{status:?}");
    let recent = recent_words(runtime);
    if !recent.is_empty() {
        text = format!("{text}: {recent}");
    }
    Err(DeviceError::new(runtime_kind(status), operation, text)
        .with_code(VendorCode(status.0.into())))
}

/// Clears the thread's last error and its text.
pub(crate) fn forget(runtime: &AclRuntime) {
    recent_words(runtime);
}

fn recent_words(runtime: &AclRuntime) -> String {
    // SAFETY: asks for a value of this thread: null, or a text that stays until the next call.
    let recent = words(unsafe { (runtime.aclGetRecentErrMsg)() });
    if let Some(forget) = runtime.aclrtGetLastError {
        // SAFETY: acts on a value of this thread alone.
        unsafe { forget(aclrtLastErrLevel::ACL_RT_THREAD_LEVEL) };
    }
    recent
}

/// The error of a status of HCCL that is not success; the runtime may have words on it.
pub(crate) fn hccl_error(
    runtime: &AclRuntime,
    hccl: &Hccl,
    operation: &'static str,
    status: HcclResult,
) -> DeviceError {
    // SAFETY: takes any number and gives a text that stays, or null.
    let name = words(unsafe { (hccl.HcclGetErrorString)(status) });
    let mut text = format!("{status:?}");
    for more in [name, recent_words(runtime)] {
        if !more.is_empty() {
            text = format!("{text}: {more}");
        }
    }
    DeviceError::new(hccl_kind(status), operation, text).with_code(VendorCode(status.0.into()))
}

/// Whether a query of a stream met the failure of one of its tasks, rather than one of its own. A stream
/// that stops at failures runs nothing more then.
pub(crate) fn is_of_a_task(error: &DeviceError) -> bool {
    let Some(VendorCode(code)) = error.code() else {
        return false;
    };
    let is_among =
        |statuses: &[aclError]| statuses.iter().any(|status| i64::from(status.0) == code);
    // Units of the chip report by numbers from here on, of which each version has more.
    let is_of_hardware = (507_000..508_000).contains(&code);
    is_among(TASK_FAILURES) || is_of_hardware && !is_among(NOT_OF_TASKS)
}

const TASK_FAILURES: &[aclError] = &[
    aclError::ACL_ERROR_RT_TASK_TIMEOUT,
    aclError::ACL_ERROR_RT_DEVICE_TASK_ABORT,
    aclError::ACL_ERROR_RT_STREAM_ABORT,
    aclError::ACL_ERROR_RT_TASK_ABORT_STOP,
];

const NOT_OF_TASKS: &[aclError] = &[
    aclError::ACL_ERROR_RT_INTERNAL_ERROR,
    aclError::ACL_ERROR_RT_LOST_HEARTBEAT,
    aclError::ACL_ERROR_RT_IPC_ERROR,
    aclError::ACL_ERROR_RT_DEV_SETUP_ERROR,
    aclError::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT,
    aclError::ACL_ERROR_RT_EVENT_SYNC_TIMEOUT,
    aclError::ACL_ERROR_RT_DRV_INTERNAL_ERROR,
];

fn runtime_kind(status: aclError) -> ErrorKind {
    match status {
        aclError::ACL_ERROR_BAD_ALLOC
        | aclError::ACL_ERROR_RT_MEMORY_ALLOCATION
        | aclError::ACL_ERROR_RT_RESOURCE_ALLOC_FAIL
        | aclError::ACL_ERROR_RT_NO_EVENT_RESOURCE
        | aclError::ACL_ERROR_RT_NO_STREAM_RESOURCE
        | aclError::ACL_ERROR_RT_DEVICE_OOM => ErrorKind::OutOfMemory,
        aclError::ACL_ERROR_INVALID_PARAM
        | aclError::ACL_ERROR_RT_PARAM_INVALID
        | aclError::ACL_ERROR_RT_INVALID_DEVICEID
        | aclError::ACL_ERROR_RT_CONTEXT_NULL
        | aclError::ACL_ERROR_RT_STREAM_CONTEXT
        | aclError::ACL_ERROR_RT_ADDR_UNALIGNED
        | aclError::ACL_ERROR_RT_INVALID_HANDLE
        | aclError::ACL_ERROR_RT_INVALID_MALLOC_TYPE
        | aclError::ACL_ERROR_RT_NO_PERMISSION => ErrorKind::InvalidUse,
        aclError::ACL_ERROR_COMPILING_STUB_MODE | aclError::ACL_ERROR_RT_FEATURE_NOT_SUPPORT => {
            ErrorKind::Unsupported
        }
        aclError::ACL_ERROR_RT_DEVICE_TASK_ABORT
        | aclError::ACL_ERROR_RT_STREAM_ABORT
        | aclError::ACL_ERROR_RT_TASK_ABORT_STOP => ErrorKind::Aborted,
        aclError::ACL_ERROR_RT_WAIT_TIMEOUT
        | aclError::ACL_ERROR_RT_TASK_TIMEOUT
        | aclError::ACL_ERROR_RT_AICORE_TIMEOUT
        | aclError::ACL_ERROR_RT_AICPU_TIMEOUT
        | aclError::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT
        | aclError::ACL_ERROR_RT_EVENT_SYNC_TIMEOUT => ErrorKind::TimedOut,
        // The device answers no more, or somebody has ended the library for the whole process.
        aclError::ACL_ERROR_RT_LOST_HEARTBEAT
        | aclError::ACL_ERROR_UNINITIALIZE
        | aclError::ACL_ERROR_REPEAT_FINALIZE => ErrorKind::Lost,
        _ => ErrorKind::Failed,
    }
}

fn hccl_kind(status: HcclResult) -> ErrorKind {
    match status {
        HcclResult::HCCL_E_PTR => ErrorKind::InvalidUse,
        HcclResult::HCCL_E_MEMORY | HcclResult::HCCL_E_OOM => ErrorKind::OutOfMemory,
        HcclResult::HCCL_E_NOT_SUPPORT => ErrorKind::Unsupported,
        HcclResult::HCCL_E_TIMEOUT => ErrorKind::TimedOut,
        // `HCCL_E_PARA` is also what a second rank on one device gets, which R13 calls `Failed`.
        _ => ErrorKind::Failed,
    }
}

/// A text of the library in one line.
pub(crate) fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, so it is a text of the library that ends with a zero and stays during the call.
    let text = unsafe { CStr::from_ptr(text) };
    let text = text.to_string_lossy();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

/// A device's number as the library has it.
pub(crate) fn device_number(operation: &'static str, ordinal: u32) -> Result<i32> {
    i32::try_from(ordinal).map_err(|_| {
        invalid(operation, format!("device {ordinal}; allowed are numbers up to {}", i32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_are_plain_failures_and_an_ended_library_is_lost() {
        assert_eq!(runtime_kind(aclError(123_456)), ErrorKind::Failed);
        assert_eq!(runtime_kind(aclError(507_010)), ErrorKind::Lost);
        assert_eq!(runtime_kind(aclError(100_001)), ErrorKind::Lost);
        assert_eq!(runtime_kind(aclError(207_001)), ErrorKind::OutOfMemory);
        assert_eq!(runtime_kind(aclError(207_008)), ErrorKind::OutOfMemory);
        assert_eq!(runtime_kind(aclError(107_023)), ErrorKind::Aborted);
        assert_eq!(hccl_kind(HcclResult(99)), ErrorKind::Failed);
        assert_eq!(hccl_kind(HcclResult(9)), ErrorKind::TimedOut);
    }

    #[test]
    fn a_stub_or_a_host_without_devices_means_no_devices() {
        assert!(means_no_devices(aclError(100_039)));
        assert!(means_no_devices(aclError(207_004)));
        assert!(!means_no_devices(aclError(507_000)));
    }

    #[test]
    fn failures_of_tasks_are_told_from_failures_of_the_question() {
        let error = |code| DeviceError::new(ErrorKind::Failed, "q", "").with_code(VendorCode(code));
        assert!(is_of_a_task(&error(507_015)));
        assert!(is_of_a_task(&error(507_035)), "one that has no name here");
        assert!(is_of_a_task(&error(107_023)));
        assert!(!is_of_a_task(&error(107_003)));
        assert!(!is_of_a_task(&error(507_899)));
        assert!(!is_of_a_task(&DeviceError::new(ErrorKind::Failed, "q", "")));
    }

    #[test]
    fn texts_of_several_lines_become_one() {
        assert_eq!(
            words(c"EE9999: inner error\n\n  TraceBack: x\n".as_ptr()),
            "EE9999: inner error; TraceBack: x"
        );
        assert_eq!(words(std::ptr::null()), "");
    }
}
