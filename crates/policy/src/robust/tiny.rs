//! Layers so small that all their placements can be tried.

use eplb_core::{ExpertId, RankId, Topology};

use super::layer::Layer;
use super::windows::WindowLoads;

/// Layers of more placements are left as the search found them: in large ones it hardly gets stuck.
const MOST_PLACEMENTS: usize = 20_000;

/// A placement that costs less is taken, one that costs about the same is not.
const LEAST_PART: f32 = 1.0 - 1e-5;

/// The best placement that puts no expert twice on a rank, or `table`, which the search ended with, if
/// that is about as good, or if there are too many placements to try.
pub(super) fn best_of_all(
    windows: &WindowLoads,
    topology: &Topology,
    table: Vec<ExpertId>,
) -> Vec<ExpertId> {
    if windows.is_idle() {
        return table;
    }
    let ranks: Vec<_> = topology.live_ranks().collect();
    let slots = |rank: &RankId| topology.slots_of(*rank).len();
    let Some(choices) = choices_of_ranks(windows.experts(), ranks.iter().map(slots)) else {
        return table;
    };
    let cost = |table: &[ExpertId]| Layer::new(windows, topology, table.to_vec()).total_cost();
    let mut best = (cost(&table) * LEAST_PART, None);
    let mut chosen = vec![0; ranks.len()];
    let mut tried = table.clone();
    loop {
        for ((rank, choices), &chosen) in ranks.iter().zip(&choices).zip(&chosen) {
            tried[topology.slots_of(*rank)].copy_from_slice(&choices[chosen]);
        }
        if places_all(&tried, &ranks, topology, windows.experts()) {
            let cost = cost(&tried);
            if cost < best.0 {
                best = (cost, Some(tried.clone()));
            }
        }
        if !advance(&mut chosen, &choices) {
            return best.1.unwrap_or(table);
        }
    }
}

/// For each rank all sets of experts that fill it; nothing if their combinations are too many, or if
/// a rank has more slots than there are experts.
fn choices_of_ranks(
    experts: usize,
    slots: impl Iterator<Item = usize>,
) -> Option<Vec<Vec<Vec<ExpertId>>>> {
    let mut combinations = 1usize;
    let mut choices = Vec::new();
    for slots in slots {
        // A rank alone must not be too large to write its sets down.
        let mut sets = 1usize;
        for taken in 0..slots {
            sets = sets.checked_mul(experts.checked_sub(taken)?)? / (taken + 1);
            if sets == 0 || sets > MOST_PLACEMENTS {
                return None;
            }
        }
        combinations = combinations.checked_mul(sets).filter(|&all| all <= MOST_PLACEMENTS)?;
        choices.push(sets_of(experts, slots));
    }
    Some(choices)
}

/// All sets of so many of the experts, in the order of their ids.
fn sets_of(experts: usize, size: usize) -> Vec<Vec<ExpertId>> {
    let mut sets = vec![Vec::new()];
    for taken in 0..size {
        let mut longer = Vec::new();
        for set in &sets {
            let first = set.last().map_or(0, |last: &ExpertId| last.index() + 1);
            // As many experts as are still to be taken have to be left.
            for expert in first..=experts - (size - taken) {
                let mut set = set.clone();
                set.push(ExpertId::from_index(expert));
                longer.push(set);
            }
        }
        sets = longer;
    }
    sets
}

fn places_all(table: &[ExpertId], ranks: &[RankId], topology: &Topology, experts: usize) -> bool {
    let mut is_placed = vec![false; experts];
    for rank in ranks {
        for expert in &table[topology.slots_of(*rank)] {
            is_placed[expert.index()] = true;
        }
    }
    is_placed.into_iter().all(|is_placed| is_placed)
}

/// Goes on to the next combination, `false` after the last one.
fn advance(chosen: &mut [usize], choices: &[Vec<Vec<ExpertId>>]) -> bool {
    for (chosen, choices) in chosen.iter_mut().zip(choices).rev() {
        *chosen += 1;
        if *chosen < choices.len() {
            return true;
        }
        *chosen = 0;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_all_there_once() {
        let sets = sets_of(6, 4);
        assert_eq!(sets.len(), 15);
        let mut sorted = sets.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted, sets);
        assert_eq!(sets_of(3, 3).len(), 1);
        assert_eq!(sets_of(3, 0), [vec![]]);
    }

    #[test]
    fn only_small_layers_are_tried() {
        assert!(choices_of_ranks(6, [4, 4, 4].into_iter()).is_some());
        assert!(choices_of_ranks(16, [3; 6].into_iter()).is_none());
        assert!(choices_of_ranks(256, [128].into_iter()).is_none());
        assert!(choices_of_ranks(3, [4].into_iter()).is_none(), "an expert would be there twice");
    }
}
