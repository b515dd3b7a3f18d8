//! The split that keeps tokens on their node, within a bound on the largest rank time.

use eplb_core::{LayerPlacement, NodeId, Topology};

use super::exact::ExactShares;
use super::local_flow::LocalFlow;
use super::rounding::write_shares;
use super::{Replicas, SharesError};

/// Shares that differ by the node that a token is on before it is dispatched.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalShares {
    by_node: Vec<Vec<u16>>,
    local_part: f64,
}

impl LocalShares {
    /// The shares for tokens of one node, by slot in units of 1/[`SHARE_ONE`](eplb_core::SHARE_ONE).
    ///
    /// # Panics
    /// The node is not of the topology that the shares were made for.
    pub fn of_node(&self, node: NodeId) -> &[u16] {
        &self.by_node[node.index()]
    }

    /// Nodes of the topology.
    pub fn nodes(&self) -> usize {
        self.by_node.len()
    }

    /// The part of all tokens that stay on their node, 0 to 1; 1 without load.
    pub fn local_part(&self) -> f64 {
        self.local_part
    }
}

/// For each node the shares of its tokens, such that as many as possible stay on their node.
///
/// Every node is taken to be the source of an equal part of each expert's tokens. Then, but for the
/// rounding of shares:
/// - no rank's time exceeds (1 + `slack`) × that of [`exact_shares`](super::exact_shares), the least
///   that can be;
/// - no split within that bound keeps more tokens on their node.
///
/// With equal loads the split between ranks of a node, and where tokens without a replica on their
/// node go, is as even as a start from even parts leaves it. Costs more than exact shares (a search
/// over the ranks for each of some dozens to hundreds of moves): for times when placements change, not
/// for every step.
///
/// # Errors
/// As [`exact_shares`](super::exact_shares), and a slack that is negative or not finite.
pub fn local_shares(
    load: &[u64],
    placement: &LayerPlacement,
    topology: &Topology,
    slack: f64,
) -> Result<LocalShares, SharesError> {
    if !(slack.is_finite() && slack >= 0.0) {
        return Err(SharesError::Slack { slack: slack.to_string() });
    }
    let replicas = Replicas::new(placement, topology)?;
    let total = replicas.checked_total(0, load)?;
    let mut exact = ExactShares::default();
    let (time, bits) = exact.balance(load, total, &replicas);
    let bounds: Vec<u64> = replicas
        .speeds
        .iter()
        .map(|&speed| {
            let least = time.bound(speed);
            least.saturating_add((least as f64 * slack) as u64)
        })
        .collect();
    let amounts: Vec<u64> =
        replicas.divided.iter().map(|&expert| load[expert as usize] << bits).collect();
    let mut local = LocalFlow::new(&replicas, &amounts, &exact.fixed, &bounds);
    local.settle();

    let mut by_node = vec![replicas.even_shares().to_vec(); replicas.nodes];
    let mut kept: u128 = exact.fixed.iter().map(|&load| u128::from(load)).sum();
    kept /= replicas.nodes as u128;
    let mut writer = Writer { replicas: &replicas, local: &local, scratch: Vec::new() };
    for divided in 0..replicas.divided.len() {
        kept += writer.write(divided, &mut by_node);
    }
    let local_part =
        if total == 0 { 1.0 } else { kept as f64 / (u128::from(total) << bits) as f64 };
    Ok(LocalShares { by_node, local_part })
}

/// What an expert's replicas on one node hold.
#[derive(Clone, Copy)]
struct Held {
    node: usize,
    all: u64,
    /// For tokens of the node itself.
    local: u64,
}

struct Writer<'a> {
    replicas: &'a Replicas,
    local: &'a LocalFlow<'a>,
    scratch: Vec<(u64, u32)>,
}

impl Writer<'_> {
    /// Writes one expert's shares for all nodes, and tells how much of its load stays on its node.
    fn write(&mut self, divided: usize, by_node: &mut [Vec<u16>]) -> u128 {
        let held = self.held(divided);
        for (node, shares) in by_node.iter_mut().enumerate() {
            let amounts = if held.iter().all(|held| held.all == 0) {
                self.idle_amounts(divided, node, &held)
            } else {
                self.amounts(divided, node, &held)
            };
            write_shares(self.replicas, divided, &amounts, &mut self.scratch, shares);
        }
        held.iter().map(|held| u128::from(held.local)).sum()
    }

    /// How one node's tokens of an expert divide over its edges: first to its own replicas, as much
    /// as these hold for it, then to what others hold beyond their own tokens.
    fn amounts(&self, divided: usize, node: usize, held: &[Held]) -> Vec<u64> {
        let own = held.iter().find(|held| held.node == node).map_or(0, |held| held.local);
        let missing = self.local.quotas[divided] - own;
        let foreign: u64 = held.iter().map(|held| held.all - held.local).sum();
        let edges = self.replicas.edges(divided);
        edges
            .map(|edge| {
                let Some(holder) = held.iter().find(|held| held.node == self.node(edge)) else {
                    return 0;
                };
                let to_node = if holder.node == node {
                    own
                } else {
                    part(missing, holder.all - holder.local, foreign)
                };
                part(to_node, self.local.flow.amounts[edge], holder.all)
            })
            .collect()
    }

    /// The same for an expert without load: even ones on the node's own replicas, if it has any.
    fn idle_amounts(&self, divided: usize, node: usize, held: &[Held]) -> Vec<u64> {
        let is_there = held.iter().any(|held| held.node == node);
        let edges = self.replicas.edges(divided);
        edges
            .map(|edge| match self.node(edge) {
                other if is_there && other != node => 0,
                _ => self.replicas.slots_of(edge).len() as u64,
            })
            .collect()
    }

    fn held(&self, divided: usize) -> Vec<Held> {
        let quota = self.local.quotas[divided];
        let edges = self.replicas.edges(divided);
        let firsts = edges.filter(|&edge| self.local.first_on_node[edge] as usize == edge);
        firsts
            .map(|edge| {
                let all = self.local.on_node[edge];
                Held { node: self.node(edge), all, local: all.min(quota) }
            })
            .collect()
    }

    fn node(&self, edge: usize) -> usize {
        self.replicas.node_of_rank[self.replicas.edge_ranks[edge] as usize] as usize
    }
}

/// `amount` times `count` over `of`; nothing of nothing.
fn part(amount: u64, count: u64, of: u64) -> u64 {
    match of {
        0 => 0,
        _ => (u128::from(amount) * u128::from(count) / u128::from(of)) as u64,
    }
}
