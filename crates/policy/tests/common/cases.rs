//! Random requests: any ranks, loads, weights of windows, present placements and budgets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(unreachable_pub, reason = "a module of test binaries has no users outside")]

use std::fmt;
use std::sync::Arc;

use eplb_core::{
    Epoch, ExpertId, ExpertLoad, LayerId, LayerPlacement, ModelShape, NodeId, Placement, RankSpec,
    SHARE_ONE, SlotId, Topology,
};
use eplb_policy::{
    Budget, LayerPlan, MovePrice, NAMES, Objective, PlanRequest, Policy, PolicyError, Robust,
    by_name, plan,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

/// A request that owns its parts.
#[derive(Clone)]
pub struct Case {
    pub shape: ModelShape,
    pub topology: Topology,
    pub windows: Vec<ExpertLoad>,
    pub weights: Vec<f32>,
    /// Made when all ranks were alive.
    pub present: Option<Placement>,
    pub budget: Budget,
}

/// One line for each part, for messages.
impl fmt::Debug for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = |experts: &[ExpertId]| experts.iter().map(|id| id.0).collect::<Vec<_>>();
        write!(formatter, "{:?}\nranks (slots, speed, node, alive, empty):", self.shape)?;
        for spec in self.topology.rank_ids().map(|rank| self.topology.rank(rank)) {
            let RankSpec { slots, speed, node, alive, empty } = spec;
            write!(formatter, " ({slots}, {speed}, {}, {alive}, {empty})", node.0)?;
        }
        for layer in self.shape.layer_ids() {
            write!(formatter, "\n{layer}:")?;
            for (row, weight) in self.weighted_rows(layer) {
                write!(formatter, "\n  {weight} × {row:?}")?;
            }
            if let Some(present) = &self.present {
                let present = present.layer(layer);
                let (table, shares) = (ids(present.experts()), present.shares());
                write!(formatter, "\n  present {table:?}, shares {shares:?}")?;
            }
        }
        write!(formatter, "\n{:?}", self.budget)
    }
}

impl Case {
    /// Plans all layers.
    pub fn plan(&self, policy: &dyn Policy) -> Result<Vec<LayerPlan>, PolicyError> {
        let layers: Vec<LayerId> = self.shape.layer_ids().collect();
        let request = PlanRequest {
            shape: self.shape,
            topology: &self.topology,
            windows: &self.windows,
            weights: &self.weights,
            present: self.present.as_ref(),
            layers: &layers,
            budget: self.budget,
        };
        plan(policy, &request)
    }

    /// The same request after `plans` have been carried out.
    pub fn after(&self, plans: &[LayerPlan]) -> Self {
        let tables: Vec<_> = plans.iter().map(|plan| plan.placement.experts()).collect();
        let mut present = Placement::new(&tables, self.shape, &self.topology).unwrap();
        for plan in plans {
            present.set_layer(plan.layer, plan.placement.clone());
        }
        Self { present: Some(present), topology: self.topology.filled(), ..self.clone() }
    }

    /// Whether the present placement can route every expert of a layer.
    pub fn is_routable(&self, layer: LayerId) -> bool {
        let Some((present, holding)) =
            self.present.as_ref().zip(self.topology.without_empty().ok())
        else {
            return false;
        };
        let table = present.layer(layer).experts();
        LayerPlacement::new(layer, table, Epoch(0), self.shape, &holding).is_ok()
    }

    /// Whether a live rank holds nothing yet.
    pub fn has_empty(&self) -> bool {
        self.topology.live_ranks().any(|rank| !self.topology.holds_weights(rank))
    }

    /// A layer's counts in each window, with the window's weight.
    pub fn weighted_rows(&self, layer: LayerId) -> impl Iterator<Item = (&[u64], f64)> {
        let weights = self.weights.iter().copied().chain(std::iter::repeat(1.0));
        let rows = self.windows.iter().map(move |window| window.layer(layer));
        rows.zip(weights).map(|(row, weight)| (row, f64::from(weight)))
    }

    /// Whether no window that counts has load for a layer.
    pub fn is_idle(&self, layer: LayerId) -> bool {
        self.weighted_rows(layer).all(|(row, weight)| weight == 0.0 || row.iter().all(|&n| n == 0))
    }
}

/// Every policy, the planning ones in several settings.
pub fn contenders() -> Vec<Arc<dyn Policy>> {
    let mut all: Vec<Arc<dyn Policy>> = NAMES.iter().map(|name| by_name(name).unwrap()).collect();
    all.extend(robusts().into_iter().skip(1).map(|robust| Arc::new(robust) as Arc<dyn Policy>));
    all
}

