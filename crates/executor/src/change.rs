//! One layer's change on one rank, from its copies to its end.

use eplb_core::{Epoch, LayerId, SlotId, Source, TransferPlan};
use eplb_device::{Memory, MemoryCopy};

use crate::manifest::packed_offsets;
use crate::staging::Lane;
use crate::weights::Weights;
use crate::{BufferTable, ExecutorError, Landing};

/// What a change moved on this rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeFigures {
    /// Slots of this rank that get another expert.
    pub changed_slots: u64,
    /// Of these, slots whose bytes come from another rank.
    pub received_slots: u64,
    /// Bytes that come from other ranks.
    pub received_bytes: u64,
}

/// A change whose weights have all arrived and which the engine can switch to.
#[derive(Debug)]
pub struct PreparedChange {
    pub(crate) token: u64,
    pub(crate) layer: LayerId,
    /// The epoch that the change leads to.
    pub(crate) epoch: Epoch,
    pub(crate) old_buffers: BufferTable,
    pub(crate) new_buffers: BufferTable,
    /// The slots that change, in the order of their room in the lane. With indirect commits there is
    /// no lane, and the bytes are in the new buffers already.
    pub(crate) slots: Vec<SlotId>,
    pub(crate) lane: Option<Lane>,
    pub(crate) figures: ChangeFigures,
}

impl PreparedChange {
    /// The token that the manager gave it.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The layer that changes.
    pub fn layer(&self) -> LayerId {
        self.layer
    }

    /// The epoch that it leads to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What it moved on this rank.
    pub fn figures(&self) -> ChangeFigures {
        self.figures
    }

    /// A change in place: everything that changes arrives in the lane, also what comes from slots of
    /// the same rank, so that slots may trade places without overwriting each other.
    pub(crate) fn in_place(
        token: u64,
        layer: LayerId,
        epoch: Epoch,
        plan: &TransferPlan,
        weights: &Weights,
        lane: Lane,
    ) -> Self {
        let buffers = weights.buffers(layer);
        let slots = plan.changes(weights.rank).iter().map(|change| change.slot).collect();
        let figures = Self::figures_of(plan, layer, weights);
        let new_buffers = buffers.clone();
        let old_buffers = buffers;
        Self { token, layer, epoch, old_buffers, new_buffers, slots, lane: Some(lane), figures }
    }

    /// An indirect change to the buffers of `new_buffers`.
    pub(crate) fn indirect(
        token: u64,
        layer: LayerId,
        epoch: Epoch,
        plan: &TransferPlan,
        weights: &Weights,
        new_buffers: BufferTable,
    ) -> Self {
        let old_buffers = weights.buffers(layer);
        let slots = plan.changes(weights.rank).iter().map(|change| change.slot).collect();
        let figures = Self::figures_of(plan, layer, weights);
        Self { token, layer, epoch, old_buffers, new_buffers, slots, lane: None, figures }
    }

    fn figures_of(plan: &TransferPlan, layer: LayerId, weights: &Weights) -> ChangeFigures {
        let changes = plan.changes(weights.rank);
        let remote = |change: &&eplb_core::SlotChange| matches!(change.source, Source::Remote(_));
        let received = changes.iter().filter(remote).count() as u64;
        ChangeFigures {
            changed_slots: changes.len() as u64,
            received_slots: received,
            received_bytes: received * weights.manifest.expert_bytes(layer) as u64,
        }
    }

    /// The copies that bring the new weights, and save what they will overwrite. `landings` tells for
    /// indirect changes where each slot's bytes go.
    pub(crate) fn arrival_copies(
        &self,
        plan: &TransferPlan,
        landings: &[Landing],
        weights: &Weights,
    ) -> Result<Vec<MemoryCopy>, ExecutorError> {
        let tensors = weights.tensors(self.layer);
        let mut copies = Vec::new();
        for (index, change) in plan.changes(weights.rank).iter().enumerate() {
            for (tensor, offset) in packed_offsets(tensors).enumerate() {
                let (Source::Local(source) | Source::Remote(source)) = change.source;
                let source = weights.slot(self.layer, tensor, source, &self.old_buffers)?;
                let bytes = tensors[tensor].slot_bytes;
                match (&self.lane, landings.get(index)) {
                    (Some(lane), _) => {
                        let live =
                            weights.slot(self.layer, tensor, change.slot, &self.old_buffers)?;
                        copies
                            .push(MemoryCopy::new(&lane.incoming(index, offset, bytes)?, &source));
                        copies.push(MemoryCopy::new(&lane.saved(index, offset, bytes)?, &live));
                    }
                    (None, Some(Landing::Copied(buffer))) => {
                        let spare = tensors[tensor].buffer(*buffer as usize)?;
                        copies.push(MemoryCopy::new(&spare, &source));
                    }
                    (None, _) => {}
                }
            }
        }
        Ok(copies)
    }

    /// The copies that make the new weights live; none for an indirect change.
    pub(crate) fn commit_copies(
        &self,
        weights: &Weights,
    ) -> Result<Vec<MemoryCopy>, ExecutorError> {
        self.live_copies(weights, Lane::incoming)
    }

    /// The copies that make the old weights live again; none for an indirect change.
    pub(crate) fn revert_copies(
        &self,
        weights: &Weights,
    ) -> Result<Vec<MemoryCopy>, ExecutorError> {
        self.live_copies(weights, Lane::saved)
    }

    fn live_copies(
        &self,
        weights: &Weights,
        room: fn(&Lane, usize, usize, usize) -> Result<Memory, ExecutorError>,
    ) -> Result<Vec<MemoryCopy>, ExecutorError> {
        let Some(lane) = &self.lane else { return Ok(Vec::new()) };
        let tensors = weights.tensors(self.layer);
        let mut copies = Vec::with_capacity(self.slots.len() * tensors.len());
        for (index, &slot) in self.slots.iter().enumerate() {
            for (tensor, offset) in packed_offsets(tensors).enumerate() {
                let live = weights.slot(self.layer, tensor, slot, &self.old_buffers)?;
                let source = room(lane, index, offset, tensors[tensor].slot_bytes)?;
                copies.push(MemoryCopy::new(&live, &source));
            }
        }
        Ok(copies)
    }
}
