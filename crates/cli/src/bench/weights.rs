//! Made-up weights of one rank, and the placements between which they move.

use eplb::core::{Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, RankId, Topology};
use eplb::device::{Device, Memory, Stream};
use eplb::{SlotTensor, WeightManifest};

use super::ground::written_memory;
use crate::failure::Failure;

/// The weights of one rank: one tensor a layer. The memory is kept beside the manifest, so that it
/// outlives the executor that others read it through.
#[derive(Debug)]
pub(super) struct RankWeights {
    pub(super) manifest: WeightManifest,
    pub(super) memory: Vec<Memory>,
}

impl RankWeights {
    /// `layers` tensors of `buffers` experts of `expert_bytes`, all of it written on `stream`.
    pub(super) fn allocate(
        device: &Device,
        stream: &Stream,
        layers: u32,
        buffers: usize,
        expert_bytes: usize,
    ) -> Result<Self, Failure> {
        let mut weights = Self { manifest: WeightManifest::new(), memory: Vec::new() };
        for _ in 0..layers {
            let memory = written_memory(device, stream, buffers * expert_bytes)?;
            let (name, slot_stride, slot_bytes) =
                ("weights".to_owned(), expert_bytes, expert_bytes);
            let tensor = SlotTensor { name, memory: memory.clone(), slot_stride, slot_bytes };
            weights.manifest.push_layer(vec![tensor]);
            weights.memory.push(memory);
        }
        Ok(weights)
    }
}

/// Two placements of a layer without redundant experts, such that on the way from one to the other
/// every slot changes.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) shape: ModelShape,
    pub(super) topology: Topology,
    pub(super) first: LayerPlacement,
    pub(super) second: LayerPlacement,
}

impl Exchange {
    /// With several ranks every slot gets its expert from another rank, and a rank's slots get theirs
    /// from all other ranks in turn; a single rank's slots trade experts.
    pub(super) fn new(ranks: u32, slots: u32, layers: u32) -> Result<Self, Failure> {
        let topology = Topology::uniform(ranks, slots, 1).map_err(Failure::new)?;
        let shape = ModelShape::new(layers, ranks * slots, 1).map_err(Failure::new)?;
        let table = |expert_of: &dyn Fn(u32, u32) -> u32, epoch| {
            let experts: Vec<_> = (0..ranks)
                .flat_map(|rank| (0..slots).map(move |slot| (rank, slot)))
                .map(|(rank, slot)| ExpertId(expert_of(rank, slot)))
                .collect();
            LayerPlacement::new(LayerId(0), &experts, Epoch(epoch), shape, &topology)
                .map_err(Failure::new)
        };
        let first = table(&|rank, slot| rank * slots + slot, 0)?;
        let second = table(
            &|rank, slot| match ranks {
                1 => (slot + 1) % slots,
                _ => sender(RankId(rank), slot, ranks).0 * slots + slot,
            },
            1,
        )?;
        Ok(Self { shape, topology, first, second })
    }
}

/// The rank that sends what `slot` of `rank` gets.
pub(super) fn sender(rank: RankId, slot: u32, ranks: u32) -> RankId {
    RankId((rank.0 + 1 + slot % (ranks - 1)) % ranks)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use eplb::core::{SlotId, Source, TransferPlan};

    use super::*;

    #[test]
    fn every_slot_is_sent_by_another_rank_and_all_ranks_send_alike() {
        for (ranks, slots) in [(2, 1), (4, 9), (5, 3)] {
            let exchange = Exchange::new(ranks, slots, 2).unwrap();
            let plan = TransferPlan::new(&exchange.first, &exchange.second, &exchange.topology);
            for rank in exchange.topology.rank_ids() {
                assert_eq!(plan.sends(rank), slots as usize);
                let changes = plan.changes(rank);
                assert_eq!(changes.len(), slots as usize);
                for (slot, change) in (0..slots).zip(changes) {
                    let from = sender(rank, slot, ranks);
                    let source = SlotId(from.0 * slots + slot);
                    assert_eq!(change.source, Source::Remote(source), "{rank} {slot}");
                }
            }
        }
    }

    #[test]
    fn slots_of_a_single_rank_trade_experts() {
        let exchange = Exchange::new(1, 9, 2).unwrap();
        let plan = TransferPlan::new(&exchange.first, &exchange.second, &exchange.topology);
        assert_eq!((plan.changes(RankId(0)).len(), plan.received_slots()), (9, 0));
    }
}
