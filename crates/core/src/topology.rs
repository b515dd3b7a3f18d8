//! Ranks, the nodes they stand on, and the slots they hold.

use std::ops::Range;

use thiserror::Error;

use crate::{NodeId, RankId, SlotId};

/// The speed of an ordinary rank, see [`RankSpec::speed`].
pub const NOMINAL_SPEED: u32 = 1_000;

/// One rank of the expert-parallel group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankSpec {
    /// The node it stands on.
    pub node: NodeId,
    /// Slots it holds in each layer; ranks may differ.
    pub slots: u32,
    /// A dead rank keeps its slot numbers, but what they hold counts for nothing.
    pub alive: bool,
    /// A rank that has joined and holds no weights yet: what the present placement says of its slots
    /// counts for nothing, and everything planned for them has to be sent.
    pub empty: bool,
    /// Relative speed in thousandths, [`NOMINAL_SPEED`] for an ordinary rank: a rank of speed 500
    /// needs twice the time for a token.
    pub speed: u32,
}

impl RankSpec {
    /// A live rank of nominal speed that holds weights.
    pub fn new(node: NodeId, slots: u32) -> Self {
        Self { node, slots, alive: true, empty: false, speed: NOMINAL_SPEED }
    }
}

/// The expert-parallel group: its ranks, their nodes, and the numbering of the slots (rank-major).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    ranks: Box<[RankSpec]>,
    /// First slot of each rank, and the number of slots at the end.
    first_slots: Box<[u32]>,
    rank_of_slot: Box<[RankId]>,
    nodes: u32,
}

/// Why ranks are no [`Topology`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// No rank, or none alive.
    #[error("no live rank: at least one rank must be alive")]
    NoLiveRank,
    /// Beyond what the tables hold.
    #[error(
        "{ranks} ranks with {slots} slots in all, allowed are {} and {}",
        Topology::MOST_RANKS,
        Topology::MOST_SLOTS
    )]
    TooLarge {
        /// Ranks given.
        ranks: u64,
        /// Slots given, over all ranks.
        slots: u64,
    },
    /// Every rank holds at least one slot.
    #[error("{rank} has no slot; every rank needs at least one")]
    NoSlots {
        /// The rank.
        rank: RankId,
    },
    /// A speed of zero or beyond a thousand times nominal.
    #[error("{rank} has speed {speed}, allowed is 1 to {}", Topology::MOST_SPEED)]
    Speed {
        /// The rank.
        rank: RankId,
        /// Its speed in thousandths.
        speed: u32,
    },
    /// Nodes are numbered 0, 1, 2, … without a gap.
    #[error("no rank stands on {missing}, but one on {highest}; number the nodes without a gap")]
    NodeGap {
        /// The first node without a rank.
        missing: NodeId,
        /// The highest node named.
        highest: NodeId,
    },
    /// Ranks of a uniform topology must divide over its nodes.
    #[error("{ranks} ranks do not divide over {nodes} nodes; give a divisor of {ranks}")]
    UnevenNodes {
        /// Ranks of the group.
        ranks: u32,
        /// Nodes asked for.
        nodes: u32,
    },
    /// A rank that the topology does not have.
    #[error("{rank} is not one of the {ranks} ranks")]
    UnknownRank {
        /// The rank named.
        rank: RankId,
        /// Ranks of the group.
        ranks: usize,
    },
}

impl Topology {
    /// Most ranks of a group.
    pub const MOST_RANKS: u64 = 16_384;
    /// Most slots of a layer, over all ranks.
    pub const MOST_SLOTS: u64 = 65_535;
    /// Highest speed, in thousandths.
    pub const MOST_SPEED: u32 = 1_000_000;

    /// The group made of `ranks`, in rank order.
    ///
    /// # Errors
    /// No live rank, a rank without slots, a speed out of range, nodes numbered with a gap, or more
    /// ranks or slots than the tables hold.
    pub fn new(ranks: Vec<RankSpec>) -> Result<Self, TopologyError> {
        let slots: u64 = ranks.iter().map(|rank| u64::from(rank.slots)).sum();
        let count = ranks.len() as u64;
        if count > Self::MOST_RANKS || slots > Self::MOST_SLOTS {
            return Err(TopologyError::TooLarge { ranks: count, slots });
        }
        if !ranks.iter().any(|rank| rank.alive) {
            return Err(TopologyError::NoLiveRank);
        }
        let mut first_slots = Vec::with_capacity(ranks.len() + 1);
        let mut rank_of_slot = Vec::with_capacity(slots as usize);
        for (index, spec) in ranks.iter().enumerate() {
            let rank = RankId::from_index(index);
            if spec.slots == 0 {
                return Err(TopologyError::NoSlots { rank });
            }
            if !(1..=Self::MOST_SPEED).contains(&spec.speed) {
                return Err(TopologyError::Speed { rank, speed: spec.speed });
            }
            first_slots.push(rank_of_slot.len() as u32);
            rank_of_slot.extend(std::iter::repeat_n(rank, spec.slots as usize));
        }
        first_slots.push(rank_of_slot.len() as u32);
        let nodes = Self::count_nodes(&ranks)?;
        Ok(Self {
            ranks: ranks.into(),
            first_slots: first_slots.into(),
            rank_of_slot: rank_of_slot.into(),
            nodes,
        })
    }

