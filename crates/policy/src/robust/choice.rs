//! The choice between a repaired table, new shares for the present one, and leaving a layer alone.

use eplb_core::{Account, Epoch, ExpertId, LayerPlacement, Verdict};

use super::Robust;
use super::objective::Objective;
use super::repair::Repaired;
use super::sharing::{hedged, routed_cost};
use super::windows::WindowLoads;
use crate::{LayerRequest, PolicyError, Proposal};

/// New shares alone must lower the largest rank load by this part of the mean: they cost no copy, but
/// a change all the same.
const LEAST_SHARE_GAIN: f32 = 2e-5;

/// Chooses what gains most, and accounts for it.
pub(super) fn choose(
    policy: &Robust,
    request: &LayerRequest<'_>,
    windows: &WindowLoads,
    repaired: Repaired,
) -> Result<Proposal, PolicyError> {
    let ranks = request.topology.live_ranks().count();
    let expected = |placement: &LayerPlacement| {
        let routing = placement.routing(request.topology);
        windows.smoothed(routed_cost(windows, request, &routing), ranks)
    };
    let Repaired { table, price, verdict, is_mended, .. } = repaired;
    let Some(present) = routable(request) else {
        let placement = shared(policy, request, &table)?;
        let peak = expected(&placement);
        let account = account(request, windows, (peak, peak), price, verdict);
        let account = request.present.map(|_| account);
        return Ok(proposal(&placement, account));
    };
    let present = &present;
    let before = expected(present);
    let reshared = shared(policy, request, present.experts())?;
    let peak_reshared = expected(&reshared);
    if table != present.experts() {
        let moved = shared(policy, request, &table)?;
        let peak = expected(&moved);
        if is_mended || peak_reshared.min(before) - peak - price >= policy.least_gain {
            let account = account(request, windows, (before, peak), price, verdict);
            return Ok(proposal(&moved, Some(account)));
        }
    }
    // A plan that ended for a budget might have been worth it with a larger one.
    let is_final = table == present.experts() || verdict == Verdict::Budget;
    let verdict = if is_final { verdict } else { Verdict::NotWorthIt };
    let (placement, peak) = if before - peak_reshared >= LEAST_SHARE_GAIN {
        (&reshared, peak_reshared)
    } else {
        (present, before)
    };
    let account = account(request, windows, (before, peak), 0.0, verdict);
    Ok(proposal(placement, Some(account)))
}

/// The present placement, if there is one and every expert is to be had on it.
fn routable(request: &LayerRequest<'_>) -> Option<LayerPlacement> {
    let present = request.present?;
    let holding = request.topology.without_empty().ok()?;
    let table = present.experts();
    LayerPlacement::new(request.layer, table, Epoch(0), request.shape, &holding).ok()?;
    Some(present.for_topology(request.topology))
}

fn shared(
    policy: &Robust,
    request: &LayerRequest<'_>,
    table: &[ExpertId],
) -> Result<LayerPlacement, PolicyError> {
    if policy.hedged && policy.objective == Objective::Tokens {
        return hedged(request, table);
    }
    let (layer, shape, topology) = (request.layer, request.shape, request.topology);
    Ok(LayerPlacement::new(layer, table, Epoch(0), shape, topology)?)
}

fn account(
    request: &LayerRequest<'_>,
    windows: &WindowLoads,
    (before, after): (f32, f32),
    price: f32,
    verdict: Verdict,
) -> Account {
    let slots = request.topology.live_slots();
    let ranks = request.topology.live_ranks().count();
    let most_replicas = (slots + 1 - request.shape.experts()).min(ranks) as u32;
    // As if every rank were as fast as the fastest, whose time is the unit.
    let least = windows.smoothed(windows.least_cost(ranks, most_replicas), ranks);
    Account {
        gain: f64::from(before - after),
        price: f64::from(price),
        bound: f64::from((before - least).max(before - after)),
        verdict,
    }
}

fn proposal(placement: &LayerPlacement, account: Option<Account>) -> Proposal {
    let shares = placement.shares().map(<[u16]>::to_vec);
    Proposal { table: placement.experts().to_vec(), shares, account }
}
