//! What arrives on a rank in the course of a change.

use eplb_core::{ExpertId, RankId, SlotId, Topology};
use eplb_device::Memory;

/// One slot's new bytes on this rank.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The slot that gets them.
    pub(crate) slot: SlotId,
    pub(crate) expert: ExpertId,
    pub(crate) from: Supply,
    /// Where each tensor arrives; empty for a slot that only points to another buffer.
    pub(crate) tensors: Vec<Memory>,
}

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// A slot of this rank, or of one whose memory is imported.
    Slot(SlotId),
    /// A slot of a rank that sends it in a round.
    Sent(SlotId),
    /// The pool.
    Pool,
}

impl Supply {
    /// For messages.
    pub(crate) fn name(self, topology: &Topology) -> String {
        match self {
            Self::Slot(slot) | Self::Sent(slot) => topology.rank_of(slot).to_string(),
            Self::Pool => "the pool".to_owned(),
        }
    }
}

/// What a change moved on this rank, or what a rank was filled with at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeFigures {
    /// Slots of this rank that get another expert; the sum of those by each way.
    pub changed_slots: u64,
    /// Of these, slots whose bytes were on this rank already.
    pub local_slots: u64,
    /// Bytes of them.
    pub local_bytes: u64,
    /// Slots whose bytes come from another rank.
    pub received_slots: u64,
    /// Bytes that come from other ranks.
    pub received_bytes: u64,
    /// Of the received slots, those that come by rounds of the communicator; the others come through peer
    /// memory.
    pub collective_slots: u64,
    /// Their bytes.
    pub collective_bytes: u64,
    /// Slots whose bytes come from the pool.
    pub pool_slots: u64,
    /// Bytes that come from the pool.
    pub pool_bytes: u64,
    /// Slots whose bytes were compared with the checksums of their experts.
    pub verified_slots: u64,
}

impl ChangeFigures {
    /// One more slot, of `bytes` bytes, on rank `own`.
    pub(crate) fn count(&mut self, from: Supply, bytes: u64, own: RankId, topology: &Topology) {
        let (slots, sum) = match from {
            Supply::Pool => (&mut self.pool_slots, &mut self.pool_bytes),
            Supply::Slot(slot) if topology.rank_of(slot) == own => {
                (&mut self.local_slots, &mut self.local_bytes)
            }
            Supply::Slot(_) => (&mut self.received_slots, &mut self.received_bytes),
            Supply::Sent(_) => {
                self.collective_slots += 1;
                self.collective_bytes += bytes;
                (&mut self.received_slots, &mut self.received_bytes)
            }
        };
        self.changed_slots += 1;
        *slots += 1;
        *sum += bytes;
    }

    /// Adds what another change moved.
    pub fn add(&mut self, other: &Self) {
        self.changed_slots += other.changed_slots;
        self.local_slots += other.local_slots;
        self.local_bytes += other.local_bytes;
        self.received_slots += other.received_slots;
        self.received_bytes += other.received_bytes;
        self.collective_slots += other.collective_slots;
        self.collective_bytes += other.collective_bytes;
        self.pool_slots += other.pool_slots;
        self.pool_bytes += other.pool_bytes;
        self.verified_slots += other.verified_slots;
    }
}
