//! The greedy policy of xLLM.

mod packing;
mod replication;

use eplb_core::ExpertId;

use crate::{LayerRequest, Policy, PolicyError, Proposal};
use packing::Packing;
use replication::replica_counts;

/// The greedy policy that xLLM had before its balanced one, on the sum of the windows: every
/// redundant slot goes to the expert with the largest load per replica; redundant replicas are placed
/// first, expert by expert, then one replica of every expert by descending load per replica, each on
/// the rank that is done first with it.
///
/// Three things differ from xLLM, whose version fails or wastes slots there: loads are compared
/// exactly, where xLLM truncates them after each replica; a full rank takes nothing; and two replicas
/// of an expert never share a rank if ranks hold equally many slots and there is another way to fill
/// them. Ranks may hold different numbers of slots, be dead, or differ in speed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Xllm;

impl Policy for Xllm {
    fn name(&self) -> &'static str {
        "xllm"
    }

    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError> {
        let topology = request.topology;
        let load = request.summed_load()?;
        let mut table = request.standing_table()?;

        let counts = replica_counts(&load, topology.live_slots(), topology.live_ranks().count());
        let mut packing = Packing::new(topology, &load, &counts);
        for (expert, &count) in counts.iter().enumerate() {
            for _ in 1..count {
                packing.place(expert);
            }
        }
        for expert in packing.by_descending_share() {
            packing.place(expert);
        }
        for (rank, experts) in packing.into_ranks() {
            for (slot, expert) in topology.slots_of(rank).zip(experts) {
                table[slot] = ExpertId::from_index(expert);
            }
        }
        Ok(Proposal::of_table(table))
    }
}
