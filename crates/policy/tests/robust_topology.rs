//! `robust` where ranks differ: nodes, expert groups, ranks that join, links of different price.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use eplb_core::{
    ExpertId, ExpertLoad, LayerId, LayerPlacement, ModelShape, NodeId, Placement, RankId, RankSpec,
    Source, Topology, TransferPlan, Verdict, moved_slots,
};
use eplb_policy::{Budget, LayerPlan, MovePrice, Objective, PlanRequest, Robust, plan};

/// Loads as uneven as recorded ones, by integers alone: a few hot experts, changing from window to
/// window.
fn windows(shape: ModelShape, count: u64, seed: u64) -> Vec<ExpertLoad> {
    let mut state = seed;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let experts = shape.experts();
    let heat: Vec<u64> = (0..experts)
        .map(|_| 100 + random(400) + if random(8) == 0 { random(3_000) } else { 0 })
        .collect();
    (0..count)
        .map(|_| {
            let row = || heat.iter().map(|heat| heat * (80 + random(40)) / 100).collect::<Vec<_>>();
            let mut row = row;
            let rows: Vec<Vec<u64>> = (0..shape.layers()).map(|_| row()).collect();
            ExpertLoad::from_rows(shape, &rows).unwrap()
        })
        .collect()
}

fn plan_one(
    policy: &Robust,
    topology: &Topology,
    windows: &[ExpertLoad],
    present: Option<&Placement>,
) -> LayerPlan {
    let shape = windows[0].shape();
    let layers = [LayerId(0)];
    let (weights, budget) = (&[][..], Budget::default());
    let request =
        PlanRequest { shape, topology, windows, weights, present, layers: &layers, budget };
    plan(policy, &request).unwrap().remove(0)
}

fn placement_of(plan: &LayerPlan, shape: ModelShape, topology: &Topology) -> Placement {
    let mut placement = Placement::initial(shape, topology).unwrap();
    placement.set_layer(LayerId(0), plan.placement.clone());
    placement
}

fn nodes_of(placement: &LayerPlacement, expert: ExpertId, topology: &Topology) -> BTreeSet<NodeId> {
    placement
        .replicas(expert, topology)
        .map(|slot| topology.node_of(topology.rank_of(slot)))
        .collect()
}

#[test]
fn spread_puts_every_expert_on_two_nodes_where_there_are_slots_for_it() {
    let shape = ModelShape::new(1, 32, 1).unwrap();
    let windows = windows(shape, 6, 1);
    let policy = Robust { spread: true, ..Robust::default() };
    let wide = Topology::uniform(16, 4, 4).unwrap();
    let full = plan_one(&policy, &wide, &windows, None);
    for expert in (0..32).map(ExpertId) {
        assert!(nodes_of(&full.placement, expert, &wide).len() >= 2, "{expert}");
    }
    // From a placement that keeps them on one node each.
    let together: Vec<ExpertId> =
        (0..64u32).map(|slot| ExpertId(slot / 16 * 8 + slot % 8)).collect();
    let present = Placement::new(&[together], shape, &wide).unwrap();
    let repaired = plan_one(&policy, &wide, &windows, Some(&present));
    for expert in (0..32).map(ExpertId) {
        assert!(nodes_of(&repaired.placement, expert, &wide).len() >= 2, "{expert}");
    }
    // With fewer slots only the replicated ones can be.
    let narrow = Topology::uniform(8, 5, 4).unwrap();
    let plan = plan_one(&policy, &narrow, &windows, None);
    for expert in (0..32).map(ExpertId) {
        let replicas = plan.placement.replicas(expert, &narrow).count();
        let nodes = nodes_of(&plan.placement, expert, &narrow).len();
        assert!(replicas < 2 || nodes >= 2, "{expert} has {replicas} on {nodes} node");
    }
}

#[test]
fn hierarchical_plans_keep_groups_on_their_node_and_balance_within() {
    let shape = ModelShape::new(1, 64, 8).unwrap();
    let topology = Topology::uniform(16, 5, 4).unwrap();
    let windows = windows(shape, 8, 2);
    let policy = Robust { hierarchical: true, ..Robust::default() };
    let full = plan_one(&policy, &topology, &windows, None);
    let node_of_group = |placement: &LayerPlacement, group: u32| {
        let nodes: BTreeSet<NodeId> = (group * 8..group * 8 + 8)
            .flat_map(|expert| nodes_of(placement, ExpertId(expert), &topology))
            .collect();
        assert_eq!(nodes.len(), 1, "group {group} is on {nodes:?}");
        nodes.into_iter().next().unwrap()
    };
    let homes: Vec<NodeId> = (0..8).map(|group| node_of_group(&full.placement, group)).collect();
    assert!(full.balancedness_after > 0.8, "{}", full.balancedness_after);

    // Later loads move experts within their nodes only.
    let present = placement_of(&full, shape, &topology);
    let repaired = plan_one(&policy, &topology, &self::windows(shape, 8, 3), Some(&present));
    assert!(repaired.moved_slots.unwrap() > 0);
    let after: Vec<NodeId> =
        (0..8).map(|group| node_of_group(&repaired.placement, group)).collect();
    assert_eq!(after, homes);
    let transfers = TransferPlan::new(present.layer(LayerId(0)), &repaired.placement, &topology);
    for (sender, receiver) in transfers.links(&topology) {
        assert_eq!(topology.node_of(sender), topology.node_of(receiver));
    }

    // Fewer groups than nodes: all ranks are one node.
    let shape = ModelShape::new(1, 64, 2).unwrap();
    let windows = self::windows(shape, 8, 2);
    let flat = plan_one(&policy, &topology, &windows, None);
    assert_eq!(flat, plan_one(&Robust::default(), &topology, &windows, None));
}

