//! What is no placement, load or weight is refused, and changes nothing.

use eplb_core::{ExpertLoad, RankId, Topology};
use eplb_policy::{
    ExactShares, HedgedShares, Replicas, SharesError, exact_shares, hedged_shares, local_shares,
};

use crate::cases::placement;

fn layer() -> (Topology, eplb_core::LayerPlacement) {
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let placement = placement(&[0, 1, 0, 2], &topology);
    (topology, placement)
}

#[test]
fn a_placement_of_another_topology() {
    let (_, placement) = layer();
    let other = Topology::uniform(3, 2, 1).unwrap();
    let problem = exact_shares(&[1, 1, 1], &placement, &other).unwrap_err();
    assert_eq!(problem, SharesError::Slots { found: 4, expected: 6 });
    assert_eq!(problem.to_string(), "the placement has 4 slots, the ranks hold 6");
}

#[test]
fn an_expert_that_only_a_dead_rank_holds() {
    let (topology, placement) = layer();
    let topology = topology.without(RankId(1)).unwrap();
    let problem = hedged_shares(&[&[1, 1, 1]], &[], &placement, &topology).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "expert 2 has no live replica; give a placement that holds every expert"
    );
}

#[test]
fn a_load_of_another_model() {
    let (topology, placement) = layer();
    let windows: [&[u64]; 2] = [&[1, 1, 1], &[1, 1]];
    let problem = hedged_shares(&windows, &[], &placement, &topology).unwrap_err();
    assert_eq!(problem, SharesError::Experts { window: 1, found: 2, expected: 3 });
    assert!(exact_shares(&[1, 1, 1, 1], &placement, &topology).is_err());
    assert!(local_shares(&[1, 1, 1, 1], &placement, &topology, 0.0).is_err());
}

#[test]
fn more_tokens_than_are_counted_exactly() {
    let (topology, placement) = layer();
    let load = [ExpertLoad::MOST_TOKENS, 1, 0];
    let expected = SharesError::TooManyTokens { window: 0 };
    assert_eq!(exact_shares(&load, &placement, &topology).unwrap_err(), expected);
    assert_eq!(exact_shares(&[u64::MAX; 3], &placement, &topology).unwrap_err(), expected);
    assert!(exact_shares(&[ExpertLoad::MOST_TOKENS, 0, 0], &placement, &topology).is_ok());
}

#[test]
fn weights_that_are_none() {
    let (topology, placement) = layer();
    let windows: [&[u64]; 2] = [&[1, 1, 1], &[1, 1, 1]];
    let problem = hedged_shares(&windows, &[1.0], &placement, &topology).unwrap_err();
    assert_eq!(problem, SharesError::Weights { found: 1, windows: 2 });
    for (weight, text) in [(f32::NAN, "NaN"), (-1.0, "-1"), (f32::INFINITY, "inf")] {
        let problem = hedged_shares(&windows, &[1.0, weight], &placement, &topology).unwrap_err();
        assert_eq!(problem, SharesError::Weight { window: 1, weight: text.to_owned() });
    }
}

#[test]
fn a_slack_that_is_none() {
    let (topology, placement) = layer();
    for slack in [-0.1, f64::NAN, f64::INFINITY] {
        let problem = local_shares(&[1, 1, 1], &placement, &topology, slack).unwrap_err();
        assert!(matches!(problem, SharesError::Slack { .. }), "{problem}");
    }
}

#[test]
fn a_refusal_leaves_the_shares_as_they_were() {
    let (topology, placement) = layer();
    let replicas = Replicas::new(&placement, &topology).unwrap();
    let mut shares = vec![7; 4];
    assert!(ExactShares::default().solve(&[1], &replicas, &mut shares).is_err());
    assert!(HedgedShares::default().solve(&[&[1]], &[], &replicas, &mut shares).is_err());
    assert_eq!(shares, [7; 4]);
    let mut few = vec![7; 3];
    let load = [1, 1, 1];
    assert!(ExactShares::default().solve(&load, &replicas, &mut few).is_err());
    assert!(HedgedShares::default().solve(&[&load], &[], &replicas, &mut few).is_err());
    assert_eq!(few, [7; 3]);
}
