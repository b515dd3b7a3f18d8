//! Placements and what changing them moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use eplb_core::{
    Epoch, ExpertId, ExpertLoad, LayerId, LayerPlacement, ModelShape, NodeId, Placement,
    PlacementError, RankId, RankSpec, SlotId, Topology, layer_balancedness, mean_balancedness,
    moved_slots, rank_loads,
};
use proptest::prelude::*;

fn ids(experts: &[u32]) -> Vec<ExpertId> {
    experts.iter().copied().map(ExpertId).collect()
}

fn layer(experts: &[u32], shape: ModelShape, topology: &Topology) -> LayerPlacement {
    LayerPlacement::new(LayerId(0), &ids(experts), Epoch(0), shape, topology).unwrap()
}

#[test]
fn tables_that_are_no_placement_are_refused() {
    let shape = ModelShape::new(1, 3, 1).unwrap();
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let new = |experts: &[u32], topology: &Topology| {
        LayerPlacement::new(LayerId(5), &ids(experts), Epoch(0), shape, topology)
    };
    let slots = PlacementError::Slots { layer: LayerId(5), found: 3, expected: 4 };
    assert_eq!(new(&[0, 1, 2], &topology), Err(slots));
    let error = new(&[0, 1, 3, 2], &topology).unwrap_err();
    assert_eq!(error.to_string(), "layer 5 slot 2 holds expert 3, allowed is 0 to 2");
    let unplaced = PlacementError::Unplaced { layer: LayerId(5), expert: ExpertId(1) };
    assert_eq!(new(&[0, 2, 2, 0], &topology), Err(unplaced));

    let dead = topology.without(RankId(1)).unwrap();
    let unplaced = PlacementError::Unplaced { layer: LayerId(5), expert: ExpertId(2) };
    assert_eq!(new(&[0, 1, 2, 2], &dead), Err(unplaced), "a dead rank's slot places nothing");

    let error = Placement::new(&[ids(&[0, 1, 2, 0]), ids(&[0, 1, 2, 0])], shape, &topology);
    assert_eq!(error, Err(PlacementError::Layers { found: 2, expected: 1 }));
}

#[test]
fn replicas_are_the_live_slots_of_an_expert() {
    let shape = ModelShape::new(1, 3, 1).unwrap();
    let topology = Topology::uniform(3, 2, 1).unwrap().without(RankId(1)).unwrap();
    let placement = layer(&[0, 1, 0, 2, 2, 0], shape, &topology);
    let slots = |expert| placement.replicas(ExpertId(expert), &topology).collect::<Vec<_>>();
    assert_eq!(slots(0), [SlotId(0), SlotId(5)]);
    assert_eq!(slots(2), [SlotId(4)]);
    assert_eq!(placement.live_slots(&topology).count(), 4);
}

#[test]
fn a_slot_moves_when_its_rank_did_not_hold_the_expert() {
    let shape = ModelShape::new(1, 4, 1).unwrap();
    let topology = Topology::uniform(3, 2, 1).unwrap();
    let from = layer(&[0, 1, 2, 3, 0, 1], shape, &topology);
    assert_eq!(moved_slots(&from, &from, &topology), 0);
    let within = layer(&[1, 0, 3, 2, 1, 1], shape, &topology);
    assert_eq!(moved_slots(&from, &within, &topology), 0);
    let across = layer(&[0, 2, 1, 3, 0, 3], shape, &topology);
    assert_eq!(moved_slots(&from, &across, &topology), 3);
    let dead = topology.without(RankId(2)).unwrap();
    assert_eq!(moved_slots(&from, &across, &dead), 2, "nothing travels to a dead rank");
}

#[test]
fn balancedness_is_mean_over_max_and_knows_speeds() {
    let shape = ModelShape::new(1, 4, 1).unwrap();
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let placement = layer(&[0, 1, 2, 3], shape, &topology);
    let routing = placement.even_routing(&topology);
    assert_eq!(rank_loads(&[30, 10, 15, 5], &routing, &topology), [40, 20]);
    assert_eq!(layer_balancedness(&[30, 10, 15, 5], &routing, &topology), 0.75);
    assert_eq!(layer_balancedness(&[0; 4], &routing, &topology), 1.0);

    let spec = |speed| RankSpec { speed, ..RankSpec::new(NodeId(0), 2) };
    let topology = Topology::new(vec![spec(2_000), spec(1_000)]).unwrap();
    assert_eq!(layer_balancedness(&[30, 10, 15, 5], &routing, &topology), 1.0);
    assert_eq!(layer_balancedness(&[15, 5, 30, 10], &routing, &topology), 0.5);
}

#[test]
fn balancedness_of_several_layers_is_their_mean_and_worst() {
    let shape = ModelShape::new(2, 4, 1).unwrap();
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let placement = Placement::initial(shape, &topology).unwrap();
    let load = ExpertLoad::from_rows(shape, &[[10, 10, 10, 10], [20, 0, 0, 0]]).unwrap();
    let balancedness = mean_balancedness(&load, &placement, &topology);
    assert_eq!((balancedness.mean, balancedness.worst), (0.75, 0.5));
}

#[test]
fn the_initial_placement_is_contiguous_blocks_and_the_experts_that_follow() {
    let shape = ModelShape::new(1, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 1).unwrap();
    let placement = Placement::initial(shape, &topology).unwrap();
    let expected = ids(&[0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 0]);
    assert_eq!(placement.layer(LayerId(0)).experts(), expected);

    let few = Topology::uniform(7, 1, 1).unwrap();
    let error = Placement::initial(shape, &few);
    assert_eq!(error, Err(PlacementError::TooFewSlots { slots: 7, experts: 8 }));
}

proptest! {
    /// `Placement::initial` checks itself that every expert has a live slot.
    #[test]
    fn initial_redundant_slots_hold_experts_of_other_ranks(
        specs in prop::collection::vec((1u32..7, any::<bool>()), 1..8),
        redundant in 0u32..12,
    ) {
        let spec = |(slots, alive)| RankSpec { alive, ..RankSpec::new(NodeId(0), slots) };
        let Ok(topology) = Topology::new(specs.into_iter().map(spec).collect()) else {
            return Ok(()); // no live rank
        };
        let experts = (topology.live_slots() as u32).saturating_sub(redundant).max(1);
        let shape = ModelShape::new(2, experts, 1).unwrap();
        let placement = Placement::initial(shape, &topology).unwrap();
        for layer in placement.layers() {
            for rank in topology.live_ranks() {
                let mut held = layer.experts()[topology.slots_of(rank)].to_vec();
                let slots = held.len();
                held.sort_unstable();
                held.dedup();
                prop_assert_eq!(held.len(), slots.min(experts as usize), "{:?}", layer);
            }
        }
    }
}
