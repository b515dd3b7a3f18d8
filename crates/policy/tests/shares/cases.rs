//! Layers to divide, and what shares of them come to.

use eplb_core::{
    Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, NodeId, RankId, RankSpec, RoutingTable,
    SHARE_ONE, SlotId, Topology,
};
use proptest::prelude::*;
use proptest::sample::select;

/// A layer: ranks, a placement and a load for it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) topology: Topology,
    pub(crate) placement: LayerPlacement,
    pub(crate) load: Vec<u64>,
}

pub(crate) fn placement(table: &[u32], topology: &Topology) -> LayerPlacement {
    let experts = table.iter().max().unwrap() + 1;
    let shape = ModelShape::new(1, experts, 1).unwrap();
    let table: Vec<ExpertId> = table.iter().copied().map(ExpertId).collect();
    LayerPlacement::new(LayerId(0), &table, Epoch(0), shape, topology).unwrap()
}

/// Loads as they come: nothing at all, many ties, one hot expert, anything.
pub(crate) fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..4u64, 0..100_000u64, 0..100_000u64, Just(10_000_000)]
}

/// Ranks that differ in slots, speed and health, on up to `nodes` nodes.
fn topologies(nodes: u32) -> impl Strategy<Value = Topology> {
    let spec = (1..6u32, select(vec![500u32, 1_000, 1_000, 3_001]), prop::bool::weighted(0.85));
    (prop::collection::vec(spec, 1..11), 1..=nodes).prop_filter_map(
        "no live rank",
        |(specs, nodes)| {
            let count = specs.len() as u32;
            let nodes = nodes.min(count);
            let ranks = specs.into_iter().enumerate().map(|(rank, (slots, speed, alive))| {
                let node = NodeId(rank as u32 * nodes / count);
                RankSpec { speed, alive, ..RankSpec::new(node, slots) }
            });
            Topology::new(ranks.collect()).ok()
        },
    )
}

/// Any experts on any slots, as long as each is on a live one; often twice on a rank.
pub(crate) fn cases(nodes: u32) -> impl Strategy<Value = Case> {
    topologies(nodes)
        .prop_flat_map(|topology| {
            let live: Vec<usize> = (0..topology.slots())
                .filter(|&slot| topology.is_live_slot(SlotId(slot as u32)))
                .collect();
            let slots = topology.slots();
            let experts = 1..=live.len();
            (Just(topology), Just(live).prop_shuffle(), experts, vec(any::<u16>(), slots))
        })
        .prop_flat_map(|(topology, live, experts, picks)| {
            let mut table: Vec<u32> =
                picks.iter().map(|&p| u32::from(p) % experts as u32).collect();
            for (expert, &slot) in live.iter().take(experts).enumerate() {
                table[slot] = expert as u32;
            }
            (Just(topology), Just(table), vec(tokens(), experts))
        })
        .prop_map(|(topology, table, load)| {
            let placement = placement(&table, &topology);
            Case { topology, placement, load }
        })
}

pub(crate) fn vec<Inner: Strategy>(
    inner: Inner,
    count: usize,
) -> impl Strategy<Value = Vec<Inner::Value>> {
    prop::collection::vec(inner, count)
}

impl Case {
    pub(crate) fn ranks(&self) -> Vec<RankId> {
        self.topology.live_ranks().collect()
    }

    pub(crate) fn speed(&self, rank: RankId) -> f64 {
        f64::from(self.topology.rank(rank).speed) / 1_000.0
    }

    /// Time of each rank, dead ones included: tokens, not rounded to whole ones, over speed.
    pub(crate) fn times(&self, load: &[u64], shares: &[u16]) -> Vec<f64> {
        let time = |rank: RankId| {
            let slots = self.topology.slots_of(rank);
            let tokens: f64 = slots.map(|slot| self.tokens(load, shares, slot)).sum();
            tokens / self.speed(rank)
        };
        self.topology.rank_ids().map(time).collect()
    }

    fn tokens(&self, load: &[u64], shares: &[u16], slot: usize) -> f64 {
        load[self.placement.experts()[slot].index()] as f64 * f64::from(shares[slot])
            / f64::from(SHARE_ONE)
    }

    /// The largest rank time.
    pub(crate) fn time(&self, load: &[u64], shares: &[u16]) -> f64 {
        self.times(load, shares).into_iter().fold(0.0, f64::max)
    }

    /// What the rounding of shares can add to a rank's time, over all ranks.
    pub(crate) fn rounding(&self) -> f64 {
        let time = |rank: RankId| {
            let slots = self.placement.experts()[self.topology.slots_of(rank)].iter();
            let tokens: u64 = slots.map(|expert| self.load[expert.index()]).sum();
            tokens as f64 / f64::from(SHARE_ONE) / self.speed(rank)
        };
        self.topology.rank_ids().map(time).fold(0.0, f64::max)
    }

    pub(crate) fn even(&self) -> Vec<u16> {
        by_slot(&RoutingTable::even(&self.placement, &self.topology), self.topology.slots())
    }

    /// Panics unless the shares are a routing, and dead ranks have none.
    pub(crate) fn check(&self, shares: &[u16]) {
        RoutingTable::with_shares(&self.placement, &self.topology, shares).unwrap();
        for (slot, &share) in shares.iter().enumerate() {
            assert!(share == 0 || self.topology.is_live_slot(SlotId(slot as u32)), "slot {slot}");
        }
    }
}

fn by_slot(routing: &RoutingTable, slots: usize) -> Vec<u16> {
    let mut shares = vec![0; slots];
    for (slot, &share) in routing.slots().iter().zip(routing.shares()) {
        shares[slot.index()] = share;
    }
    shares
}
