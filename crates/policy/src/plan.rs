//! Plans of several layers.

use eplb_core::{
    Account, Epoch, ExpertLoad, LayerId, LayerPlacement, ModelShape, Placement, Topology,
    TransferPlan, Verdict, layer_balancedness, moved_slots,
};
use rayon::prelude::*;

use crate::align::align;
use crate::budget::Ledger;
use crate::{Budget, LayerRequest, Policy, PolicyError, Proposal};

/// What the placements of several layers are planned from.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The model.
    pub shape: ModelShape,
    /// The ranks and their slots.
    pub topology: &'a Topology,
    /// Load windows, oldest first, at least one: recent ones, or an ensemble of representative ones.
    pub windows: &'a [ExpertLoad],
    /// How much each window counts, see [`LayerRequest::weights`].
    pub weights: &'a [f32],
    /// The placement that the engine has now. Without one, tables are exactly the policy's.
    pub present: Option<&'a Placement>,
    /// The layers to plan, in the order in which the plans are wanted.
    pub layers: &'a [LayerId],
    /// The most that the plans may send. Without a present placement nothing is sent.
    pub budget: Budget,
}

/// The plan of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerPlan {
    /// The layer.
    pub layer: LayerId,
    /// The new placement, in epoch 0: whoever commits it gives it an epoch
    /// ([`LayerPlacement::with_epoch`]).
    pub placement: LayerPlacement,
    /// Balancedness (mean rank load / max rank load) of the present placement on the sum of the
    /// windows, under its own shares. `None` without a present placement, and when it leaves an
    /// expert without a live replica.
    pub balancedness_before: Option<f64>,
    /// Balancedness of the new placement on the sum of the windows, likewise.
    pub balancedness_after: f64,
    /// Slots whose rank did not hold their expert before: what has to travel. `None` without a
    /// present placement.
    pub moved_slots: Option<usize>,
    /// What the policy expects of the change and why it moves no more, from policies that weigh it. A
    /// plan that a budget has no room for is the present placement, with [`Verdict::Budget`].
    pub account: Option<Account>,
}

impl LayerPlan {
    /// What the change is worth: the expected gain less its price where the policy weighs them
    /// ([`Account`]), else what balancedness gains.
    pub fn worth(&self) -> f64 {
        match self.account {
            Some(account) => account.gain - account.price,
            None => self.balancedness_after - self.balancedness_before.unwrap_or(0.0),
        }
    }
}

/// Plans the layers of `request` with `policy`, in parallel on the current rayon pool. Plans come in
/// the order of [`PlanRequest::layers`] and are the same for any number of threads.
///
/// With a present placement, experts that stay on a rank keep the slot they have there. Where the
/// budget has no room for all plans, those worth most come first, and a layer whose plan has no room
/// left keeps its present placement. An expert that only dead ranks hold is placed at any price, and
/// so are the experts of ranks that have just joined ([`eplb_core::RankSpec::empty`]).
///
/// # Errors
/// A request whose parts belong to different models or topologies, and whatever the policy refuses;
/// when several layers fail, the first one's error.
pub fn plan(policy: &dyn Policy, request: &PlanRequest<'_>) -> Result<Vec<LayerPlan>, PolicyError> {
    check(request)?;
    let holding = request.topology.without_empty().ok();
    // Collected in two steps: rayon alone would give whichever error came first in time.
    let plans: Vec<_> = request
        .layers
        .par_iter()
        .map(|&layer| plan_layer(policy, request, holding.as_ref(), layer))
        .collect();
    let mut plans = plans.into_iter().collect::<Result<Vec<_>, _>>()?;
    if request.budget != Budget::default() {
        keep_to_budget(&mut plans, request);
    }
    Ok(plans)
}

fn check(request: &PlanRequest<'_>) -> Result<(), PolicyError> {
    let (layers, experts) = (request.shape.layers(), request.shape.experts());
    if request.windows.is_empty() {
        return Err(PolicyError::NoWindows);
    }
    for (window, load) in request.windows.iter().enumerate() {
        let (found_layers, found_experts) = (load.shape().layers(), load.shape().experts());
        if (found_layers, found_experts) != (layers, experts) {
            return Err(PolicyError::WindowShape {
                window,
                found_layers,
                found_experts,
                layers,
                experts,
            });
        }
    }
    check_weights(request)?;
    if let Some(present) = request.present {
        let (found_layers, found_experts) = (present.shape().layers(), present.shape().experts());
        if (found_layers, found_experts) != (layers, experts) {
            return Err(PolicyError::PresentShape { found_layers, found_experts, layers, experts });
        }
    }
    match request.layers.iter().find(|layer| layer.index() >= layers) {
        Some(&layer) => Err(PolicyError::UnknownLayer { layer, layers }),
        None => Ok(()),
    }
}

