//! Reading slots back, to compare their bytes with checksums.

use std::collections::VecDeque;
use std::sync::Arc;

use eplb_core::LayerId;
use eplb_device::{Device, Event, MemoryCopy, PinnedMemory, Stream};

use crate::arrival::Arrival;
use crate::checksums::checksum;
use crate::manifest::packed_offsets;
use crate::{ExecutorError, SlotTensor, WeightManifest};

/// Downloads slots through pinned memory and hashes them. There is room for two experts: while one
/// is hashed the next is downloaded.
#[derive(Debug)]
pub(crate) struct Inspector {
    /// A place is free when nobody else holds it.
    ring: Vec<Arc<PinnedMemory>>,
    bytes: Vec<u8>,
}

/// Slots of one layer to be read, and those under way.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) layer: LayerId,
    waiting: VecDeque<Arrival>,
    under_way: VecDeque<(Arrival, Arc<PinnedMemory>, Event)>,
}

impl Inspection {
    /// All that has bytes of its own among `slots`.
    pub(crate) fn new(layer: LayerId, slots: Vec<Arrival>) -> Self {
        let waiting = slots.into_iter().filter(|slot| !slot.tensors.is_empty()).collect();
        Self { layer, waiting, under_way: VecDeque::new() }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Bytes of the next download.
    pub(crate) fn next_bytes(&self) -> Option<usize> {
        let next = self.waiting.front()?;
        Some(next.tensors.iter().map(eplb_device::Memory::bytes).sum())
    }
}

impl Inspector {
    const EXPERTS: usize = 2;

    pub(crate) fn reserve(
        manifest: &WeightManifest,
        device: &Device,
    ) -> Result<Self, ExecutorError> {
        let room = manifest.packed_bytes();
        let ring = (0..Self::EXPERTS).map(|_| Ok(Arc::new(device.allocate_pinned(room)?)));
        Ok(Self { ring: ring.collect::<Result<_, ExecutorError>>()?, bytes: Vec::new() })
    }

    /// Queues the next download, if there is one and room for it.
    pub(crate) fn queue(
        &self,
        inspection: &mut Inspection,
        tensors: &[SlotTensor],
        stream: &Stream,
    ) -> Result<bool, ExecutorError> {
        let is_free = |place: &&Arc<PinnedMemory>| Arc::strong_count(place) == 1 && place.is_idle();
        let Some(place) = self.ring.iter().find(is_free) else { return Ok(false) };
        let Some(slot) = inspection.waiting.pop_front() else { return Ok(false) };
        let mut copies = Vec::with_capacity(slot.tensors.len());
        for (memory, offset) in slot.tensors.iter().zip(packed_offsets(tensors)) {
            copies.push(MemoryCopy::download(&place.slice(offset, memory.bytes())?, memory));
        }
        let done = stream.device().event()?;
        stream.copy(&copies)?;
        stream.record(&done)?;
        inspection.under_way.push_back((slot, Arc::clone(place), done));
        Ok(true)
    }

    /// The slot that was downloaded next, with the checksums of its tensors.
    pub(crate) fn poll(
        &mut self,
        inspection: &mut Inspection,
        tensors: &[SlotTensor],
    ) -> Result<Option<(Arrival, Vec<u64>)>, ExecutorError> {
        let Some((_, place, done)) = inspection.under_way.front() else { return Ok(None) };
        // Asked in this order, since memory is idle after a failure too.
        if !done.is_complete()? || !place.is_idle() {
            return Ok(None);
        }
        let Some((slot, place, _)) = inspection.under_way.pop_front() else { return Ok(None) };
        let mut checksums = Vec::with_capacity(tensors.len());
        for (tensor, offset) in tensors.iter().zip(packed_offsets(tensors)) {
            self.bytes.resize(tensor.slot_bytes, 0);
            place.slice(offset, tensor.slot_bytes)?.read(&mut self.bytes)?;
            checksums.push(checksum(&self.bytes));
        }
        Ok(Some((slot, checksums)))
    }
}
