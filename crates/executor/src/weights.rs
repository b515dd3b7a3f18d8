//! What both halves of an executor know of the rank's weights.

use std::sync::{Arc, Mutex, PoisonError};

use eplb_core::{LayerId, RankId, SlotId, Topology};
use eplb_device::{Event, Memory};

use crate::endpoint::PeerWeights;
use crate::{BufferTable, ExecutorError, SlotTensor, WeightManifest};

/// The weights of this rank and of its peers, shared by migrator and switcher.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) rank: RankId,
    pub(crate) topology: Topology,
    pub(crate) manifest: WeightManifest,
    /// For each rank its weights; `None` for this rank and for dead ones.
    pub(crate) peers: Vec<Option<PeerWeights>>,
    /// For each layer which buffers hold its slots. The locks are held to clone or to replace a
    /// table, never over a device call.
    layers: Vec<Mutex<LayerBuffers>>,
}

#[derive(Clone, Debug)]
struct LayerBuffers {
    table: BufferTable,
    /// Recorded on the engine's stream by the last switch of this layer: forward passes that read
    /// the buffers which became spare are before it.
    switched: Option<Arc<Event>>,
}

impl Weights {
    pub(crate) fn new(
        rank: RankId,
        topology: Topology,
        manifest: WeightManifest,
        peers: Vec<Option<PeerWeights>>,
    ) -> Self {
        let start = LayerBuffers { table: BufferTable::identity(&topology), switched: None };
        let layers = (0..manifest.layers()).map(|_| Mutex::new(start.clone())).collect();
        Self { rank, topology, manifest, peers, layers }
    }

    pub(crate) fn tensors(&self, layer: LayerId) -> &[SlotTensor] {
        self.manifest.tensors(layer)
    }

    pub(crate) fn buffers(&self, layer: LayerId) -> BufferTable {
        self.lock(layer).table.clone()
    }

    pub(crate) fn last_switch(&self, layer: LayerId) -> Option<Arc<Event>> {
        self.lock(layer).switched.clone()
    }

    pub(crate) fn switch(&self, layer: LayerId, table: BufferTable, switched: Arc<Event>) {
        *self.lock(layer) = LayerBuffers { table, switched: Some(switched) };
    }

    fn lock(&self, layer: LayerId) -> std::sync::MutexGuard<'_, LayerBuffers> {
        self.layers[layer.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One tensor of a slot of any rank, under `buffers`.
    pub(crate) fn slot(
        &self,
        layer: LayerId,
        tensor: usize,
        slot: SlotId,
        buffers: &BufferTable,
    ) -> Result<Memory, ExecutorError> {
        let rank = self.topology.rank_of(slot);
        let buffer = buffers.buffer_of(slot);
        let spec = &self.tensors(layer)[tensor];
        if rank == self.rank {
            return spec.buffer(buffer);
        }
        match &self.peers[rank.index()] {
            Some(peer) => peer.buffer(layer, tensor, buffer, spec.slot_bytes),
            None => Err(ExecutorError::Endpoint { rank, reason: "it is not connected".to_owned() }),
        }
    }
}
