//! Transfer plans and buffer tables, on random placements.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use eplb_core::{
    Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, SlotId, Source, Topology, TransferPlan,
};
use eplb_executor::BufferTable;
use proptest::prelude::*;

const EXPERTS: u32 = 12;
const RANKS: u32 = 6;
const SLOTS: u32 = 3;

fn topology() -> Topology {
    Topology::uniform(RANKS, SLOTS, 2).unwrap()
}

fn placement(table: &[u32]) -> LayerPlacement {
    let shape = ModelShape::new(1, EXPERTS, 1).unwrap();
    let table: Vec<_> = table.iter().copied().map(ExpertId).collect();
    LayerPlacement::new(LayerId(0), &table, Epoch(0), shape, &topology()).unwrap()
}

fn tables() -> impl Strategy<Value = Vec<u32>> {
    let rest = (RANKS * SLOTS - EXPERTS) as usize;
    prop::collection::vec(0..EXPERTS, rest).prop_flat_map(|extra| {
        let all: Vec<u32> = (0..EXPERTS).chain(extra).collect();
        Just(all).prop_shuffle()
    })
}

proptest! {
    #[test]
    fn every_change_has_a_source_that_holds_its_expert(old in tables(), new in tables()) {
        let topology = topology();
        let (old, new) = (placement(&old), placement(&new));
        let plan = TransferPlan::new(&old, &new, &topology);
        let mut sends = vec![0; topology.ranks()];
        for rank in topology.rank_ids() {
            let slots = topology.slots_of(rank).map(SlotId::from_index);
            let changed: Vec<_> =
                slots.clone().filter(|&slot| old.expert_at(slot) != new.expert_at(slot)).collect();
            let planned: Vec<_> = plan.changes(rank).iter().map(|change| change.slot).collect();
            prop_assert_eq!(planned, changed);
            for change in plan.changes(rank) {
                prop_assert_eq!(change.expert, new.expert_at(change.slot));
                let held = slots.clone().any(|slot| old.expert_at(slot) == change.expert);
                match change.source {
                    Source::Local(source) => {
                        prop_assert_eq!(topology.rank_of(source), rank);
                        prop_assert_eq!(old.expert_at(source), change.expert);
                    }
                    Source::Remote(source) => {
                        prop_assert!(!held, "it was on the rank already");
                        prop_assert_eq!(old.expert_at(source), change.expert);
                        let node = topology.node_of(rank);
                        let near = old
                            .replicas(change.expert, &topology)
                            .any(|slot| topology.node_of(topology.rank_of(slot)) == node);
                        let is_near = topology.node_of(topology.rank_of(source)) == node;
                        prop_assert_eq!(is_near, near, "the same node comes first");
                        sends[topology.rank_of(source).index()] += 1;
                    }
                    Source::Pool => prop_assert!(false, "every expert is on a live rank"),
                }
            }
        }
        for rank in topology.rank_ids() {
            prop_assert_eq!(plan.sends(rank), sends[rank.index()]);
        }
        prop_assert_eq!(plan.received_slots(), sends.iter().sum::<usize>());
    }

    #[test]
    fn no_two_slots_share_a_buffer(changes in prop::collection::vec(tables(), 1..8)) {
        let topology = topology();
        let spares = vec![SLOTS; topology.ranks()];
        let mut table = BufferTable::identity(&topology);
        let mut old = placement(&changes[0]);
        for new in &changes[1..] {
            let new = placement(new);
            let plan = TransferPlan::new(&old, &new, &topology);
            let (after, landings) = table.after(&plan, &topology, &spares).unwrap();
            for rank in topology.rank_ids() {
                prop_assert_eq!(landings[rank.index()].len(), plan.changes(rank).len());
                let mut buffers = after.of_rank(rank, &topology).to_vec();
                buffers.sort_unstable();
                buffers.dedup();
                prop_assert_eq!(buffers.len(), SLOTS as usize);
                prop_assert!(buffers.iter().all(|&buffer| buffer < 2 * SLOTS));
            }
            (table, old) = (after, new);
        }
    }
}

#[test]
fn copies_of_a_hot_expert_are_sent_by_all_who_hold_it() {
    // Expert 0 is on ranks 0 and 1 of node 0; the four other ranks get it.
    let old = placement(&[0, 1, 2, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2, 3, 4, 5]);
    let new = placement(&[0, 1, 2, 0, 3, 4, 0, 6, 7, 0, 9, 10, 0, 8, 11, 0, 4, 5]);
    let plan = TransferPlan::new(&old, &new, &topology());
    let sent = |rank| plan.sends(eplb_core::RankId(rank));
    assert_eq!((sent(0), sent(1)), (2, 2));
}
