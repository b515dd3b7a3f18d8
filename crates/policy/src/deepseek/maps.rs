//! The reference's entry point and its three maps.

use rayon::prelude::*;

use super::packing::pack;
use super::replication::replicate;
use crate::PolicyError;

/// The three results of the reference, each as one array in C order, as tensors hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebalancedExperts {
    /// Layers, the first dimension of each array.
    pub layers: usize,
    /// Logical experts of a layer.
    pub experts: usize,
    /// Replicas (slots) of a layer.
    pub replicas: usize,
    /// The largest number of replicas that any expert has.
    pub most_replicas: usize,
    /// The logical expert of each replica: layers × replicas, ranks one after the other.
    pub physical_to_logical_map: Vec<i64>,
    /// The replicas of each logical expert in the order in which they were given out, padded with −1:
    /// layers × experts × most replicas.
    pub logical_to_physical_map: Vec<i64>,
    /// The number of replicas of each logical expert: layers × experts.
    pub logical_replica_count: Vec<i64>,
}

/// What a layer is planned for. Groups divide over nodes, nodes over ranks, ranks over replicas, and
/// there are at least as many replicas as experts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) replicas: usize,
    pub(super) groups: usize,
    pub(super) nodes: usize,
    pub(super) ranks: usize,
}

/// One layer's result.
#[derive(Debug)]
pub(super) struct RebalancedLayer {
    /// The expert of each slot, ranks one after the other.
    pub(super) experts: Vec<usize>,
    /// For each slot, which replica of its expert it holds.
    numbers: Vec<usize>,
    /// Replicas of each expert.
    counts: Vec<usize>,
}

/// What `rebalance_experts` of deepseek-ai/EPLB (`eplb.py`) gives for these arguments on a CPU.
///
/// `weights` is layers × experts, in float32 as the reference converts it; `num_replicas` slots in
/// all. Where `num_groups` does not divide over `num_nodes`, one group on one node is planned for.
/// Equal also in ties, which fall as in libstdc++'s `std::sort` that torch sorts with. One thing is
/// left open by the reference: the order in which it adds the float32 weights of a group of experts depends on the processor. Here
/// they are added in order of experts; results are equal whenever sums are below 2^24 tokens.
///
/// # Errors
/// What the reference asserts: sizes that don't divide, fewer replicas than experts. Also rows of
/// different lengths and weights that are negative or not finite.
pub fn rebalance_experts<Row: AsRef<[f32]>>(
    weights: &[Row],
    num_replicas: usize,
    num_groups: usize,
    num_nodes: usize,
    num_gpus: usize,
) -> Result<RebalancedExperts, PolicyError> {
    let experts = weights.first().map_or(0, |row| row.as_ref().len());
    let sizes = check_sizes(experts, num_replicas, num_groups, num_nodes, num_gpus)?;
    for (row, weights) in weights.iter().enumerate() {
        check_row(row, weights.as_ref(), experts)?;
    }
    let rows: Vec<&[f32]> = weights.iter().map(AsRef::as_ref).collect();
    let layers: Vec<RebalancedLayer> =
        rows.par_iter().map(|weights| rebalance_layer(weights, sizes)).collect();
    Ok(RebalancedExperts::of_layers(&layers, experts, num_replicas))
}

impl RebalancedExperts {
    fn of_layers(rebalanced: &[RebalancedLayer], experts: usize, replicas: usize) -> Self {
        let layers = rebalanced.len();
        let counts = rebalanced.iter().flat_map(|layer| &layer.counts);
        let most_replicas = counts.clone().copied().max().unwrap_or(0);
        let mut logical_to_physical_map = vec![-1; layers * experts * most_replicas];
        // Without an expert there is no entry, and chunks have no size to be cut to.
        let of_layers = logical_to_physical_map.chunks_exact_mut((experts * most_replicas).max(1));
        for (map, layer) in of_layers.zip(rebalanced) {
            for (slot, (&expert, &number)) in layer.experts.iter().zip(&layer.numbers).enumerate() {
                map[expert * most_replicas + number] = slot as i64;
            }
        }
        let slots = rebalanced.iter().flat_map(|layer| &layer.experts);
        Self {
            layers,
            experts,
            replicas,
            most_replicas,
            physical_to_logical_map: slots.map(|&expert| expert as i64).collect(),
            logical_to_physical_map,
            logical_replica_count: counts.map(|&count| count as i64).collect(),
        }
    }
}

