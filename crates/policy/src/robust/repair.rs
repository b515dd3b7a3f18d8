//! The plan of one group of ranks that all experts may move between.

use eplb_core::{ExpertId, ModelShape, Topology, Verdict};

use super::full;
use super::layer::Layer;
use super::search::{Search, SearchLimits};
use super::sends::Sends;
use super::tiny::best_of_all;
use super::windows::WindowLoads;
use super::{MovePrice, Robust};
use crate::LayerRequest;

/// How a plan of a group came out.
#[derive(Debug)]
pub(super) struct Repaired {
    pub(super) table: Vec<ExpertId>,
    pub(super) price: f32,
    pub(super) sent: usize,
    pub(super) verdict: Verdict,
    /// Whether something had to change whatever it costs: experts that nobody held, slots that held
    /// nothing, replicas that stood on one node.
    pub(super) is_mended: bool,
}

/// Plans for the ranks and experts of `request`. `standing` is what the slots hold, `None` where they
/// hold nothing; `is_new` says that nobody holds anything and moves are free.
pub(super) fn repair(
    policy: &Robust,
    request: &LayerRequest<'_>,
    standing: &[Option<ExpertId>],
    is_new: bool,
) -> Repaired {
    let topology = request.topology;
    let windows = WindowLoads::new(request, policy.objective);
    let (slots, ranks) = (topology.live_slots(), topology.live_ranks().count());
    let spread = policy.spread && topology.nodes() > 1;
    let least_replicas = least_replicas(spread, request.shape, topology);
    let mut limits = SearchLimits { most_sent: usize::MAX, spread, least_replicas };
    let (table, price) = if is_new {
        (full::plan(&windows, topology, standing, least_replicas, spread), MovePrice::FREE)
    } else {
        limits.most_sent = ((policy.most_sent * slots as f32) as usize).min(request.most_sent);
        let tokens_of_rank = windows.tokens() / ranks as f32;
        let price = policy.price.with_doubt(windows.mass(), tokens_of_rank);
        (full::fill(&windows, topology, standing), price)
    };
    let layer = Layer::new(&windows, topology, table);
    let sends = Sends::new(&layer, standing, price);
    let mut repaired = Search::new(layer, sends, limits).run();
    if is_new && !spread {
        repaired.table = best_of_all(&windows, topology, repaired.table);
    }
    repaired.is_mended |= standing.iter().any(Option::is_none);
    repaired
}

/// The least replicas of an expert: two where replicas are spread over nodes and there are slots.
fn least_replicas(spread: bool, shape: ModelShape, topology: &Topology) -> u32 {
    if spread && topology.live_slots() >= 2 * shape.experts() { 2 } else { 1 }
}
