//! Moves amounts between ranks at the least loss of locality.

use super::Replicas;
use super::flow::{Flow, refill};

/// What may stay local of each divided expert, and how its load lies on nodes.
///
/// Of an expert's load every node is the source of an equal part, its quota. What lies on a node up
/// to the quota is local; what lies there beyond it, and the quotas of nodes without a replica, has to
/// travel. Starting from a split that keeps all that can be local, amounts leave overfull ranks along
/// paths of least loss (successive shortest paths), so the split stays the one with the most local
/// tokens among those with the same rank loads.
#[derive(Debug)]
pub(super) struct LocalFlow<'a> {
    replicas: &'a Replicas,
    pub(super) flow: Flow,
    /// By divided expert.
    pub(super) quotas: Vec<u64>,
    /// By edge: the first edge of the same expert on the same node.
    pub(super) first_on_node: Vec<u32>,
    /// By edge, where it is the first on its node: what lies on the node.
    pub(super) on_node: Vec<u64>,
    /// By rank: the length of the shortest way from an overfull rank, see [`LocalFlow::length`].
    lengths: Vec<i64>,
    /// By rank: the edges by which it leaves the rank before and enters this one.
    hops: Vec<Option<(u32, u32)>>,
}

/// No path leads there.
const UNREACHED: i64 = i64::MAX;

/// The length of a hop that loses a local token for each token. Every hop has length 1 besides, so
/// that of ways with equal loss the one with the fewest hops is shortest; it takes no expert twice.
const LOSS: i64 = 1 << 16;

impl<'a> LocalFlow<'a> {
    /// Lays out the most local split of `amounts`, the load of each divided expert, on ranks that hold
    /// `fixed` besides and may hold `bounds`.
    pub(super) fn new(
        replicas: &'a Replicas,
        amounts: &[u64],
        fixed: &[u64],
        bounds: &[u64],
    ) -> Self {
        let edges = replicas.edge_ranks.len();
        let mut flow = Flow::default();
        flow.reset(replicas);
        flow.loads.copy_from_slice(fixed);
        flow.bounds.copy_from_slice(bounds);
        let mut local = Self {
            replicas,
            flow,
            quotas: amounts.iter().map(|amount| amount / replicas.nodes as u64).collect(),
            first_on_node: vec![0; edges],
            on_node: vec![0; edges],
            lengths: vec![UNREACHED; replicas.ranks()],
            hops: vec![None; replicas.ranks()],
        };
        for (divided, &amount) in amounts.iter().enumerate() {
            local.lay_out(divided, amount);
        }
        local
    }

    /// Node by node the quota, and of the rest the same amount on each slot.
    fn lay_out(&mut self, divided: usize, amount: u64) {
        let edges = self.replicas.edges(divided);
        let mut nodes = 0;
        let mut first = edges.start;
        for edge in edges.clone() {
            if self.node(edge) != self.node(first) || edge == edges.start {
                first = edge;
                nodes += 1;
            }
            self.first_on_node[edge] = first as u32;
        }
        self.spread(edges.clone(), amount - self.quotas[divided] * nodes);
        let mut start = edges.start;
        while start < edges.end {
            let end = (start..edges.end)
                .find(|&edge| self.first_on_node[edge] as usize != start)
                .unwrap_or(edges.end);
            self.spread(start..end, self.quotas[divided]);
            start = end;
        }
    }

    /// Adds an amount to edges, the same for each of their slots as far as it divides.
    fn spread(&mut self, edges: std::ops::Range<usize>, amount: u64) {
        let slots: usize = edges.clone().map(|edge| self.replicas.slots_of(edge).len()).sum();
        let (mut slots_before, mut before) = (0u128, 0u64);
        for edge in edges {
            slots_before += self.replicas.slots_of(edge).len() as u128;
            let until = (u128::from(amount) * slots_before / slots as u128) as u64;
            self.add(edge, until - before);
            before = until;
        }
    }

    fn add(&mut self, edge: usize, amount: u64) {
        let rank = self.rank(edge);
        self.flow.amounts[edge] += amount;
        self.flow.loads[rank] += amount;
        self.on_node[self.first_on_node[edge] as usize] += amount;
    }

    fn rank(&self, edge: usize) -> usize {
        self.replicas.edge_ranks[edge] as usize
    }

    fn node(&self, edge: usize) -> u32 {
        self.replicas.node_of_rank[self.rank(edge)]
    }

