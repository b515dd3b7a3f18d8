//! What a rank's weights are: opaque bytes with a name, an address and a stride.

use eplb_core::LayerId;
use eplb_device::Memory;

use crate::{ExecutorError, ExpertLayout, TensorBytes};

/// Packed tensors start at multiples of this, the coarsest alignment that a device asks of copies.
const PACKING: usize = 64;

/// One tensor of a layer's experts on one rank, slot after slot: weights, scales, anything that
/// belongs to an expert and has to move with it. Its bytes are never interpreted.
#[derive(Clone, Debug)]
pub struct SlotTensor {
    /// The name, the same on all ranks.
    pub name: String,
    /// The memory, from the first slot on.
    pub memory: Memory,
    /// Bytes from one slot to the next.
    pub slot_stride: usize,
    /// Bytes of one slot, at most the stride.
    pub slot_bytes: usize,
}

/// The weights of one rank: for each layer its tensors. Every tensor of a rank holds equally many
/// buffers: one for each slot, and with indirect commits the spare ones after them.
#[derive(Clone, Debug, Default)]
pub struct WeightManifest {
    layers: Vec<Vec<SlotTensor>>,
}

impl WeightManifest {
    /// No layer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next layer with all its tensors, quantisation scales included.
    pub fn push_layer(&mut self, tensors: Vec<SlotTensor>) {
        self.layers.push(tensors);
    }

    /// Layers added.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The tensors of a layer.
    pub fn tensors(&self, layer: LayerId) -> &[SlotTensor] {
        &self.layers[layer.index()]
    }

    /// Bytes of one expert of a layer, all tensors together.
    pub fn expert_bytes(&self, layer: LayerId) -> usize {
        self.tensors(layer).iter().map(|tensor| tensor.slot_bytes).sum()
    }

    /// What all experts of the model are, of which each layer has `experts`: what a pool must hold.
    pub fn layout(&self, experts: usize) -> ExpertLayout {
        let tensor = |tensor: &SlotTensor| TensorBytes {
            name: tensor.name.clone(),
            bytes: tensor.slot_bytes,
        };
        let layers = self.layers.iter();
        ExpertLayout::new(
            experts,
            layers.map(|tensors| tensors.iter().map(tensor).collect()).collect(),
        )
    }

    /// Bytes that one expert of any layer takes when its tensors are packed one after the other.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.layers.iter().map(|tensors| expert_bytes(tensors)).max().unwrap_or(0)
    }

    /// Whether every tensor has room for `buffers` slots, checked once at the start.
    pub(crate) fn check(&self, layers: usize, buffers: usize) -> Result<(), ExecutorError> {
        let refuse = |layer: usize, tensor: &str, reason: String| {
            let (layer, tensor) = (LayerId::from_index(layer), tensor.to_owned());
            Err(ExecutorError::Manifest { layer, tensor, reason })
        };
        if self.layers.len() != layers {
            let reason = format!("{} layers are registered, the model has {layers}", self.layers());
            return refuse(self.layers.len().min(layers), "any", reason);
        }
        for (layer, tensors) in self.layers.iter().enumerate() {
            if tensors.is_empty() {
                return refuse(layer, "any", "no tensor is registered".to_owned());
            }
            for (index, tensor) in tensors.iter().enumerate() {
                if tensors[..index].iter().any(|other| other.name == tensor.name) {
                    return refuse(layer, &tensor.name, "it is registered twice".to_owned());
                }
                if tensor.slot_bytes == 0 || tensor.slot_bytes > tensor.slot_stride {
                    let (bytes, stride) = (tensor.slot_bytes, tensor.slot_stride);
                    let reason =
                        format!("slots of {bytes} bytes, allowed is 1 to the stride {stride}");
                    return refuse(layer, &tensor.name, reason);
                }
                let needed = tensor.slot_stride.checked_mul(buffers - 1);
                let needed = needed.and_then(|start| start.checked_add(tensor.slot_bytes));
                let held = tensor.memory.bytes();
                if needed.is_none_or(|needed| needed > held) {
                    let stride = tensor.slot_stride;
                    let reason =
                        format!("{held} bytes cannot hold {buffers} slots with stride {stride}");
                    return refuse(layer, &tensor.name, reason);
                }
            }
        }
        Ok(())
    }
}

impl SlotTensor {
    /// The bytes of one buffer.
    pub(crate) fn buffer(&self, buffer: usize) -> Result<Memory, ExecutorError> {
        let start = buffer * self.slot_stride;
        Ok(self.memory.slice(start, self.slot_bytes)?)
    }
}

/// Bytes of one packed expert of a layer with these tensors.
pub(crate) fn expert_bytes(tensors: &[SlotTensor]) -> usize {
    tensors.iter().map(|tensor| tensor.slot_bytes.next_multiple_of(PACKING)).sum()
}

/// The start of every tensor in a packed expert, in tensor order.
pub(crate) fn packed_offsets(tensors: &[SlotTensor]) -> impl Iterator<Item = usize> + '_ {
    tensors.iter().scan(0, |next, tensor| {
        let start = *next;
        *next += tensor.slot_bytes.next_multiple_of(PACKING);
        Some(start)
    })
}
