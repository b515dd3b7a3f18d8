//! One layer's change on one rank, from its copies to its end.

use eplb_core::{Epoch, LayerId, SlotChange, SlotId, TransferPlan};
use eplb_device::{Memory, MemoryCopy};

use crate::arrival::{Arrival, Supply};
use crate::manifest::packed_offsets;
use crate::staging::Lane;
use crate::weights::Weights;
use crate::{BufferTable, ChangeFigures, ExecutorError, Landing};

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
        let figures = ChangeFigures::default();
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
        let figures = ChangeFigures::default();
        Self { token, layer, epoch, old_buffers, new_buffers, slots, lane: None, figures }
    }

    /// What has to arrive on this rank, in the order of its slots. `landings` tells for indirect
    /// changes where each slot's bytes go, `supply` where each slot's come from.
    pub(crate) fn arrivals(
        &self,
        plan: &TransferPlan,
        landings: &[Landing],
        weights: &Weights,
        supply: &dyn Fn(&SlotChange) -> Supply,
    ) -> Result<Vec<Arrival>, ExecutorError> {
        let tensors = weights.tensors(self.layer);
        let mut arrivals = Vec::new();
        for (index, change) in plan.changes(weights.rank).iter().enumerate() {
            let room = |(tensor, offset): (usize, usize)| match (&self.lane, landings.get(index)) {
                (Some(lane), _) => Some(lane.incoming(index, offset, tensors[tensor].slot_bytes)),
                (None, Some(Landing::Copied(buffer))) => {
                    Some(tensors[tensor].buffer(*buffer as usize))
                }
                (None, _) => None,
            };
            let rooms = packed_offsets(tensors).enumerate().filter_map(room);
            arrivals.push(Arrival {
                slot: change.slot,
                expert: change.expert,
                from: supply(change),
                tensors: rooms.collect::<Result<_, _>>()?,
            });
        }
        Ok(arrivals)
    }

    /// The copies that bring `arrivals` from slots of this rank and from imported memory, and save what all
    /// of them will overwrite.
    pub(crate) fn arrival_copies(
        &self,
        arrivals: &[Arrival],
        weights: &Weights,
    ) -> Result<Vec<MemoryCopy>, ExecutorError> {
        let tensors = weights.tensors(self.layer);
        let mut copies = Vec::new();
        for (index, arrival) in arrivals.iter().enumerate() {
            for (tensor, offset) in packed_offsets(tensors).enumerate() {
                if let (Supply::Slot(source), Some(room)) =
                    (arrival.from, arrival.tensors.get(tensor))
                {
                    let source = weights.slot(self.layer, tensor, source, &self.old_buffers)?;
                    copies.push(MemoryCopy::new(room, &source));
                }
                if let Some(lane) = &self.lane {
                    let saved = lane.saved(index, offset, tensors[tensor].slot_bytes)?;
                    let live = weights.slot(self.layer, tensor, arrival.slot, &self.old_buffers)?;
                    copies.push(MemoryCopy::new(&saved, &live));
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
