//! What ranks routed with and what their slots held, as one number.

use eplb::core::{ExpertId, LayerId, RoutingTable, Step};
use xxhash_rust::xxh3::Xxh3;

use crate::ExpertBytes;

/// Collects what one rank saw, in the order in which it saw it.
#[derive(Clone)]
pub(crate) struct Digest(Xxh3);

impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Digest({:032x})", self.value())
    }
}

impl Digest {
    pub(crate) fn new() -> Self {
        Self(Xxh3::new())
    }

    pub(crate) fn value(&self) -> u128 {
        self.0.digest128()
    }

    /// From this step on the layer is routed by this table, and the rank's slots hold these bytes.
    pub(crate) fn add_layer(
        &mut self,
        step: Step,
        layer: LayerId,
        routing: &RoutingTable,
        slots: &[ExpertBytes],
    ) {
        self.add_number(step.0);
        self.add_number(layer.0.into());
        self.add_number(routing.epoch().0);
        for expert in (0..routing.experts()).map(ExpertId::from_index) {
            let replicas = routing.replicas(expert);
            self.add_number(replicas.len() as u64);
            for replica in replicas {
                self.add_number(u64::from(replica.slot.0) << 16 | u64::from(replica.share));
            }
        }
        for ExpertBytes { gate_up, down, scale } in slots {
            for tensor in [gate_up, down, scale] {
                self.add_number(tensor.len() as u64);
                self.0.update(tensor);
            }
        }
    }

    fn add_number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }
}

/// One number for all ranks, given theirs in the order of ranks.
pub(crate) fn of_ranks(ranks: impl Iterator<Item = u128>) -> u128 {
    let mut hasher = Xxh3::new();
    for rank in ranks {
        hasher.update(&rank.to_le_bytes());
    }
    hasher.digest128()
}
