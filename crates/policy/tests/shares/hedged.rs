//! Hedged shares: good for windows that were not seen.

use eplb_core::Topology;
use eplb_policy::{HedgedShares, Replicas, exact_shares, hedged_shares};
use proptest::prelude::*;

use crate::cases::{Case, cases, placement, tokens, vec};

/// A layer with windows and a weight for each.
fn ensembles() -> impl Strategy<Value = (Case, Vec<Vec<u64>>, Vec<f32>)> {
    (cases(1), 1..7usize).prop_flat_map(|(case, count)| {
        let windows = vec(vec(tokens(), case.load.len()), count);
        let weight = prop_oneof![Just(0.0f32), Just(1.0), 0.001..1_000.0f32];
        (Just(case), windows, vec(weight, count))
    })
}

fn hedged(case: &Case, windows: &[Vec<u64>], weights: &[f32]) -> Vec<u16> {
    let windows: Vec<&[u64]> = windows.iter().map(|window| &window[..]).collect();
    hedged_shares(&windows, weights, &case.placement, &case.topology).unwrap()
}

/// The sum over windows and ranks of weight × (rank time / time of a perfect split)^8.
fn cost(case: &Case, windows: &[Vec<u64>], weights: &[f32], shares: &[u16]) -> f64 {
    let speeds: f64 = case.ranks().into_iter().map(|rank| case.speed(rank)).sum();
    let mut cost = 0.0;
    for (window, &weight) in windows.iter().zip(weights) {
        let perfect = window.iter().sum::<u64>() as f64 / speeds;
        if perfect > 0.0 {
            let times = case.times(window, shares);
            let powers = times.iter().map(|time| (time / perfect).powi(8));
            cost += f64::from(weight) * powers.sum::<f64>();
        }
    }
    cost
}

proptest! {
    #[test]
    fn shares_add_up(( case, windows, weights) in ensembles()) {
        case.check(&hedged(&case, &windows, &weights));
        case.check(&hedged(&case, &windows, &[]));
    }

    #[test]
    fn never_costs_more_than_even_shares((case, windows, weights) in ensembles()) {
        let shares = hedged(&case, &windows, &weights);
        let (cost_of, even) = (
            cost(&case, &windows, &weights, &shares),
            cost(&case, &windows, &weights, &case.even()),
        );
        prop_assert!(cost_of <= even * (1.0 + 1e-9), "{cost_of}, even {even}");
    }

    #[test]
    fn a_solver_that_was_used_before_gives_the_same((case, windows, weights) in ensembles()) {
        let replicas = Replicas::new(&case.placement, &case.topology).unwrap();
        let rows: Vec<&[u64]> = windows.iter().map(|window| &window[..]).collect();
        let mut solver = HedgedShares::default();
        let mut shares = vec![0; case.topology.slots()];
        solver.solve(&[&case.load], &[], &replicas, &mut shares).unwrap();
        solver.solve(&rows, &weights, &replicas, &mut shares).unwrap();
        prop_assert_eq!(shares, hedged(&case, &windows, &weights));
    }

    #[test]
    fn windows_that_say_nothing_change_nothing((case, windows, weights) in ensembles()) {
        let (mut more, mut more_weights) = (windows.clone(), weights.clone());
        more.insert(0, case.load.clone());
        more_weights.insert(0, 0.0);
        more.push(vec![0; case.load.len()]);
        more_weights.push(1.0);
        // Weights are relative to the largest, which must stay the same for the same bits.
        prop_assume!(weights.iter().any(|&weight| weight >= 1.0));
        prop_assert_eq!(hedged(&case, &more, &more_weights), hedged(&case, &windows, &weights));
    }
}

/// Two ranks, of which the second is `extra` busier: expert 0 on both can balance them.
fn lopsided() -> Case {
    let topology = Topology::uniform(2, 2, 1).unwrap();
    Case { placement: placement(&[0, 1, 0, 2], &topology), topology, load: vec![60, 50, 90] }
}

#[test]
fn one_window_is_followed_only_a_little() {
    let case = lopsided();
    let even = case.even()[0];
    let exact = exact_shares(&case.load, &case.placement, &case.topology).unwrap()[0];
    let share = hedged(&case, std::slice::from_ref(&case.load), &[])[0];
    let step = f64::from(share - even) / f64::from(exact - even);
    assert!(step > 0.0 && step < 0.35, "{step}");
}

