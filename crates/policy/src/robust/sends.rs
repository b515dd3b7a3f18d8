//! What must be sent to get from the placement to begin with to another.

use eplb_core::ExpertId;

use super::bit_table::BitTable;
use super::layer::Layer;
use super::price::MovePrice;

/// Who held what before anything moved, and what a send costs.
#[derive(Debug)]
pub(super) struct Sends {
    /// ranks × experts
    ranks: BitTable,
    /// nodes × experts
    nodes: BitTable,
    price: MovePrice,
}

impl Sends {
    /// `before` is what the slots of `layer` held to begin with. Slots that held nothing are filled with
    /// something in any case.
    pub(super) fn new(layer: &Layer<'_>, before: &[Option<ExpertId>], price: MovePrice) -> Self {
        let rank_count = layer.ranks();
        let node_count = (0..rank_count).map(|rank| layer.node_of(rank).index() + 1).max();
        let mut ranks = BitTable::new(rank_count, layer.experts());
        let mut nodes = BitTable::new(node_count.unwrap_or(0), layer.experts());
        for rank in 0..rank_count {
            for expert in before[layer.slots(rank)].iter().flatten() {
                ranks.set(rank, expert.index());
                nodes.set(layer.node_of(rank).index(), expert.index());
            }
        }
        Self { ranks, nodes, price }
    }

    /// What it costs to have an expert on a rank; nothing if it was there before.
    pub(super) fn price(&self, layer: &Layer<'_>, rank: usize, expert: usize) -> f32 {
        if self.ranks.has(rank, expert) {
            0.0
        } else if self.nodes.has(layer.node_of(rank).index(), expert) {
            self.price.same_node
        } else {
            self.price.other_node
        }
    }

    /// How many experts are sent to have an expert on a rank.
    pub(super) fn count(&self, rank: usize, expert: usize) -> usize {
        usize::from(!self.ranks.has(rank, expert))
    }
}
