//! What can go wrong while load is collected.

use eplb_core::{LayerId, Step};
use eplb_device::DeviceError;
use thiserror::Error;

/// Why counters can't be used, or a sample was lost. A lost sample changes nothing else: forward
/// passes and later samples go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A call of the device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The memory doesn't hold the counters of this rank.
    #[error("load counters: {reason}")]
    Memory {
        /// What is wrong with it.
        reason: String,
    },
    /// A setting out of range.
    #[error("load counters: {name} is {found}, allowed is {allowed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        found: u64,
        /// What is allowed.
        allowed: String,
    },
    /// A step that has been collected, or an older one.
    #[error(
        "load of {step} is collected after that of {last}; collect once after each forward pass"
    )]
    StepOrder {
        /// The step.
        step: Step,
        /// The last step collected.
        last: Step,
    },
    /// What the device holds are no counts.
    #[error(
        "counters of {first} to {last} are no counts: {layer}, local slot {slot}: {reason}; \
         are they initialised, and of the width and form that was registered?"
    )]
    Impossible {
        /// The first step counted.
        first: Step,
        /// The last step counted.
        last: Step,
        /// The layer.
        layer: LayerId,
        /// The slot, counted within this rank.
        slot: usize,
        /// What is impossible.
        reason: &'static str,
    },
}
