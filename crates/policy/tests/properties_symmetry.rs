//! What must not matter: the scale of a load, the names of experts, windows that count for nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/cases.rs"]
mod cases;
#[path = "common/oracle.rs"]
mod oracle;

use cases::{Case, cases, cases_from_nothing, config, contenders, robusts};
use eplb_core::{ExpertLoad, LayerPlacement, ModelShape, NOMINAL_SPEED};
use eplb_policy::{DeepSeek, Greedy, LayerPlan, MovePrice, Objective, Policy, PolicyError, Robust};
use oracle::smoothed;
use proptest::prelude::*;
use proptest::sample::Index;

const SEARCH: Greedy = Greedy { local_search: true };

fn map_rows(case: &Case, change: impl Fn(&[u64]) -> Vec<u64>) -> Case {
    let load = |window: &ExpertLoad| {
        let rows: Vec<_> = window.rows().map(&change).collect();
        ExpertLoad::from_rows(case.shape, &rows).unwrap()
    };
    Case { windows: case.windows.iter().map(load).collect(), ..case.clone() }
}

fn placements(plans: &[LayerPlan]) -> Vec<&LayerPlacement> {
    plans.iter().map(|plan| &plan.placement).collect()
}

/// The plans, or none where a policy does not plan for such ranks or cannot mend what has died.
fn plans(case: &Case, policy: &dyn Policy) -> Option<Vec<LayerPlan>> {
    match case.plan(policy) {
        Err(PolicyError::Unsupported { .. } | PolicyError::Placement(_)) => None,
        plans => Some(plans.unwrap()),
    }
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn a_load_of_another_scale_gives_the_same_plan(
        case in cases(),
        pick in any::<Index>(),
        power in 1..9u32,
    ) {
        let contenders = contenders();
        let mut policy = contenders[pick.index(contenders.len())].clone();
        if policy.name() == "robust" {
            // Without doubt, which few tokens raise and many allay.
            let robust = *pick.get(&robusts());
            policy = std::sync::Arc::new(Robust { price: MovePrice::FREE, ..robust });
        }
        let scaled = map_rows(&case, |row| row.iter().map(|tokens| tokens << power).collect());
        let Some(plain) = plans(&case, &*policy) else { return Ok(()) };
        let scaled = plans(&scaled, &*policy).unwrap();
        prop_assert_eq!(placements(&plain), placements(&scaled), "{:?}", policy);
    }

    #[test]
    fn weights_of_another_scale_give_the_same_plan(
        case in cases(),
        pick in any::<Index>(),
        exponent in -2..3i32,
    ) {
        let robust = Robust { price: MovePrice::FREE, ..*pick.get(&robusts()) };
        // An eighth root of a power of 256 is exact.
        let weight = |weight: &f32| weight * 256f32.powi(exponent);
        let mut plain = case;
        if plain.weights.is_empty() {
            plain.weights = vec![1.0; plain.windows.len()];
        }
        let weights = plain.weights.iter().map(weight).collect();
        let scaled = Case { weights, ..plain.clone() };
        let (plain, scaled) = (plain.plan(&robust).unwrap(), scaled.plan(&robust).unwrap());
        prop_assert_eq!(placements(&plain), placements(&scaled), "{:?}", robust);
    }

    #[test]
    fn a_window_without_weight_changes_nothing(
        case in cases(),
        pick in any::<Index>(),
        place in any::<Index>(),
        spike in any::<Index>(),
    ) {
        let robust = *pick.get(&robusts());
        let mut plain = case;
        if plain.weights.is_empty() {
            plain.weights = vec![1.0; plain.windows.len()];
        }
        let mut more = plain.clone();
        let place = place.index(plain.windows.len() + 1);
        let mut row = vec![0; plain.shape.experts()];
        row[spike.index(plain.shape.experts())] = 1 << 40;
        let window = ExpertLoad::from_rows(plain.shape, &vec![row; plain.shape.layers()]).unwrap();
        more.windows.insert(place, window);
        more.weights.insert(place, 0.0);
        let (plain, more) = (plain.plan(&robust).unwrap(), more.plan(&robust).unwrap());
        prop_assert_eq!(placements(&plain), placements(&more), "{:?}", robust);
        let accounts = |plans: &[LayerPlan]| -> Vec<_> {
            plans.iter().map(|plan| plan.account).collect()
        };
        prop_assert_eq!(accounts(&plain), accounts(&more), "{:?}", robust);
    }

    #[test]
    fn an_empty_window_changes_nothing(case in cases(), pick in any::<Index>()) {
        // Hedged shares differ in their last digits: they are found step by step.
        let robust = Robust { hedged: false, ..*pick.get(&robusts()) };
        let mut more = case.clone();
        more.windows.push(ExpertLoad::zeros(case.shape));
        if !more.weights.is_empty() {
            more.weights.push(1.0);
        }
        let (plain, more) = (case.plan(&robust).unwrap(), more.plan(&robust).unwrap());
        for (plain, more) in plain.iter().zip(&more) {
            prop_assert_eq!(&plain.placement, &more.placement, "{:?}", robust);
            prop_assert_eq!(plain.account, more.account, "{:?}", robust);
        }
    }
}

