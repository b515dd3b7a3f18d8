//! What both halves of an executor know of the rank's weights.

use std::sync::{Arc, Mutex, PoisonError};

use eplb_core::{LayerId, LayerPlacement, RankId, SlotChange, SlotId, Source, Topology};
use eplb_device::{Event, Memory};

use crate::arrival::{Arrival, Supply};
use crate::collective::{Reach, Transport};
use crate::endpoint::PeerWeights;
use crate::{BufferTable, ExecutorError, SlotTensor, WeightManifest};

/// The weights of this rank and of its peers, shared by migrator and switcher.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) rank: RankId,
    pub(crate) topology: Topology,
    pub(crate) manifest: WeightManifest,
    /// For each rank its weights; `None` for this rank, for dead ones and for those whose memory is not
    /// imported.
    peers: Vec<Option<PeerWeights>>,
    /// How each other rank is reached.
    reach: Vec<Option<Reach>>,
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
        reach: Vec<Option<Reach>>,
    ) -> Self {
        let start = LayerBuffers { table: BufferTable::identity(&topology), switched: None };
        let layers = (0..manifest.layers()).map(|_| Mutex::new(start.clone())).collect();
        Self { rank, topology, manifest, peers, reach, layers }
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

    /// Where this rank takes a changed slot's bytes from: the pool, where the rank that holds them is
    /// not connected.
    pub(crate) fn supply(&self, source: Source) -> Supply {
        match source {
            Source::Local(slot) => Supply::Slot(slot),
            Source::Remote(slot) => match self.transport_from(slot) {
                Some(Transport::Peer) => Supply::Slot(slot),
                Some(Transport::Collective) => Supply::Sent(slot),
                Some(Transport::Pool) | None => Supply::Pool,
            },
            Source::Pool => Supply::Pool,
        }
    }

    /// The same for when no rounds can be made any more: another replica of the expert, whose rank's memory is
    /// imported, or the pool.
    pub(crate) fn supply_without_rounds(
        &self,
        change: &SlotChange,
        old: &LayerPlacement,
    ) -> Supply {
        match self.supply(change.source) {
            Supply::Sent(_) => {
                let mut replicas = old.replicas(change.expert, &self.topology);
                let imported = Some(Transport::Peer);
                let other = replicas.find(|&slot| self.transport_from(slot) == imported);
                other.map_or(Supply::Pool, Supply::Slot)
            }
            other => other,
        }
    }

    fn transport_from(&self, slot: SlotId) -> Option<Transport> {
        self.reach[self.topology.rank_of(slot).index()].map(Reach::transport)
    }

    /// Whether the bytes of a slot, which have the checksums `found`, are those of its expert.
    pub(crate) fn compare(
        &self,
        layer: LayerId,
        slot: &Arrival,
        found: &[u64],
        expected: &[u64],
    ) -> Result<(), ExecutorError> {
        let mut both = self.tensors(layer).iter().zip(found.iter().zip(expected));
        match both.find(|(_, (found, expected))| found != expected) {
            None => Ok(()),
            Some((tensor, (&found, &expected))) => Err(ExecutorError::Corrupt {
                layer,
                slot: slot.slot,
                tensor: tensor.name.clone(),
                expert: slot.expert,
                from: slot.from.name(&self.topology),
                found,
                expected,
            }),
        }
    }

    /// Whether each slot of this rank has a buffer of its own, of those there are.
    pub(crate) fn check_map(
        &self,
        layer: LayerId,
        table: &BufferTable,
        spares: u32,
    ) -> Result<(), ExecutorError> {
        let slots = self.topology.slots_of(self.rank);
        let buffers = slots.len() + spares as usize;
        let mut taken = vec![false; buffers];
        for slot in slots.map(SlotId::from_index) {
            let buffer = table.buffer_of(slot);
            match taken.get_mut(buffer) {
                Some(taken @ false) => *taken = true,
                _ => return Err(ExecutorError::CorruptMap { layer, slot, buffer, buffers }),
            }
        }
        Ok(())
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
            None => Err(ExecutorError::Endpoint {
                rank,
                reason: "its memory is not imported".to_owned(),
            }),
        }
    }
}
