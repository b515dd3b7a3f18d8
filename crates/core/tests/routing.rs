//! Routing tables: shares, splits and keys are exact.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use eplb_core::{
    Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, RankId, RoutingError, RoutingTable,
    SHARE_ONE, SlotId, Topology,
};
use proptest::prelude::*;

/// A layer of `experts` on ranks of two slots.
fn layer(table: &[u32], experts: u32) -> (LayerPlacement, Topology) {
    let shape = ModelShape::new(1, experts, 1).unwrap();
    let topology = Topology::uniform(table.len() as u32 / 2, 2, 1).unwrap();
    let table: Vec<ExpertId> = table.iter().copied().map(ExpertId).collect();
    (LayerPlacement::new(LayerId(0), &table, Epoch(3), shape, &topology).unwrap(), topology)
}

/// One expert with a replica of each of these shares (even in number).
fn shared(shares: &[u16]) -> RoutingTable {
    let (placement, topology) = layer(&vec![0; shares.len()], 1);
    RoutingTable::with_shares(&placement, &topology, shares).unwrap()
}

#[test]
fn even_shares_add_up_and_differ_by_at_most_one() {
    let (placement, topology) = layer(&[0, 1, 0, 2, 1, 0, 0, 2], 3);
    let routing = placement.even_routing(&topology);
    assert_eq!((routing.epoch(), routing.experts()), (Epoch(3), 3));
    assert_eq!(routing.offsets(), [0, 4, 6, 8]);
    assert_eq!(routing.slots(), [0, 2, 5, 6, 1, 4, 3, 7].map(SlotId));
    for expert in (0..3).map(ExpertId) {
        let shares: Vec<u16> = routing.replicas(expert).map(|replica| replica.share).collect();
        assert_eq!(shares.iter().map(|&share| u32::from(share)).sum::<u32>(), 65_535);
        assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
    }
    assert!(routing.ranks_of(ExpertId(2), &topology).eq([RankId(1), RankId(3)]));
}

#[test]
fn dead_ranks_get_no_token() {
    let (placement, topology) = layer(&[0, 1, 0, 1, 1, 0], 2);
    let topology = topology.without(RankId(1)).unwrap();
    let routing = placement.even_routing(&topology);
    assert_eq!(routing.slots(), [0, 5, 1, 4].map(SlotId));
    assert_eq!(routing.slot_loads(&[10, 7], &topology), [5, 3, 0, 0, 4, 5]);
    for key in 0..=u16::MAX {
        assert!(topology.is_live_slot(routing.slot_for(ExpertId(0), key)));
    }
}

#[test]
fn shares_that_do_not_add_up_are_refused() {
    let (placement, topology) = layer(&[0, 1, 0, 1], 2);
    let with = |shares: &[u16]| RoutingTable::with_shares(&placement, &topology, shares);
    assert!(with(&[1, SHARE_ONE, SHARE_ONE - 1, 0]).is_ok());
    let error = RoutingError::Sum { expert: ExpertId(1), sum: u64::from(SHARE_ONE) - 1 };
    assert_eq!(with(&[1, SHARE_ONE - 1, SHARE_ONE - 1, 0]), Err(error));
    let error = RoutingError::Sum { expert: ExpertId(0), sum: 2 * u64::from(SHARE_ONE) };
    assert_eq!(with(&[SHARE_ONE, SHARE_ONE, SHARE_ONE, 0]), Err(error));
    assert_eq!(with(&[0; 3]), Err(RoutingError::Slots { found: 3, expected: 4 }));

    let dead = topology.without(RankId(1)).unwrap();
    let alone = RoutingTable::with_shares(&placement, &dead, &[SHARE_ONE, SHARE_ONE, 9, 9]);
    assert!(alone.is_ok(), "shares of dead ranks' slots are ignored");
}

