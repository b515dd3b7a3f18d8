//! `robust`: plans one placement for many windows at once, and moves only what pays.
//!
//! The policy sees an ensemble of load windows and minimises, over all windows and ranks, the sum of
//! (rank load / mean rank load)^8: a smooth stand-in for the maximum that looks at every window. So
//! experts that are hot at the same time part, and experts that are hot at different times share a
//! rank. From a present placement it repairs: it swaps slots between ranks and gives single replicas
//! to other experts, the change that gains most after the price of what it sends first. Without one it
//! plans fully, and then repairs at no price. Last, the shares of replicas are hedged over the windows.
//!
//! Placements are computed in `f32`, in a fixed order of operations and without functions of the
//! platform, so plans are the same on every machine and for any number of threads.

mod bit_table;
mod choice;
mod cost;
mod focus;
mod full;
mod hierarchy;
mod layer;
mod objective;
mod price;
mod repair;
mod search;
mod sends;
mod sharing;
mod slowness;
mod tiny;
mod windows;

use eplb_core::{Account, Estimator, ExpertId, Verdict};

pub use objective::Objective;
pub use price::MovePrice;

use crate::{LayerRequest, Policy, PolicyError, Proposal};
use choice::choose;
use hierarchy::{NodePart, divide};
use repair::{Repaired, repair};
use windows::WindowLoads;

/// Plans against an ensemble of windows, from the present placement, at a price for every move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robust {
    /// What ranks are balanced by.
    pub objective: Objective,
    /// What a sent expert must gain.
    pub price: MovePrice,
    /// What a plan of a layer must gain after its price; one that gains less leaves the layer alone.
    pub least_gain: f32,
    /// Experts that one plan may send in a layer, as a part of its slots.
    pub most_sent: f32,
    /// Whether replicas of an expert are spread over failure domains: every expert that has several
    /// stands on two nodes at least, and every expert has several where there are slots for it.
    pub spread: bool,
    /// Whether all replicas of an expert group stay on one node, as group-limited routing wants them.
    /// Where groups cannot be divided over nodes, all ranks count as one node. Overrules `spread`.
    pub hierarchical: bool,
    /// Whether shares of replicas are hedged over the windows, or even.
    pub hedged: bool,
}

impl Default for Robust {
    fn default() -> Self {
        Self {
            objective: Objective::default(),
            price: MovePrice::default(),
            least_gain: 6e-5,
            most_sent: 0.5,
            spread: false,
            hierarchical: false,
            hedged: true,
        }
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
        let standing = held(request)?;
        let is_new = request.present.is_none();
        let parts = if self.hierarchical { divide(request, &standing) } else { None };
        let repaired = match parts {
            Some(parts) => self.repair_parts(request, &standing, &parts),
            None => repair(self, request, &standing, is_new),
        };
        let windows = WindowLoads::new(request, self.objective);
        if windows.is_idle() {
            return Ok(idle(request, repaired.table));
        }
        choose(self, request, &windows, repaired)
    }
}

impl Robust {
    /// Plans node by node; what one node sends is off the budget of the next.
    fn repair_parts(
        &self,
        request: &LayerRequest<'_>,
        standing: &[Option<ExpertId>],
        parts: &[NodePart],
    ) -> Repaired {
        let table = standing.iter().map(|expert| expert.unwrap_or_default()).collect();
        let verdict = Verdict::Settled;
        let mut all = Repaired { table, price: 0.0, sent: 0, verdict, is_mended: false };
        for part in parts {
            let number = |expert: ExpertId| part.experts.binary_search(&expert.index()).ok();
            let standing: Vec<_> = part
                .slots
                .iter()
                .map(|&slot| standing[slot].and_then(number).map(ExpertId::from_index))
                .collect();
            let windows: Vec<&[u64]> = part.windows.iter().map(Vec::as_slice).collect();
            let part_request = LayerRequest {
                shape: part.shape,
                topology: &part.topology,
                windows: &windows,
                most_sent: request.most_sent.saturating_sub(all.sent),
                ..*request
            };
            let repaired = repair(self, &part_request, &standing, request.present.is_none());
            for (&slot, expert) in part.slots.iter().zip(repaired.table) {
                all.table[slot] = ExpertId::from_index(part.experts[expert.index()]);
            }
            all.price += repaired.price;
            all.sent += repaired.sent;
            all.is_mended |= repaired.is_mended;
            // A node without load says nothing of the layer.
            if all.verdict == Verdict::Settled && repaired.verdict != Verdict::Idle {
                all.verdict = repaired.verdict;
            }
        }
        all
    }
}

/// What the slots hold: nothing on ranks that have just joined.
fn held(request: &LayerRequest<'_>) -> Result<Vec<Option<ExpertId>>, PolicyError> {
    let topology = request.topology;
    let mut standing: Vec<_> = request.standing_table()?.into_iter().map(Some).collect();
    if request.present.is_some() {
        for rank in topology.live_ranks().filter(|&rank| !topology.holds_weights(rank)) {
            standing[topology.slots_of(rank)].fill(None);
        }
    }
    Ok(standing)
}

/// Without load, tables are only made whole.
fn idle(request: &LayerRequest<'_>, table: Vec<ExpertId>) -> Proposal {
    let kept = request.present.filter(|present| present.experts() == table);
    let kept = kept.map(|present| present.for_topology(request.topology));
    let shares = kept.as_ref().and_then(|kept| kept.shares()).map(<[u16]>::to_vec);
    let account = Account { gain: 0.0, price: 0.0, bound: 0.0, verdict: Verdict::Idle };
    Proposal { table, shares, account: request.present.map(|_| account) }
}
