//! What of a placement matters for shares: who has a choice, and between which ranks.

use std::ops::Range;

use eplb_core::{ExpertId, ExpertLoad, LayerPlacement, SHARE_ONE, Topology};

use super::SharesError;

/// The replicas of one layer, arranged for dividing tokens: which experts are fixed to one rank, and
/// which may divide their tokens over several. Made once for a placement and used for every load of
/// it; it holds until the placement or the health of a rank changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    experts: usize,
    /// By rank; 0 for dead ranks.
    pub(super) speeds: Vec<u64>,
    /// Node of each rank.
    pub(super) node_of_rank: Vec<u32>,
    pub(super) nodes: usize,
    /// Experts whose live slots are all on one rank, with that rank.
    pub(super) fixed: Vec<(u32, u32)>,
    /// Experts with slots on at least two live ranks, ascending.
    pub(super) divided: Vec<u32>,
    /// For each divided expert the first of its edges, and the number of edges at the end.
    edge_starts: Vec<u32>,
    /// An edge stands for all slots of a divided expert on one rank. By edge: the rank.
    pub(super) edge_ranks: Vec<u32>,
    /// By edge: the divided expert, as an index into `divided`.
    pub(super) edge_experts: Vec<u32>,
    /// For each edge the first of its slots in `edge_slots`, and their number at the end.
    slot_starts: Vec<u32>,
    edge_slots: Vec<u32>,
    /// For each rank the first of its edges in `rank_edges`, and their number at the end.
    rank_starts: Vec<u32>,
    rank_edges: Vec<u32>,
    /// By slot: the shares when all replicas of an expert take equal shares.
    even: Vec<u16>,
}

impl Replicas {
    /// The replicas of `placement` on the live ranks of `topology`.
    ///
    /// # Errors
    /// A placement for another number of slots, or an expert that no live rank holds.
    pub fn new(placement: &LayerPlacement, topology: &Topology) -> Result<Self, SharesError> {
        let table = placement.experts();
        if table.len() != topology.slots() {
            let (found, expected) = (table.len(), topology.slots());
            return Err(SharesError::Slots { found, expected });
        }
        // Every expert is placed, so the highest id is that of the last expert.
        let experts = table.iter().map(|expert| expert.index() + 1).max().unwrap_or(0);
        let mut starts = vec![0u32; experts + 1];
        for rank in topology.live_ranks() {
            for expert in &table[topology.slots_of(rank)] {
                starts[expert.index() + 1] += 1;
            }
        }
        if let Some(expert) = starts[1..].iter().position(|&count| count == 0) {
            return Err(SharesError::Unplaced { expert: ExpertId::from_index(expert) });
        }
        for expert in 0..experts {
            starts[expert + 1] += starts[expert];
        }
        // Live slots and their ranks expert by expert, each expert's in slot order.
        let mut next = starts.clone();
        let mut entries = vec![(0u32, 0u32); starts[experts] as usize];
        for rank in topology.live_ranks() {
            for slot in topology.slots_of(rank) {
                let next = &mut next[table[slot].index()];
                entries[*next as usize] = (slot as u32, rank.0);
                *next += 1;
            }
        }
        let ranks = topology.ranks();
        let mut replicas = Self {
            experts,
            speeds: vec![0; ranks],
            node_of_rank: topology.rank_ids().map(|rank| topology.node_of(rank).0).collect(),
            nodes: topology.nodes(),
            fixed: Vec::with_capacity(experts),
            divided: Vec::new(),
            edge_starts: vec![0],
            edge_ranks: Vec::new(),
            edge_experts: Vec::new(),
            slot_starts: vec![0],
            edge_slots: Vec::new(),
            rank_starts: vec![0; ranks + 1],
            rank_edges: Vec::new(),
            even: vec![0; topology.slots()],
        };
        for rank in topology.live_ranks() {
            replicas.speeds[rank.index()] = u64::from(topology.rank(rank).speed);
        }
        for expert in 0..experts {
            replicas.add(expert, &entries[starts[expert] as usize..starts[expert + 1] as usize]);
        }
        replicas.index_ranks();
        Ok(replicas)
    }

