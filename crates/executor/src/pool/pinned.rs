//! Experts in pinned memory.

use eplb_core::{ExpertId, LayerId};
use eplb_device::{Device, PinnedMemory};

use super::{ExpertLayout, ExpertPool};
use crate::PoolError;

/// All experts in page-locked memory of this process: the fastest pool, which the device's copy engine
/// reads without a stop. It takes the bytes of all experts for each process, so it is for
/// engines with one process a node.
#[derive(Debug)]
pub struct PinnedPool {
    layout: ExpertLayout,
    identity: u64,
    /// For each layer and tensor the experts, one after the other.
    experts: Vec<Vec<PinnedMemory>>,
}

impl PinnedPool {
    /// Reads all experts of `source` to pinned memory of `device`.
    ///
    /// # Errors
    /// Too little memory, or a source that can't be read.
    pub fn load(device: &Device, source: &dyn ExpertPool) -> Result<Self, PoolError> {
        let layout = source.layout().clone();
        let mut experts = Vec::with_capacity(layout.layers());
        let mut bytes = Vec::new();
        for layer in (0..layout.layers()).map(LayerId::from_index) {
            let mut tensors = Vec::new();
            for tensor in layout.tensors(layer) {
                let pinned = device.allocate_pinned(tensor.bytes * layout.experts())?;
                bytes.resize(tensor.bytes, 0);
                for expert in (0..layout.experts()).map(ExpertId::from_index) {
                    source.read(layer, &tensor.name, expert, &mut bytes)?;
                    pinned.slice(expert.index() * tensor.bytes, tensor.bytes)?.write(&bytes)?;
                }
                tensors.push(pinned);
            }
            experts.push(tensors);
        }
        Ok(Self { layout, identity: source.identity(), experts })
    }

    fn slice(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        bytes: usize,
    ) -> Result<PinnedMemory, PoolError> {
        let index = self.layout.find(layer, tensor, expert, bytes)?;
        Ok(self.experts[layer.index()][index].slice(expert.index() * bytes, bytes)?)
    }
}

impl ExpertPool for PinnedPool {
    fn layout(&self) -> &ExpertLayout {
        &self.layout
    }

    fn identity(&self) -> u64 {
        self.identity
    }

    fn read(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        into: &mut [u8],
    ) -> Result<(), PoolError> {
        Ok(self.slice(layer, tensor, expert, into.len())?.read(into)?)
    }

    fn pinned(&self, layer: LayerId, tensor: &str, expert: ExpertId) -> Option<PinnedMemory> {
        let known = self.layout.tensors(layer).iter().find(|known| known.name == tensor)?;
        self.slice(layer, tensor, expert, known.bytes).ok()
    }
}
