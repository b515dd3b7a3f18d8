//! What all experts of a model are, in bytes.

use eplb_core::{ExpertId, LayerId};
use xxhash_rust::xxh3::Xxh3;

use crate::PoolError;

/// One tensor of an expert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorBytes {
    /// The name that it is registered with.
    pub name: String,
    /// Bytes of one expert.
    pub bytes: usize,
}

/// All experts of a model: for each layer the tensors that each of its experts has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpertLayout {
    experts: usize,
    layers: Vec<Vec<TensorBytes>>,
}

impl ExpertLayout {
    /// `experts` experts in each of the layers, with the tensors that `layers` gives for each.
    pub fn new(experts: usize, layers: Vec<Vec<TensorBytes>>) -> Self {
        Self { experts, layers }
    }

    /// Logical experts of each layer.
    pub fn experts(&self) -> usize {
        self.experts
    }

    /// Layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The tensors of a layer's experts; none for a layer that is not there.
    pub fn tensors(&self, layer: LayerId) -> &[TensorBytes] {
        self.layers.get(layer.index()).map_or(&[], Vec::as_slice)
    }

    /// Bytes of all experts of all layers.
    pub fn total_bytes(&self) -> u64 {
        let tensors = self.layers.iter().flatten();
        tensors.map(|tensor| tensor.bytes as u64).sum::<u64>() * self.experts as u64
    }

    /// Every layer, tensor (its index in the layer) and expert, in the order of pools that keep them
    /// one after the other.
    pub fn entries(&self) -> impl Iterator<Item = (LayerId, usize, ExpertId)> + '_ {
        self.layers.iter().enumerate().flat_map(move |(layer, tensors)| {
            (0..tensors.len()).flat_map(move |tensor| {
                let experts = (0..self.experts).map(ExpertId::from_index);
                experts.map(move |expert| (LayerId::from_index(layer), tensor, expert))
            })
        })
    }

    /// The index of a tensor within its layer, for a read of `bytes` bytes.
    ///
    /// # Errors
    /// A layer, tensor or expert that is not there, or another number of bytes than it has.
    pub fn find(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        bytes: usize,
    ) -> Result<usize, PoolError> {
        let tensors = self.tensors(layer);
        let found = tensors.iter().position(|known| known.name == tensor);
        let Some(index) = found.filter(|_| expert.index() < self.experts) else {
            return Err(PoolError::Unknown { layer, expert, tensor: tensor.to_owned() });
        };
        let expected = tensors[index].bytes;
        if bytes == expected {
            return Ok(index);
        }
        let (tensor, found) = (tensor.to_owned(), bytes);
        Err(PoolError::Size { layer, expert, tensor, found, expected })
    }

    /// A number that differs between layouts that differ.
    pub fn digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        let mut number = |value: usize| hash.update(&(value as u64).to_le_bytes());
        number(self.experts);
        number(self.layers.len());
        for tensors in &self.layers {
            hash.update(&(tensors.len() as u64).to_le_bytes());
            for TensorBytes { name, bytes } in tensors {
                hash.update(&(name.len() as u64).to_le_bytes());
                hash.update(name.as_bytes());
                hash.update(&(*bytes as u64).to_le_bytes());
            }
        }
        hash.digest()
    }

    /// Whether a pool of this layout holds all that `needed` names.
    pub(crate) fn covers(&self, needed: &Self) -> Result<(), PoolError> {
        let refuse = |reason| Err(PoolError::OtherModel { reason });
        let numbers = |layout: &Self| (layout.layers(), layout.experts());
        if numbers(self) != numbers(needed) {
            let ((layers, experts), (own_layers, own_experts)) = (numbers(self), numbers(needed));
            return refuse(format!(
                "it holds {layers} layers of {experts} experts, the model has {own_layers} of \
                 {own_experts}"
            ));
        }
        for (layer, tensors) in needed.layers.iter().enumerate() {
            for tensor in tensors {
                let layer = LayerId::from_index(layer);
                let held = self.tensors(layer).iter().find(|held| held.name == tensor.name);
                if held.is_none_or(|held| held.bytes != tensor.bytes) {
                    let held = held.map_or(0, |held| held.bytes);
                    let TensorBytes { name, bytes } = tensor;
                    return refuse(format!(
                        "{layer}, tensor {name}: it holds {held} bytes of each expert, a slot has \
                         {bytes}"
                    ));
                }
            }
        }
        Ok(())
    }
}