    /// Takes in one expert: its slots and their ranks, in slot order.
    fn add(&mut self, expert: usize, entries: &[(u32, u32)]) {
        let count = entries.len() as u16;
        let (share, rest) = (SHARE_ONE / count, SHARE_ONE % count);
        for (index, &(slot, _)) in entries.iter().enumerate() {
            self.even[slot as usize] = share + u16::from((index as u16) < rest);
        }
        // Slots are numbered rank-major: those of one rank are neighbours.
        let (first, last) = (entries[0].1, entries[entries.len() - 1].1);
        if first == last {
            self.fixed.push((expert as u32, first));
            return;
        }
        let index = self.divided.len() as u32;
        self.divided.push(expert as u32);
        for &(slot, rank) in entries {
            let is_first = self.edge_starts[index as usize] as usize == self.edge_ranks.len();
            if is_first || self.edge_ranks.last() != Some(&rank) {
                self.edge_ranks.push(rank);
                self.edge_experts.push(index);
                self.slot_starts.push(self.edge_slots.len() as u32);
            }
            self.edge_slots.push(slot);
            if let Some(end) = self.slot_starts.last_mut() {
                *end = self.edge_slots.len() as u32;
            }
        }
        self.edge_starts.push(self.edge_ranks.len() as u32);
    }

    fn index_ranks(&mut self) {
        for &rank in &self.edge_ranks {
            self.rank_starts[rank as usize + 1] += 1;
        }
        for rank in 0..self.speeds.len() {
            self.rank_starts[rank + 1] += self.rank_starts[rank];
        }
        let mut next = self.rank_starts.clone();
        self.rank_edges = vec![0; self.edge_ranks.len()];
        for (edge, &rank) in self.edge_ranks.iter().enumerate() {
            let next = &mut next[rank as usize];
            self.rank_edges[*next as usize] = edge as u32;
            *next += 1;
        }
    }

    /// Logical experts of the layer.
    pub fn experts(&self) -> usize {
        self.experts
    }

    /// Slots of the layer, those of dead ranks included.
    pub fn slots(&self) -> usize {
        self.even.len()
    }

    /// Whether any expert has replicas on several live ranks; otherwise shares decide nothing.
    pub fn has_choice(&self) -> bool {
        !self.divided.is_empty()
    }

    /// Every live replica of an expert takes an equal share; by slot, in units of 1/[`SHARE_ONE`].
    pub fn even_shares(&self) -> &[u16] {
        &self.even
    }

    pub(super) fn ranks(&self) -> usize {
        self.speeds.len()
    }

    /// The edges of a divided expert.
    pub(super) fn edges(&self, divided: usize) -> Range<usize> {
        self.edge_starts[divided] as usize..self.edge_starts[divided + 1] as usize
    }

    /// The edges that end at a rank.
    pub(super) fn edges_at(&self, rank: usize) -> &[u32] {
        &self.rank_edges[self.rank_starts[rank] as usize..self.rank_starts[rank + 1] as usize]
    }

    /// The slots of an edge, at least one.
    pub(super) fn slots_of(&self, edge: usize) -> &[u32] {
        &self.edge_slots[self.slot_starts[edge] as usize..self.slot_starts[edge + 1] as usize]
    }

    /// The sum of a load that belongs to this placement.
    pub(super) fn checked_total(&self, window: usize, load: &[u64]) -> Result<u64, SharesError> {
        if load.len() != self.experts {
            let (found, expected) = (load.len(), self.experts);
            return Err(SharesError::Experts { window, found, expected });
        }
        let total = load.iter().try_fold(0u64, |sum, &tokens| sum.checked_add(tokens));
        match total {
            Some(total) if total <= ExpertLoad::MOST_TOKENS => Ok(total),
            _ => Err(SharesError::TooManyTokens { window }),
        }
    }
}
