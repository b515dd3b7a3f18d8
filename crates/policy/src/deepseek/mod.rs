//! The policy of DeepSeek's EPLB.

mod keys;
mod maps;
mod packing;
mod reference_order;
mod replication;

use eplb_core::{ExpertId, RankId, Topology};

pub use maps::{RebalancedExperts, rebalance_experts};

use crate::{LayerRequest, Policy, PolicyError, Proposal};
use maps::{Sizes, rebalance_layer};

/// The hierarchical policy of [deepseek-ai/EPLB](https://github.com/deepseek-ai/EPLB), on the sum of
/// the windows: expert groups are packed to nodes, experts replicated within their node, and the
/// replicas packed to the node's ranks. Where groups don't divide over nodes, or nodes have different
/// numbers of live ranks, all ranks count as one node with one group (the reference's global policy).
///
/// It gives the reference's placement exactly (see [`rebalance_experts`]). Ranks of one node count as
/// neighbours, whatever their numbers. Dead ranks are left out; the live ones must hold equally many
/// slots. Speeds of ranks are not considered.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeepSeek;

impl Policy for DeepSeek {
    fn name(&self) -> &'static str {
        "deepseek"
    }

    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError> {
        let topology = request.topology;
        let load = request.summed_load()?;
        let mut table = request.standing_table()?;

        let ranks = live_ranks_by_node(topology);
        let slots_per_rank = equal_slots(topology, &ranks)?;
        let sizes = sizes(request.shape.groups(), slots_per_rank, topology, &ranks);
        let weights: Vec<f32> = load.iter().map(|&tokens| tokens as f32).collect();
        let layer = rebalance_layer(&weights, sizes);

        for (&rank, experts) in ranks.iter().zip(layer.experts.chunks_exact(slots_per_rank)) {
            for (slot, &expert) in topology.slots_of(rank).zip(experts) {
                table[slot] = ExpertId::from_index(expert);
            }
        }
        Ok(Proposal::of_table(table))
    }
}

fn live_ranks_by_node(topology: &Topology) -> Vec<RankId> {
    let mut ranks: Vec<RankId> = topology.live_ranks().collect();
    ranks.sort_by_key(|&rank| (topology.node_of(rank), rank));
    ranks
}

fn equal_slots(topology: &Topology, ranks: &[RankId]) -> Result<usize, PolicyError> {
    let slots = |rank: RankId| topology.slots_of(rank).len();
    let first = ranks[0];
    match ranks.iter().find(|&&rank| slots(rank) != slots(first)) {
        Some(&other) => Err(PolicyError::Unsupported {
            policy: "deepseek",
            reason: format!(
                "{first} holds {} slots and {other} holds {}, live ranks must hold equally many",
                slots(first),
                slots(other),
            ),
            instead: "policy xllm",
        }),
        None => Ok(slots(first)),
    }
}

/// The sizes to plan with: those of the hierarchy where it divides, else of one group on one node.
fn sizes(groups: usize, slots_per_rank: usize, topology: &Topology, ranks: &[RankId]) -> Sizes {
    let mut ranks_of_node = vec![0usize; topology.nodes()];
    for &rank in ranks {
        ranks_of_node[topology.node_of(rank).index()] += 1;
    }
    // A node without live ranks takes no part.
    ranks_of_node.retain(|&count| count > 0);
    let nodes = ranks_of_node.len();
    let equal_nodes = ranks_of_node.iter().all(|&count| count == ranks_of_node[0]);
    let (groups, nodes) =
        if equal_nodes && groups.is_multiple_of(nodes) { (groups, nodes) } else { (1, 1) };
    Sizes { replicas: ranks.len() * slots_per_rank, groups, nodes, ranks: ranks.len() }
}