#[test]
fn the_more_windows_the_further_they_are_followed() {
    let case = lopsided();
    let even = case.even()[0];
    let shares = [1, 4, 16].map(|count| {
        let windows = vec![vec![vec![60, 40, 100], vec![70, 60, 70]]; count].concat();
        hedged(&case, &windows, &vec![1.0; windows.len()])[0]
    });
    assert!(even + 100 < shares[0], "{shares:?}");
    assert!(shares[0] + 100 < shares[1] && shares[1] + 100 < shares[2], "{shares:?}");
}

#[test]
fn where_there_is_almost_nothing_to_gain_rounding_loses_nothing() {
    // The shift that pays is about as small as a unit of shares.
    let case = lopsided();
    for extra in 0..3_000 {
        let windows = [vec![1_000_000, 0, extra]];
        let shares = hedged(&case, &windows, &[1.0]);
        let (cost_of, even) =
            (cost(&case, &windows, &[1.0], &shares), cost(&case, &windows, &[1.0], &case.even()));
        assert!(cost_of <= even * (1.0 + 1e-12), "{extra}: {cost_of}, even {even}");
    }
}

#[test]
fn a_load_that_never_changes_is_followed_all_the_way() {
    let case = lopsided();
    let exact = exact_shares(&case.load, &case.placement, &case.topology).unwrap();
    let shares = hedged(&case, &vec![case.load.clone(); 16], &[]);
    let distance = (f64::from(shares[0]) - f64::from(exact[0])) / f64::from(u16::MAX);
    assert!(distance.abs() < 0.02, "{distance}");
}

#[test]
fn weights_say_which_windows_count() {
    let case = lopsided();
    let windows = vec![vec![60, 50, 90], vec![60, 90, 50], vec![60, 50, 90], vec![60, 90, 50]];
    let even = case.even()[0];
    assert!(hedged(&case, &windows, &[1.0, 0.01, 1.0, 0.01])[0] > even + 1_000);
    assert!(hedged(&case, &windows, &[0.01, 1.0, 0.01, 1.0])[0] < even - 1_000);
    assert!(hedged(&case, &windows, &[1.0; 4])[0].abs_diff(even) < 100);
}

#[test]
fn without_weights_a_load_that_turned_counts_as_it_is_now() {
    let case = lopsided();
    let mut windows = vec![vec![60, 90, 50]; 24];
    windows.extend(vec![vec![60, 50, 90]; 8]);
    let even = case.even()[0];
    assert!(hedged(&case, &windows, &[])[0] > even + 1_000);
    assert!(hedged(&case, &windows, &[1.0; 32])[0] < even);
}

/// Random loads around fixed means, and a placement with replicas of the hottest experts that knows
/// nothing of the noise: even shares are good, but not the best.
struct Noisy {
    case: Case,
    state: u64,
}

impl Noisy {
    fn new() -> Self {
        let (ranks, experts) = (8u32, 24u32);
        let topology = Topology::uniform(ranks, 4, 1).unwrap();
        let load: Vec<u64> = (0..experts).map(|expert| 6_000 / u64::from(expert + 3)).collect();
        let table: Vec<u32> =
            (0..ranks).flat_map(|rank| [8 + rank, 16 + rank, rank, (rank * 3 + 5) % 8]).collect();
        Self { case: Case { placement: placement(&table, &topology), topology, load }, state: 7 }
    }

    /// Each expert's mean times something between 0.5 and 1.5.
    fn window(&mut self) -> Vec<u64> {
        let load = self.case.load.clone();
        load.iter().map(|tokens| tokens * (512 + self.random(1_024)) / 1_024).collect()
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) % below
    }
}

#[test]
fn better_on_the_next_window_than_even_shares_and_than_exact_ones_of_the_last() {
    let mut noisy = Noisy::new();
    let windows: Vec<Vec<u64>> = (0..200).map(|_| noisy.window()).collect();
    let case = &noisy.case;
    let (mut even, mut last, mut hedge) = (0.0, 0.0, 0.0);
    for next in 32..windows.len() {
        let balancedness = |shares: &[u16]| {
            let mean = windows[next].iter().sum::<u64>() as f64 / case.topology.ranks() as f64;
            mean / case.time(&windows[next], shares)
        };
        even += balancedness(&case.even());
        let known = &windows[next - 1];
        last += balancedness(&exact_shares(known, &case.placement, &case.topology).unwrap());
        hedge += balancedness(&hedged(case, &windows[next - 32..next], &[]));
    }
    let count = (windows.len() - 32) as f64;
    let (even, last, hedge) = (even / count, last / count, hedge / count);
    assert!(hedge > even + 0.01, "{hedge}, even {even}");
    assert!(hedge > last + 0.01, "{hedge}, exact for the last {last}");
}
