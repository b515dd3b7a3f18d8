//! What can go wrong while weights move.

use eplb_core::{LayerId, RankId};
use eplb_device::DeviceError;
use thiserror::Error;

/// Why the executor refused or failed. Where a change fails, the old epoch's bytes and routing stand,
/// unless the error says otherwise ([`ExecutorError::Broken`]).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// A call of the device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The registered weights don't fit the model or the slots.
    #[error("weights of {layer}, tensor {tensor}: {reason}")]
    Manifest {
        /// The layer.
        layer: LayerId,
        /// The tensor, or `any`.
        tensor: String,
        /// What doesn't fit.
        reason: String,
    },
    /// What another rank told at the start can't be used.
    #[error("endpoint of {rank}: {reason}")]
    Endpoint {
        /// The other rank.
        rank: RankId,
        /// What is wrong with it.
        reason: String,
    },
    /// A change needs more spare buffers than there are.
    #[error(
        "{layer}: {rank} needs {needed} spare slots and has {spares}; raise executor.spare_slots"
    )]
    TooFewSpares {
        /// The layer.
        layer: LayerId,
        /// The rank that has too few.
        rank: RankId,
        /// Spare buffers that the change may need.
        needed: usize,
        /// Spare buffers there.
        spares: usize,
    },
    /// More changes at a time than memory was reserved for.
    #[error("{layer}: all {lanes} staging lanes are in use; raise manager.layers_in_flight")]
    NoLane {
        /// The layer.
        layer: LayerId,
        /// Lanes reserved at the start.
        lanes: usize,
    },
    /// A change replaces more slots of this rank than memory was reserved for.
    #[error(
        "{layer}: {needed} slots of this rank change and {staged} fit its staging memory; the manager \
         must divide changes accordingly (executor.staged_slots has to be the same on all ranks)"
    )]
    LaneTooSmall {
        /// The layer.
        layer: LayerId,
        /// Slots of this rank that change.
        needed: usize,
        /// Slots that fit.
        staged: usize,
    },
    /// A call for a token that is not in the state which the call needs.
    #[error("token {token} is {state}; {operation} needs it {needed}")]
    WrongState {
        /// The token.
        token: u64,
        /// The call.
        operation: &'static str,
        /// The state that it needs.
        needed: &'static str,
        /// The state that it found.
        state: &'static str,
    },
    /// A switch-over failed and going back failed too: the layer's bytes on this rank are unknown.
    #[error("{layer} is broken on this rank: {failure}; going back failed as well: {rollback}")]
    Broken {
        /// The layer.
        layer: LayerId,
        /// What failed first.
        failure: Box<ExecutorError>,
        /// What failed while going back.
        rollback: Box<ExecutorError>,
    },
}
