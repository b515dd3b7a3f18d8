//! What `robust` says of why a plan ends: the same request with more room, or at no price, shows
//! whether it is true. And what a budget of links allows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/cases.rs"]
mod cases;
use cases::{Case, cases_with_present, config, robusts};
use eplb_core::{Account, LayerId, Verdict};
use eplb_policy::{Budget, LayerPlan, MovePrice, Robust};
use proptest::prelude::*;
use proptest::sample::Index;

/// Requests whose present placement has even shares, which is what the search plans with.
fn even_cases() -> impl Strategy<Value = Case> {
    cases_with_present().prop_map(|mut case| {
        if let Some(present) = &mut case.present {
            for layer in case.shape.layer_ids() {
                present.set_layer(layer, present.layer(layer).with_even_shares());
            }
        }
        case
    })
}

/// The plan and the account of the first layer.
fn plan_first(case: &Case, robust: Robust) -> (LayerPlan, Account) {
    let mut plans = case.plan(&robust).unwrap();
    let plan = plans.swap_remove(0);
    let account = plan.account.unwrap();
    (plan, account)
}

/// The account of going on from a plan of the first layer, with no limit.
fn go_on(case: &Case, plan: &LayerPlan, robust: Robust) -> Account {
    let mut present = case.present.clone().unwrap();
    present.set_layer(LayerId(0), plan.placement.clone());
    let (topology, budget) = (case.topology.filled(), Budget::default());
    let case = Case { present: Some(present), topology, budget, ..case.clone() };
    plan_first(&case, unlimited(robust)).1
}

fn unlimited(robust: Robust) -> Robust {
    Robust { most_sent: 1_000.0, ..robust }
}

fn free(robust: Robust) -> Robust {
    Robust { price: MovePrice::FREE, ..robust }
}

/// Settings in which the search alone decides: replicas are brought to nodes at any price, and shares
/// gain by themselves.
fn searching(pick: Index) -> Robust {
    let robust = *pick.get(&robusts());
    Robust { spread: false, hierarchical: false, hedged: false, least_gain: 0.0, ..robust }
}

/// Settings in which a send costs the same from everywhere: an expert that has come to a node costs no
/// less from then on.
fn even_price(pick: Index) -> Robust {
    let robust = searching(pick);
    let is_free = robust.price == MovePrice::FREE;
    let price = if is_free { robust.price } else { MovePrice::of_links(0.001, 0.001, 0.001, 1e5) };
    Robust { price, ..robust }
}

/// A gain that the search does not see: it looks for a hundred-thousandth of the cost.
const UNSEEN: f64 = 1e-4;

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn a_plan_that_ends_for_no_budget_is_not_continued_with_more(
        case in even_cases(),
        pick in any::<Index>(),
    ) {
        let robust = even_price(pick);
        let (plan, account) = plan_first(&case, robust);
        if account.verdict != Verdict::Budget {
            let more = go_on(&case, &plan, robust);
            prop_assert!(more.gain.abs() <= UNSEEN, "{:?}, then {:?}", account, more);
        }
    }

    #[test]
    fn a_settled_plan_is_not_continued_at_no_price(
        case in even_cases(),
        pick in any::<Index>(),
    ) {
        let robust = searching(pick);
        let (plan, account) = plan_first(&case, robust);
        if account.verdict == Verdict::Settled {
            let more = go_on(&case, &plan, free(robust));
            prop_assert!(more.gain.abs() <= UNSEEN, "{:?}, then {:?}", account, more);
        }
    }

    #[test]
    fn a_plan_that_ends_for_a_budget_is_continued_with_a_larger_one(
        case in even_cases(),
        pick in any::<Index>(),
        most in 0..4usize,
    ) {
        let robust = even_price(pick);
        let case = Case { budget: Budget { layer: most, ..Budget::default() }, ..case };
        let (plan, account) = plan_first(&case, robust);
        if account.verdict == Verdict::Budget && case.is_routable(LayerId(0)) && !case.has_empty() {
            let more = go_on(&case, &plan, robust);
            prop_assert!(more.gain > 0.0, "{:?}, then {:?}", account, more);
        }
    }

    #[test]
    fn a_plan_that_ends_for_its_price_is_continued_at_none(
        case in even_cases(),
        pick in any::<Index>(),
    ) {
        let robust = searching(pick);
        let (plan, account) = plan_first(&case, robust);
        if account.verdict == Verdict::NotWorthIt {
            let more = go_on(&case, &plan, free(robust));
            prop_assert!(more.gain > 0.0, "{:?}, then {:?}", account, more);
        }
    }
}
