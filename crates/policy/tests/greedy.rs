//! The greedy policy as its users see it: tables of all layers, what they promise, how good they
//! are.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{load, plan_all};
use eplb_core::{
    Balancedness, Epoch, ExpertId, ExpertLoad, LayerId, LayerPlacement, ModelShape, NodeId,
    Placement, RankId, RankSpec, Topology, mean_balancedness, rank_loads,
};
use eplb_policy::{Greedy, GreedyTables, PolicyError};
use proptest::prelude::*;
use proptest::sample::select;

const SEARCH: Greedy = Greedy { local_search: true };
const NO_SEARCH: Greedy = Greedy { local_search: false };

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Nearly log-normal: a product of ten factors between 1/2 and 3/2. Integers only, so that the
    /// same load arises everywhere.
    fn skewed(&mut self) -> u64 {
        (0..10).fold(1 << 20, |tokens, _| tokens * (128 + self.next() % 256) / 256)
    }
}

fn skewed_load(layers: u32, experts: u32, seed: u64) -> ExpertLoad {
    let mut random = Random(seed);
    let mut row = |_| (0..experts).map(|_| random.skewed()).collect();
    let rows: Vec<Vec<u64>> = (0..layers).map(&mut row).collect();
    load(ModelShape::new(layers, experts, 1).unwrap(), &rows)
}

/// The tables as a checked placement.
fn placement(tables: &GreedyTables, shape: ModelShape, topology: &Topology) -> Placement {
    let rows: Vec<_> = tables.experts.chunks_exact(topology.slots()).collect();
    Placement::new(&rows, shape, topology).unwrap()
}

fn balancedness(greedy: Greedy, load: &ExpertLoad, topology: &Topology) -> Balancedness {
    let tables = greedy.plan_tables(load, topology).unwrap();
    mean_balancedness(load, &placement(&tables, load.shape(), topology), topology)
}

/// The time of the slowest rank.
fn slowest(load: &[u64], placement: &LayerPlacement, topology: &Topology) -> f64 {
    let loads = rank_loads(load, &placement.even_routing(topology), topology);
    let time = |rank: RankId| loads[rank.index()] as f64 / f64::from(topology.rank(rank).speed);
    topology.live_ranks().map(time).fold(0.0, f64::max)
}

/// Whether the replicas can be placed so that no rank holds an expert twice (Gale and Ryser): any
/// number of ranks, the largest first, must find enough different experts.
fn can_be_kept_apart(counts: &[u32], topology: &Topology) -> bool {
    let mut slots: Vec<usize> =
        topology.live_ranks().map(|rank| topology.slots_of(rank).len()).collect();
    slots.sort_unstable_by_key(|&slots| std::cmp::Reverse(slots));
    (1..=slots.len()).all(|ranks| {
        let wanted: usize = slots[..ranks].iter().sum();
        let different: usize = counts.iter().map(|&count| ranks.min(count as usize)).sum();
        wanted <= different
    })
}

fn holds_an_expert_twice(table: &[ExpertId], topology: &Topology) -> bool {
    topology.live_ranks().any(|rank| {
        let mut held = table[topology.slots_of(rank)].to_vec();
        held.sort_unstable();
        held.windows(2).any(|pair| pair[0] == pair[1])
    })
}

/// A load, and ranks that can hold its experts.
#[derive(Clone, Debug)]
struct Case {
    topology: Topology,
    load: ExpertLoad,
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..4u64, 0..100_000u64, Just(10_000_000)]
}

