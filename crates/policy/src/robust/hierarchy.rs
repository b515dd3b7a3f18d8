//! Expert groups kept on nodes.

use eplb_core::{ExpertId, ModelShape, NodeId, RankId, RankSpec, Topology};

use crate::LayerRequest;

/// The part of a layer that one node holds: some expert groups, whole, on the node's ranks.
#[derive(Debug)]
pub(super) struct NodePart {
    /// The node's ranks, as a group of their own.
    pub(super) topology: Topology,
    /// The node's experts, numbered in this order within the part.
    pub(super) experts: Vec<usize>,
    /// The node's slots, numbered in this order within the part.
    pub(super) slots: Vec<usize>,
    pub(super) shape: ModelShape,
    /// Each window's load of the node's experts.
    pub(super) windows: Vec<Vec<u64>>,
}

/// Divides a layer by node: each expert group belongs to one node, as in group-limited routing, where
/// a token visits few nodes. A group stays on the node that holds most of it at present; else groups
/// go, largest load first, to the node with the least load for its slots that has room for them.
///
/// `None` where that can't be: a single node or group, or nodes with too few slots for whole groups.
pub(super) fn divide(
    request: &LayerRequest<'_>,
    standing: &[Option<ExpertId>],
) -> Option<Vec<NodePart>> {
    let (topology, shape) = (request.topology, request.shape);
    let mut slots_of_node = vec![0usize; topology.nodes()];
    for rank in topology.live_ranks() {
        slots_of_node[topology.node_of(rank).index()] += topology.slots_of(rank).len();
    }
    let nodes = slots_of_node.iter().filter(|&&slots| slots > 0).count();
    if nodes < 2 || shape.groups() < nodes {
        return None;
    }
    let node_of_group = present_nodes(request, standing, &slots_of_node)
        .or_else(|| packed_nodes(request, &slots_of_node))?;
    let parts = (0..topology.nodes()).filter(|&node| slots_of_node[node] > 0);
    parts.map(|node| part(request, node, &node_of_group)).collect()
}

fn group_size(request: &LayerRequest<'_>) -> usize {
    request.shape.experts() / request.shape.groups()
}

/// The node that holds most replicas of each group, if every node has room for what it holds.
fn present_nodes(
    request: &LayerRequest<'_>,
    standing: &[Option<ExpertId>],
    slots_of_node: &[usize],
) -> Option<Vec<usize>> {
    request.present?;
    let (topology, size) = (request.topology, group_size(request));
    let mut held = vec![vec![0usize; topology.nodes()]; request.shape.groups()];
    for rank in topology.live_ranks() {
        for expert in standing[topology.slots_of(rank)].iter().flatten() {
            held[expert.index() / size][topology.node_of(rank).index()] += 1;
        }
    }
    let mut experts_of_node = vec![0; topology.nodes()];
    let mut node_of_group = Vec::with_capacity(held.len());
    for held in held {
        let most = (0..held.len()).reduce(
            |best, node| {
                if held[node] > held[best] { node } else { best }
            },
        )?;
        experts_of_node[most] += size;
        node_of_group.push(most);
    }
    let used = |node: usize| slots_of_node[node] == 0 || experts_of_node[node] > 0;
    let fits = |node: usize| experts_of_node[node] <= slots_of_node[node] && used(node);
    (0..topology.nodes()).all(fits).then_some(node_of_group)
}

fn packed_nodes(request: &LayerRequest<'_>, slots_of_node: &[usize]) -> Option<Vec<usize>> {
    let size = group_size(request);
    let loads: Vec<f64> = (0..request.shape.groups())
        .map(|group| {
            let weights = request.weights.iter().copied().chain(std::iter::repeat(1.0));
            let windows = request.windows.iter().zip(weights);
            windows.fold(0.0, |sum, (window, weight)| {
                let tokens: u64 = window[group * size..][..size].iter().sum();
                sum + tokens as f64 * f64::from(weight)
            })
        })
        .collect();
    let mut order: Vec<usize> = (0..loads.len()).collect();
    order.sort_by(|&one, &other| loads[other].total_cmp(&loads[one]).then(one.cmp(&other)));
    let nodes: Vec<usize> =
        (0..slots_of_node.len()).filter(|&node| slots_of_node[node] > 0).collect();
    let mut node_of_group = vec![0; loads.len()];
    let (mut load, mut experts) = (vec![0.0f64; slots_of_node.len()], vec![0; slots_of_node.len()]);
    for (done, &group) in order.iter().enumerate() {
        // Each node gets a group before there are only as many left as nodes without one.
        let bare = nodes.iter().filter(|&&node| experts[node] == 0).count();
        let only_bare = loads.len() - done <= bare;
        let fits = |node: &&usize| {
            experts[**node] + size <= slots_of_node[**node] && (!only_bare || experts[**node] == 0)
        };
        // Load for each slot, with this group, compared without division.
        let best = nodes.iter().filter(fits).reduce(|best, node| {
            let with = |node: usize| load[node] + loads[group];
            let theirs = with(*node) * slots_of_node[*best] as f64;
            if theirs < with(*best) * slots_of_node[*node] as f64 { node } else { best }
        })?;
        node_of_group[group] = *best;
        load[*best] += loads[group];
        experts[*best] += size;
    }
    Some(node_of_group)
}

fn part(request: &LayerRequest<'_>, node: usize, node_of_group: &[usize]) -> Option<NodePart> {
    let (topology, size) = (request.topology, group_size(request));
    let on_node = |rank: &RankId| topology.node_of(*rank).index() == node;
    let ranks: Vec<RankId> = topology.rank_ids().filter(on_node).collect();
    let specs = ranks.iter().map(|&rank| RankSpec { node: NodeId(0), ..*topology.rank(rank) });
    let slots = ranks.iter().flat_map(|&rank| topology.slots_of(rank)).collect();
    let groups = (0..node_of_group.len()).filter(|&group| node_of_group[group] == node);
    let experts: Vec<usize> = groups.flat_map(|group| group * size..(group + 1) * size).collect();
    let windows = request.windows.iter();
    let windows = windows.map(|window| experts.iter().map(|&expert| window[expert]).collect());
    Some(NodePart {
        topology: Topology::new(specs.collect()).ok()?,
        slots,
        shape: ModelShape::new(1, experts.len() as u32, 1).ok()?,
        windows: windows.collect(),
        experts,
    })
}
