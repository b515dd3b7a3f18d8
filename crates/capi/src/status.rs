//! The numbers of errors, as `eplb.h` names them.

use std::ffi::CStr;

use crate::generated as c;

macro_rules! statuses {
    ($($name:ident = $number:ident,)*) => {
        /// What a call gives back. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i32)]
        pub(crate) enum Status {
            $($name = c::$number as i32,)*
        }

        impl Status {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name that the header gives it.
            pub(crate) fn name(self) -> &'static CStr {
                const fn with_zero(bytes: &'static [u8]) -> &'static CStr {
                    match CStr::from_bytes_with_nul(bytes) {
                        Ok(name) => name,
                        Err(_) => c"unknown",
                    }
                }
                match self {
                    $(Self::$name => {
                        const { with_zero(concat!(stringify!($number), "\0").as_bytes()) }
                    })*
                }
            }
        }
    };
}

statuses! {
    Ok = EPLB_OK,
    Null = EPLB_ERROR_NULL,
    Handle = EPLB_ERROR_HANDLE,
    Freed = EPLB_ERROR_FREED,
    Busy = EPLB_ERROR_BUSY,
    Panic = EPLB_ERROR_PANIC,
    Broken = EPLB_ERROR_BROKEN,
    StructSize = EPLB_ERROR_STRUCT_SIZE,
    Argument = EPLB_ERROR_ARGUMENT,
    Length = EPLB_ERROR_LENGTH,
    Text = EPLB_ERROR_TEXT,
    State = EPLB_ERROR_STATE,
    Callback = EPLB_ERROR_CALLBACK,
    Config = EPLB_ERROR_CONFIG,
    Model = EPLB_ERROR_MODEL,
    Topology = EPLB_ERROR_TOPOLOGY,
    Placement = EPLB_ERROR_PLACEMENT,
    Profile = EPLB_ERROR_PROFILE,
    Policy = EPLB_ERROR_POLICY,
    Manager = EPLB_ERROR_MANAGER,
    Backend = EPLB_ERROR_BACKEND,
    Report = EPLB_ERROR_REPORT,
    Header = EPLB_ERROR_HEADER,
    StepRefused = EPLB_ERROR_STEP_REFUSED,
    CommitFailed = EPLB_ERROR_COMMIT_FAILED,
    StepOrder = EPLB_ERROR_STEP_ORDER,
    Executor = EPLB_ERROR_EXECUTOR,
    Load = EPLB_ERROR_LOAD,
    NoCounters = EPLB_ERROR_NO_COUNTERS,
    NotRunning = EPLB_ERROR_NOT_RUNNING,
    Thread = EPLB_ERROR_THREAD,
    Unsettled = EPLB_ERROR_UNSETTLED,
    DeviceLost = EPLB_ERROR_DEVICE_LOST,
    OutOfMemory = EPLB_ERROR_OUT_OF_MEMORY,
    Unsupported = EPLB_ERROR_UNSUPPORTED,
    InvalidUse = EPLB_ERROR_INVALID_USE,
    Aborted = EPLB_ERROR_ABORTED,
    TimedOut = EPLB_ERROR_TIMED_OUT,
    DeviceFailed = EPLB_ERROR_DEVICE_FAILED,
    Other = EPLB_ERROR_OTHER,
}