#[test]
fn a_joining_rank_gets_experts_from_those_who_hold_them_and_nobody_else_moves_much() {
    let shape = ModelShape::new(1, 32, 1).unwrap();
    let windows = windows(shape, 12, 4);
    let small = Topology::uniform(8, 5, 1).unwrap();
    let before = placement_of(&plan_one(&Robust::default(), &small, &windows, None), shape, &small);
    let joining = [RankSpec::new(NodeId(0), 5); 2];
    let grown = small.grown_by(&joining).unwrap();
    let present = before.grown_to(&grown).unwrap();

    let plan = plan_one(&Robust::default(), &grown, &windows, Some(&present));
    let transfers = TransferPlan::new(present.layer(LayerId(0)), &plan.placement, &grown);
    for rank in [RankId(8), RankId(9)] {
        let changes = transfers.changes(rank);
        assert_eq!(changes.len(), 5, "everything on {rank} has to be sent");
        for change in changes {
            let Source::Remote(slot) = change.source else { panic!("{rank} holds nothing") };
            assert!(grown.rank_of(slot) < RankId(8));
            assert_eq!(present.layer(LayerId(0)).expert_at(slot), change.expert);
        }
    }
    let sent = moved_slots(present.layer(LayerId(0)), &plan.placement, &grown);
    assert_eq!(sent, transfers.received_slots());
    assert!(sent <= 10 + 12, "{sent} sent to fill 10 slots");
    // Two ranks more carry their part of the load.
    let alone = plan.balancedness_before.unwrap();
    assert!(plan.balancedness_after > 0.85, "{} {alone}", plan.balancedness_after);
    // The next plan has nothing left to fill.
    let filled = placement_of(&plan, shape, &grown.filled());
    let next = plan_one(&Robust::default(), &grown.filled(), &windows, Some(&filled));
    assert!(next.moved_slots.unwrap() <= 4, "{:?}", next.moved_slots);
}

#[test]
fn a_dear_link_is_used_less() {
    let shape = ModelShape::new(1, 64, 1).unwrap();
    let topology = Topology::uniform(16, 5, 4).unwrap();
    let present = Placement::initial(shape, &topology).unwrap();
    let windows = windows(shape, 8, 5);
    let across = |other_node: f32| {
        let price = MovePrice { other_node, ..MovePrice::default() };
        let plan =
            plan_one(&Robust { price, ..Robust::default() }, &topology, &windows, Some(&present));
        let transfers = TransferPlan::new(present.layer(LayerId(0)), &plan.placement, &topology);
        let far = transfers
            .links(&topology)
            .filter(|&(sender, receiver)| topology.node_of(sender) != topology.node_of(receiver));
        (far.count(), plan.balancedness_after)
    };
    let ((cheap, cheap_balance), (dear, _), (never, _)) = (across(0.0), across(0.01), across(10.0));
    assert!(cheap > dear && dear >= never, "{cheap} {dear} {never}");
    assert_eq!(never, 0);
    assert!(cheap_balance > 0.9);
    // Bytes over bandwidth against the time that a horizon of steps saves.
    let price = MovePrice::of_links(1e-4, 1e-3, 1e-4, 1_000.0);
    assert!((price.same_node - 1e-3).abs() < 1e-9 && (price.other_node - 1e-2).abs() < 1e-8);
}

#[test]
fn activated_experts_balance_what_is_read_and_not_what_is_computed() {
    let shape = ModelShape::new(1, 32, 1).unwrap();
    let topology = Topology::uniform(8, 4, 1).unwrap();
    // A quarter of the experts takes nearly all tokens; in a large step every expert is read anyway.
    let row: Vec<u64> = (0..32).map(|expert| if expert % 4 == 0 { 10_000 } else { 600 }).collect();
    let windows = [ExpertLoad::from_rows(shape, &[row]).unwrap()];
    let present = Placement::initial(shape, &topology).unwrap();
    let decode = |tokens_per_step| {
        let objective = Objective::ActivatedExperts { tokens_per_step, top_k: 8 };
        plan_one(&Robust { objective, ..Robust::default() }, &topology, &windows, Some(&present))
    };
    // Every rank reads its four experts in each step, whatever they are.
    let large = decode(100_000);
    assert_eq!(large.moved_slots, Some(0));
    assert_eq!(large.account.unwrap().verdict, Verdict::Settled);
    // In small steps cold experts are hardly ever read, and hot ones part: they are one a rank here.
    let skewed: Vec<ExpertId> = (0..32u32)
        .map(|slot| {
            ExpertId(if slot < 8 { slot * 4 } else { (slot - 8) / 3 * 4 + 1 + (slot - 8) % 3 })
        })
        .collect();
    let present = Placement::new(&[skewed], shape, &topology).unwrap();
    let objective = Objective::ActivatedExperts { tokens_per_step: 16, top_k: 8 };
    let policy = Robust { objective, price: MovePrice::FREE, ..Robust::default() };
    let small = plan_one(&policy, &topology, &windows, Some(&present));
    for rank in topology.rank_ids() {
        let held = &small.placement.experts()[topology.slots_of(rank)];
        assert_eq!(held.iter().filter(|expert| expert.0 % 4 == 0).count(), 1, "{rank}: {held:?}");
    }
    assert_eq!(small.placement.shares(), None, "shares are for tokens");
}
