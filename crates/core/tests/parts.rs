//! Changes in parts: each fits the quota, each places every expert, and they end where they should.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use eplb_core::{Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, NodeId, RankSpec, Topology};
use proptest::prelude::*;

fn placement(experts: &[u32], shape: ModelShape, topology: &Topology) -> Option<LayerPlacement> {
    let experts: Vec<_> = experts.iter().map(|&expert| ExpertId(expert)).collect();
    LayerPlacement::new(LayerId(0), &experts, Epoch(7), shape, topology).ok()
}

/// How many slots of each rank differ between two tables.
fn changed(from: &LayerPlacement, to: &LayerPlacement, topology: &Topology) -> Vec<usize> {
    let of_rank = |rank| {
        let slots = topology.slots_of(rank);
        slots.filter(|&slot| from.experts()[slot] != to.experts()[slot]).count()
    };
    topology.live_ranks().map(of_rank).collect()
}

#[test]
fn a_change_that_fits_is_one_part_with_its_shares() {
    let shape = ModelShape::new(1, 3, 1).unwrap();
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let from = placement(&[0, 1, 2, 0], shape, &topology).unwrap();
    let to = placement(&[0, 1, 2, 1], shape, &topology).unwrap();
    let to = to.with_shares(&[65_535, 40_000, 65_535, 25_535], &topology).unwrap();
    assert_eq!(from.parts(&to, &topology, 1), Some(vec![to.clone()]));
    assert_eq!(from.parts(&from, &topology, 1), Some(vec![from.clone()]));
}

#[test]
fn a_large_change_comes_in_parts() {
    let shape = ModelShape::new(1, 4, 1).unwrap();
    let topology = Topology::uniform(2, 4, 1).unwrap();
    let from = placement(&[0, 1, 2, 3, 0, 1, 2, 3], shape, &topology).unwrap();
    let to = placement(&[3, 2, 1, 0, 0, 1, 2, 3], shape, &topology).unwrap();
    let parts = from.parts(&to, &topology, 1).unwrap();
    assert_eq!(parts.len(), 4);
    assert_eq!(parts.last(), Some(&to));
}

#[test]
fn a_circle_of_last_replicas_changes_at_once_or_not_at_all() {
    let shape = ModelShape::new(1, 4, 1).unwrap();
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let from = placement(&[0, 1, 2, 3], shape, &topology).unwrap();
    let across = placement(&[2, 3, 0, 1], shape, &topology).unwrap();
    assert_eq!(from.parts(&across, &topology, 1).unwrap().len(), 2, "two trades of two slots");
    let within = placement(&[1, 0, 2, 3], shape, &topology).unwrap();
    assert!(from.parts(&within, &topology, 1).is_none());
    assert_eq!(from.parts(&within, &topology, 2).unwrap().len(), 1);
}

#[test]
fn ranks_that_join_are_filled_at_once() {
    let shape = ModelShape::new(1, 2, 1).unwrap();
    let mut specs = vec![RankSpec::new(NodeId(0), 2); 2];
    specs[1].empty = true;
    let topology = Topology::new(specs).unwrap();
    let from = placement(&[0, 1, 0, 1], shape, &topology).unwrap();
    let to = placement(&[0, 1, 1, 0], shape, &topology).unwrap();
    assert!(from.parts(&to, &topology, 1).is_none());
    assert_eq!(from.parts(&to, &topology, 2).unwrap(), [to]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn parts_fit_and_place_everything(
        slots in prop::collection::vec(1u32..5, 2..6),
        dead in 0usize..8,
        experts in 1u32..9,
        quota in 1usize..4,
        from in prop::collection::vec(0u32..9, 24),
        to in prop::collection::vec(0u32..9, 24),
    ) {
        let specs = slots.iter().enumerate().map(|(rank, &slots)| {
            let mut spec = RankSpec::new(NodeId(0), slots);
            spec.alive = rank != dead;
            spec
        });
        let topology = Topology::new(specs.collect()).unwrap();
        let shape = ModelShape::new(1, experts, 1).unwrap();
        // The first experts in turn, so that all are there if they can be; the rest at random.
        let table = |random: &[u32]| -> Vec<u32> {
            let mut next = (0..experts).chain(random.iter().map(|expert| expert % experts));
            (0..topology.slots()).map(|_| next.next().unwrap_or(0)).collect()
        };
        let mut shuffled = table(&to);
        for index in (1..shuffled.len()).rev() {
            shuffled.swap(index, to[index % to.len()] as usize % (index + 1));
        }
        let (Some(from), Some(to)) =
            (placement(&table(&from), shape, &topology), placement(&shuffled, shape, &topology))
        else {
            return Ok(());
        };
        let Some(parts) = from.parts(&to, &topology, quota) else {
            // Nothing is refused that fits at once.
            prop_assert!(changed(&from, &to, &topology).iter().any(|&changed| changed > quota));
            return Ok(());
        };
        prop_assert_eq!(parts.last(), Some(&to));
        let mut before = from.clone();
        for part in &parts {
            prop_assert!(changed(&before, part, &topology).iter().all(|&changed| changed <= quota));
            prop_assert!(placement(
                &part.experts().iter().map(|expert| expert.0).collect::<Vec<_>>(), shape, &topology
            ).is_some(), "{:?} places not every expert", part.experts());
            // Each part comes nearer.
            let left: usize = changed(part, &to, &topology).iter().sum();
            prop_assert!(left < changed(&before, &to, &topology).iter().sum::<usize>().max(1));
            before = part.clone();
        }
    }
}
