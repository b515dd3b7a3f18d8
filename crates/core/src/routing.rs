//! Where the tokens of each expert go.

use thiserror::Error;

use crate::{Epoch, ExpertId, LayerPlacement, RankId, SlotId, Topology};

/// The share that stands for all tokens of an expert. Shares are 16-bit unsigned normalised numbers:
/// the shares of an expert's replicas add up to exactly this.
pub const SHARE_ONE: u16 = u16::MAX;

/// The routing table of one layer in compressed sparse row form: for each logical expert its slots
/// and the share of its tokens that each of them takes. This is what a dispatch kernel reads:
/// about 6 bytes a slot instead of `logical_to_physical_map`'s [experts, replicas] int64 array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingTable {
    epoch: Epoch,
    /// For each expert the first of its entries, and the number of entries at the end.
    offsets: Box<[u32]>,
    slots: Box<[SlotId]>,
    shares: Box<[u16]>,
}

/// One replica of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The slot that holds it.
    pub slot: SlotId,
    /// Its share of the expert's tokens, in units of 1/[`SHARE_ONE`].
    pub share: u16,
}

/// Why shares are no routing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RoutingError {
    /// Shares for another number of slots than the placement has.
    #[error("shares for {found} slots, the placement has {expected}")]
    Slots {
        /// Shares given.
        found: usize,
        /// Slots of the placement.
        expected: usize,
    },
    /// The shares of an expert don't add up.
    #[error("the shares of {expert} add up to {sum}, they must add up to {SHARE_ONE}")]
    Sum {
        /// The expert.
        expert: ExpertId,
        /// What its live replicas' shares add up to.
        sum: u64,
    },
}

impl RoutingTable {
    /// Every live replica of an expert takes an equal share; what doesn't divide goes to the first.
    ///
    /// `topology` is the one that the placement was made for: an expert that only dead ranks hold has
    /// no replica here, and nothing can be routed to it.
    pub fn even(placement: &LayerPlacement, topology: &Topology) -> Self {
        let mut table = Self::without_shares(placement, topology);
        for expert in 0..table.experts() {
            let entries = table.entries(ExpertId::from_index(expert));
            let count = entries.len() as u16;
            if count == 0 {
                continue;
            }
            let (share, rest) = (SHARE_ONE / count, SHARE_ONE % count);
            for (index, entry) in entries.enumerate() {
                table.shares[entry] = share + u16::from((index as u16) < rest);
            }
        }
        table
    }

    /// The routing with the share of each slot given; shares of dead ranks' slots are ignored.
    ///
    /// # Errors
    /// Shares for another number of slots, or shares of an expert that don't add up to
    /// [`SHARE_ONE`].
    pub fn with_shares(
        placement: &LayerPlacement,
        topology: &Topology,
        shares: &[u16],
    ) -> Result<Self, RoutingError> {
        if shares.len() != topology.slots() {
            let (found, expected) = (shares.len(), topology.slots());
            return Err(RoutingError::Slots { found, expected });
        }
        let mut table = Self::without_shares(placement, topology);
        for (entry, slot) in table.slots.iter().enumerate() {
            table.shares[entry] = shares[slot.index()];
        }
        for expert in (0..table.experts()).map(ExpertId::from_index) {
            let sum = table.replicas(expert).map(|replica| u64::from(replica.share)).sum();
            if sum != u64::from(SHARE_ONE) {
                return Err(RoutingError::Sum { expert, sum });
            }
        }
        Ok(table)
    }

    fn without_shares(placement: &LayerPlacement, topology: &Topology) -> Self {
        // Every expert is placed, so the highest id is that of the last expert.
        let experts =
            placement.experts().iter().map(|expert| expert.index() + 1).max().unwrap_or(0);
        let mut offsets = vec![0u32; experts + 1];
        for slot in placement.live_slots(topology) {
            offsets[placement.expert_at(slot).index() + 1] += 1;
        }
        for expert in 0..experts {
            offsets[expert + 1] += offsets[expert];
        }
        let mut next = offsets.clone();
        let mut slots = vec![SlotId(0); offsets[experts] as usize];
        for slot in placement.live_slots(topology) {
            let next = &mut next[placement.expert_at(slot).index()];
            slots[*next as usize] = slot;
            *next += 1;
        }
        Self {
            epoch: placement.epoch(),
            shares: vec![0; slots.len()].into(),
            offsets: offsets.into(),
            slots: slots.into(),
        }
    }

    fn entries(&self, expert: ExpertId) -> std::ops::Range<usize> {
        let index = expert.index();
        self.offsets[index] as usize..self.offsets[index + 1] as usize
    }

    /// The version of the placement that this routes to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Logical experts of the layer.
    pub fn experts(&self) -> usize {
        self.offsets.len() - 1
    }

    /// For each expert the first of its entries in [`RoutingTable::slots`], and their number at the
    /// end: experts + 1 values.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The slots of all experts' replicas, expert by expert.
    pub fn slots(&self) -> &[SlotId] {
        &self.slots
    }

    /// The shares that belong to [`RoutingTable::slots`].
    pub fn shares(&self) -> &[u16] {
        &self.shares
    }

    /// The live replicas of an expert, at least one.
    pub fn replicas(&self, expert: ExpertId) -> impl ExactSizeIterator<Item = Replica> + '_ {
        self.entries(expert)
            .map(|entry| Replica { slot: self.slots[entry], share: self.shares[entry] })
    }

    /// The slot that a token goes to. `key` spreads an expert's tokens over its replicas: keys drawn
    /// evenly from all 16-bit numbers hit each replica in proportion to its share.
    pub fn slot_for(&self, expert: ExpertId, key: u16) -> SlotId {
        let entries = self.entries(expert);
        // Keys run to 65,535 and shares add up to it, so the last key belongs to the last replica.
        let mut rest = key.min(SHARE_ONE - 1);
        for entry in entries.start..entries.end - 1 {
            match rest.checked_sub(self.shares[entry]) {
                Some(left) => rest = left,
                None => return self.slots[entry],
            }
        }
        self.slots[entries.end - 1]
    }

    /// How `tokens` of an expert divide over its replicas, exactly: the parts add up to `tokens`.
    pub fn split(
        &self,
        expert: ExpertId,
        tokens: u64,
    ) -> impl ExactSizeIterator<Item = (SlotId, u64)> + '_ {
        let (mut shares_before, mut tokens_before) = (0u64, 0u64);
        self.replicas(expert).map(move |replica| {
            shares_before += u64::from(replica.share);
            let until = u128::from(tokens) * u128::from(shares_before) / u128::from(SHARE_ONE);
            let part = until as u64 - tokens_before;
            tokens_before = until as u64;
            (replica.slot, part)
        })
    }

    /// The tokens that each slot of the topology gets under `load`, the counts of each logical expert.
    pub fn slot_loads(&self, load: &[u64], topology: &Topology) -> Vec<u64> {
        let mut slots = vec![0; topology.slots()];
        for (expert, &tokens) in load.iter().enumerate() {
            for (slot, part) in self.split(ExpertId::from_index(expert), tokens) {
                slots[slot.index()] += part;
            }
        }
        slots
    }

    /// The ranks that hold a replica of an expert, in slot order; one may come twice.
    pub fn ranks_of<'a>(
        &'a self,
        expert: ExpertId,
        topology: &'a Topology,
    ) -> impl Iterator<Item = RankId> + 'a {
        self.replicas(expert).map(|replica| topology.rank_of(replica.slot))
    }
}
