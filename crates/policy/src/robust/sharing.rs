//! Shares of a planned table, and what they are worth.

use eplb_core::{Epoch, ExpertId, LayerPlacement, RoutingTable, SHARE_ONE};

use super::cost::cost;
use super::slowness::slowness;
use super::windows::WindowLoads;
use crate::{HedgedShares, LayerRequest, PolicyError, Replicas};

/// What the ranks cost with the given routing.
pub(super) fn routed_cost(
    windows: &WindowLoads,
    request: &LayerRequest<'_>,
    routing: &RoutingTable,
) -> f32 {
    let topology = request.topology;
    let width = windows.width();
    let mut loads = vec![0.0f32; topology.ranks() * width];
    let mut share = vec![0.0; width];
    for expert in 0..windows.experts() {
        for replica in routing.replicas(ExpertId::from_index(expert)) {
            if replica.share == 0 {
                continue;
            }
            let part = f32::from(replica.share) / f32::from(SHARE_ONE);
            windows.fill_part(expert, part, &mut share);
            let rank = topology.rank_of(replica.slot).index();
            for (load, share) in loads[rank * width..][..width].iter_mut().zip(&share) {
                *load += share;
            }
        }
    }
    topology.live_ranks().zip(slowness(topology)).fold(0.0, |sum, (rank, slowness)| {
        let loads = &mut loads[rank.index() * width..][..width];
        for load in loads.iter_mut() {
            *load *= slowness;
        }
        sum + cost(loads)
    })
}

/// The placement of `table` with shares that hedge over the windows.
pub(super) fn hedged(
    request: &LayerRequest<'_>,
    table: &[ExpertId],
) -> Result<LayerPlacement, PolicyError> {
    let topology = request.topology;
    let placement = LayerPlacement::new(request.layer, table, Epoch(0), request.shape, topology)?;
    let replicas = Replicas::new(&placement, topology)?;
    if !replicas.has_choice() {
        return Ok(placement);
    }
    let mut shares = vec![0; replicas.slots()];
    HedgedShares::default().solve(request.windows, request.weights, &replicas, &mut shares)?;
    Ok(placement.with_shares(&shares, topology)?)
}