fn check_sizes(
    experts: usize,
    replicas: usize,
    groups: usize,
    nodes: usize,
    ranks: usize,
) -> Result<Sizes, PolicyError> {
    let divides = |whole_name, whole: usize, parts_name, parts: usize| {
        if parts == 0 || !whole.is_multiple_of(parts) {
            return Err(PolicyError::Indivisible { whole_name, whole, parts_name, parts });
        }
        Ok(())
    };
    // As the reference: groups that don't divide over nodes are given up, and the nodes with them.
    let hierarchical = nodes > 0 && groups.is_multiple_of(nodes);
    let (groups, nodes) = if hierarchical || nodes == 0 { (groups, nodes) } else { (1, 1) };
    divides("num_groups", groups, "num_nodes", nodes)?;
    divides("number of experts", experts, "num_groups", groups)?;
    divides("num_gpus", ranks, "num_nodes", nodes)?;
    divides("num_replicas", replicas, "num_gpus", ranks)?;
    if replicas < experts {
        return Err(PolicyError::TooFewReplicas { replicas, experts });
    }
    Ok(Sizes { replicas, groups, nodes, ranks })
}

fn check_row(row: usize, weights: &[f32], experts: usize) -> Result<(), PolicyError> {
    if weights.len() != experts {
        return Err(PolicyError::WeightRow { row, found: weights.len(), expected: experts });
    }
    match weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        Some(expert) => {
            Err(PolicyError::Weight { row, expert, weight: weights[expert].to_string() })
        }
        None => Ok(()),
    }
}

/// Plans one layer: groups to nodes, replicas within each node, replicas to the node's ranks.
pub(super) fn rebalance_layer(weights: &[f32], sizes: Sizes) -> RebalancedLayer {
    let by_node = experts_by_node(weights, sizes);
    let experts_per_node = weights.len() / sizes.nodes;
    let replicas_per_node = sizes.replicas / sizes.nodes;
    let ranks_per_node = sizes.ranks / sizes.nodes;
    let slots_per_rank = sizes.replicas / sizes.ranks;
    let mut layer = RebalancedLayer {
        experts: vec![0; sizes.replicas],
        numbers: vec![0; sizes.replicas],
        counts: vec![0; weights.len()],
    };
    for node in 0..sizes.nodes {
        let experts = &by_node[node * experts_per_node..][..experts_per_node];
        // Adding zero makes a negative zero positive, so that equal weights stay equal.
        let weights: Vec<f32> = experts.iter().map(|&expert| weights[expert] + 0.0).collect();
        let replication = replicate(&weights, replicas_per_node);
        let replica_weights: Vec<f32> = replication
            .experts
            .iter()
            .map(|&local| weights[local] / replication.counts[local] as f32)
            .collect();
        let packing = pack(&replica_weights, ranks_per_node);
        for (replica, &local) in replication.experts.iter().enumerate() {
            let slot = node * replicas_per_node
                + packing.packs[replica] * slots_per_rank
                + packing.positions[replica];
            layer.experts[slot] = experts[local];
            layer.numbers[slot] = replication.numbers[replica];
        }
        for (&expert, &count) in experts.iter().zip(&replication.counts) {
            layer.counts[expert] = count;
        }
    }
    layer
}

/// All experts in the order of the nodes that their groups are packed to, and there in the order in
/// which the groups were packed.
fn experts_by_node(weights: &[f32], sizes: Sizes) -> Vec<usize> {
    let group_size = weights.len() / sizes.groups;
    let group_weights: Vec<f32> = (0..sizes.groups)
        .map(|group| weights[group * group_size..][..group_size].iter().fold(0.0, |sum, w| sum + w))
        .collect();
    let packing = pack(&group_weights, sizes.nodes);
    let groups_per_node = sizes.groups / sizes.nodes;
    let mut experts = vec![0; weights.len()];
    for group in 0..sizes.groups {
        let place = packing.packs[group] * groups_per_node + packing.positions[group];
        for member in 0..group_size {
            experts[place * group_size + member] = group * group_size + member;
        }
    }
    experts
}
