//! Small layers planned from nothing: the search begun again from every neighbouring placement.

use eplb_core::{ExpertId, SlotId, Topology};

use super::MovePrice;
use super::layer::Layer;
use super::search::{Search, SearchLimits};
use super::sends::Sends;
use super::windows::WindowLoads;

/// Layers of more slots are left as the search found them: in large ones it hardly gets stuck, and
/// beginning again costs slots × experts searches.
const MOST_SLOTS: usize = 12;

/// A better placement than `table`, which the search ended with, if a search from a placement that
/// differs in one change ends with one; again and again.
pub(super) fn polish(
    windows: &WindowLoads,
    topology: &Topology,
    table: Vec<ExpertId>,
    limits: SearchLimits,
) -> Vec<ExpertId> {
    if topology.live_slots() > MOST_SLOTS || windows.is_idle() {
        return table;
    }
    let cost = |table: &[ExpertId]| Layer::new(windows, topology, table.to_vec()).total_cost();
    let mut best = (cost(&table), table);
    // Each round lowers the cost; the bound only guards its time.
    for _ in 0..topology.live_slots() {
        let found = neighbours(&best.1, windows.experts(), topology)
            .map(|table| {
                let layer = Layer::new(windows, topology, table.clone());
                let standing: Vec<_> = table.into_iter().map(Some).collect();
                let sends = Sends::new(&layer, &standing, MovePrice::FREE);
                let table = Search::new(layer, sends, limits).run().table;
                (cost(&table), table)
            })
            .reduce(|least, next| if next.0 < least.0 { next } else { least });
        match found {
            Some(found) if found.0 < best.0 * (1.0 - 1e-5) => best = found,
            _ => break,
        }
    }
    best.1
}

/// The placements that differ from `table` in one replica, or in two slots that trade experts; every
/// expert keeps a live slot, and none comes to a rank that holds it.
fn neighbours(
    table: &[ExpertId],
    experts: usize,
    topology: &Topology,
) -> impl Iterator<Item = Vec<ExpertId>> {
    let slots: Vec<usize> =
        topology.live_ranks().flat_map(|rank| topology.slots_of(rank)).collect();
    let count = |expert: ExpertId| slots.iter().filter(|&&slot| table[slot] == expert).count();
    let rank_of = |slot: usize| topology.rank_of(SlotId::from_index(slot));
    let holds =
        |slot: usize, expert: ExpertId| table[topology.slots_of(rank_of(slot))].contains(&expert);
    let mut neighbours = Vec::new();
    for (index, &slot) in slots.iter().enumerate() {
        for expert in (0..experts).map(ExpertId::from_index) {
            if !holds(slot, expert) && count(table[slot]) > 1 {
                let mut next = table.to_vec();
                next[slot] = expert;
                neighbours.push(next);
            }
        }
        for &other in &slots[index + 1..] {
            if !holds(slot, table[other]) && !holds(other, table[slot]) {
                let mut next = table.to_vec();
                next.swap(slot, other);
                neighbours.push(next);
            }
        }
    }
    neighbours.into_iter()
}
