//! Plans of several layers.

use eplb_core::{
    Epoch, ExpertLoad, LayerId, LayerPlacement, ModelShape, Placement, Topology,
    layer_balancedness, moved_slots,
};
use rayon::prelude::*;

use crate::align::align;
use crate::{LayerRequest, Policy, PolicyError};

/// What the placements of several layers are planned from.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The model.
    pub shape: ModelShape,
    /// The ranks and their slots.
    pub topology: &'a Topology,
    /// Load windows, oldest first, at least one: recent ones, or an ensemble of representative ones.
    pub windows: &'a [ExpertLoad],
    /// The placement that the engine has now. Without one, tables are exactly the policy's.
    pub present: Option<&'a Placement>,
    /// The layers to plan, in the order in which the plans are wanted.
    pub layers: &'a [LayerId],
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
    /// windows, every replica taking an equal share. `None` without a present placement, and when
    /// it leaves an expert without a live replica.
    pub balancedness_before: Option<f64>,
    /// Balancedness of the new placement on the sum of the windows, likewise.
    pub balancedness_after: f64,
    /// Slots whose rank did not hold their expert before: what has to travel. `None` without a
    /// present placement.
    pub moved_slots: Option<usize>,
}

/// Plans the layers of `request` with `policy`, in parallel on the current rayon pool. Plans come in
/// the order of [`PlanRequest::layers`] and are the same for any number of threads.
///
/// With a present placement, experts that stay on a rank keep the slot they have there.
///
/// # Errors
/// A request whose parts belong to different models or topologies, and whatever the policy refuses;
/// when several layers fail, the first one's error.
pub fn plan(policy: &dyn Policy, request: &PlanRequest<'_>) -> Result<Vec<LayerPlan>, PolicyError> {
    check(request)?;
    // Collected in two steps: rayon alone would give whichever error came first in time.
    let plans: Vec<_> =
        request.layers.par_iter().map(|&layer| plan_layer(policy, request, layer)).collect();
    plans.into_iter().collect()
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

fn plan_layer(
    policy: &dyn Policy,
    request: &PlanRequest<'_>,
    layer: LayerId,
) -> Result<LayerPlan, PolicyError> {
    let (shape, topology) = (request.shape, request.topology);
    let windows: Vec<&[u64]> = request.windows.iter().map(|load| load.layer(layer)).collect();
    let present = request.present.map(|placement| placement.layer(layer));
    let layer_request = LayerRequest { layer, shape, topology, windows: &windows, present };
    let load = layer_request.summed_load()?;
    // Checks the present placement, before anything below relies on it.
    layer_request.standing_table()?;

    let table = policy.plan_layer(&layer_request)?;
    let mut placement = LayerPlacement::new(layer, &table, Epoch(0), shape, topology)?;
    if let Some(present) = present {
        let mut table = table;
        align(&mut table, present.experts(), topology);
        placement = LayerPlacement::new(layer, &table, Epoch(0), shape, topology)?;
    }
    let balancedness = |placement: &LayerPlacement| {
        layer_balancedness(&load, &placement.even_routing(topology), topology)
    };
    // A rank that died may have held the only replica of an expert: nothing can be routed then.
    let routable = present.filter(|present| {
        LayerPlacement::new(layer, present.experts(), Epoch(0), shape, topology).is_ok()
    });
    Ok(LayerPlan {
        layer,
        balancedness_before: routable.map(balancedness),
        balancedness_after: balancedness(&placement),
        moved_slots: present.map(|present| moved_slots(present, &placement, topology)),
        placement,
    })
}
