//! Keeping experts that stay on a rank in their old slots.

use eplb_core::{ExpertId, Topology};

use crate::Proposal;

/// Reorders a proposal within each rank so that an expert which the rank keeps stays in a slot that
/// held it, and nothing is copied from slot to slot on one rank; shares go with their slots. Dead
/// ranks' slots keep what they held. What no slot held goes, in the table's order, into the slots that
/// are left.
///
/// Table, shares and `present` have an entry for every slot of the topology.
pub(crate) fn align(proposal: &mut Proposal, present: &[ExpertId], topology: &Topology) {
    for rank in topology.rank_ids() {
        let slots = topology.slots_of(rank);
        let (table, present) = (&mut proposal.table[slots.clone()], &present[slots.clone()]);
        if !topology.is_alive(rank) {
            table.copy_from_slice(present);
            continue;
        }
        let entries = aligned_entries(table, present);
        let planned = table.to_vec();
        for (expert, &entry) in table.iter_mut().zip(&entries) {
            *expert = planned[entry];
        }
        if let Some(shares) = &mut proposal.shares {
            let planned = shares[slots.clone()].to_vec();
            for (share, &entry) in shares[slots].iter_mut().zip(&entries) {
                *share = planned[entry];
            }
        }
    }
}

/// For each slot of a rank the entry of `planned` that goes there.
fn aligned_entries(planned: &[ExpertId], present: &[ExpertId]) -> Vec<usize> {
    // Planned entries by expert, first entry first, each to be used once.
    let mut order: Vec<usize> = (0..planned.len()).collect();
    order.sort_by_key(|&entry| planned[entry]);
    let mut used = vec![false; planned.len()];
    let mut entries: Vec<Option<usize>> = vec![None; planned.len()];
    for (slot, &expert) in present.iter().enumerate() {
        let first = order.partition_point(|&entry| planned[entry] < expert);
        let same = order[first..].iter().take_while(|&&entry| planned[entry] == expert);
        if let Some(&entry) = same.into_iter().find(|&&entry| !used[entry]) {
            used[entry] = true;
            entries[slot] = Some(entry);
        }
    }
    // As many entries are left as slots.
    let mut left = (0..planned.len()).filter(|&entry| !used[entry]);
    entries.iter().filter_map(|entry| entry.or_else(|| left.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use eplb_core::RankId;

    fn ids(experts: &[u32]) -> Vec<ExpertId> {
        experts.iter().copied().map(ExpertId).collect()
    }

    fn aligned(table: &[u32], present: &[u32], topology: &Topology) -> Vec<ExpertId> {
        let shares = Some(table.iter().map(|&expert| expert as u16).collect());
        let mut proposal = Proposal { shares, ..Proposal::of_table(ids(table)) };
        align(&mut proposal, &ids(present), topology);
        let shares = proposal.shares.unwrap();
        for rank in topology.live_ranks() {
            for slot in topology.slots_of(rank) {
                assert_eq!(proposal.table[slot], ExpertId(shares[slot].into()), "shares go along");
            }
        }
        proposal.table
    }

    #[test]
    fn experts_that_stay_keep_their_slots_and_the_rest_fills_up_in_order() {
        let topology = Topology::uniform(2, 4, 1).unwrap();
        let table = aligned(&[0, 1, 2, 3, 4, 5, 6, 7], &[3, 9, 1, 8, 7, 6, 5, 4], &topology);
        assert_eq!(table, ids(&[3, 0, 1, 2, 7, 6, 5, 4]));
    }

    #[test]
    fn nothing_crosses_ranks() {
        let topology = Topology::uniform(2, 2, 1).unwrap();
        assert_eq!(aligned(&[0, 1, 2, 3], &[2, 3, 0, 1], &topology), ids(&[0, 1, 2, 3]));
    }

    #[test]
    fn replicas_on_one_rank_are_matched_one_by_one() {
        let topology = Topology::uniform(1, 4, 1).unwrap();
        assert_eq!(aligned(&[5, 5, 1, 2], &[1, 5, 5, 5], &topology), ids(&[1, 5, 5, 2]));
        assert_eq!(aligned(&[5, 5, 5, 2], &[2, 5, 1, 1], &topology), ids(&[2, 5, 5, 5]));
    }

    #[test]
    fn slots_of_dead_ranks_keep_what_they_held() {
        let topology = Topology::uniform(2, 2, 1).unwrap().without(RankId(1)).unwrap();
        assert_eq!(aligned(&[0, 1, 1, 1], &[1, 0, 0, 1], &topology), ids(&[1, 0, 0, 1]));
    }
}
