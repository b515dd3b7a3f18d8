//! Which buffer of a rank's memory holds the bytes of which slot.

use eplb_core::{RankId, SlotChange, SlotId, Source, Topology, TransferPlan};

/// For one layer and all ranks: the buffer that holds each slot.
///
/// With commits in place a slot is its buffer for ever. With indirect commits a rank has more buffers
/// than slots; changed slots get spare buffers and the old buffers become the spares. The assignment
/// is a pure function of the changes committed so far, so every rank knows where every other rank's
/// bytes are without asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferTable {
    /// Buffer index within its rank, by slot of the layer.
    buffers: Vec<u32>,
}

/// Where one changed slot's bytes go, in buffers of the rank that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The slot only points to a buffer that the rank holds already: nothing is copied.
    Adopted(u32),
    /// The bytes are copied into this spare buffer.
    Copied(u32),
}

/// A rank has fewer spare buffers than a change needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewSpares {
    /// The rank.
    pub rank: RankId,
    /// Spare buffers needed.
    pub needed: usize,
    /// Spare buffers there.
    pub spares: usize,
}

impl BufferTable {
    /// Slot n of a rank in buffer n.
    pub fn identity(topology: &Topology) -> Self {
        let buffers =
            topology.rank_ids().flat_map(|rank| 0..topology.slots_of(rank).len() as u32).collect();
        Self { buffers }
    }

    /// The buffer of a slot, counted within the slot's rank.
    pub fn buffer_of(&self, slot: SlotId) -> usize {
        self.buffers[slot.index()] as usize
    }

    /// The buffers of a rank's slots, in slot order: what an engine's kernel indexes.
    pub fn of_rank(&self, rank: RankId, topology: &Topology) -> &[u32] {
        &self.buffers[topology.slots_of(rank)]
    }

    /// The table after an indirect commit of `plan`, and for each change of each rank where its
    /// bytes land. Rank r has `spares[r]` buffers beyond its slots.
    ///
    /// # Errors
    /// A rank with fewer spares than it has slots to fill.
    pub fn after(
        &self,
        plan: &TransferPlan,
        topology: &Topology,
        spares: &[u32],
    ) -> Result<(Self, Vec<Vec<Landing>>), TooFewSpares> {
        let mut after = self.clone();
        let mut landings = Vec::with_capacity(topology.ranks());
        for rank in topology.rank_ids() {
            let changes = plan.changes(rank);
            let all = topology.slots_of(rank).len() as u32 + spares[rank.index()];
            let held = self.of_rank(rank, topology);
            let mut free = (0..all).filter(|buffer| !held.contains(buffer));
            let mut adopted = Vec::new();
            let mut of_rank = Vec::with_capacity(changes.len());
            for change in changes {
                let landing = match self.adoptable(change, changes, &adopted) {
                    Some(buffer) => {
                        adopted.push(buffer);
                        Landing::Adopted(buffer)
                    }
                    None => match free.next() {
                        Some(buffer) => Landing::Copied(buffer),
                        None => {
                            let needed = changes.len();
                            let spares = spares[rank.index()] as usize;
                            return Err(TooFewSpares { rank, needed, spares });
                        }
                    },
                };
                let (Landing::Adopted(buffer) | Landing::Copied(buffer)) = landing;
                after.buffers[change.slot.index()] = buffer;
                of_rank.push(landing);
            }
            landings.push(of_rank);
        }
        Ok((after, landings))
    }

    /// The buffer that a change can take over: that of a local source which itself changes away and
    /// which no earlier change took.
    fn adoptable(&self, change: &SlotChange, changes: &[SlotChange], taken: &[u32]) -> Option<u32> {
        let Source::Local(source) = change.source else { return None };
        let leaves = changes.iter().any(|other| other.slot == source);
        let buffer = self.buffers[source.index()];
        (leaves && !taken.contains(&buffer)).then_some(buffer)
    }
}
