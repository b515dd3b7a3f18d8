//! Shapes, topologies and loads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use eplb_core::{
    ExpertLoad, LayerId, LoadError, ModelShape, NodeId, RankId, RankSpec, ShapeError, SlotId,
    Topology, TopologyError,
};

fn rank(node: u32, slots: u32) -> RankSpec {
    RankSpec::new(NodeId(node), slots)
}

#[test]
fn a_shape_has_no_empty_dimension_and_groups_of_equal_size() {
    let shape = ModelShape::new(58, 256, 8).unwrap();
    assert_eq!((shape.layers(), shape.experts(), shape.groups()), (58, 256, 8));
    assert_eq!(shape.layer_ids().last(), Some(LayerId(57)));
    for (layers, experts, groups) in [(0, 4, 1), (1, 0, 1), (1, 4, 0), (4_097, 4, 1), (1, 4, 5)] {
        let error = ModelShape::new(layers, experts, groups).unwrap_err();
        assert!(matches!(error, ShapeError::OutOfRange { .. }), "{error}");
    }
    let uneven = ShapeError::UnevenGroups { experts: 10, groups: 4 };
    assert_eq!(ModelShape::new(1, 10, 4), Err(uneven));
}

#[test]
fn slots_are_numbered_rank_by_rank_also_where_ranks_differ() {
    let topology = Topology::new(vec![rank(1, 2), rank(0, 3), rank(1, 1)]).unwrap();
    assert_eq!((topology.ranks(), topology.slots(), topology.nodes()), (3, 6, 2));
    assert_eq!(topology.slots_of(RankId(0)), 0..2);
    assert_eq!(topology.slots_of(RankId(1)), 2..5);
    assert_eq!(topology.slots_of(RankId(2)), 5..6);
    for rank in topology.rank_ids() {
        for slot in topology.slots_of(rank) {
            assert_eq!(topology.rank_of(SlotId::from_index(slot)), rank);
        }
    }
    assert_eq!(topology.uniform_slots(), None);
    assert_eq!(topology.node_of(RankId(1)), NodeId(0));
}

#[test]
fn uniform_ranks_lie_on_nodes_in_order() {
    let topology = Topology::uniform(8, 5, 2).unwrap();
    let nodes: Vec<u32> = topology.rank_ids().map(|rank| topology.node_of(rank).0).collect();
    assert_eq!(nodes, [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!((topology.uniform_slots(), topology.live_slots()), (Some(5), 40));
}

#[test]
fn a_dead_rank_keeps_its_slot_numbers() {
    let topology = Topology::uniform(3, 2, 1).unwrap().without(RankId(1)).unwrap();
    assert_eq!((topology.ranks(), topology.slots(), topology.live_slots()), (3, 6, 4));
    assert_eq!(topology.live_ranks().collect::<Vec<_>>(), [RankId(0), RankId(2)]);
    let live: Vec<bool> = (0..6).map(|slot| topology.is_live_slot(SlotId(slot))).collect();
    assert_eq!(live, [true, true, false, false, true, true]);
    assert!(!topology.is_alive(RankId(1)));

    let last = topology.without(RankId(0)).unwrap();
    assert_eq!(last.without(RankId(2)), Err(TopologyError::NoLiveRank));
    let unknown = TopologyError::UnknownRank { rank: RankId(3), ranks: 3 };
    assert_eq!(last.without(RankId(3)), Err(unknown));
}

#[test]
fn ranks_that_are_no_topology_are_refused() {
    assert_eq!(Topology::new(vec![]), Err(TopologyError::NoLiveRank));
    let error = Topology::new(vec![rank(0, 1), rank(0, 0)]);
    assert_eq!(error, Err(TopologyError::NoSlots { rank: RankId(1) }));
    let error = Topology::new(vec![rank(0, 1), rank(2, 1)]);
    assert_eq!(error, Err(TopologyError::NodeGap { missing: NodeId(1), highest: NodeId(2) }));
    let error = Topology::new(vec![rank(u32::MAX, 1)]).unwrap_err();
    assert!(matches!(error, TopologyError::NodeGap { missing: NodeId(0), .. }));
    for speed in [0, Topology::MOST_SPEED + 1] {
        let error = Topology::new(vec![RankSpec { speed, ..rank(0, 1) }]);
        assert_eq!(error, Err(TopologyError::Speed { rank: RankId(0), speed }));
    }
}

#[test]
fn sizes_beyond_the_tables_are_refused_before_anything_is_allocated() {
    let too_large = |result: Result<Topology, TopologyError>| {
        matches!(result, Err(TopologyError::TooLarge { .. }))
    };
    assert!(too_large(Topology::uniform(u32::MAX, u32::MAX, 1)));
    assert!(too_large(Topology::uniform(2, 32_768, 1)));
    assert!(too_large(Topology::new(vec![rank(0, u32::MAX); 3])));
    assert!(Topology::uniform(3, 21_845, 1).is_ok());
    assert_eq!(Topology::uniform(0, 1, 1), Err(TopologyError::NoLiveRank));
    for nodes in [0, 3] {
        let uneven = TopologyError::UnevenNodes { ranks: 4, nodes };
        assert_eq!(Topology::uniform(4, 1, nodes), Err(uneven));
    }
}

#[test]
fn a_load_has_a_count_for_each_expert_of_each_layer() {
    let shape = ModelShape::new(2, 3, 1).unwrap();
    let load = ExpertLoad::from_rows(shape, &[[1, 2, 3], [4, 5, 6]]).unwrap();
    assert_eq!(load.layer(LayerId(1)), [4, 5, 6]);
    assert!(load.rows().eq([&[1, 2, 3][..], &[4, 5, 6]]));
    let error = ExpertLoad::from_rows(shape, &[[1, 2, 3]]);
    assert_eq!(error, Err(LoadError::Layers { found: 1, expected: 2 }));
    let error = ExpertLoad::from_rows(shape, &[vec![1, 2, 3], vec![4, 5]]);
    assert_eq!(error, Err(LoadError::Experts { layer: LayerId(1), found: 2, expected: 3 }));
}

#[test]
fn a_layer_of_too_many_tokens_is_refused_and_changes_nothing() {
    let shape = ModelShape::new(1, 2, 1).unwrap();
    let mut load = ExpertLoad::from_rows(shape, &[[ExpertLoad::MOST_TOKENS, 0]]).unwrap();
    let before = load.clone();
    for row in [[ExpertLoad::MOST_TOKENS, 1], [u64::MAX, u64::MAX]] {
        let error = load.set_layer(LayerId(0), &row);
        assert_eq!(error, Err(LoadError::TooManyTokens { layer: LayerId(0) }));
        assert_eq!(load, before);
    }
    load.set_layer(LayerId(0), &[7, 8]).unwrap();
    assert_eq!(load.layer(LayerId(0)), [7, 8]);
}
