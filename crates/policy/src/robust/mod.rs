//! `robust`: plans one placement for many windows at once, and moves only what pays.
//!
//! The policy sees an ensemble of load windows and minimises, over all windows and ranks, the sum of
//! (rank load / mean rank load)^8: a smooth stand-in for the maximum that looks at every window. So
//! experts that are hot at the same time part, and experts that are hot at different times share a
//! rank. From a present placement it repairs: it swaps slots between ranks and gives single replicas
//! to other experts, the most useful change per sent expert first, while a change gains more than the
//! price of what it sends. Without one it plans fully, and then repairs at no price.
//!
//! Arithmetic is in `f32`, in a fixed order of operations and without functions of the platform, so
//! plans are the same on every machine and for any number of threads.

mod cost;
mod full;
mod search;

use crate::{LayerRequest, Policy, PolicyError, Proposal};
use cost::Ensemble;
use search::{Search, SearchLimits};

/// Plans against an ensemble of windows, from the present placement, at a price for every move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robust {
    /// What a sent expert must gain: the part of the mean rank load by which it lowers the (smoothed)
    /// largest rank load of its layer.
    pub price: f32,
    /// Experts that one plan may send in a layer, as a part of its slots.
    pub most_sent: f32,
    /// Recent windows that it asks for.
    pub windows: usize,
}

impl Default for Robust {
    fn default() -> Self {
        Self { price: 0.000_03, most_sent: 0.5, windows: 64 }
    }
}

impl Policy for Robust {
    fn name(&self) -> &'static str {
        "robust"
    }

    fn windows_wanted(&self) -> usize {
        self.windows
    }

    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError> {
        // Checks the windows too.
        request.summed_load()?;
        let standing = request.standing_table()?;
        let ensemble = Ensemble::new(request);
        let slots = request.topology.live_slots();
        let table = match request.present {
            Some(_) => {
                let most_sent = ((self.most_sent * slots as f32) as usize).min(request.most_sent);
                let limits = SearchLimits { price: self.price, most_sent };
                Search::new(&ensemble, request.topology, standing, limits).run()
            }
            None => {
                let table = full::plan(&ensemble, request.topology, standing);
                let limits = SearchLimits { price: 0.0, most_sent: 4 * slots };
                Search::new(&ensemble, request.topology, table, limits).run()
            }
        };
        Ok(Proposal::of_table(table))
    }
}
