//! Errors of device calls.

use std::borrow::Cow;
use std::fmt;

/// The result of a device call.
pub type Result<T> = std::result::Result<T, DeviceError>;

/// What kind of failure a device call met; callers branch on this and on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The device is gone or its context is broken; nothing queued on it runs any more.
    Lost,
    /// Out of device memory, pinned memory, streams or events.
    OutOfMemory,
    /// This backend, device or library version cannot do it.
    Unsupported,
    /// The call itself is wrong: bounds, overlap, another device's resource, a resource in use.
    InvalidUse,
    /// The work was given up by an abort of its stream or communicator.
    Aborted,
    /// A deadline passed, ours or the vendor's.
    TimedOut,
    /// Any other failure that the device or its library reported.
    Failed,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Lost => "device lost",
            Self::OutOfMemory => "out of memory",
            Self::Unsupported => "not supported",
            Self::InvalidUse => "invalid use",
            Self::Aborted => "aborted",
            Self::TimedOut => "timed out",
            Self::Failed => "failed",
        })
    }
}

/// A vendor's status code, kept as the open number that it is: codes drift between versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VendorCode(pub i64);

/// The failure of one device call: which call, where, of what kind, and the vendor's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError {
    kind: ErrorKind,
    operation: &'static str,
    backend: Option<Cow<'static, str>>,
    device: Option<u32>,
    code: Option<VendorCode>,
    text: String,
}

impl DeviceError {
    /// An error of the call `operation`; `text` says what was wrong and what is allowed.
    pub fn new(kind: ErrorKind, operation: &'static str, text: impl Into<String>) -> Self {
        Self { kind, operation, backend: None, device: None, code: None, text: text.into() }
    }

    pub(crate) fn invalid(operation: &'static str, text: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidUse, operation, text)
    }

    /// Adds where it happened, unless that is known already.
    #[must_use]
    pub fn on(mut self, backend: impl Into<Cow<'static, str>>, device: u32) -> Self {
        self.backend.get_or_insert_with(|| backend.into());
        self.device.get_or_insert(device);
        self
    }

    /// Adds the vendor's status code.
    #[must_use]
    pub fn with_code(mut self, code: VendorCode) -> Self {
        self.code = Some(code);
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Name of the call that failed.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Name of the backend, where it is known.
    pub fn backend(&self) -> Option<&str> {
        self.backend.as_deref()
    }

    /// Ordinal of the device, where it is known.
    pub fn device(&self) -> Option<u32> {
        self.device
    }

    /// The vendor's status code, if the vendor reported one.
    pub fn code(&self) -> Option<VendorCode> {
        self.code
    }

    /// What was wrong, in the backend's or the vendor's words.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.operation)?;
        match (&self.backend, self.device) {
            (Some(backend), Some(device)) => write!(formatter, " on {backend} device {device}")?,
            (Some(backend), None) => write!(formatter, " on {backend}")?,
            (None, Some(device)) => write!(formatter, " on device {device}")?,
            (None, None) => {}
        }
        write!(formatter, ": {}", self.kind)?;
        if !self.text.is_empty() {
            write!(formatter, ": {}", self.text)?;
        }
        match self.code {
            Some(VendorCode(code)) => write!(formatter, " (code {code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DeviceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_the_place_the_kind_and_the_code() {
        let error = DeviceError::new(ErrorKind::OutOfMemory, "allocate", "64 bytes asked")
            .on("host", 2)
            .on("other", 3)
            .with_code(VendorCode(207_001));
        assert_eq!(
            error.to_string(),
            "allocate on host device 2: out of memory: 64 bytes asked (code 207001)"
        );
    }

    #[test]
    fn errors_are_small_enough_to_return_by_value() {
        assert!(size_of::<DeviceError>() <= 112);
    }
}
