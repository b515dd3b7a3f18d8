//! `robust`: plans one placement for many windows at once, and moves only what pays.
//!
//! The policy sees an ensemble of load windows and minimises, over all windows and ranks, the sum of
//! (rank load / mean rank load)^8: a smooth stand-in for the maximum that looks at every window. So
//! experts that are hot at the same time part, and experts that are hot at different times share a
//! rank. From a present placement it repairs: it swaps slots between ranks and gives single replicas
//! to other experts, the change that gains most after the price of what it sends first. Without one it
//! plans fully, and then repairs at no price.
//!
//! Arithmetic is in `f32`, in a fixed order of operations and without functions of the platform, so
//! plans are the same on every machine and for any number of threads.

mod bit_table;
mod cost;
mod focus;
mod full;
mod layer;
mod objective;
mod price;
mod search;
mod sends;
mod windows;

use eplb_core::{Account, Estimator};

pub use objective::Objective;
pub use price::MovePrice;

use crate::{LayerRequest, Policy, PolicyError, Proposal};
use layer::Layer;
use search::{Search, SearchLimits};
use sends::Sends;
use windows::WindowLoads;

/// Plans against an ensemble of windows, from the present placement, at a price for every move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robust {
    /// What ranks are balanced by.
    pub objective: Objective,
    /// What a sent expert must gain.
    pub price: MovePrice,
    /// Experts that one plan may send in a layer, as a part of its slots.
    pub most_sent: f32,
    /// Whether replicas of an expert are spread over failure domains: every expert that has several
    /// stands on two nodes at least, and every expert has several where there are slots for it.
    pub spread: bool,
}

impl Default for Robust {
    fn default() -> Self {
        let (objective, price) = (Objective::default(), MovePrice::default());
        Self { objective, price, most_sent: 0.5, spread: false }
    }
}

impl Policy for Robust {
    fn name(&self) -> &'static str {
        "robust"
    }

    fn estimator(&self) -> Estimator {
        Estimator::Ensemble
    }

    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError> {
        // Checks the windows too.
        request.summed_load()?;
        let standing = request.standing_table()?;
        let topology = request.topology;
        let windows = WindowLoads::new(request, self.objective);
        let (slots, ranks) = (topology.live_slots(), topology.live_ranks().count());
        let spread = self.spread && topology.nodes() > 1;
        let experts = request.shape.experts();
        let least_replicas = if spread && slots >= 2 * experts { 2 } else { 1 };
        let mut limits = SearchLimits { most_sent: usize::MAX, spread, least_replicas };

        let (table, price) = match request.present {
            Some(_) => {
                limits.most_sent =
                    ((self.most_sent * slots as f32) as usize).min(request.most_sent);
                (standing.clone(), self.price.with_doubt(windows.tokens() / ranks as f32))
            }
            None => {
                let table =
                    full::plan(&windows, topology, standing.clone(), least_replicas, spread);
                (table, MovePrice::FREE)
            }
        };
        let layer = Layer::new(&windows, topology, table);
        let before = layer.total_cost();
        let sends = Sends::new(&layer, &standing, price);
        let found = Search::new(layer, sends, limits).run();
        let smoothed = |cost| f64::from(windows.smoothed(cost, ranks));
        let account = Account {
            gain: if windows.is_idle() { 0.0 } else { smoothed(before) - smoothed(found.cost) },
            price: f64::from(found.price),
            bound: if windows.is_idle() {
                0.0
            } else {
                let most = (slots + 1 - experts).min(ranks) as u32;
                smoothed(before) - smoothed(windows.least_cost(ranks, most).min(before))
            },
            verdict: found.verdict,
        };
        let account = request.present.map(|_| account);
        Ok(Proposal { account, ..Proposal::of_table(found.table) })
    }
}