fn check_weights(request: &PlanRequest<'_>) -> Result<(), PolicyError> {
    let (found, windows) = (request.weights.len(), request.windows.len());
    if found > 0 && found != windows {
        return Err(PolicyError::WindowWeights { found, windows });
    }
    match request.weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        Some(window) => {
            let weight = request.weights[window].to_string();
            Err(PolicyError::WindowWeight { window, weight })
        }
        None => Ok(()),
    }
}

fn plan_layer(
    policy: &dyn Policy,
    request: &PlanRequest<'_>,
    holding: Option<&Topology>,
    layer: LayerId,
) -> Result<LayerPlan, PolicyError> {
    let (shape, topology, weights) = (request.shape, request.topology, request.weights);
    let windows: Vec<&[u64]> = request.windows.iter().map(|load| load.layer(layer)).collect();
    let present = request.present.map(|placement| placement.layer(layer));
    let most_sent = request.budget.layer.min(request.budget.rebalance);
    let layer_request =
        LayerRequest { layer, shape, topology, windows: &windows, weights, present, most_sent };
    // Checks the windows and the present placement, before anything below relies on them.
    let load = layer_request.summed_load()?;
    layer_request.standing_table()?;

    let mut proposal = policy.plan_layer(&layer_request)?;
    // Checked before it is aligned: a table of another length has nothing to align.
    let mut placement = placement_of(&proposal, layer, request)?;
    if let Some(present) = present {
        align(&mut proposal, present.experts(), topology);
        placement = placement_of(&proposal, layer, request)?;
    }
    let balancedness = |placement: &LayerPlacement, topology: &Topology| {
        layer_balancedness(&load, &placement.routing(topology), topology)
    };
    // A rank that died may have held the only replica of an expert: nothing can be routed then.
    let is_routable = |(present, holding): &(&LayerPlacement, &Topology)| {
        LayerPlacement::new(layer, present.experts(), Epoch(0), shape, holding).is_ok()
    };
    let routable = present.zip(holding).filter(is_routable);
    Ok(LayerPlan {
        layer,
        balancedness_before: routable.map(|(present, holding)| balancedness(present, holding)),
        balancedness_after: balancedness(&placement, topology),
        moved_slots: present.map(|present| moved_slots(present, &placement, topology)),
        placement,
        account: proposal.account,
    })
}

fn placement_of(
    proposal: &Proposal,
    layer: LayerId,
    request: &PlanRequest<'_>,
) -> Result<LayerPlacement, PolicyError> {
    let (shape, topology) = (request.shape, request.topology);
    let placement = LayerPlacement::new(layer, &proposal.table, Epoch(0), shape, topology)?;
    match &proposal.shares {
        None => Ok(placement),
        Some(shares) => Ok(placement.with_shares(shares, topology)?),
    }
}

/// Takes plans in by what they are worth, as far as the budget goes, and leaves the other layers as
/// they are.
fn keep_to_budget(plans: &mut [LayerPlan], request: &PlanRequest<'_>) {
    let Some(present) = request.present else { return };
    let topology = request.topology;
    let mut ledger = Ledger::new(request.budget);
    let mut order: Vec<usize> = (0..plans.len()).collect();
    // Layers that nothing can be routed through, or that leave ranks empty, are planned whatever it
    // costs.
    let has_empty = topology.live_ranks().any(|rank| !topology.holds_weights(rank));
    let is_urgent = |plan: &LayerPlan| has_empty || plan.balancedness_before.is_none();
    order.sort_by(|&left, &right| {
        let (left, right) = (&plans[left], &plans[right]);
        is_urgent(right)
            .cmp(&is_urgent(left))
            .then(right.worth().total_cmp(&left.worth()))
            .then(left.layer.cmp(&right.layer))
    });
    for index in order {
        let plan = &mut plans[index];
        let standing = present.layer(plan.layer);
        let transfers = TransferPlan::new(standing, &plan.placement, topology);
        if ledger.admit(&transfers, topology) || is_urgent(plan) {
            continue;
        }
        plan.placement = standing.for_topology(topology).with_epoch(Epoch(0));
        plan.balancedness_after = plan.balancedness_before.unwrap_or(plan.balancedness_after);
        plan.moved_slots = Some(0);
        let bound = plan.account.map_or(0.0, |account| account.bound);
        plan.account = Some(Account { gain: 0.0, price: 0.0, bound, verdict: Verdict::Budget });
    }
}
