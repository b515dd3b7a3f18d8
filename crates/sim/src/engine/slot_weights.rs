//! The weights of one rank's slots on its device.

use eplb::core::{LayerId, SlotId};
use eplb::device::{Device, Memory, MemoryCopy, PinnedMemory, Stream};
use eplb::{Patience, Session, SlotTensor, WeightManifest};

use super::serve::PATIENCE;
use crate::{ExpertBytes, ExpertDimensions, RunError};

/// Slots start at multiples of this, as engines align them; so a slot's stride is not its size.
const ALIGNMENT: usize = 256;

/// Reads slots back from the device, through pinned memory made once.
#[derive(Debug)]
pub(crate) struct SlotReader {
    pinned: PinnedMemory,
    tensor_bytes: [usize; 3],
}

/// How a rank's weights lie on its device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) layers: usize,
    pub(crate) slots: usize,
    /// Buffers after the slots of every tensor, for indirect commits.
    pub(crate) spares: usize,
    pub(crate) dimensions: ExpertDimensions,
}

/// Allocates a rank's weights on its device, and fills slot n of every layer with `expert(layer, n)`.
pub(crate) fn load_weights(
    layout: &Layout,
    expert: &dyn Fn(LayerId, usize) -> ExpertBytes,
    device: &Device,
    stream: &Stream,
) -> Result<WeightManifest, RunError> {
    let Layout { layers, slots, spares, dimensions } = *layout;
    let mut manifest = WeightManifest::new();
    for layer in (0..layers).map(LayerId::from_index) {
        let experts = (0..slots).map(|slot| tensors_of(expert(layer, slot)));
        let experts: Vec<_> = experts.collect();
        let mut tensors = Vec::new();
        for (index, (name, bytes)) in tensor_sizes(dimensions).into_iter().enumerate() {
            let stride = bytes.next_multiple_of(ALIGNMENT);
            let mut all = vec![0; stride * (slots + spares)];
            for (slot, expert) in experts.iter().enumerate() {
                all[slot * stride..][..bytes].copy_from_slice(&expert[index]);
            }
            let memory = device.allocate(all.len())?;
            stream.upload(&memory, &device.pin(&all)?)?;
            tensors.push(SlotTensor {
                name: name.to_owned(),
                memory,
                slot_stride: stride,
                slot_bytes: bytes,
            });
        }
        manifest.push_layer(tensors);
    }
    stream.wait(&mut Patience::new(PATIENCE))?;
    Ok(manifest)
}

fn tensor_sizes(dimensions: ExpertDimensions) -> [(&'static str, usize); 3] {
    [
        ("gate_up", dimensions.gate_up_bytes()),
        ("down", dimensions.down_bytes()),
        ("scale", dimensions.scale_bytes()),
    ]
}

fn tensors_of(expert: ExpertBytes) -> [Vec<u8>; 3] {
    [expert.gate_up, expert.down, expert.scale]
}

impl SlotReader {
    pub(crate) fn new(
        slots: usize,
        dimensions: ExpertDimensions,
        device: &Device,
    ) -> Result<Self, RunError> {
        let tensor_bytes = tensor_sizes(dimensions).map(|(_, bytes)| bytes);
        let pinned = device.allocate_pinned(slots * tensor_bytes.iter().sum::<usize>())?;
        Ok(Self { pinned, tensor_bytes })
    }

    /// The bytes of several slots of this rank, as the forward pass at hand reads them: the reads are
    /// queued on the engine's stream, behind any switch-over.
    pub(crate) fn read(
        &self,
        session: &Session,
        layer: LayerId,
        slots: &[SlotId],
    ) -> Result<Vec<ExpertBytes>, RunError> {
        let mut copies = Vec::new();
        let mut offset = 0;
        for &slot in slots {
            for memory in session.slot(layer, slot)? {
                copies.push(self.download(&memory, offset)?);
                offset += memory.bytes();
            }
        }
        let stream = session.engine_stream();
        stream.copy(&copies)?;
        stream.wait(&mut Patience::new(PATIENCE))?;
        let mut offset = 0;
        let mut tensor = |bytes: usize| -> Result<Vec<u8>, RunError> {
            let read = self.pinned.slice(offset, bytes)?.to_vec()?;
            offset += bytes;
            Ok(read)
        };
        let [gate_up, down, scale] = self.tensor_bytes;
        let mut experts = Vec::with_capacity(slots.len());
        for _ in slots {
            let (gate_up, down, scale) = (tensor(gate_up)?, tensor(down)?, tensor(scale)?);
            experts.push(ExpertBytes { gate_up, down, scale });
        }
        Ok(experts)
    }

    fn download(&self, memory: &Memory, offset: usize) -> Result<MemoryCopy, RunError> {
        Ok(MemoryCopy::download(&self.pinned.slice(offset, memory.bytes())?, memory))
    }
}
