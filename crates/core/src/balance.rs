//! How evenly load lies on ranks, and what a change of placement moves.

use crate::{ExpertLoad, LayerPlacement, NOMINAL_SPEED, Placement, RankId, RoutingTable, Topology};

/// Balancedness of several layers. Balancedness = mean rank load / max rank load: 1 when all ranks
/// finish together, 1/ranks when one does all the work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balancedness {
    /// The mean over the layers.
    pub mean: f64,
    /// The worst layer's.
    pub worst: f64,
}

/// The tokens that each rank gets in one layer, dead ranks included (they get none).
pub fn rank_loads(load: &[u64], routing: &RoutingTable, topology: &Topology) -> Vec<u64> {
    let slots = routing.slot_loads(load, topology);
    topology.rank_ids().map(|rank| slots[topology.slots_of(rank)].iter().sum()).collect()
}

/// Balancedness of one layer under `load`, the tokens of each logical expert.
///
/// Where ranks differ in speed, it is the time of a perfect split over the time of the slowest rank,
/// which is the same thing for ranks of equal speed. A layer without load is balanced.
pub fn layer_balancedness(load: &[u64], routing: &RoutingTable, topology: &Topology) -> f64 {
    let loads = rank_loads(load, routing, topology);
    let time = |rank: RankId| {
        let speed = f64::from(topology.rank(rank).speed) / f64::from(NOMINAL_SPEED);
        loads[rank.index()] as f64 / speed
    };
    let slowest = topology.live_ranks().map(time).fold(0.0, f64::max);
    if slowest == 0.0 {
        return 1.0;
    }
    let total: u64 = loads.iter().sum();
    let speeds: u64 = topology.live_ranks().map(|rank| u64::from(topology.rank(rank).speed)).sum();
    total as f64 / (speeds as f64 / f64::from(NOMINAL_SPEED)) / slowest
}

/// Balancedness of a whole placement under `load`, every replica taking an equal share.
pub fn mean_balancedness(
    load: &ExpertLoad,
    placement: &Placement,
    topology: &Topology,
) -> Balancedness {
    let mut sum = 0.0;
    let mut worst = 1.0f64;
    for (row, layer) in load.rows().zip(placement.layers()) {
        let balancedness = layer_balancedness(row, &layer.even_routing(topology), topology);
        sum += balancedness;
        worst = worst.min(balancedness);
    }
    Balancedness { mean: sum / placement.shape().layers() as f64, worst }
}

/// The slots on live ranks whose rank did not hold their expert before: what has to travel between
/// ranks to get from one placement to the other.
pub fn moved_slots(from: &LayerPlacement, to: &LayerPlacement, topology: &Topology) -> usize {
    to.live_slots(topology)
        .filter(|&slot| {
            let rank = topology.rank_of(slot);
            let held = &from.experts()[topology.slots_of(rank)];
            !topology.holds_weights(rank) || !held.contains(&to.expert_at(slot))
        })
        .count()
}