/// Shares of an even number of replicas, some of them zero.
fn shares() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(prop_oneof![Just(0u32), 1..=u32::from(SHARE_ONE)], 1..6).prop_map(
        |cuts| {
            let mut cuts: Vec<u32> = cuts;
            cuts.sort_unstable();
            cuts.insert(0, 0);
            cuts.push(u32::from(SHARE_ONE));
            let mut shares: Vec<u16> =
                cuts.windows(2).map(|pair| (pair[1] - pair[0]) as u16).collect();
            if !shares.len().is_multiple_of(2) {
                shares.push(0);
            }
            shares
        },
    )
}

proptest! {
    #[test]
    fn a_split_loses_no_token_and_is_within_one_of_its_share(
        shares in shares(),
        tokens in prop_oneof![0..100u64, any::<u64>()],
    ) {
        let routing = shared(&shares);
        let parts: Vec<u64> = routing.split(ExpertId(0), tokens).map(|(_, part)| part).collect();
        prop_assert_eq!(parts.iter().map(|&part| u128::from(part)).sum::<u128>(), tokens.into());
        for (part, &share) in parts.iter().zip(&shares) {
            let (whole, part) = (u128::from(tokens) * u128::from(share), u128::from(*part));
            let one = u128::from(SHARE_ONE);
            prop_assert!(part * one < whole + one && whole < (part + 1) * one);
        }
    }

    #[test]
    fn all_keys_together_hit_every_replica_as_often_as_its_share_says(shares in shares()) {
        let routing = shared(&shares);
        let mut hits: BTreeMap<SlotId, u32> = BTreeMap::new();
        for key in 0..=u16::MAX {
            *hits.entry(routing.slot_for(ExpertId(0), key)).or_default() += 1;
        }
        // There is one key more than shares, for the last replica that has a share at all.
        let last = shares.iter().rposition(|&share| share > 0).unwrap();
        for (slot, &share) in shares.iter().enumerate() {
            let hit = hits.get(&SlotId(slot as u32)).copied().unwrap_or(0);
            prop_assert_eq!(hit, u32::from(share) + u32::from(slot == last));
        }
    }

    #[test]
    fn slot_loads_add_up_to_the_load(load in prop::collection::vec(0..1u64 << 40, 3)) {
        let (placement, topology) = layer(&[0, 1, 0, 2, 1, 0, 0, 2], 3);
        let slots = placement.even_routing(&topology).slot_loads(&load, &topology);
        for (expert, &tokens) in load.iter().enumerate() {
            let held = placement.replicas(ExpertId(expert as u32), &topology);
            prop_assert_eq!(held.map(|slot| slots[slot.index()]).sum::<u64>(), tokens);
        }
    }
}

#[test]
fn a_placement_keeps_its_shares_under_every_epoch() {
    let (even, topology) = layer(&[0, 1, 0, 1], 2);
    assert_eq!((even.shares(), even.routing(&topology)), (None, even.even_routing(&topology)));
    let shares = [1, SHARE_ONE, SHARE_ONE - 1, 0];
    let uneven = even.with_shares(&shares, &topology).unwrap().with_epoch(Epoch(9));
    assert_eq!(uneven.shares(), Some(&shares[..]));
    let routing = uneven.routing(&topology);
    assert_eq!(
        (routing.epoch(), routing.shares()),
        (Epoch(9), &[1, SHARE_ONE - 1, SHARE_ONE, 0][..])
    );
    assert_ne!(uneven, even.with_epoch(Epoch(9)), "shares are part of what a placement is");

    // Even shares are no shares of their own, and wrong ones change nothing.
    let by_slot = [SHARE_ONE / 2 + 1, SHARE_ONE / 2 + 1, SHARE_ONE / 2, SHARE_ONE / 2];
    assert_eq!(uneven.with_shares(&by_slot, &topology).unwrap().shares(), None);
    assert!(uneven.with_shares(&[0; 4], &topology).is_err());

    // With a rank gone the shares no longer add up.
    let dead = topology.without(RankId(1)).unwrap();
    assert_eq!(uneven.routing(&dead), uneven.even_routing(&dead));
}
