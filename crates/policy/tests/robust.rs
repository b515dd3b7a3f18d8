//! What `robust` promises.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/oracle.rs"]
mod oracle;

use cases::{Case, config};
use common::{counts, load, placement, plan_all};
use eplb_core::{
    ExpertLoad, LayerId, LayerPlacement, ModelShape, NOMINAL_SPEED, NodeId, Placement, RankSpec,
    SlotId, Topology,
};
use eplb_policy::{Budget, LayerPlan, MovePrice, Objective, PlanRequest, Robust, plan};
use oracle::smoothed;
use proptest::prelude::*;

fn plan_windows(
    topology: &Topology,
    windows: &[ExpertLoad],
    present: Option<&Placement>,
) -> Vec<LayerPlan> {
    let shape = windows[0].shape();
    let layers: Vec<LayerId> = shape.layer_ids().collect();
    let request = PlanRequest {
        shape,
        topology,
        windows,
        present,
        layers: &layers,
        weights: &[],
        budget: Budget::default(),
    };
    plan(&Robust::default(), &request).unwrap()
}

/// Sampled from a fixed distribution, with noise that differs from window to window.
fn noisy(shape: ModelShape, window: u64) -> ExpertLoad {
    let mut state = window.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 21
    };
    let row = |layer: usize| -> Vec<u64> {
        let experts = 0..shape.experts() as u64;
        experts
            .map(|expert| {
                // The experts of one rank are hot together, so shares alone even nothing out.
                let hot = if expert / 4 == 3 { 6_000 } else { 0 };
                (1_000 + hot + 700 * ((expert * 7 + layer as u64) % 5)) * (990 + noise())
            })
            .collect()
    };
    load(shape, &(0..shape.layers()).map(row).collect::<Vec<_>>())
}

#[test]
fn sampling_noise_moves_nothing_once_the_load_is_known() {
    let shape = ModelShape::new(3, 32, 1).unwrap();
    let topology = Topology::uniform(8, 5, 1).unwrap();
    let windows: Vec<_> = (0..120).map(|window| noisy(shape, window)).collect();
    let mut present = Placement::initial(shape, &topology).unwrap();
    let mut moved = Vec::new();
    for last in 63..windows.len() {
        let plans = plan_windows(&topology, &windows[last - 63..=last], Some(&present));
        moved.push(plans.iter().filter_map(|plan| plan.moved_slots).sum::<usize>());
        present = placement(&plans, shape, &topology);
    }
    assert!(moved[0] > 0, "the placement to start with is not a good one");
    assert_eq!(moved[10..].iter().sum::<usize>(), 0, "{moved:?}");
}

#[test]
fn experts_that_are_hot_together_part() {
    // Experts 0 and 1 are hot in the same windows, 2 and 3 in the others; on average all are alike.
    let shape = ModelShape::new(1, 4, 1).unwrap();
    let topology = Topology::uniform(2, 2, 1).unwrap();
    let together = load(shape, &[vec![90, 90, 10, 10]]);
    let apart = load(shape, &[vec![10, 10, 90, 90]]);
    let windows: Vec<_> = [together, apart].into_iter().cycle().take(16).collect();
    let present = Placement::initial(shape, &topology).unwrap();
    let plans = plan_windows(&topology, &windows, Some(&present));
    let table = plans[0].placement.experts();
    let ranks: Vec<_> = (0..4u32)
        .map(|expert| table.iter().position(|held| held.0 == expert).unwrap() / 2)
        .collect();
    assert_ne!(ranks[0], ranks[1], "{table:?}");
    assert_ne!(ranks[2], ranks[3], "{table:?}");
    // The sum of the windows says nothing of it.
    assert_eq!(plans[0].balancedness_before, Some(1.0));
}

#[test]
fn a_hot_expert_gets_the_redundant_slots() {
    let shape = ModelShape::new(1, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 1).unwrap();
    let window = load(shape, &[vec![1_000, 10, 10, 10, 10, 10, 10, 10]]);
    for present in [None, Some(Placement::initial(shape, &topology).unwrap())] {
        let plans = plan_all(&Robust::default(), &topology, &window, present.as_ref()).unwrap();
        assert_eq!(counts(&plans[0], shape, &topology)[0], 4, "{plans:?}");
        assert!(plans[0].balancedness_after > 0.95, "{plans:?}");
    }
}

#[test]
fn fast_ranks_get_more() {
    let shape = ModelShape::new(1, 12, 1).unwrap();
    let mut ranks = vec![RankSpec::new(NodeId(0), 6); 3];
    ranks[1].speed = 2_000;
    let topology = Topology::new(ranks).unwrap();
    let window = load(shape, &[(1..=12).map(|expert| expert * 10).collect()]);
    let plans = plan_all(&Robust::default(), &topology, &window, None).unwrap();
    assert!(plans[0].balancedness_after > 0.9, "{plans:?}");
}

fn row() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![0..50u64, 0..100_000u64], 12)
}

