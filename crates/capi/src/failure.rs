//! Why a call of the interface failed: the number, one line, and the vendor's number.

use std::error::Error as StdError;

use eplb::core::{PlacementError, ShapeError, TopologyError};
use eplb::device::{DeviceError, ErrorKind, VendorCode};
use eplb::policy::PolicyError;
use eplb::{ConfigError, ExecutorError, LoadError};
use eplb_backends::OpenError;

use crate::status::Status;

/// The failure of one call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) text: String,
    /// 0 where no vendor gave a number.
    pub(crate) vendor_code: i64,
}

impl Failure {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), vendor_code: 0 }
    }

    /// A number or a name that is not allowed.
    pub(crate) fn argument(name: &str, found: impl std::fmt::Display, allowed: &str) -> Self {
        Self::new(Status::Argument, format!("{name} is {found}, allowed is {allowed}"))
    }

    /// An array of another length than is needed.
    pub(crate) fn length(name: &str, found: usize, needed: usize) -> Self {
        Self::new(Status::Length, format!("{name} has {found} entries, needed are {needed}"))
    }

    /// An error of a layer below. What a device said of it goes first: engines act on that.
    fn of(status: Status, error: &(dyn StdError + 'static)) -> Self {
        let mut failure = Self::new(status, error.to_string());
        if let Some(device) = device_error(error) {
            failure.vendor_code = device.code().map_or(0, |VendorCode(code)| code);
        }
        failure
    }
}

/// The error of a device that another error comes from.
fn device_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a DeviceError> {
    let mut next = Some(error);
    while let Some(error) = next {
        // Errors that only wrap one of a device say that they have its source, not that it is theirs.
        match (error.downcast_ref::<ExecutorError>(), error.downcast_ref::<LoadError>()) {
            (Some(ExecutorError::Device(device)), _) | (_, Some(LoadError::Device(device))) => {
                return Some(device);
            }
            _ => {}
        }
        if let Some(device) = error.downcast_ref::<DeviceError>() {
            return Some(device);
        }
        next = error.source();
    }
    None
}

fn device_status(error: &DeviceError) -> Status {
    match error.kind() {
        ErrorKind::Lost => Status::DeviceLost,
        ErrorKind::OutOfMemory => Status::OutOfMemory,
        ErrorKind::Unsupported => Status::Unsupported,
        ErrorKind::InvalidUse => Status::InvalidUse,
        ErrorKind::Aborted => Status::Aborted,
        ErrorKind::TimedOut => Status::TimedOut,
        _ => Status::DeviceFailed,
    }
}

impl From<eplb::Error> for Failure {
    fn from(error: eplb::Error) -> Self {
        use eplb::Error;
        let status = match &error {
            Error::Config(_) => Status::Config,
            Error::Shape(_) => Status::Model,
            Error::Topology(_) => Status::Topology,
            Error::Placement(_) => Status::Placement,
            Error::Profile(_) | Error::NoProfile(_) => Status::Profile,
            Error::Policy(_) => Status::Policy,
            Error::Manager(_) => Status::Manager,
            Error::Report { .. } => Status::Report,
            Error::Header(_) => Status::Header,
            Error::Follower(_) => Status::StepRefused,
            Error::CommitFailed { .. } => Status::CommitFailed,
            Error::StepOrder { .. } => Status::StepOrder,
            Error::Executor(inner) => device_error(inner).map_or(Status::Executor, device_status),
            Error::Load(inner) => device_error(inner).map_or(Status::Load, device_status),
            Error::Device(inner) => device_status(inner),
            Error::NoCounters => Status::NoCounters,
            Error::NotRunning { .. } => Status::NotRunning,
            Error::Thread(_) => Status::Thread,
            Error::Unsettled { .. } => Status::Unsettled,
            _ => Status::Other,
        };
        match &error {
            Error::Executor(inner) => Self::of(status, inner),
            Error::Load(inner) => Self::of(status, inner),
            Error::Device(inner) => Self::of(status, inner),
            _ => Self::of(status, &error),
        }
    }
}

macro_rules! failure_of {
    ($($error:ty => $status:expr,)*) => { $(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of($status(&error), &error)
            }
        }
    )* };
}

failure_of! {
    ConfigError => |_: &ConfigError| Status::Config,
    ShapeError => |_: &ShapeError| Status::Model,
    TopologyError => |_: &TopologyError| Status::Topology,
    PlacementError => |_: &PlacementError| Status::Placement,
    PolicyError => |_: &PolicyError| Status::Policy,
    DeviceError => device_status,
    OpenError => |error: &OpenError| match error {
        OpenError::Device(error) => device_status(error),
        _ => Status::Backend,
    },
}
