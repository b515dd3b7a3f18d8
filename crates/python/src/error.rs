//! Errors as exceptions of `eplb._errors`.

use std::error::Error as StdError;

use eplb::core::formats::FormatError;
use eplb::core::{EnsembleError, LoadError, PlacementError, ShapeError, TopologyError};
use eplb::device::{DeviceError, ErrorKind};
use eplb::policy::PolicyError;
use eplb::{ConfigError, ExecutorError};
use eplb_backends::OpenError;
use eplb_sim::{ReplayError, TraceError};
use pyo3::prelude::*;

macro_rules! kinds {
    ($($kind:ident = $class:literal, $code:literal;)*) => {
        /// What went wrong: the class of the exception, and its code, which is the number that `eplb.h`
        /// has for it.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Kind {
            $($kind,)*
        }

        impl Kind {
            fn class(self) -> &'static str {
                match self { $(Self::$kind => $class,)* }
            }

            fn code(self) -> i32 {
                match self { $(Self::$kind => $code,)* }
            }
        }
    };
}

kinds! {
    Forked = "StateError", 2;
    Closed = "StateError", 3;
    Broken = "StateError", 6;
    Argument = "ArgumentError", 8;
    State = "StateError", 11;
    Config = "ConfigError", 20;
    Model = "ModelError", 21;
    Topology = "TopologyError", 22;
    Placement = "PlacementError", 23;
    Profile = "ProfileError", 24;
    Policy = "PolicyError", 25;
    Manager = "ManagerError", 26;
    Backend = "BackendError", 27;
    Report = "MessageError", 40;
    Header = "MessageError", 41;
    StepRefused = "StepError", 42;
    CommitFailed = "StepError", 43;
    StepOrder = "StepError", 44;
    Executor = "ExecutorError", 45;
    Load = "LoadError", 46;
    NotRunning = "StepError", 48;
    System = "SystemFailure", 49;
    Unsettled = "UnsettledError", 50;
    DeviceLost = "DeviceError", 60;
    OutOfMemory = "DeviceError", 61;
    Unsupported = "DeviceError", 62;
    InvalidUse = "DeviceError", 63;
    Aborted = "DeviceError", 64;
    TimedOut = "DeviceError", 65;
    DeviceFailed = "DeviceError", 66;
    Trace = "TraceError", 80;
    Other = "Error", 99;
}

impl Kind {
    /// The exception that says `message`.
    pub(crate) fn says(self, message: impl Into<String>) -> PyErr {
        let message = message.into();
        // Without an interpreter, at its end, there is nobody to tell.
        Python::attach(|py| self.exception(py, message).unwrap_or_else(|error| error))
    }

    fn exception(self, py: Python<'_>, message: String) -> PyResult<PyErr> {
        let exception = py.import("eplb._errors")?.getattr(self.class())?.call1((message,))?;
        exception.setattr("code", self.code())?;
        Ok(PyErr::from_value(exception))
    }

    fn of_device(error: &DeviceError) -> Self {
        match error.kind() {
            ErrorKind::Lost => Self::DeviceLost,
            ErrorKind::OutOfMemory => Self::OutOfMemory,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::InvalidUse => Self::InvalidUse,
            ErrorKind::Aborted => Self::Aborted,
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::DeviceFailed,
        }
    }
}

/// An error of the library as an exception.
pub(crate) trait IntoException {
    /// The exception of the class that stands for the error, with its text.
    fn into_exception(self) -> PyErr;
}

/// The result of a call of the library as one of Python.
pub(crate) trait OrException<T> {
    /// The value, or the exception for the error.
    fn or_exception(self) -> PyResult<T>;
}

impl<T, E: IntoException> OrException<T> for Result<T, E> {
    fn or_exception(self) -> PyResult<T> {
        self.map_err(IntoException::into_exception)
    }
}

impl IntoException for eplb::Error {
    fn into_exception(self) -> PyErr {
        use eplb::Error;
        let kind = match &self {
            Error::Config(_) => Kind::Config,
            Error::Shape(_) => Kind::Model,
            Error::Topology(_) => Kind::Topology,
            Error::Placement(_) => Kind::Placement,
            Error::Profile(_) | Error::NoProfile(_) => Kind::Profile,
            Error::Policy(_) => Kind::Policy,
            Error::Manager(_) => Kind::Manager,
            Error::Report { .. } => Kind::Report,
            Error::Header(_) => Kind::Header,
            Error::Follower(_) => Kind::StepRefused,
            Error::CommitFailed { .. } => Kind::CommitFailed,
            Error::StepOrder { .. } => Kind::StepOrder,
            Error::Executor(ExecutorError::Device(device)) | Error::Device(device) => {
                Kind::of_device(device)
            }
            Error::Executor(_) => Kind::Executor,
            Error::Load(_) => Kind::Load,
            Error::NotRunning { .. } => Kind::NotRunning,
            Error::Thread(_) => Kind::System,
            Error::Unsettled { .. } => Kind::Unsettled,
            _ => Kind::Other,
        };
        kind.says(with_sources(&self))
    }
}

/// The text of an error, and of what caused it where the text does not say that itself.
fn with_sources(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

macro_rules! exceptions {
    ($($error:ty => $kind:expr;)*) => { $(
        impl IntoException for $error {
            fn into_exception(self) -> PyErr {
                let kind: fn(&$error) -> Kind = $kind;
                kind(&self).says(with_sources(&self))
            }
        }
    )* };
}

exceptions! {
    ConfigError => |_| Kind::Config;
    ShapeError => |_| Kind::Model;
    TopologyError => |_| Kind::Topology;
    PlacementError => |_| Kind::Placement;
    FormatError => |_| Kind::Placement;
    LoadError => |_| Kind::Load;
    EnsembleError => |_| Kind::Load;
    PolicyError => |_| Kind::Policy;
    ReplayError => |_| Kind::Policy;
    TraceError => |_| Kind::Trace;
    DeviceError => Kind::of_device;
    OpenError => |error| match error {
        OpenError::Device(error) => Kind::of_device(error),
        _ => Kind::Backend,
    };
}
