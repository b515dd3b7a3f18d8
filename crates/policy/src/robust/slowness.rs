//! How much longer ranks take than the fastest.

use eplb_core::{NOMINAL_SPEED, RankId, Topology};

/// A rank that takes so many times as long gets nothing that can go elsewhere; beyond it, eighth powers
/// would only come nearer to the end of `f32`.
const MOST_SLOWNESS: f32 = 32.0;

/// What a rank load is multiplied with at most, over all ranks: the eighth power of a layer's whole load
/// on one rank stays below the end of `f32`, for more windows than there can be.
const MOST_LOAD: f32 = 32_768.0;

/// For each live rank, in their order, the time that a token takes there, in units of its time on the
/// fastest of them.
pub(super) fn slowness(topology: &Topology) -> Vec<f32> {
    let ranks: Vec<RankId> = topology.live_ranks().collect();
    let speed = |rank: RankId| topology.rank(rank).speed;
    let fastest = ranks.iter().map(|&rank| speed(rank)).max().unwrap_or(NOMINAL_SPEED);
    let most = (MOST_LOAD / ranks.len().max(1) as f32).clamp(1.0, MOST_SLOWNESS);
    ranks.into_iter().map(|rank| (fastest as f32 / speed(rank) as f32).min(most)).collect()
}
