//! What holds for every load and topology.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{counts, load, placement, plan_all, policies};
use eplb_core::{
    ExpertLoad, ModelShape, NodeId, RankId, RankSpec, SlotId, Topology, layer_balancedness,
};
use eplb_policy::{DeepSeek, LayerPlan, Policy, PolicyError, Xllm};
use proptest::prelude::*;
use proptest::sample::select;

/// A model, a topology that can hold it, and a load.
#[derive(Clone, Debug)]
struct Case {
    topology: Topology,
    load: ExpertLoad,
}

/// Loads as they come: nothing at all, many ties, one hot expert, anything.
fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..4u64, 0..100_000u64, Just(10_000_000)]
}

fn rows(layers: u32, experts: u32) -> impl Strategy<Value = Vec<Vec<u64>>> {
    prop::collection::vec(prop::collection::vec(tokens(), experts as usize), layers as usize)
}

/// Ranks with equally many slots on 1, 2 or 4 nodes, at times one of them dead.
fn equal_slots() -> impl Strategy<Value = Case> {
    (
        select(vec![1u32, 2, 4]),
        1..4u32,
        1..6u32,
        select(vec![1u32, 2, 4]),
        any::<u16>(),
        any::<bool>(),
    )
        .prop_flat_map(|(nodes, ranks_per_node, slots, groups, pick, may_die)| {
            let ranks = nodes * ranks_per_node;
            let full = Topology::uniform(ranks, slots, nodes).unwrap();
            let dead = RankId(u32::from(pick) % ranks);
            let topology = if may_die { full.without(dead).unwrap_or(full) } else { full };
            let most = topology.live_slots() as u32;
            (Just(topology), 1..=most, Just(groups), 1..4u32)
        })
        .prop_flat_map(|(topology, experts, groups, layers)| {
            let groups = if experts.is_multiple_of(groups) { groups } else { 1 };
            let shape = ModelShape::new(layers, experts, groups).unwrap();
            rows(layers, experts)
                .prop_map(move |rows| Case { topology: topology.clone(), load: load(shape, &rows) })
        })
}

/// Ranks that differ in slots, speed and health.
fn any_slots() -> impl Strategy<Value = Case> {
    let spec = (1..6u32, select(vec![500u32, 1_000, 3_000]), prop::bool::weighted(0.8));
    prop::collection::vec(spec, 1..7)
        .prop_filter_map("no live rank", |specs| {
            let ranks = specs.into_iter().map(|(slots, speed, alive)| RankSpec {
                speed,
                alive,
                ..RankSpec::new(NodeId(0), slots)
            });
            Topology::new(ranks.collect()).ok()
        })
        .prop_flat_map(|topology| {
            let most = topology.live_slots() as u32;
            (Just(topology), 1..=most, 1..4u32)
        })
        .prop_flat_map(|(topology, experts, layers)| {
            let shape = ModelShape::new(layers, experts, 1).unwrap();
            rows(layers, experts)
                .prop_map(move |rows| Case { topology: topology.clone(), load: load(shape, &rows) })
        })
}

fn in_pool(threads: usize, policy: &dyn Policy, case: &Case) -> Vec<LayerPlan> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| plan_all(policy, &case.topology, &case.load, None)).unwrap()
}

/// Checks what every policy owes: one plan a layer, valid, and steady when repeated.
fn check_plans(policy: &dyn Policy, case: &Case) {
    let (topology, shape) = (&case.topology, case.load.shape());
    let plans = plan_all(policy, topology, &case.load, None).unwrap();
    assert!(plans.iter().map(|plan| plan.layer).eq(shape.layer_ids()), "order of layers");
    // `Placement::new` checks capacities and that every expert has a live slot.
    let present = placement(&plans, shape, topology);
    for plan in &plans {
        assert_eq!(counts(plan, shape, topology).iter().sum::<usize>(), topology.live_slots());
        let routing = plan.placement.routing(topology);
        let balancedness = layer_balancedness(case.load.layer(plan.layer), &routing, topology);
        assert_eq!(plan.balancedness_after, balancedness);
        assert!((plan.balancedness_before, plan.moved_slots) == (None, None));
    }
    let again = plan_all(policy, topology, &case.load, Some(&present)).unwrap();
    for (first, second) in plans.iter().zip(&again) {
        assert_eq!(second.moved_slots, Some(0), "{}: same load, same plan", policy.name());
        assert_eq!(second.placement, first.placement, "{}: slots are kept", policy.name());
        assert_eq!(second.balancedness_before, Some(second.balancedness_after));
    }
}