fn cases() -> impl Strategy<Value = Case> {
    let speeds = prop_oneof![Just(vec![1_000u32]), Just(vec![500, 1_000, 3_000])];
    let slots = prop_oneof![(1..7u32).prop_map(|slots| slots..=slots), Just(1..=6)];
    (speeds, slots, prop::bool::ANY)
        .prop_flat_map(|(speeds, slots, mortal)| {
            let alive = prop::bool::weighted(if mortal { 0.8 } else { 1.0 });
            prop::collection::vec((slots, select(speeds), alive), 1..9)
        })
        .prop_filter_map("no live rank", |specs| {
            let ranks = specs.into_iter().map(|(slots, speed, alive)| RankSpec {
                speed,
                alive,
                ..RankSpec::new(NodeId(0), slots)
            });
            Topology::new(ranks.collect()).ok()
        })
        .prop_flat_map(|topology| {
            let experts = 1..=topology.live_slots();
            (Just(topology), experts, 1..4usize)
        })
        .prop_flat_map(|(topology, experts, layers)| {
            let rows = prop::collection::vec(prop::collection::vec(tokens(), experts), layers);
            (Just(topology), rows)
        })
        .prop_map(|(topology, rows)| {
            let shape = ModelShape::new(rows.len() as u32, rows[0].len() as u32, 1).unwrap();
            Case { topology, load: load(shape, &rows) }
        })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn every_expert_is_placed_as_often_as_counted(case in cases()) {
        let Case { topology, load } = &case;
        let shape = load.shape();
        for greedy in [NO_SEARCH, SEARCH] {
            let tables = greedy.plan_tables(load, topology).unwrap();
            // Checks that every expert has a live slot.
            let placement = placement(&tables, shape, topology);
            let counts = tables.replica_counts.chunks_exact(shape.experts());
            for (layer, counts) in placement.layers().zip(counts) {
                for (expert, &count) in counts.iter().enumerate() {
                    let replicas = layer.replicas(ExpertId::from_index(expert), topology).count();
                    prop_assert_eq!(replicas, count as usize);
                }
            }
        }
    }

    #[test]
    fn replicas_of_an_expert_share_no_rank_while_that_can_be_avoided(case in cases()) {
        let Case { topology, load } = &case;
        for greedy in [NO_SEARCH, SEARCH] {
            let tables = greedy.plan_tables(load, topology).unwrap();
            let counts = tables.replica_counts.chunks_exact(load.shape().experts());
            for (table, counts) in tables.experts.chunks_exact(topology.slots()).zip(counts) {
                if can_be_kept_apart(counts, topology) {
                    prop_assert!(!holds_an_expert_twice(table, topology), "{table:?}");
                }
            }
        }
    }

    #[test]
    fn the_local_search_slows_no_layer_and_moves_no_replica_to_another_expert(case in cases()) {
        let Case { topology, load } = &case;
        let packed = NO_SEARCH.plan_tables(load, topology).unwrap();
        let searched = SEARCH.plan_tables(load, topology).unwrap();
        prop_assert_eq!(&packed.replica_counts, &searched.replica_counts);
        let packed = placement(&packed, load.shape(), topology);
        let searched = placement(&searched, load.shape(), topology);
        for ((row, packed), searched) in load.rows().zip(packed.layers()).zip(searched.layers()) {
            let before = slowest(row, packed, topology);
            let after = slowest(row, searched, topology);
            // Routing gives whole tokens and shares of 1/65535; plans count neither.
            let slots = topology.slots() as f64;
            let total: u64 = row.iter().sum();
            let rounding = slots * (1.0 + total as f64 / 65_535.0) / 500.0;
            prop_assert!(after <= before + rounding, "{before} {after}");
        }
    }

    #[test]
    fn tables_are_the_plans_of_the_policy(case in cases()) {
        let Case { topology, load } = &case;
        for greedy in [NO_SEARCH, SEARCH] {
            let tables = greedy.plan_tables(load, topology).unwrap();
            let plans = plan_all(&greedy, topology, load, None).unwrap();
            for (table, plan) in tables.experts.chunks_exact(topology.slots()).zip(plans) {
                prop_assert_eq!(table, plan.placement.experts());
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_tables() {
    let pools = [1, 2, 8]
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let even = Topology::uniform(32, 9, 4).unwrap();
    let uneven =
        Topology::new((0..40).map(|rank| RankSpec::new(NodeId(0), 6 + rank % 3)).collect())
            .unwrap()
            .without(RankId(7))
            .unwrap();
    for (topology, layers) in [(&even, 58), (&uneven, 23), (&even, 1), (&even, 5)] {
        let load = skewed_load(layers, 256, u64::from(layers));
        let expected = SEARCH.plan_tables_on(&pools[0], &load, topology).unwrap();
        for pool in &pools {
            // Often, as threads meet in another order each time.
            for _ in 0..10 {
                assert_eq!(SEARCH.plan_tables_on(pool, &load, topology).unwrap(), expected);
            }
            assert_eq!(pool.install(|| SEARCH.plan_tables(&load, topology)).unwrap(), expected);
        }
        assert_eq!(SEARCH.plan_tables(&load, topology).unwrap(), expected);
    }
}

#[test]
fn the_packing_alone_is_good_and_the_search_makes_it_nearly_perfect() {
    let load = skewed_load(20, 256, 1);
    let topology = Topology::uniform(32, 9, 4).unwrap();
    let packed = balancedness(NO_SEARCH, &load, &topology);
    assert!(packed.mean > 0.99, "{packed:?}");
    let searched = balancedness(SEARCH, &load, &topology);
    assert!(searched.mean > 0.999, "{searched:?}");
    let placement = Placement::initial(load.shape(), &topology).unwrap();
    assert!(mean_balancedness(&load, &placement, &topology).mean < 0.75);
}

#[test]
fn ranks_that_differ_are_done_at_the_same_time() {
    let spec = |rank: u32| RankSpec {
        speed: [500, 1_000, 1_500][rank as usize % 3],
        ..RankSpec::new(NodeId(0), 7 + rank % 4)
    };
    let topology = Topology::new((0..32).map(spec).collect()).unwrap().without(RankId(3)).unwrap();
    let load = skewed_load(10, 200, 2);
    let packed = balancedness(NO_SEARCH, &load, &topology);
    let searched = balancedness(SEARCH, &load, &topology);
    assert!(packed.mean < 0.8 && searched.mean > 0.95, "{packed:?} {searched:?}");
}

#[test]
fn many_ranks_with_one_or_two_slots() {
    // 384 experts on 512 ranks: every second rank or so has a single slot.
    let slots = |rank: u32| (rank + 1) * 896 / 512 - rank * 896 / 512;
    let ranks = (0..512).map(|rank| RankSpec::new(NodeId(rank / 8), slots(rank))).collect();
    let topology = Topology::new(ranks).unwrap();
    let load = skewed_load(2, 384, 3);
    let tables = SEARCH.plan_tables(&load, &topology).unwrap();
    assert!(!holds_an_expert_twice(&tables.experts[..topology.slots()], &topology));
    assert!(balancedness(SEARCH, &load, &topology).mean > 0.8);
}

#[test]
fn thousands_of_experts() {
    let topology = Topology::uniform(100, 60, 1).unwrap();
    let load = skewed_load(1, 5_000, 4);
    assert!(balancedness(SEARCH, &load, &topology).worst > 0.999);
}

#[test]
fn without_load_every_expert_still_has_a_place() {
    let shape = ModelShape::new(2, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 1).unwrap();
    let tables = SEARCH.plan_tables(&ExpertLoad::zeros(shape), &topology).unwrap();
    placement(&tables, shape, &topology);
    assert_eq!(tables.replica_counts[..8], [2, 2, 2, 2, 1, 1, 1, 1]);
}

#[test]
fn slots_of_dead_ranks_hold_what_the_initial_placement_gives_them() {
    let load = skewed_load(3, 12, 5);
    let topology = Topology::uniform(5, 4, 1).unwrap().without(RankId(2)).unwrap();
    let tables = SEARCH.plan_tables(&load, &topology).unwrap();
    let initial = Placement::initial(load.shape(), &topology).unwrap();
    for table in tables.experts.chunks_exact(topology.slots()) {
        let dead = topology.slots_of(RankId(2));
        assert_eq!(table[dead.clone()], initial.layer(LayerId(0)).experts()[dead]);
    }
}

#[test]
fn too_few_live_slots_are_refused() {
    let load = skewed_load(1, 12, 6);
    let topology = Topology::uniform(4, 3, 1).unwrap().without(RankId(0)).unwrap();
    let error = SEARCH.plan_tables(&load, &topology).unwrap_err();
    assert!(matches!(error, PolicyError::Placement(_)), "{error:?}");
    assert_eq!(error.to_string(), "9 live slots cannot hold 12 experts; add slots or ranks");
}

#[test]
fn plans_are_the_same_on_every_machine() {
    // FNV-1a over the tables of loads that are the same everywhere.
    let digest = |load: &ExpertLoad, topology: &Topology| {
        let tables = SEARCH.plan_tables(load, topology).unwrap();
        LayerPlacement::new(
            LayerId(0),
            &tables.experts[..topology.slots()],
            Epoch(0),
            load.shape(),
            topology,
        )
        .unwrap();
        tables.experts.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, expert| {
            (hash ^ u64::from(expert.0)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let even = Topology::uniform(32, 9, 4).unwrap();
    assert_eq!(digest(&skewed_load(58, 256, 7), &even), 0x3d10_e5e0_4127_d3ac);
    let spec = |rank: u32| RankSpec {
        speed: [700, 1_000, 1_300][rank as usize % 3],
        ..RankSpec::new(NodeId(0), 4 + rank % 3)
    };
    let uneven = Topology::new((0..80).map(spec).collect()).unwrap();
    assert_eq!(digest(&skewed_load(10, 300, 8), &uneven), 0x74cf_5c55_5d47_1450);
}
