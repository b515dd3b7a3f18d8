//! Why a pool of experts can't be used.

use std::io;
use std::path::PathBuf;

use eplb_core::{ExpertId, LayerId};
use eplb_device::DeviceError;
use thiserror::Error;

/// Why a pool can't be opened or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A file can't be opened, read or written; so ends, too, the reading of a file that somebody
    /// cut short after it was opened.
    #[error("pool file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("pool file {}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A template that names no tensors.
    #[error("pool template {pattern:?}: {reason}")]
    Template {
        /// The template.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that the template names and no file holds.
    #[error(
        "pool: no file of {} holds {name:?}, of {layer}, {expert}, tensor {tensor}; check the \
         template",
        path.display()
    )]
    NoTensor {
        /// The files' folder, or the only file.
        path: PathBuf,
        /// The name that was looked for.
        name: String,
        /// The layer.
        layer: LayerId,
        /// The expert.
        expert: ExpertId,
        /// Our tensor.
        tensor: String,
    },
    /// A tensor of other bytes than a slot has.
    #[error(
        "pool: {found} bytes for {layer}, {expert}, tensor {tensor}, of which a slot has {expected}"
    )]
    Size {
        /// The layer.
        layer: LayerId,
        /// The expert.
        expert: ExpertId,
        /// Our tensor.
        tensor: String,
        /// Bytes in the pool, or given to read into.
        found: usize,
        /// Bytes of a slot.
        expected: usize,
    },
    /// Something that the pool does not hold.
    #[error("pool: it does not hold {layer}, {expert}, tensor {tensor}")]
    Unknown {
        /// The layer.
        layer: LayerId,
        /// The expert.
        expert: ExpertId,
        /// The tensor.
        tensor: String,
    },
    /// The pool of another model than the registered weights are of.
    #[error("pool: {reason}")]
    OtherModel {
        /// How they differ.
        reason: String,
    },
    /// Other processes did not let go of shared memory, or did not fill it in time.
    #[error("pool {}: the deadline has passed, and {state}", path.display())]
    TimedOut {
        /// The file in shared memory.
        path: PathBuf,
        /// What is waited for.
        state: &'static str,
    },
    /// The device refused pinned memory.
    #[error("pool: {0}")]
    Device(#[from] DeviceError),
}