    /// Moves what exceeds bounds to ranks with room; `false` when there is not enough room.
    pub(super) fn settle(&mut self) -> bool {
        while self.nearest_room().is_some_and(|target| self.move_to(target)) {}
        // As a rule nothing is left to move; what is left has to go whatever it loses.
        let settled = self.flow.push(self.replicas);
        self.recount();
        settled
    }

    /// The rank with room that is nearest to an overfull one, the first among equal ones.
    fn nearest_room(&mut self) -> Option<usize> {
        let ranks = self.replicas.ranks();
        refill(&mut self.lengths, ranks, UNREACHED);
        refill(&mut self.hops, ranks, None);
        let mut any_over = false;
        for rank in 0..ranks {
            if self.flow.loads[rank] > self.flow.bounds[rank] {
                self.lengths[rank] = 0;
                any_over = true;
            }
        }
        if !any_over {
            return None;
        }
        // A shortest way has fewer hops than there are ranks.
        for _ in 0..ranks {
            let mut changed = false;
            for rank in 0..ranks {
                changed |= self.relax(rank);
            }
            if !changed {
                break;
            }
        }
        let has_room = |&rank: &usize| {
            self.lengths[rank] != UNREACHED && self.flow.loads[rank] < self.flow.bounds[rank]
        };
        (0..ranks).filter(has_room).min_by_key(|&rank| (self.lengths[rank], rank))
    }

    /// Tries all ways on from a rank.
    fn relax(&mut self, rank: usize) -> bool {
        let length = self.lengths[rank];
        if length == UNREACHED {
            return false;
        }
        let mut changed = false;
        for &leaves in self.replicas.edges_at(rank) {
            if self.flow.amounts[leaves as usize] == 0 {
                continue;
            }
            let divided = self.replicas.edge_experts[leaves as usize] as usize;
            for enters in self.replicas.edges(divided) {
                let other = self.rank(enters);
                let through = length + self.length(leaves as usize, enters);
                if other != rank && through < self.lengths[other] {
                    self.lengths[other] = through;
                    self.hops[other] = Some((leaves, enters as u32));
                    changed = true;
                }
            }
        }
        changed
    }

    /// The length of a hop: what is lost in local tokens by moving a little from an edge to another.
    fn length(&self, leaves: usize, enters: usize) -> i64 {
        let (from, to) = (self.first_on_node[leaves], self.first_on_node[enters]);
        if from == to {
            return 1;
        }
        let quota = self.quotas[self.replicas.edge_experts[leaves] as usize];
        let lost = self.on_node[from as usize] <= quota;
        let won = self.on_node[to as usize] < quota;
        1 + LOSS * (i64::from(lost) - i64::from(won))
    }

    /// How much can move so before [`LocalFlow::length`] changes, or nothing is left.
    fn most(&self, leaves: usize, enters: usize) -> u64 {
        let amount = self.flow.amounts[leaves];
        let (from, to) = (self.first_on_node[leaves], self.first_on_node[enters]);
        if from == to {
            return amount;
        }
        let quota = self.quotas[self.replicas.edge_experts[leaves] as usize];
        let above = match self.on_node[from as usize] {
            held if held > quota => held - quota,
            _ => u64::MAX,
        };
        let below = match self.on_node[to as usize] {
            held if held < quota => quota - held,
            _ => u64::MAX,
        };
        amount.min(above).min(below)
    }

    /// Moves what can move at once to a rank along the way found; `false` when that is no way.
    fn move_to(&mut self, target: usize) -> bool {
        let mut amount = self.flow.bounds[target] - self.flow.loads[target];
        let mut way = Vec::new();
        let mut rank = target;
        while let Some((leaves, enters)) = self.hops[rank] {
            if way.len() == self.replicas.ranks() {
                return false;
            }
            way.push((leaves as usize, enters as usize));
            amount = amount.min(self.most(leaves as usize, enters as usize));
            rank = self.rank(leaves as usize);
        }
        amount = amount.min(self.flow.loads[rank] - self.flow.bounds[rank]);
        for &(leaves, enters) in &way {
            self.flow.amounts[leaves] -= amount;
            self.on_node[self.first_on_node[leaves] as usize] -= amount;
            let left = self.rank(leaves);
            self.flow.loads[left] -= amount;
            self.add(enters, amount);
        }
        true
    }

    fn recount(&mut self) {
        self.on_node.fill(0);
        for (edge, &amount) in self.flow.amounts.iter().enumerate() {
            self.on_node[self.first_on_node[edge] as usize] += amount;
        }
    }
}
