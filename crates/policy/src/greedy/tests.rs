//! The planner against one that looks at everything, and its ways through the code against each
//! other.

use eplb_core::{ExpertId, NodeId, RankSpec, Topology};
use proptest::prelude::*;
use proptest::sample::select;

use super::Greedy;
use super::bins::Bins;
use super::planner::Planner;
use super::shares::scale;

const SEARCH: Greedy = Greedy { local_search: true };
const NO_SEARCH: Greedy = Greedy { local_search: false };

/// Ranks that differ in health, slots and speed, with a load that they can hold.
#[derive(Clone, Debug)]
struct Case {
    topology: Topology,
    load: Vec<u64>,
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..4u64, 0..100_000u64, Just(10_000_000), 0..1u64 << 48]
}

fn cases(speeds: Vec<u32>, most_slots: u32) -> impl Strategy<Value = Case> {
    let spec = (1..=most_slots, select(speeds), prop::bool::weighted(0.9));
    prop::collection::vec(spec, 1..70)
        .prop_filter_map("no live rank", |specs| {
            let ranks = specs.into_iter().map(|(slots, speed, alive)| RankSpec {
                speed,
                alive,
                ..RankSpec::new(NodeId(0), slots)
            });
            Topology::new(ranks.collect()).ok()
        })
        .prop_flat_map(|topology| {
            let live = topology.live_slots();
            (Just(topology), prop::collection::vec(tokens(), 1..=live))
        })
        .prop_map(|(topology, load)| Case { topology, load })
}

type Plan = (Vec<ExpertId>, Vec<u32>);

fn plan(mut planner: Planner<'_>, case: &Case) -> Plan {
    let mut table = vec![ExpertId(0); case.topology.slots()];
    let mut counts = vec![0; case.load.len()];
    planner.plan(&case.load, &mut table, &mut counts);
    (table, counts)
}

/// The plan without swaps as its definition reads. `None` when a replica finds only ranks with room
/// that hold its expert.
fn plan_by_definition(case: &Case) -> Option<Plan> {
    let bins = Bins::new(&case.topology);
    let mut load = Vec::new();
    scale(&case.load, &mut load);
    let experts = 0..load.len();

    let mut counts = vec![1u32; load.len()];
    let share = |expert: usize, counts: &[u32]| load[expert] / counts[expert];
    for _ in load.len()..bins.live_slots() {
        let capped = |expert: &usize| counts[*expert] as usize >= bins.len();
        let all_capped = experts.clone().all(|expert| capped(&expert));
        let next =
            experts.clone().filter(|expert| all_capped || !capped(expert)).max_by_key(|&expert| {
                let few = u32::MAX - counts[expert];
                (share(expert, &counts), few, usize::MAX - expert)
            });
        counts[next?] += 1;
    }

    let mut order: Vec<usize> = experts.collect();
    order.sort_by_key(|&expert| (u32::MAX - share(expert, &counts), expert));
    let mut held: Vec<Vec<usize>> = vec![Vec::new(); bins.len()];
    for expert in order {
        for _ in 0..counts[expert] {
            let time = |bin: usize| {
                let load: u32 = held[bin].iter().map(|&held| share(held, &counts)).sum();
                bins.time(bin, load + share(expert, &counts))
            };
            let bin = (0..bins.len())
                .filter(|&bin| held[bin].len() < bins.slots_of(bin).len())
                .filter(|&bin| !held[bin].contains(&expert))
                .min_by_key(|&bin| (time(bin), bin))?;
            held[bin].push(expert);
        }
    }
    let mut table = vec![ExpertId(0); case.topology.slots()];
    for (bin, experts) in held.iter().enumerate() {
        for (slot, &expert) in bins.slots_of(bin).zip(experts) {
            table[slot] = ExpertId::from_index(expert);
        }
    }
    Some((table, counts))
}

/// When the last bin is done.
fn latest((table, counts): &Plan, bins: &Bins, case: &Case) -> Option<u64> {
    let mut load = Vec::new();
    scale(&case.load, &mut load);
    let share = |expert: &ExpertId| load[expert.index()] / counts[expert.index()];
    let time = |bin| bins.time(bin, table[bins.slots_of(bin)].iter().map(share).sum());
    (0..bins.len()).map(time).max()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn plans_are_what_the_definition_says(case in cases(vec![250, 1_000, 1_100], 6)) {
        if let Some(expected) = plan_by_definition(&case) {
            let bins = Bins::new(&case.topology);
            prop_assert_eq!(plan(Planner::new(&bins, NO_SEARCH), &case), expected);
        }
    }

    #[test]
    fn small_and_large_queues_give_the_same_plans(case in cases(vec![1_000], 9)) {
        let bins = Bins::new(&case.topology);
        for greedy in [NO_SEARCH, SEARCH] {
            let small = plan(Planner::new(&bins, greedy), &case);
            let large = plan(Planner::with_large_queue(&bins, greedy), &case);
            prop_assert_eq!(small, large);
        }
    }

    #[test]
    fn only_differences_of_speed_matter(case in cases(vec![1_000], 9), speed in 1..2_000u32) {
        let ranks = case.topology.rank_ids();
        let ranks = ranks.map(|rank| RankSpec { speed, ..*case.topology.rank(rank) }).collect();
        let other = Case { topology: Topology::new(ranks).unwrap(), load: case.load.clone() };
        let (bins, other_bins) = (Bins::new(&case.topology), Bins::new(&other.topology));
        let plan_of_other = plan(Planner::new(&other_bins, SEARCH), &other);
        prop_assert_eq!(plan(Planner::new(&bins, SEARCH), &case), plan_of_other);
    }

    #[test]
    fn the_search_makes_no_bin_later_than_the_last_was(
        case in cases(vec![1_000], 9),
        uneven in cases(vec![500, 1_000, 3_000], 3),
    ) {
        for case in [case, uneven] {
            let bins = Bins::new(&case.topology);
            let packed = plan(Planner::new(&bins, NO_SEARCH), &case);
            let searched = plan(Planner::new(&bins, SEARCH), &case);
            prop_assert_eq!(&packed.1, &searched.1);
            prop_assert!(latest(&searched, &bins, &case) <= latest(&packed, &bins, &case));
        }
    }

    #[test]
    fn what_a_planner_did_before_leaves_no_trace(
        case in cases(vec![500, 1_000], 9),
        seed in 0..1u64 << 40,
    ) {
        let bins = Bins::new(&case.topology);
        let fresh = plan(Planner::new(&bins, SEARCH), &case);
        let mut used = Planner::new(&bins, SEARCH);
        let experts = 0..case.load.len() as u64;
        let other: Vec<u64> = experts.map(|expert| seed ^ expert).collect();
        let mut table = vec![ExpertId(0); case.topology.slots()];
        used.plan(&other, &mut table, &mut vec![0; other.len()]);
        prop_assert_eq!(plan(used, &case), fresh);
    }
}
