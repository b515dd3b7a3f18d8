//! The int64 maps of vLLM, SGLang and DeepSeek.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use eplb_core::formats::{FormatError, PlacementMaps};
use eplb_core::{ExpertId, LayerId, ModelShape, Placement, PlacementError, RankId, Topology};
use proptest::prelude::*;

/// Two layers of three experts on two ranks of two slots.
fn example() -> (Placement, Topology) {
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let tables = [[0, 1, 2, 0], [2, 2, 1, 0]].map(|table| table.map(ExpertId));
    (Placement::new(&tables, shape(), &topology).unwrap(), topology)
}

fn shape() -> ModelShape {
    ModelShape::new(2, 3, 1).unwrap()
}

#[test]
fn maps_list_slots_and_pad_with_minus_one() {
    let (placement, topology) = example();
    let maps = PlacementMaps::new(&placement, &topology);
    assert_eq!((maps.layers, maps.experts, maps.slots, maps.most_replicas), (2, 3, 4, 2));
    assert_eq!(maps.physical_to_logical_map, [0, 1, 2, 0, 2, 2, 1, 0]);
    assert_eq!(maps.logical_to_physical_map, [0, 3, 1, -1, 2, -1, 3, -1, 2, -1, 0, 1]);
    assert_eq!(maps.logical_replica_count, [2, 1, 1, 1, 1, 2]);
}

#[test]
fn slots_of_dead_ranks_count_for_nothing() {
    let topology = Topology::uniform(3, 2, 1).unwrap().without(RankId(1)).unwrap();
    let shape = ModelShape::new(1, 3, 1).unwrap();
    let table = [0, 1, 2, 2, 2, 0].map(ExpertId);
    let placement = Placement::new(&[table], shape, &topology).unwrap();
    let maps = PlacementMaps::new(&placement, &topology);
    assert_eq!(maps.physical_to_logical_map, [0, 1, 2, 2, 2, 0]);
    assert_eq!(maps.logical_to_physical_map, [0, 5, 1, -1, 4, -1]);
    assert_eq!(maps.logical_replica_count, [2, 1, 1]);

    let naming_dead = [0, 5, 1, -1, 2, -1];
    let error = PlacementMaps::check(&placement, &topology, &naming_dead, &[2, 1, 1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "logical_to_physical_map[0][2][0] is 2, physical_to_logical_map of layer 0 says one of [4]"
    );
}

#[test]
fn a_map_of_ids_out_of_range_or_of_another_length_is_refused() {
    let (_, topology) = example();
    let read = |map: &[i64]| PlacementMaps::placement(map, shape(), &topology).unwrap_err();
    for bad in [-1, 3, i64::MIN, i64::MAX] {
        assert_eq!(
            read(&[0, 1, 2, 0, 2, bad, 1, 0]).to_string(),
            format!("physical_to_logical_map[1][1] is {bad}, allowed is 0 to 2")
        );
    }
    for len in [0, 4, 7, 9] {
        assert!(matches!(
            read(&vec![0; len]),
            FormatError::Length { found, expected: 8, .. } if found == len
        ));
    }
    let unplaced = PlacementError::Unplaced { layer: LayerId(1), expert: ExpertId(1) };
    assert_eq!(read(&[0, 1, 2, 0, 2, 2, 0, 0]), unplaced.into());
}

#[test]
fn replicas_may_come_in_any_order_and_with_any_padding() {
    let (placement, topology) = example();
    let wide = [3, 0, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 2, -1, -1, 1, 0, -1];
    PlacementMaps::check(&placement, &topology, &wide, &[2, 1, 1, 1, 1, 2]).unwrap();
}

#[test]
fn maps_that_say_something_else_are_named() {
    let (placement, topology) = example();
    let good = [0, 3, 1, -1, 2, -1, 3, -1, 2, -1, 0, 1];
    let counts = [2, 1, 1, 1, 1, 2];
    PlacementMaps::check(&placement, &topology, &good, &counts).unwrap();

    // Index, wrong value, the entry as messages name it, what it should be.
    let cases = [
        (1, 0, "logical_to_physical_map[0][0][1] is 0", "one of [3]"),
        (3, 2, "logical_to_physical_map[0][1][1] is 2", "-1 (padding)"),
        (8, -1, "logical_to_physical_map[1][1][0] is -1", "one of [2]"),
        (10, 9, "logical_to_physical_map[1][2][0] is 9", "one of [0, 1]"),
    ];
    for (index, value, found, expected) in cases {
        let mut map = good;
        map[index] = value;
        let error = PlacementMaps::check(&placement, &topology, &map, &counts).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(found) && message.ends_with(expected), "{message}");
    }
    let mut wrong = counts;
    wrong[5] = 1;
    let error = PlacementMaps::check(&placement, &topology, &good, &wrong).unwrap_err();
    assert_eq!(
        error.to_string(),
        "logical_replica_count[1][2] is 1, physical_to_logical_map of layer 1 says 2"
    );
}

#[test]
fn maps_of_other_sizes_are_refused() {
    let (placement, topology) = example();
    let counts = [2, 1, 1, 1, 1, 2];
    let check = |map: &[i64], counts: &[i64]| {
        PlacementMaps::check(&placement, &topology, map, counts).unwrap_err()
    };
    assert!(matches!(check(&[], &counts), FormatError::Length { found: 0, .. }));
    assert!(matches!(check(&[0; 13], &counts), FormatError::Length { found: 13, .. }));
    assert!(matches!(check(&[0; 12], &counts[..5]), FormatError::Length { found: 5, .. }));
    // One replica of each expert is all that fits: expert 0 has two.
    let error = check(&[0, 1, 2, 3, 2, 0], &counts);
    assert!(matches!(error, FormatError::Disagreement { found: -1, .. }), "{error}");
}

proptest! {
    #[test]
    fn maps_there_and_back_are_the_same(
        ranks in 1u32..5,
        slots in 1u32..5,
        redundant in 0u32..6,
        seed in prop::collection::vec(any::<u32>(), 48),
    ) {
        let topology = Topology::uniform(ranks, slots, 1).unwrap();
        let experts = (ranks * slots).saturating_sub(redundant).max(1);
        let shape = ModelShape::new(3, experts, 1).unwrap();
        let width = topology.slots();
        let table = |layer: usize| -> Vec<ExpertId> {
            let mut table: Vec<u32> = (0..width as u32).map(|slot| slot % experts).collect();
            for slot in 0..width {
                table.swap(slot, seed[layer * 16 + slot] as usize % width);
            }
            table.into_iter().map(ExpertId).collect()
        };
        let placement = Placement::new(&[table(0), table(1), table(2)], shape, &topology).unwrap();
        let maps = PlacementMaps::new(&placement, &topology);
        let back = PlacementMaps::placement(&maps.physical_to_logical_map, shape, &topology).unwrap();
        prop_assert_eq!(&back, &placement);
        prop_assert_eq!(maps.logical_replica_count.iter().sum::<i64>(), 3 * width as i64);
        PlacementMaps::check(
            &placement,
            &topology,
            &maps.logical_to_physical_map,
            &maps.logical_replica_count,
        ).unwrap();
    }
}