/// Whether a larger load always has at least as many replicas.
fn counts_follow_load(plan: &LayerPlan, case: &Case) -> bool {
    let counts = counts(plan, case.load.shape(), &case.topology);
    let row = case.load.layer(plan.layer);
    (0..row.len()).all(|a| (0..row.len()).all(|b| row[a] <= row[b] || counts[a] >= counts[b]))
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn every_policy_plans_valid_placements_and_repeats_them(case in equal_slots()) {
        for policy in policies() {
            check_plans(&*policy, &case);
        }
    }

    #[test]
    fn xllm_and_static_take_ranks_of_any_size_and_speed(case in any_slots()) {
        for policy in policies().filter(|policy| policy.name() != "deepseek") {
            check_plans(&*policy, &case);
        }
    }

    #[test]
    fn xllm_gives_larger_loads_at_least_as_many_replicas(case in any_slots()) {
        for plan in plan_all(&Xllm, &case.topology, &case.load, None).unwrap() {
            prop_assert!(counts_follow_load(&plan, &case), "{plan:?}");
        }
    }

    #[test]
    fn deepseek_on_one_node_gives_larger_loads_at_least_as_many_replicas(case in equal_slots()) {
        let one_node = |rank| RankSpec { node: NodeId(0), ..*case.topology.rank(rank) };
        let ranks = case.topology.rank_ids().map(one_node).collect();
        let case = Case { topology: Topology::new(ranks).unwrap(), ..case };
        for plan in plan_all(&DeepSeek, &case.topology, &case.load, None).unwrap() {
            prop_assert!(counts_follow_load(&plan, &case), "{plan:?}");
        }
    }

    #[test]
    fn xllm_puts_no_two_replicas_of_an_expert_on_one_of_equal_ranks(case in equal_slots()) {
        let (topology, shape) = (&case.topology, case.load.shape());
        let ranks = topology.live_ranks().count();
        for plan in plan_all(&Xllm, topology, &case.load, None).unwrap() {
            if shape.experts() * ranks < topology.live_slots() {
                continue; // more slots than different replicas: some must repeat
            }
            for rank in topology.live_ranks() {
                let mut held = plan.placement.experts()[topology.slots_of(rank)].to_vec();
                held.sort_unstable();
                prop_assert!(held.windows(2).all(|pair| pair[0] != pair[1]), "{plan:?}");
            }
        }
    }

    #[test]
    fn slots_of_dead_ranks_keep_what_they_held(case in equal_slots(), pick in any::<u16>()) {
        let shape = case.load.shape();
        for policy in policies().filter(|policy| policy.name() != "static") {
            let plans = plan_all(&*policy, &case.topology, &case.load, None).unwrap();
            let present = placement(&plans, shape, &case.topology);
            let dead = RankId(u32::from(pick) % case.topology.ranks() as u32);
            let Ok(topology) = case.topology.without(dead) else { continue };
            let plans = plan_all(&*policy, &topology, &case.load, Some(&present));
            if topology.live_slots() < shape.experts() {
                prop_assert!(plans.is_err());
                continue;
            }
            for plan in plans.unwrap() {
                let present = present.layer(plan.layer);
                for slot in topology.slots_of(dead).map(SlotId::from_index) {
                    prop_assert_eq!(plan.placement.expert_at(slot), present.expert_at(slot));
                }
            }
        }
    }

    #[test]
    fn experts_that_stay_on_a_rank_keep_their_slot(case in equal_slots(), other in rows(1, 20)) {
        let (topology, shape) = (&case.topology, case.load.shape());
        let row = |_| other[0].iter().copied().cycle().take(shape.experts()).collect();
        let drifted = load(shape, &(0..shape.layers()).map(row).collect::<Vec<_>>());
        for policy in policies() {
            let before = plan_all(&*policy, topology, &case.load, None).unwrap();
            let present = placement(&before, shape, topology);
            let exact = plan_all(&*policy, topology, &drifted, None).unwrap();
            let aligned = plan_all(&*policy, topology, &drifted, Some(&present)).unwrap();
            for (exact, aligned) in exact.iter().zip(&aligned) {
                let present = present.layer(aligned.layer);
                for rank in topology.live_ranks() {
                    let slots = topology.slots_of(rank);
                    let sorted = |experts: &[_]| {
                        let mut experts = experts.to_vec();
                        experts.sort_unstable();
                        experts
                    };
                    let planned = &aligned.placement.experts()[slots.clone()];
                    // These two plan from the present placement, the others beside it.
                    if !["static", "robust"].contains(&policy.name()) {
                        let exact = &exact.placement.experts()[slots.clone()];
                        prop_assert_eq!(sorted(planned), sorted(exact));
                    }
                    let held = &present.experts()[slots];
                    for (slot, expert) in planned.iter().enumerate() {
                        let stays = held.iter().filter(|held| *held == expert).count();
                        let both = held.iter().zip(planned);
                        let kept = both.filter(|pair| *pair == (expert, expert)).count();
                        let wanted = planned.iter().filter(|planned| *planned == expert).count();
                        prop_assert_eq!(kept, stays.min(wanted), "slot {} of {}", slot, rank);
                    }
                }
            }
        }
    }
}

