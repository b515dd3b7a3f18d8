//! What has to be copied where to take a layer from one placement to another.

use crate::{ExpertId, LayerPlacement, RankId, SlotId, Topology};

/// Where a slot's new bytes come from. Slots that keep their expert are not part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another slot of the same rank.
    Local(SlotId),
    /// A slot of another rank.
    Remote(SlotId),
    /// No rank that holds weights has the expert: its last replica died. Only a pool of all experts, where
    /// there is one, can bring it back.
    Pool,
}

/// One slot that gets another expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// The slot that changes.
    pub slot: SlotId,
    /// The expert it gets.
    pub expert: ExpertId,
    /// Where its bytes are, under the old placement.
    pub source: Source,
}

/// The copies that take one layer from an old placement to a new one, for all ranks. Every rank
/// computes the same plan from the same two tables, so that nobody has to send it around.
///
/// Sources are chosen where bytes are nearest and senders least busy: the own rank first, then ranks
/// of the same node, then any; among those the rank that so far sends least. (Taking the first
/// holder in rank order, as peers do, makes one rank send every copy of a hot expert.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferPlan {
    /// For each rank its changes, in slot order.
    changes: Vec<Vec<SlotChange>>,
    /// For each rank how many slots it sends to others.
    sends: Vec<usize>,
}

impl TransferPlan {
    /// The plan from `old` to `new`, two placements of the same layer.
    pub fn new(old: &LayerPlacement, new: &LayerPlacement, topology: &Topology) -> Self {
        let mut plan =
            Self { changes: vec![Vec::new(); topology.ranks()], sends: vec![0; topology.ranks()] };
        for rank in topology.live_ranks() {
            for slot in topology.slots_of(rank).map(SlotId::from_index) {
                let expert = new.expert_at(slot);
                if old.expert_at(slot) != expert || !topology.holds_weights(rank) {
                    let source = plan.choose_source(rank, expert, old, topology);
                    plan.changes[rank.index()].push(SlotChange { slot, expert, source });
                }
            }
        }
        plan
    }

    fn choose_source(
        &mut self,
        rank: RankId,
        expert: ExpertId,
        old: &LayerPlacement,
        topology: &Topology,
    ) -> Source {
        let mut own = topology.slots_of(rank).map(SlotId::from_index);
        let local = own.find(|&slot| old.expert_at(slot) == expert);
        if let Some(slot) = local.filter(|_| topology.holds_weights(rank)) {
            return Source::Local(slot);
        }
        let cost = |slot: &SlotId| {
            let sender = topology.rank_of(*slot);
            let far = topology.node_of(sender) != topology.node_of(rank);
            (far, self.sends[sender.index()], *slot)
        };
        let holds = |slot: &SlotId| topology.holds_weights(topology.rank_of(*slot));
        match old.replicas(expert, topology).filter(holds).min_by_key(cost) {
            Some(slot) => {
                self.sends[topology.rank_of(slot).index()] += 1;
                Source::Remote(slot)
            }
            // As after the death of a rank; a placement that is in use has a replica of every expert.
            None => Source::Pool,
        }
    }

    /// What one rank has to change, in slot order.
    pub fn changes(&self, rank: RankId) -> &[SlotChange] {
        &self.changes[rank.index()]
    }

    /// How many slots one rank sends to others.
    pub fn sends(&self, rank: RankId) -> usize {
        self.sends[rank.index()]
    }

    /// For each slot that travels between ranks its sender and its receiver, receivers in order.
    pub fn links<'a>(
        &'a self,
        topology: &'a Topology,
    ) -> impl Iterator<Item = (RankId, RankId)> + 'a {
        let received = self.changes.iter().enumerate();
        received.flat_map(move |(receiver, changes)| {
            changes.iter().filter_map(move |change| match change.source {
                Source::Local(_) | Source::Pool => None,
                Source::Remote(slot) => {
                    Some((topology.rank_of(slot), RankId::from_index(receiver)))
                }
            })
        })
    }

    /// How many slots travel between ranks, over all ranks.
    pub fn received_slots(&self) -> usize {
        self.sends.iter().sum()
    }
}