    /// `ranks` live ranks of nominal speed with `slots_per_rank` slots each, in equal shares on
    /// `nodes` nodes, in order.
    ///
    /// # Errors
    /// As [`Topology::new`], and when the ranks don't divide over the nodes.
    pub fn uniform(ranks: u32, slots_per_rank: u32, nodes: u32) -> Result<Self, TopologyError> {
        if ranks == 0 {
            return Err(TopologyError::NoLiveRank);
        }
        // Checked before the list is built: a mistyped number must not allocate gigabytes.
        let slots = u64::from(ranks) * u64::from(slots_per_rank);
        if u64::from(ranks) > Self::MOST_RANKS || slots > Self::MOST_SLOTS {
            return Err(TopologyError::TooLarge { ranks: ranks.into(), slots });
        }
        if nodes == 0 || !ranks.is_multiple_of(nodes) {
            return Err(TopologyError::UnevenNodes { ranks, nodes });
        }
        let per_node = ranks / nodes;
        Self::new(
            (0..ranks).map(|rank| RankSpec::new(NodeId(rank / per_node), slots_per_rank)).collect(),
        )
    }

    /// The same group with one rank dead.
    ///
    /// # Errors
    /// An unknown rank, or no live rank left.
    pub fn without(&self, rank: RankId) -> Result<Self, TopologyError> {
        let mut ranks = self.ranks.to_vec();
        match ranks.get_mut(rank.index()) {
            Some(spec) => spec.alive = false,
            None => return Err(TopologyError::UnknownRank { rank, ranks: self.ranks() }),
        }
        Self::new(ranks)
    }

    /// The same group with more ranks, which hold no weights yet: slots of the ranks that were there
    /// keep their numbers.
    ///
    /// # Errors
    /// As [`Topology::new`].
    pub fn grown_by(&self, joining: &[RankSpec]) -> Result<Self, TopologyError> {
        let joining = joining.iter().map(|rank| RankSpec { empty: true, ..*rank });
        Self::new(self.ranks.iter().copied().chain(joining).collect())
    }

    /// The same group as far as it holds weights: ranks that have just joined count as dead.
    ///
    /// # Errors
    /// No live rank holds weights.
    pub fn without_empty(&self) -> Result<Self, TopologyError> {
        let alive = |rank: &RankSpec| rank.alive && !rank.empty;
        let ranks = self.ranks.iter().map(|rank| RankSpec { alive: alive(rank), ..*rank });
        Self::new(ranks.collect())
    }

    /// The same group once every rank holds the weights that its slots are to hold.
    pub fn filled(&self) -> Self {
        let ranks = self.ranks.iter().map(|rank| RankSpec { empty: false, ..*rank }).collect();
        Self { ranks, ..self.clone() }
    }

    fn count_nodes(ranks: &[RankSpec]) -> Result<u32, TopologyError> {
        let highest = ranks.iter().map(|rank| rank.node).max().unwrap_or_default();
        let mut seen = vec![false; ranks.len()];
        for rank in ranks {
            if let Some(seen) = seen.get_mut(rank.node.index()) {
                *seen = true;
            }
        }
        match (0..=highest.index()).find(|&node| !seen.get(node).copied().unwrap_or(false)) {
            Some(gap) => Err(TopologyError::NodeGap { missing: NodeId::from_index(gap), highest }),
            None => Ok(highest.0 + 1),
        }
    }

    /// Ranks of the group, dead ones included.
    pub fn ranks(&self) -> usize {
        self.ranks.len()
    }

    /// Nodes of the group.
    pub fn nodes(&self) -> usize {
        self.nodes as usize
    }

    /// Slots of a layer over all ranks, those of dead ranks included.
    pub fn slots(&self) -> usize {
        self.rank_of_slot.len()
    }

    /// Slots of a layer on live ranks.
    pub fn live_slots(&self) -> usize {
        self.live_ranks().map(|rank| self.slots_of(rank).len()).sum()
    }

    /// Slots that every rank holds, when all hold equally many.
    pub fn uniform_slots(&self) -> Option<usize> {
        let first = self.ranks[0].slots;
        self.ranks.iter().all(|rank| rank.slots == first).then_some(first as usize)
    }

    /// All ranks, in order.
    pub fn rank_ids(&self) -> impl ExactSizeIterator<Item = RankId> + use<> {
        (0..self.ranks.len() as u32).map(RankId)
    }

    /// The live ranks, in order.
    pub fn live_ranks(&self) -> impl Iterator<Item = RankId> + '_ {
        self.rank_ids().filter(|&rank| self.is_alive(rank))
    }

    /// What is known of one rank.
    ///
    /// # Panics
    /// The rank is not of this topology.
    pub fn rank(&self, rank: RankId) -> &RankSpec {
        &self.ranks[rank.index()]
    }

    /// Whether the rank is one of this topology.
    pub fn contains(&self, rank: RankId) -> bool {
        rank.index() < self.ranks.len()
    }

    /// Whether a rank takes part.
    pub fn is_alive(&self, rank: RankId) -> bool {
        self.rank(rank).alive
    }

    /// Whether a rank is alive and its slots hold what the present placement says.
    pub fn holds_weights(&self, rank: RankId) -> bool {
        let spec = self.rank(rank);
        spec.alive && !spec.empty
    }

    /// The node that a rank stands on.
    pub fn node_of(&self, rank: RankId) -> NodeId {
        self.rank(rank).node
    }

    /// The slots of a rank, as indices into a layer's slots.
    pub fn slots_of(&self, rank: RankId) -> Range<usize> {
        let index = rank.index();
        self.first_slots[index] as usize..self.first_slots[index + 1] as usize
    }

    /// The rank that holds a slot.
    pub fn rank_of(&self, slot: SlotId) -> RankId {
        self.rank_of_slot[slot.index()]
    }

    /// Whether the slot's rank is alive.
    pub fn is_live_slot(&self, slot: SlotId) -> bool {
        self.is_alive(self.rank_of(slot))
    }
}
