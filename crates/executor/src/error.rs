//! What can go wrong while weights move.

use eplb_core::{ExpertId, LayerId, RankId, SlotId};
use eplb_device::DeviceError;
use thiserror::Error;

use crate::PoolError;

/// Why a rank did not take part in the rounds of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RollCallRefusal {
    /// The change was given up there.
    #[error("has given the change up")]
    GivenUp,
    /// The change has failed there.
    #[error("could not begin the change")]
    Failed,
    /// It was about to make other rounds.
    #[error("was about to make other rounds than this rank")]
    OtherPlan,
    /// It has never heard of the change, or is done with it.
    #[error("has gone on to token {token}")]
    WentOn {
        /// The change that it is at.
        token: u64,
    },
}

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
    /// A communicator that can't be used, or none where one is needed.
    #[error("communicator: {reason}")]
    Communicator {
        /// What is wrong.
        reason: String,
    },
    /// Ranks were not about to make the same rounds for a change, so that none were made.
    #[error("{layer} was not brought by rounds: {rank} {refusal}")]
    RollCall {
        /// The layer.
        layer: LayerId,
        /// The rank that did not take part.
        rank: RankId,
        /// Why.
        refusal: RollCallRefusal,
    },
    /// The collective transport can't be used any more. Peer memory can.
    #[error(
        "the collective transport is lost: {reason}; ranks that can't use peer memory get no experts \
         until all sessions are opened anew"
    )]
    CollectiveLost {
        /// What was lost first.
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
    /// The pool of all experts failed.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A slot gets an expert whose bytes are nowhere.
    #[error(
        "{layer}, {slot}: {expert} is on no rank that is connected, and there is no pool to load it \
         from; configure [pool]"
    )]
    NoSource {
        /// The layer.
        layer: LayerId,
        /// The slot.
        slot: SlotId,
        /// The expert.
        expert: ExpertId,
    },
    /// Bytes are not what the checksum of their expert says.
    #[error(
        "{layer}, {slot}: tensor {tensor} of {expert} from {from} has checksum {found:016x}, \
         expected is {expected:016x}"
    )]
    Corrupt {
        /// The layer.
        layer: LayerId,
        /// The slot that got them.
        slot: SlotId,
        /// The tensor.
        tensor: String,
        /// The expert.
        expert: ExpertId,
        /// Where they came from: a rank or the pool.
        from: String,
        /// The checksum of the bytes that are there.
        found: u64,
        /// The checksum that the expert's bytes have.
        expected: u64,
    },
    /// Replicas of an expert differ, or a replica and the pool.
    #[error(
        "{layer}, {expert}: tensor {tensor} has other bytes on {second} than on {first}; load the \
         same weights everywhere"
    )]
    Disagreement {
        /// The layer.
        layer: LayerId,
        /// The expert.
        expert: ExpertId,
        /// The tensor.
        tensor: String,
        /// Who holds the one.
        first: String,
        /// Who holds the other.
        second: String,
    },
    /// An expert came that no endpoint gave checksums of.
    #[error("{layer}, {expert}: no rank gave its checksums at the start; give all ranks the pool")]
    NoChecksum {
        /// The layer.
        layer: LayerId,
        /// The expert.
        expert: ExpertId,
    },
    /// After a commit two slots of a rank share a buffer, or a slot has none.
    #[error("{layer}, {slot}: it is in buffer {buffer} of {buffers}, which another slot has too")]
    CorruptMap {
        /// The layer.
        layer: LayerId,
        /// The slot.
        slot: SlotId,
        /// The buffer that the table names.
        buffer: usize,
        /// Buffers of the rank.
        buffers: usize,
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