proptest! {
    // Pools of threads are started for each case.
    #![proptest_config(config(30))]

    #[test]
    fn any_number_of_threads_gives_the_same_plans(case in equal_slots()) {
        for policy in policies() {
            prop_assert_eq!(in_pool(1, &*policy, &case), in_pool(4, &*policy, &case));
        }
    }
}

#[test]
fn a_full_device_or_no_load_stops_no_policy() {
    // xLLM's previous design ends in "Device full" on such loads with 32 ranks or more.
    let topology = Topology::uniform(64, 5, 4).unwrap();
    let shape = ModelShape::new(3, 256, 8).unwrap();
    let mut hot = vec![0; 256];
    hot[17] = 1 << 50;
    let sparse = (0..256).map(|expert| u64::from(expert % 29 == 0)).collect();
    let case = Case { topology, load: load(shape, &[vec![0; 256], hot, sparse]) };
    for policy in policies() {
        check_plans(&*policy, &case);
    }
}

#[test]
fn a_single_slot_on_each_rank_is_enough() {
    let shape = ModelShape::new(1, 6, 2).unwrap();
    let case = Case {
        topology: Topology::uniform(8, 1, 2).unwrap(),
        load: load(shape, &[vec![9, 1, 1, 1, 1, 7]]),
    };
    for policy in policies() {
        check_plans(&*policy, &case);
    }
    let plans = plan_all(&Xllm, &case.topology, &case.load, None).unwrap();
    assert_eq!(counts(&plans[0], shape, &case.topology), [2, 1, 1, 1, 1, 2]);
}

#[test]
fn deepseek_names_what_to_use_where_ranks_hold_different_numbers_of_slots() {
    let ranks = [2, 3].map(|slots| RankSpec::new(NodeId(0), slots));
    let topology = Topology::new(ranks.to_vec()).unwrap();
    let window = load(ModelShape::new(1, 4, 1).unwrap(), &[vec![1; 4]]);
    let error = plan_all(&DeepSeek, &topology, &window, None).unwrap_err();
    assert!(matches!(error, PolicyError::Unsupported { policy: "deepseek", .. }));
    assert!(error.to_string().ends_with("use policy xllm"), "{error}");
}

#[test]
fn deepseek_plans_over_live_ranks_and_falls_back_where_nodes_differ() {
    let shape = ModelShape::new(1, 4, 2).unwrap();
    let window = load(shape, &[vec![8, 4, 2, 1]]);
    let topology = Topology::uniform(4, 2, 2).unwrap().without(RankId(1)).unwrap();
    let plans = plan_all(&DeepSeek, &topology, &window, None).unwrap();
    // Three ranks, so one group on one node: 8 and 4 in two replicas each, as for three GPUs.
    let maps = eplb_policy::rebalance_experts(&[[8.0, 4.0, 2.0, 1.0]], 6, 1, 1, 3).unwrap();
    let live: Vec<i64> = plans[0]
        .placement
        .live_slots(&topology)
        .map(|slot| i64::from(plans[0].placement.expert_at(slot).0))
        .collect();
    assert_eq!(live, maps.physical_to_logical_map);
}
