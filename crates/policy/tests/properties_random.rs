//! What every policy owes to every request, on thousands of random ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/cases.rs"]
mod cases;
#[path = "common/oracle.rs"]
mod oracle;

use std::cell::Cell;
use std::sync::OnceLock;

use cases::{Case, cases, cases_from_nothing, config, contenders, robusts};
use eplb_core::{LayerId, PlacementError, RoutingTable, Verdict, layer_balancedness};
use eplb_policy::{Budget, Greedy, LayerPlan, Policy, PolicyError, Robust, Xllm};
use oracle::{busiest_pair, can_be_kept_apart, holds_an_expert_twice, links, smoothed};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use rayon::{ThreadPool, ThreadPoolBuilder};

fn pools() -> &'static [ThreadPool; 3] {
    static POOLS: OnceLock<[ThreadPool; 3]> = OnceLock::new();
    POOLS.get_or_init(|| {
        [1, 2, 8].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
    })
}

/// The plans of one policy, the same for 1, 2 and 8 threads; `None` where it does not know such ranks.
fn plan_in_pools(case: &Case, policy: &dyn Policy) -> Option<Vec<LayerPlan>> {
    let [one, two, eight] = pools().each_ref().map(|pool| pool.install(|| case.plan(policy)));
    assert_eq!(one, two, "{policy:?}: two threads");
    assert_eq!(one, eight, "{policy:?}: eight threads");
    match one {
        // It moves nothing, so it cannot mend what a dead rank leaves.
        Err(PolicyError::Placement(PlacementError::Unplaced { .. }))
            if policy.name() == "static" =>
        {
            assert!(!case.shape.layer_ids().all(|layer| case.is_routable(layer)));
            None
        }
        Err(PolicyError::Unsupported { policy: "deepseek", .. }) => {
            let (topology, mut sizes) = (&case.topology, Vec::new());
            sizes.extend(topology.live_ranks().map(|rank| topology.slots_of(rank).len()));
            assert!(sizes.iter().any(|size| *size != sizes[0]), "equal ranks refused");
            None
        }
        plans => Some(plans.unwrap()),
    }
}

/// A valid table for each layer in order, dead ranks left alone, and figures that are true.
fn check_plans(case: &Case, plans: &[LayerPlan]) {
    let topology = &case.topology;
    assert!(plans.iter().map(|plan| plan.layer).eq(case.shape.layer_ids()), "order of layers");
    // Checks every table: its length, its experts, and a live slot for each of them.
    case.after(plans);
    for plan in plans {
        let layer = plan.layer;
        let routing = plan.placement.routing(topology);
        let stands = case.present.as_ref().map(|present| present.layer(layer));
        if let Some(shares) = plan.placement.shares()
            && stands.is_none_or(|stands| stands.shares() != Some(shares))
        {
            // A placement that stays as it is may have shares from before a rank died.
            RoutingTable::with_shares(&plan.placement, topology, shares).unwrap();
        }
        let mut load = vec![0; case.shape.experts()];
        for (row, _) in case.weighted_rows(layer) {
            load.iter_mut().zip(row).for_each(|(sum, tokens)| *sum += tokens);
        }
        let after = layer_balancedness(&load, &routing, topology);
        assert_eq!(plan.balancedness_after, after);
        assert!(after > 0.0 && after < 1.000_1, "{after}");
        let Some(present) = &case.present else {
            assert!((plan.balancedness_before, plan.moved_slots) == (None, None));
            assert!(plan.account.is_none(), "nothing to weigh it against");
            continue;
        };
        let present = present.layer(layer);
        let before = topology.without_empty().ok().filter(|_| case.is_routable(layer));
        let before =
            before.map(|holding| layer_balancedness(&load, &present.routing(&holding), &holding));
        assert_eq!(plan.balancedness_before, before);
        let (old, new) = (present.experts(), plan.placement.experts());
        assert_eq!(plan.moved_slots, Some(links(old, new, topology).len()));
        for rank in topology.rank_ids() {
            let slots = topology.slots_of(rank);
            let (old, new) = (&old[slots.clone()], &new[slots]);
            if !topology.is_alive(rank) {
                assert_eq!(old, new, "a dead rank's slots");
                continue;
            }
            for expert in new.iter().filter(|_| topology.holds_weights(rank)) {
                let count = |held: &[_]| held.iter().filter(|held| *held == expert).count();
                let kept = old.iter().zip(new).filter(|pair| *pair == (expert, expert)).count();
                assert_eq!(kept, count(old).min(count(new)), "{expert} leaves a slot for another");
            }
        }
    }
}

/// No budget is exceeded but for layers that nothing can be routed through.
fn check_budgets(case: &Case, plans: &[LayerPlan]) {
    let Some(present) = &case.present else { return };
    let Budget { layer, rebalance, rank_pair } = case.budget;
    let urgent = |plan: &&LayerPlan| case.has_empty() || !case.is_routable(plan.layer);
    let mut all = Vec::new();
    for plan in plans.iter().filter(|plan| !urgent(plan)) {
        let old = present.layer(plan.layer).experts();
        let sent = links(old, plan.placement.experts(), &case.topology);
        assert!(sent.len() <= layer, "{}: {} sent, allowed are {layer}", plan.layer, sent.len());
        all.extend(sent);
    }
    assert!(all.len() <= rebalance, "{} sent, allowed are {rebalance}", all.len());
    assert!(busiest_pair(&all) <= rank_pair, "{all:?}, a pair may send {rank_pair}");
}

