//! Local shares: as few tokens as can be leave their node, within the bound.

use eplb_core::{NodeId, SHARE_ONE, Topology};
use eplb_policy::{LocalShares, local_shares};
use proptest::prelude::*;
use proptest::sample::select;

use crate::cases::{Case, cases, placement};
use crate::linear_program::{least_time, most_local};

fn local(case: &Case, slack: f64) -> LocalShares {
    local_shares(&case.load, &case.placement, &case.topology, slack).unwrap()
}

/// The largest rank time when every node is the source of an equal part.
fn time(case: &Case, shares: &LocalShares) -> f64 {
    let mut times = vec![0.0; case.topology.ranks()];
    for node in 0..shares.nodes() {
        let shares_of = shares.of_node(NodeId(node as u32));
        for (sum, time) in times.iter_mut().zip(case.times(&case.load, shares_of)) {
            *sum += time / shares.nodes() as f64;
        }
    }
    times.into_iter().fold(0.0, f64::max)
}

/// The tokens that stay on their node.
fn kept(case: &Case, shares: &LocalShares) -> f64 {
    let mut kept = 0.0;
    for slot in case.placement.live_slots(&case.topology) {
        let node = case.topology.node_of(case.topology.rank_of(slot));
        let tokens = case.load[case.placement.expert_at(slot).index()] as f64;
        let share = f64::from(shares.of_node(node)[slot.index()]) / f64::from(SHARE_ONE);
        kept += tokens * share / shares.nodes() as f64;
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn within_the_bound_no_linear_program_keeps_more(
        case in cases(4),
        slack in select(vec![0.0, 0.03, 0.3, 3.0])
    ) {
        let shares = local(&case, slack);
        prop_assert_eq!(shares.nodes(), case.topology.nodes());
        for node in 0..shares.nodes() {
            case.check(shares.of_node(NodeId(node as u32)));
        }
        let least = least_time(&case);
        let bound = (1.0 + slack) * least;
        let time = time(&case, &shares);
        let tolerance = case.rounding() + 1e-6 * least;
        prop_assert!(time <= bound + tolerance, "{time}, allowed {bound}");

        // A hair above the bound, or rounding would leave the solver without a solution.
        let total = case.load.iter().sum::<u64>() as f64;
        let (kept, most) = (kept(&case, &shares), most_local(&case, bound * (1.0 + 1e-7)));
        let tolerance = total * (2e-5 + 1e-6) * case.topology.slots() as f64;
        prop_assert!((kept - most).abs() <= tolerance, "{kept} stay, {most} can, of {total}");
        if total > 0.0 {
            prop_assert!((shares.local_part() - kept / total).abs() <= 1e-3);
        }
    }
}

#[test]
fn a_replica_on_every_node_keeps_all_tokens_where_the_bound_allows() {
    let topology = Topology::uniform(2, 2, 2).unwrap();
    let case =
        Case { placement: placement(&[0, 1, 0, 1], &topology), topology, load: vec![70, 30] };
    let shares = local(&case, 0.0);
    assert_eq!(shares.of_node(NodeId(0)), [65_535, 65_535, 0, 0]);
    assert_eq!(shares.of_node(NodeId(1)), [0, 0, 65_535, 65_535]);
    assert!((shares.local_part() - 1.0).abs() < 1e-9);
}

#[test]
fn slack_buys_locality() {
    // Node 0 has an expert of its own; expert 0 evades to node 1, unless slack lets it stay.
    let topology = Topology::uniform(2, 2, 2).unwrap();
    let case =
        Case { placement: placement(&[0, 1, 0, 0], &topology), topology, load: vec![80, 40] };
    let parts: Vec<f64> = [0.0, 0.2, 0.5].map(|slack| local(&case, slack).local_part()).to_vec();
    assert!(parts[0] < parts[1] && parts[1] < parts[2], "{parts:?}");
    // 20 of expert 1's 40 tokens arise on node 1, and have to leave it.
    assert!((parts[2] - 100.0 / 120.0).abs() < 1e-6, "{parts:?}");
}

#[test]
fn experts_without_load_stay_local_too() {
    let topology = Topology::uniform(2, 2, 2).unwrap();
    let case = Case { placement: placement(&[0, 0, 0, 1], &topology), topology, load: vec![0, 0] };
    let shares = local(&case, 0.0);
    assert_eq!(shares.of_node(NodeId(0)), [32_768, 32_767, 0, 65_535]);
    assert_eq!(shares.of_node(NodeId(1)), [0, 0, 65_535, 65_535]);
}
