//! The way from a pool to a device.

use std::sync::Arc;

use eplb_core::{ExpertId, LayerId};
use eplb_device::{Device, Memory, MemoryCopy, PinnedMemory};

use crate::checksums::checksum;
use crate::manifest::packed_offsets;
use crate::{ExecutorError, ExpertPool, SlotTensor, WeightManifest};

/// Reads experts of a pool to pinned memory, for the device to upload.
///
/// There is room for two experts: while one is uploaded the next is read. Beyond that nothing is
/// reserved, however many experts come.
#[derive(Debug)]
pub(crate) struct Loader {
    pool: Arc<dyn ExpertPool>,
    ring: Vec<PinnedMemory>,
    /// One tensor, between the pool and pinned memory.
    bytes: Vec<u8>,
}

/// An expert that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The copies that bring it to the device.
    pub(crate) uploads: Vec<MemoryCopy>,
    /// Of each tensor, where they are asked for.
    pub(crate) checksums: Vec<u64>,
}

impl Loader {
    const EXPERTS: usize = 2;

    /// Checks that `pool` holds what `manifest` names, and reserves pinned memory.
    pub(crate) fn reserve(
        pool: Arc<dyn ExpertPool>,
        experts: usize,
        manifest: &WeightManifest,
        device: &Device,
    ) -> Result<Self, ExecutorError> {
        pool.layout().covers(&manifest.layout(experts))?;
        let room = manifest.packed_bytes();
        let ring = (0..Self::EXPERTS).map(|_| device.allocate_pinned(room));
        let ring = ring.collect::<Result<_, _>>()?;
        Ok(Self { pool, ring, bytes: Vec::new() })
    }

    /// Reads an expert, to be uploaded to `destinations`, one for each tensor. `None` while both
    /// places are in use.
    pub(crate) fn load(
        &mut self,
        layer: LayerId,
        expert: ExpertId,
        tensors: &[SlotTensor],
        destinations: &[Memory],
        with_checksums: bool,
    ) -> Result<Option<Loaded>, ExecutorError> {
        let Some(place) = self.ring.iter().find(|place| place.is_idle()).cloned() else {
            return Ok(None);
        };
        let mut loaded = Loaded { uploads: Vec::new(), checksums: Vec::new() };
        let offsets = packed_offsets(tensors);
        for ((tensor, destination), offset) in tensors.iter().zip(destinations).zip(offsets) {
            let direct = self.pool.pinned(layer, &tensor.name, expert);
            let direct = direct.filter(|pinned| pinned.device().is_same(place.device()));
            if direct.is_none() || with_checksums {
                self.read(layer, tensor, expert)?;
            }
            if with_checksums {
                loaded.checksums.push(checksum(&self.bytes));
            }
            let source = match direct {
                Some(pinned) => pinned,
                None => {
                    let part = place.slice(offset, tensor.slot_bytes)?;
                    part.write(&self.bytes)?;
                    part
                }
            };
            loaded.uploads.push(MemoryCopy::upload(destination, &source));
        }
        Ok(Some(loaded))
    }

    /// The checksums of an expert's tensors in the pool.
    pub(crate) fn checksums(
        &mut self,
        layer: LayerId,
        expert: ExpertId,
        tensors: &[SlotTensor],
    ) -> Result<Vec<u64>, ExecutorError> {
        let mut checksums = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            self.read(layer, tensor, expert)?;
            checksums.push(checksum(&self.bytes));
        }
        Ok(checksums)
    }

    fn read(
        &mut self,
        layer: LayerId,
        tensor: &SlotTensor,
        expert: ExpertId,
    ) -> Result<(), ExecutorError> {
        self.bytes.resize(tensor.slot_bytes, 0);
        Ok(self.pool.read(layer, &tensor.name, expert, &mut self.bytes)?)
    }
}
