//! Exact shares: no split has a smaller largest rank time.

use eplb_core::{ExpertId, NodeId, RankSpec, Topology};
use eplb_policy::{ExactShares, Replicas, exact_shares};
use proptest::prelude::*;

use crate::cases::{Case, cases, placement, tokens, vec};
use crate::linear_program::least_time;

fn exact(case: &Case) -> Vec<u16> {
    exact_shares(&case.load, &case.placement, &case.topology).unwrap()
}

/// Proves, without a solver, that no split is better by more than `tolerance`: from the ranks of the
/// largest time go to all that could take something off them, and from there on. When all these are
/// as late, their load can go nowhere else.
fn assert_optimal(case: &Case, shares: &[u16], tolerance: f64) {
    let times = case.times(&case.load, shares);
    let latest = times.iter().copied().fold(0.0, f64::max);
    let mut ranks_of: Vec<Vec<usize>> = vec![Vec::new(); case.load.len()];
    for slot in case.placement.live_slots(&case.topology) {
        let rank = case.topology.rank_of(slot).index();
        ranks_of[case.placement.expert_at(slot).index()].push(rank);
    }
    let mut reached: Vec<bool> = times.iter().map(|&time| time >= latest - 1e-9).collect();
    let mut queue: Vec<usize> = (0..times.len()).filter(|&rank| reached[rank]).collect();
    while let Some(rank) = queue.pop() {
        assert!(
            times[rank] >= latest - tolerance,
            "rank {rank} could take load off a later one: {} of {latest}",
            times[rank]
        );
        for slot in case.topology.slots_of(eplb_core::RankId(rank as u32)) {
            let expert = case.placement.experts()[slot].index();
            // A share of 1 can be left by rounding alone.
            if shares[slot] <= 1 || case.load[expert] == 0 {
                continue;
            }
            for &other in &ranks_of[expert] {
                if !reached[other] {
                    reached[other] = true;
                    queue.push(other);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_linear_program_does_better(case in cases(1)) {
        let shares = exact(&case);
        case.check(&shares);
        let (time, least) = (case.time(&case.load, &shares), least_time(&case));
        let tolerance = case.rounding() + 1e-6 * least;
        prop_assert!((time - least).abs() <= tolerance, "{time} for {least} ± {tolerance}");
    }
}

proptest! {
    #[test]
    fn never_later_than_even_shares(case in cases(1)) {
        let (time, even) = (case.time(&case.load, &exact(&case)), case.time(&case.load, &case.even()));
        prop_assert!(time <= even + case.rounding() + 1e-9 * even, "{time}, even {even}");
    }

    #[test]
    fn a_solver_that_was_used_before_gives_the_same(
        (case, other) in cases(1).prop_flat_map(|case| {
            let load = vec(tokens(), case.load.len());
            (Just(case), load)
        })
    ) {
        let replicas = Replicas::new(&case.placement, &case.topology).unwrap();
        let mut solver = ExactShares::default();
        let mut shares = vec![0; case.topology.slots()];
        solver.solve(&case.load, &replicas, &mut shares).unwrap();
        solver.solve(&other, &replicas, &mut shares).unwrap();
        solver.solve(&case.load, &replicas, &mut shares).unwrap();
        prop_assert_eq!(shares, exact(&case));
    }

    #[test]
    fn the_scale_of_the_load_does_not_matter(case in cases(1)) {
        // Large loads leave no room for parts of a token: other arithmetic, same optimum.
        let mut large = case.clone();
        for tokens in &mut large.load {
            *tokens <<= 26;
        }
        let factor = f64::from(1 << 26);
        let (time, expected) = (large.time(&large.load, &exact(&large)), case.time(&case.load, &exact(&case)));
        let tolerance = 2.0 * case.rounding() + 1e-6 * expected;
        prop_assert!((time / factor - expected).abs() <= tolerance, "{} {expected}", time / factor);
    }
}

#[test]
fn experts_without_load_keep_even_shares() {
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let case = Case { placement: placement(&[0, 1, 0, 1], &topology), topology, load: vec![0, 9] };
    assert_eq!(exact(&case), [32_768, 32_768, 32_767, 32_767]);
}

#[test]
fn no_load_at_all_gives_even_shares() {
    let topology = Topology::uniform(3, 1, 1).unwrap();
    let case = Case { placement: placement(&[0, 0, 1], &topology), topology, load: vec![0, 0] };
    assert_eq!(exact(&case), case.even());
}

#[test]
fn a_fast_rank_takes_more() {
    let slow = RankSpec::new(NodeId(0), 1);
    let topology = Topology::new(vec![slow, RankSpec { speed: 3_000, ..slow }]).unwrap();
    let case = Case { placement: placement(&[0, 0], &topology), topology, load: vec![1_000] };
    assert_eq!(exact(&case), [16_384, 49_151]);
}

#[test]
fn what_rounding_leaves_goes_to_the_largest_remainders() {
    let rank = |speed| RankSpec { speed, ..RankSpec::new(NodeId(0), 1) };
    let topology = Topology::new([1_000, 4_000, 6_000].map(rank).to_vec()).unwrap();
    let case = Case { placement: placement(&[0; 3], &topology), topology, load: vec![11_000] };
    // 5,957 8/11, 23,830 10/11 and 35,746 4/11.
    assert_eq!(exact(&case), [5_958, 23_831, 35_746]);
}

#[test]
fn an_expert_twice_on_a_rank_divides_there_evenly() {
    let topology = Topology::uniform(2, 2, 1).unwrap();
    // Rank 1 has expert 1 besides: all of expert 0 that can be is on rank 0.
    let case =
        Case { placement: placement(&[0, 0, 0, 1], &topology), topology, load: vec![90, 30] };
    assert_eq!(exact(&case), [21_845, 21_845, 21_845, 65_535]);
    let case = Case { load: vec![90, 90], ..case };
    assert_eq!(exact(&case), [32_768, 32_767, 0, 65_535]);
}

#[test]
fn load_moves_along_a_chain_of_ranks() {
    // Expert i is on ranks i and i + 1, and rank 0 has a hot expert of its own: the whole chain has
    // to move by one for rank 7 to help.
    let topology = Topology::uniform(8, 3, 1).unwrap();
    let mut table = Vec::new();
    for rank in 0..8u32 {
        table.extend([rank, rank.saturating_sub(1), 7 + rank]);
    }
    table[1] = 0;
    table[21] = 6;
    let mut load = vec![100; 15];
    load[7] = 100;
    load[8..].fill(0);
    let case = Case { placement: placement(&table, &topology), topology, load };
    let shares = exact(&case);
    case.check(&shares);
    assert_optimal(&case, &shares, 0.01);
    assert!((case.time(&case.load, &shares) - 100.0).abs() < 0.01);
    assert!(case.time(&case.load, &case.even()) > 140.0);
}

#[test]
fn large_groups_with_many_replicas_and_dead_ranks() {
    let (ranks, slots, experts) = (1_024u32, 3u32, 1_500u32);
    let mut state = 1u64;
    let mut random = |below: u32| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below)) as u32
    };
    let specs = (0..ranks).map(|rank| RankSpec {
        alive: rank % 97 != 5,
        speed: 800 + 100 * (rank % 5),
        ..RankSpec::new(NodeId(rank / 8), slots)
    });
    let topology = Topology::new(specs.collect()).unwrap();
    let mut table: Vec<u32> = (0..ranks * slots).map(|_| random(1 + random_hot(experts))).collect();
    let live: Vec<usize> = (0..table.len()).filter(|&slot| slot / 3 % 97 != 5).collect();
    for expert in 0..experts {
        table[live[expert as usize * 2]] = expert;
    }
    let load: Vec<u64> =
        (0..experts).map(|expert| u64::from(random(1_000) + 1_000_000 / (expert + 1))).collect();
    let case = Case { placement: placement(&table, &topology), topology, load };
    let most = (0..experts)
        .map(|expert| case.placement.replicas(ExpertId(expert), &case.topology).count())
        .max();
    assert!(most > Some(8), "{most:?}");
    let shares = exact(&case);
    case.check(&shares);
    assert_optimal(&case, &shares, 2.0 * case.rounding());
    let (time, even) = (case.time(&case.load, &shares), case.time(&case.load, &case.even()));
    assert!(time < 0.9 * even, "{time}, even {even}");
}

/// A third of all slots draw from the first 100 experts.
fn random_hot(experts: u32) -> u32 {
    experts / 3
}