/// `robust` in several settings, the default first.
pub fn robusts() -> Vec<Robust> {
    let decode = |tokens_per_step, top_k| Objective::ActivatedExperts { tokens_per_step, top_k };
    let dear = MovePrice::of_links(0.001, 0.004, 0.001, 100.0);
    vec![
        Robust::default(),
        Robust { price: MovePrice::FREE, most_sent: 1.0, ..Robust::default() },
        Robust { price: MovePrice::FREE, spread: true, ..Robust::default() },
        Robust { spread: true, most_sent: 0.2, ..Robust::default() },
        Robust { objective: decode(64, 8), ..Robust::default() },
        Robust { objective: decode(3, 1), price: MovePrice::FREE, ..Robust::default() },
        Robust { price: dear, most_sent: 1.0, ..Robust::default() },
        Robust { most_sent: 0.0, ..Robust::default() },
        Robust {
            objective: decode(16, 2),
            price: dear,
            spread: true,
            most_sent: 0.3,
            ..Robust::default()
        },
        Robust { hierarchical: true, least_gain: 0.0, ..Robust::default() },
        Robust { hedged: false, least_gain: 0.0, ..Robust::default() },
        Robust { hedged: false, hierarchical: true, price: MovePrice::FREE, ..Robust::default() },
    ]
}

/// So many cases, the same in every run; the environment's `PROPTEST_CASES` and `PROPTEST_RNG_SEED`
/// ask for others.
pub fn config(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |_| asked.cases);
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0xe91b),
        fixed => fixed,
    };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..asked }
}

/// Requests of any kind.
pub fn cases() -> impl Strategy<Value = Case> {
    let present = |topology: Topology, shape| {
        prop_oneof![
            1 => Just(None),
            2 => presents(topology, shape).prop_map(Some)
        ]
    };
    cases_with(present, budgets())
}

/// Requests with a present placement and no limit.
pub fn cases_with_present() -> impl Strategy<Value = Case> {
    let present = |topology, shape| presents(topology, shape).prop_map(Some);
    cases_with(present, Just(Budget::default()))
}

/// Requests without a present placement.
pub fn cases_from_nothing() -> impl Strategy<Value = Case> {
    cases_with(|_, _| Just(None), Just(Budget::default()))
}

fn cases_with<Present: Strategy<Value = Option<Placement>>>(
    present: impl Fn(Topology, ModelShape) -> Present,
    budget: impl Strategy<Value = Budget>,
) -> impl Strategy<Value = Case> {
    let sizes = (topologies(), select(vec![1u32, 2, 4]), 1..4u32);
    let shapes = sizes.prop_flat_map(|(topology, groups, layers)| {
        let experts = 1..=topology.live_slots() as u32;
        (Just(topology), experts).prop_map(move |(topology, experts)| {
            let groups = if experts.is_multiple_of(groups) { groups } else { 1 };
            (topology, ModelShape::new(layers, experts, groups).unwrap())
        })
    });
    let parts = shapes.prop_flat_map(move |(topology, shape)| {
        let present = present(topology.clone(), shape);
        (Just(topology), Just(shape), windows(shape), present)
    });
    (parts, budget).prop_map(|((topology, shape, (windows, weights), present), budget)| Case {
        shape,
        topology,
        windows,
        weights,
        present,
        budget,
    })
}

/// Ranks that may differ in slots and speed, be dead or just have joined, and stand on up to three nodes, as neighbours or
/// in turn.
pub fn topologies() -> impl Strategy<Value = Topology> {
    let slots = prop_oneof![(1..7u32).prop_map(|slots| slots..=slots), Just(1..=6)];
    let speeds = prop_oneof![Just(vec![1_000u32]), Just(vec![500, 1_000, 1_000, 3_001])];
    let health = select(vec![1.0, 1.0, 0.8]);
    let empty = select(vec![0.0, 0.0, 0.0, 0.2]);
    let ranks = (slots, speeds, health, empty).prop_flat_map(|(slots, speeds, health, empty)| {
        let (alive, empty) = (prop::bool::weighted(health), prop::bool::weighted(empty));
        vec((slots, select(speeds), alive, empty), 1..9)
    });
    let places = (1..4usize, any::<bool>());
    (ranks, places).prop_filter_map("no live rank", |(ranks, (nodes, in_turn))| {
        let count = ranks.len();
        let nodes = nodes.min(count);
        let specs = ranks.into_iter().enumerate().map(|(rank, (slots, speed, alive, empty))| {
            let node = if in_turn { rank % nodes } else { rank * nodes / count };
            RankSpec { speed, alive, empty, ..RankSpec::new(NodeId::from_index(node), slots) }
        });
        Topology::new(specs.collect()).ok()
    })
}