/// What the policy makes small, in `f64` and from the definition.
fn cost(placement: &LayerPlacement, windows: &[ExpertLoad], topology: &Topology) -> f64 {
    let case = Case {
        shape: windows[0].shape(),
        topology: topology.clone(),
        windows: windows.to_vec(),
        weights: vec![],
        present: None,
        budget: Budget::default(),
    };
    smoothed(&case, LayerId(0), placement, Objective::Tokens)
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn a_plan_is_never_worse_than_what_stands(rows in prop::collection::vec(row(), 1..12)) {
        let shape = ModelShape::new(1, 12, 1).unwrap();
        let topology = Topology::uniform(4, 4, 1).unwrap();
        let windows: Vec<_> = rows.into_iter().map(|row| load(shape, &[row])).collect();
        let present = Placement::initial(shape, &topology).unwrap();
        // The budget may end a plan early; with the same load, plans come to rest.
        let mut present = present;
        for _ in 0..12 {
            let plans = plan_windows(&topology, &windows, Some(&present));
            let before = cost(present.layer(LayerId(0)), &windows, &topology);
            let after = cost(&plans[0].placement, &windows, &topology);
            prop_assert!(after <= before * 1.000_01, "{before} {after}");
            if plans[0].moved_slots == Some(0) {
                return Ok(());
            }
            present = placement(&plans, shape, &topology);
        }
        prop_assert!(false, "twelve plans for the same load, and still experts move");
    }

    #[test]
    fn a_budget_is_kept(rows in prop::collection::vec(row(), 1..6), most_sent in 0.0f32..0.5) {
        let shape = ModelShape::new(1, 12, 1).unwrap();
        let topology = Topology::uniform(4, 4, 1).unwrap();
        let windows: Vec<_> = rows.into_iter().map(|row| load(shape, &[row])).collect();
        let present = Placement::initial(shape, &topology).unwrap();
        let layers = [LayerId(0)];
        let request = PlanRequest {
            shape,
            topology: &topology,
            windows: &windows,
            present: Some(&present),
            layers: &layers,
            weights: &[],
            budget: Budget::default(),
        };
        let plans = plan(&Robust { most_sent, ..Robust::default() }, &request).unwrap();
        prop_assert!(plans[0].moved_slots <= Some((most_sent * 16.0) as usize));
    }
}

/// A layer with one hot expert on so many ranks of one speed, its window counted with one weight.
fn one_hot(ranks: usize, speed: u32, weight: f32) -> Case {
    let spec = RankSpec { speed, ..RankSpec::new(NodeId(0), 3) };
    let topology = Topology::new(vec![spec; ranks]).unwrap();
    let shape = ModelShape::new(1, 2 * ranks as u32, 1).unwrap();
    let mut row = vec![1; shape.experts()];
    row[3] = 1 << 40;
    let present = Some(Placement::initial(shape, &topology).unwrap());
    let windows = vec![load(shape, &[row])];
    Case { shape, topology, windows, weights: vec![weight], present, budget: Budget::default() }
}

#[test]
fn extreme_weights_and_speeds_plan_as_ordinary_ones() {
    // No price: doubt takes the weight of the newest window for 1.
    let robust = Robust { price: MovePrice::FREE, ..Robust::default() };
    let first = |case: &Case| case.plan(&robust).unwrap().swap_remove(0);
    let mut wrong = Vec::new();
    for ranks in [4, 200] {
        let ordinary = first(&one_hot(ranks, NOMINAL_SPEED, 1.0));
        assert!(ordinary.account.unwrap().gain > 0.0);
        for weight in [f32::MAX, 1e30, 0.01, 1e-30, f32::MIN_POSITIVE] {
            let extreme = first(&one_hot(ranks, NOMINAL_SPEED, weight));
            let account = extreme.account.unwrap();
            if !account.gain.is_finite() || extreme.placement != ordinary.placement {
                wrong.push(format!("{ranks} ranks, weight {weight}: {account:?}"));
            }
        }
    }
    for ranks in [4, 600] {
        let ordinary = first(&one_hot(ranks, NOMINAL_SPEED, 1.0));
        for speed in [1, Topology::MOST_SPEED] {
            let extreme = first(&one_hot(ranks, speed, 1.0));
            if extreme.account != ordinary.account || extreme.placement != ordinary.placement {
                wrong.push(format!("{ranks} ranks, speed {speed}: {:?}", extreme.account));
            }
        }
    }
    // All of the load stands on the slowest rank that there can be.
    let mut slow = one_hot(600, Topology::MOST_SPEED, 1.0);
    let rank = slow.topology.rank_of(SlotId(3));
    let mut specs: Vec<_> =
        slow.topology.rank_ids().map(|rank| *slow.topology.rank(rank)).collect();
    specs[rank.index()].speed = 1;
    slow.topology = Topology::new(specs).unwrap();
    let account = first(&slow).account.unwrap();
    if !(account.gain > 0.0 && account.gain.is_finite()) {
        wrong.push(format!("one slow rank of 600: {account:?}"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