/// A plan never takes more than it gives, by its own account.
fn check_accounts(case: &Case, plans: &[LayerPlan], robust: &Robust) {
    for plan in plans.iter().filter(|_| case.present.is_some()) {
        let account = plan.account.unwrap();
        let (gain, price, bound) = (account.gain, account.price, account.bound);
        assert!(gain.is_finite() && price >= 0.0 && bound.is_finite(), "{account:?}");
        let rounding = 1e-5 * (1.0 + bound);
        if case.is_idle(plan.layer) {
            assert!((gain, bound) == (0.0, 0.0), "{account:?}");
        }
        if !case.is_routable(plan.layer) || case.has_empty() {
            continue;
        }
        check_gain(case, plan, robust);
        if keeps_to_nodes(robust) {
            continue;
        }
        assert!(gain >= 0.0 && bound >= 0.0, "{account:?}");
        assert!(price <= gain + rounding, "{account:?}");
        let sent = plan.moved_slots.unwrap();
        let slots = case.topology.live_slots() as f32;
        assert!(sent <= (robust.most_sent * slots) as usize, "{sent} sent");
        let present = case.present.as_ref().unwrap().layer(plan.layer);
        assert!(plan.placement != *present || gain <= rounding, "{account:?}");
    }
}

/// Whether replicas are brought to nodes at any price.
fn keeps_to_nodes(robust: &Robust) -> bool {
    robust.spread || robust.hierarchical
}

/// The gain is what the tables say, and no more than could be.
fn check_gain(case: &Case, plan: &LayerPlan, robust: &Robust) {
    let (account, layer) = (plan.account.unwrap(), plan.layer);
    let present = case.present.as_ref().unwrap().layer(layer);
    let [before, after] = [present, &plan.placement]
        .map(|placement| smoothed(case, layer, placement, robust.objective));
    let off = account.gain - (before - after);
    assert!(off.abs() <= 1e-4 * (1.0 + before), "{before} to {after}: {account:?}");
    assert!(account.gain <= account.bound + 1e-5 * (1.0 + account.bound), "{account:?}");
}

proptest! {
    #![proptest_config(config(6_000))]

    #[test]
    fn every_policy_keeps_its_promises(case in cases(), pick in any::<Index>()) {
        let contenders = contenders();
        let policy = &*contenders[pick.index(contenders.len())];
        let Some(plans) = plan_in_pools(&case, policy) else { return Ok(()) };
        check_plans(&case, &plans);
        check_budgets(&case, &plans);
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn robust_never_does_worse_than_nothing(case in cases(), pick in any::<Index>()) {
        let robust = robusts()[pick.index(robusts().len())];
        let plans = case.plan(&robust).unwrap();
        check_accounts(&case, &plans, &robust);
    }

    #[test]
    fn no_expert_is_twice_on_a_rank_if_that_can_be_avoided(case in cases_from_nothing()) {
        let uniform = {
            let slots = |rank| case.topology.slots_of(rank).len();
            let mut sizes = case.topology.live_ranks().map(slots);
            let first = sizes.next().unwrap();
            let mut speeds = case.topology.live_ranks().map(|r| case.topology.rank(r).speed);
            let speed = speeds.next().unwrap();
            sizes.all(|size| size == first) && speeds.all(|it| it == speed)
        };
        let mut policies: Vec<Box<dyn Policy>> = vec![
            Box::new(Greedy { local_search: false }),
            Box::new(Greedy::default()),
        ];
        if uniform {
            // These promise it for equal ranks only.
            let robusts = robusts().into_iter().filter(|robust| !keeps_to_nodes(robust));
            policies.extend(robusts.map(|robust| Box::new(robust) as _));
            policies.push(Box::new(Xllm));
        }
        for policy in policies {
            for plan in case.plan(&*policy).unwrap() {
                let table = plan.placement.experts();
                let mut counts = vec![0; case.shape.experts()];
                for slot in plan.placement.live_slots(&case.topology) {
                    counts[table[slot.index()].index()] += 1;
                }
                let twice = holds_an_expert_twice(table, &case.topology);
                let forced = !can_be_kept_apart(&counts, &case.topology);
                prop_assert!(!twice || forced, "{:?}: {:?}", policy, table);
            }
        }
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn robust_is_idle_just_when_there_is_no_load(case in cases(), pick in any::<Index>()) {
        let case = Case { budget: Budget::default(), ..case };
        let robust = robusts()[pick.index(robusts().len())];
        for plan in case.plan(&robust).unwrap() {
            let Some(account) = plan.account else { continue };
            let idle = case.is_idle(plan.layer);
            prop_assert_eq!(idle, account.verdict == Verdict::Idle, "{:?}", account);
            let mended = keeps_to_nodes(&robust) || !case.is_routable(plan.layer) || case.has_empty();
            prop_assert!(!idle || mended || plan.moved_slots == Some(0));
        }
    }
}

#[test]
fn the_random_cases_are_of_all_kinds() {
    let counts = Cell::new([0; 7]);
    let mut runner = TestRunner::new(config(300));
    let run = runner.run(&cases(), |case| {
        let (topology, first) = (&case.topology, LayerId(0));
        let present = case.present.as_ref();
        let kinds = [
            topology.live_ranks().count() < topology.ranks(),
            topology.uniform_slots().is_none(),
            topology.nodes() > 1,
            present.is_some() && !case.is_routable(first),
            case.is_idle(first),
            present.is_some_and(|present| present.layer(first).shares().is_some()),
            case.has_empty(),
        ];
        let mut sums = counts.get();
        sums.iter_mut().zip(kinds).for_each(|(sum, kind)| *sum += usize::from(kind));
        counts.set(sums);
        Ok(())
    });
    run.unwrap();
    assert!(counts.get().iter().all(|&count| count >= 10), "{counts:?}");
}
