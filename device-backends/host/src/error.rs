//! Errors of the host backend.

use eplb_device::{DeviceError, ErrorKind};

/// The name of the backend.
pub(crate) const NAME: &str = "host";

/// A call against the contract.
pub(crate) fn invalid(operation: &'static str, text: impl Into<String>) -> DeviceError {
    DeviceError::new(ErrorKind::InvalidUse, operation, text)
}

/// Work that was given up.
pub(crate) fn aborted(operation: &'static str, text: impl Into<String>) -> DeviceError {
    DeviceError::new(ErrorKind::Aborted, operation, text)
}

/// A handle that nothing belongs to.
pub(crate) fn unknown(operation: &'static str, what: &str, handle: usize) -> DeviceError {
    invalid(
        operation,
        format!("no {what} has the handle {handle}; it was destroyed or is another backend's"),
    )
}