/// Loads as they come: nothing at all, many ties, skewed, bursts, anything, very much.
pub fn rows(experts: usize) -> impl Strategy<Value = Vec<u64>> {
    let skewed = vec(2..13u32, 4).prop_map(|factors| {
        factors.iter().fold(50u64, |tokens, factor| tokens * u64::from(*factor) / 4)
    });
    prop_oneof![
        1 => Just(vec![0; experts]),
        2 => vec(0..4u64, experts),
        4 => vec(skewed, experts),
        3 => vec(prop_oneof![9 => 0..60u64, 1 => 1_000..50_000u64], experts),
        2 => vec(prop_oneof![Just(0), 0..100_000u64, Just(10_000_000)], experts),
        1 => vec(0..(1u64 << 40), experts),
    ]
}

fn windows(shape: ModelShape) -> impl Strategy<Value = (Vec<ExpertLoad>, Vec<f32>)> {
    let count = prop_oneof![3 => 1..4usize, 1 => 4..13usize];
    count.prop_flat_map(move |count| {
        let load = vec(rows(shape.experts()), shape.layers())
            .prop_map(move |rows| ExpertLoad::from_rows(shape, &rows).unwrap());
        let weight = prop_oneof![Just(1.0f32), Just(0.0), 0.001..1.0f32, Just(37.5)];
        let weights = prop_oneof![Just(Vec::new()), vec(weight, count)];
        (vec(load, count), weights)
    })
}

/// The placement to start with, or any other; made while all ranks were alive, at times with shares.
fn presents(topology: Topology, shape: ModelShape) -> impl Strategy<Value = Placement> {
    let whole = all_alive(&topology);
    let (slots, experts) = (topology.slots(), shape.experts());
    let initial = Placement::initial(shape, &whole).unwrap();
    let layer = (
        Just((0..slots).collect::<Vec<_>>()).prop_shuffle(),
        vec(0..experts, slots),
        prop::bool::weighted(0.3),
    );
    let any = vec(layer, shape.layers()).prop_map(move |layers| {
        let mut placement = Placement::initial(shape, &whole).unwrap();
        for (layer, (order, mut table, shares)) in shape.layer_ids().zip(layers) {
            for (expert, &slot) in order[..experts].iter().enumerate() {
                table[slot] = expert;
            }
            let table: Vec<_> = table.into_iter().map(ExpertId::from_index).collect();
            let new = LayerPlacement::new(layer, &table, Epoch(0), shape, &whole).unwrap();
            let new = if shares { with_uneven_shares(&new, &whole) } else { new };
            placement.set_layer(layer, new);
        }
        placement
    });
    prop_oneof![1 => Just(initial), 3 => any]
}

/// Half of an expert's tokens to its first replica, half of the rest to its second one, and so on.
fn with_uneven_shares(layer: &LayerPlacement, topology: &Topology) -> LayerPlacement {
    let mut shares = vec![0; topology.slots()];
    let experts = layer.experts().iter().copied().max().unwrap().0;
    for expert in (0..=experts).map(ExpertId) {
        let (mut rest, mut last) = (SHARE_ONE, SlotId(0));
        for slot in layer.replicas(expert, topology) {
            shares[slot.index()] = rest / 2;
            rest -= rest / 2;
            last = slot;
        }
        shares[last.index()] += rest;
    }
    layer.with_shares(&shares, topology).unwrap()
}

pub fn all_alive(topology: &Topology) -> Topology {
    let spec = |rank| RankSpec { alive: true, empty: false, ..*topology.rank(rank) };
    Topology::new(topology.rank_ids().map(spec).collect()).unwrap()
}

fn budgets() -> impl Strategy<Value = Budget> {
    let limit = || prop_oneof![2 => Just(usize::MAX), 3 => 0..8usize];
    let limited = (limit(), limit(), prop_oneof![Just(usize::MAX), 0..4usize])
        .prop_map(|(layer, rebalance, rank_pair)| Budget { layer, rebalance, rank_pair });
    prop_oneof![Just(Budget::default()), limited]
}
