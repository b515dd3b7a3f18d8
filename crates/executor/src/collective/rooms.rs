//! Memory of rounds, reserved once at the start.

use eplb_core::{LayerId, SlotId};
use eplb_device::{Device, Memory, MemoryCopy, Stream, StreamPriority, Transfer};

use super::entry::Entry;
use super::gathering::Gathering;
use super::group::Group;
use super::rounds::{Parcel, Round};
use crate::manifest::{expert_bytes, packed_offsets};
use crate::weights::Weights;
use crate::{BufferTable, ExecutorError, WeightManifest};

/// All that the collective transport takes of a device, before there is a communicator.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// Nothing but collective work, and what prepares it.
    pub(crate) stream: Stream,
    /// Given back where no pair of ranks makes rounds.
    pub(crate) rooms: Option<Rooms>,
    pub(crate) greeting: Gathering,
    pub(crate) roll_call: Gathering,
}

/// Room for what one round sends and receives.
#[derive(Debug)]
pub(crate) struct Rooms {
    send: Memory,
    receive: Memory,
}

impl Reserved {
    pub(crate) fn reserve(
        device: &Device,
        manifest: &WeightManifest,
        round_slots: usize,
        group: &Group,
    ) -> Result<Self, ExecutorError> {
        let (members, packed) = (group.size() as usize, manifest.packed_bytes());
        Ok(Self {
            stream: device.stream(StreamPriority::Low)?,
            rooms: Some(Rooms {
                send: device.allocate(round_slots * packed)?,
                receive: device.allocate(round_slots * packed)?,
            }),
            greeting: Gathering::reserve(device, Entry::BYTES + members, members)?,
            roll_call: Gathering::reserve(device, Entry::BYTES, members)?,
        })
    }

    /// Device memory of it.
    pub(crate) fn bytes(&self) -> u64 {
        let rooms = self.rooms.as_ref();
        let rooms = rooms.map_or(0, |rooms| rooms.send.bytes() + rooms.receive.bytes());
        (rooms + self.greeting.bytes() + self.roll_call.bytes()) as u64
    }
}

impl Rooms {
    /// Queues packing what a round sends, behind the last switch of the layer.
    pub(crate) fn pack(
        &self,
        round: &Round,
        layer: LayerId,
        buffers: &BufferTable,
        weights: &Weights,
        stream: &Stream,
    ) -> Result<(), ExecutorError> {
        let tensors = weights.tensors(layer);
        let size = expert_bytes(tensors);
        let mut copies = Vec::with_capacity(round.sends.len() * tensors.len());
        for (index, parcel) in round.sends.iter().enumerate() {
            for (tensor, offset) in packed_offsets(tensors).enumerate() {
                let bytes = tensors[tensor].slot_bytes;
                let room = self.send.slice(index * size + offset, bytes)?;
                let source = weights.slot(layer, tensor, parcel.source, buffers)?;
                copies.push(MemoryCopy::new(&room, &source));
            }
        }
        if !copies.is_empty() {
            Self::order(layer, weights, stream)?;
            stream.copy(&copies)?;
        }
        Ok(())
    }

    /// Queues bringing what a round has received to where it belongs, behind the last switch of the layer;
    /// `landing` gives the memory of each tensor of a slot.
    pub(crate) fn unpack<'a>(
        &self,
        round: &Round,
        layer: LayerId,
        landing: impl Fn(SlotId) -> Option<&'a [Memory]>,
        weights: &Weights,
        stream: &Stream,
    ) -> Result<(), ExecutorError> {
        let tensors = weights.tensors(layer);
        let size = expert_bytes(tensors);
        let mut copies = Vec::with_capacity(round.receives.len() * tensors.len());
        for (index, parcel) in round.receives.iter().enumerate() {
            let places = landing(parcel.slot).unwrap_or_default();
            for (place, offset) in places.iter().zip(packed_offsets(tensors)) {
                let room = self.receive.slice(index * size + offset, place.bytes())?;
                copies.push(MemoryCopy::new(place, &room));
            }
        }
        Self::order(layer, weights, stream)?;
        Ok(stream.copy(&copies)?)
    }

    /// Spare buffers may still be read by forward passes from before the last switch, and live ones be
    /// written by it.
    fn order(layer: LayerId, weights: &Weights, stream: &Stream) -> Result<(), ExecutorError> {
        match weights.last_switch(layer) {
            Some(switched) => Ok(stream.wait_for(&switched)?),
            None => Ok(()),
        }
    }

    /// The buffers of a round, one for each rank and direction: what is sent, and what is received.
    pub(crate) fn transfers(
        &self,
        round: &Round,
        layer: LayerId,
        weights: &Weights,
        group: &Group,
    ) -> Result<[Vec<Transfer>; 2], ExecutorError> {
        let size = expert_bytes(weights.tensors(layer));
        let side = |memory: &Memory, parcels: &[Parcel]| {
            let runs = Round::runs(parcels).map(|(peer, first, count)| {
                let number = group.number_of(peer).ok_or_else(|| ExecutorError::Communicator {
                    reason: format!("{peer} is not one of its ranks"),
                })?;
                Ok(Transfer::new(number, &memory.slice(first * size, count * size)?))
            });
            runs.collect::<Result<Vec<_>, ExecutorError>>()
        };
        Ok([side(&self.send, &round.sends)?, side(&self.receive, &round.receives)?])
    }
}