/// Loads without ties, and ranks of any kind.
fn renamed() -> impl Strategy<Value = (Case, Vec<usize>)> {
    let tie_free = |case: Case, noise: Vec<u64>| {
        let row = |row: &[u64]| {
            let rows = row.iter().zip(&noise);
            rows.map(|(tokens, noise)| ((tokens % (1 << 20)) << 20) + noise).collect()
        };
        map_rows(&case, row)
    };
    cases_from_nothing().prop_flat_map(move |case| {
        let experts = case.shape.experts();
        let noise = prop::collection::vec(1..(1u64 << 20), experts);
        let names = Just((0..experts).collect::<Vec<_>>()).prop_shuffle();
        (Just(case), noise, names).prop_map(move |(case, noise, names)| {
            let shape = ModelShape::new(case.shape.layers() as u32, experts as u32, 1).unwrap();
            let windows = case.windows.iter();
            let windows = windows.map(|window| {
                let rows: Vec<_> = window.rows().collect();
                ExpertLoad::from_rows(shape, &rows).unwrap()
            });
            let windows = windows.collect();
            (tie_free(Case { shape, windows, ..case }, noise), names)
        })
    })
}

/// The largest time of a rank, for the sum of the windows.
fn slowest(case: &Case, plan: &LayerPlan) -> f64 {
    1.0 / plan.balancedness_after * f64::from(u8::from(!case.is_idle(plan.layer)))
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn experts_of_other_names_cost_the_same((case, names) in renamed()) {
        let rename = |row: &[u64]| {
            let mut renamed = vec![0; row.len()];
            row.iter().zip(&names).for_each(|(&tokens, &name)| renamed[name] = tokens);
            renamed
        };
        let other = map_rows(&case, rename);
        // Not `xllm`: it places the redundant replicas expert by expert, in the order of ids.
        let mut exact: Vec<&dyn Policy> = vec![&Greedy { local_search: false }, &SEARCH];
        let mut ranks = case.topology.rank_ids().map(|rank| case.topology.rank(rank).speed);
        if ranks.all(|speed| speed == NOMINAL_SPEED) {
            // It does not know of speeds.
            exact.push(&DeepSeek);
        }
        for policy in exact {
            let (Some(plain), Some(other_plans)) = (plans(&case, policy), plans(&other, policy))
            else {
                continue;
            };
            for (plain, renamed) in plain.iter().zip(&other_plans) {
                let (one, two) = (slowest(&case, plain), slowest(&other, renamed));
                prop_assert!((one - two).abs() <= 1e-3, "{:?}: {} {}", policy, one, two);
            }
        }
        // Hot experts are read in every step, so activated experts tie, and ids decide.
        let by_tokens = |robust: &Robust| robust.objective == Objective::Tokens && !robust.spread && !robust.hierarchical;
        // Rounding decides between changes that gain alike, and the search takes another way.
        for robust in robusts().into_iter().filter(by_tokens) {
            let (plain, other_plans) = (case.plan(&robust).unwrap(), other.plan(&robust).unwrap());
            for (plain, renamed) in plain.iter().zip(&other_plans) {
                let one = smoothed(&case, plain.layer, &plain.placement, robust.objective);
                let two = smoothed(&other, plain.layer, &renamed.placement, robust.objective);
                prop_assert!((one - two).abs() <= 0.15 * one, "{:?}: {} {}", robust, one, two);
            }
        }
    }
}
