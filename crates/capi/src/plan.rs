//! A policy alone: `eplb_plan`.

use eplb::core::{Account, ExpertLoad, LayerId, ModelShape, Placement, RoutingTable, Topology};
use eplb::policy::{LayerPlan, PlanRequest, plan};

use crate::boundary::export;
use crate::caller::Caller;
use crate::config::ConfigObject;
use crate::failure::Failure;
use crate::generated as c;
use crate::placement::{PlacementObject, layer_of, shape_of};
use crate::registry::{self, Kind, Object};
use crate::routing;
use crate::status::Status;
use crate::topology::TopologyObject;

/// What a policy proposes, and what it was asked about.
pub(crate) struct PlanObject {
    shape: ModelShape,
    topology: Topology,
    present: Option<Placement>,
    layers: Vec<(LayerPlan, RoutingTable)>,
}

impl Object for PlanObject {
    type Raw = c::eplb_plan;
    const KIND: Kind = Kind { name: "eplb_plan", number: 4 };
}

impl PlanObject {
    fn layer(&self, index: usize) -> Result<&(LayerPlan, RoutingTable), Failure> {
        self.layers.get(index).ok_or_else(|| {
            let allowed = format!("below {}", self.layers.len());
            Failure::argument("index", index, &allowed)
        })
    }

    /// The placement with the plan in use.
    fn placement(&self) -> Result<Placement, Failure> {
        let start = match &self.present {
            Some(present) => present.clone(),
            None => {
                let planned =
                    |layer: LayerId| self.layers.iter().any(|(plan, _)| plan.layer == layer);
                if let Some(layer) = self.shape.layer_ids().find(|&layer| !planned(layer)) {
                    let text = format!("{layer} is not planned, and there is no present placement");
                    return Err(Failure::new(Status::Placement, text));
                }
                // Every layer of it is replaced.
                Placement::initial(self.shape, &self.topology)?
            }
        };
        let mut placement = start;
        for (plan, _) in &self.layers {
            placement.set_layer(plan.layer, plan.placement.clone());
        }
        Ok(placement)
    }
}

/// The load windows of a request.
fn windows(
    caller: &Caller,
    request: &c::eplb_plan_request,
    shape: ModelShape,
) -> Result<Vec<ExpertLoad>, Failure> {
    if request.windows == 0 {
        return Err(Failure::argument("windows", 0, "1 or more"));
    }
    let (layers, experts) = (shape.layers(), shape.experts());
    let count = request.windows.saturating_mul(layers * experts);
    let loads = caller.slice("loads", request.loads, count)?;
    let window = |rows: &[u64]| {
        let rows: Vec<&[u64]> = rows.chunks_exact(experts).collect();
        ExpertLoad::from_rows(shape, &rows)
            .map_err(|error| Failure::argument("loads", error, "what one load window may hold"))
    };
    loads.chunks_exact(layers * experts).map(window).collect()
}

/// Plans what a request asks for.
fn planned(caller: &Caller, request: &c::eplb_plan_request) -> Result<PlanObject, Failure> {
    let shape = shape_of(&caller.structure("request.model", request.model)?)?;
    let windows = windows(caller, request, shape)?;
    let weights = if request.weights.is_null() {
        &[]
    } else {
        caller.slice("weights", request.weights, request.windows)?
    };
    let layers: Vec<LayerId> = if request.layers.is_null() {
        shape.layer_ids().collect()
    } else {
        let layers = caller.slice("layers", request.layers, request.layer_count)?;
        layers.iter().map(|&layer| layer_of(shape, layer)).collect::<Result<_, _>>()?
    };
    let topology =
        registry::with::<TopologyObject, _>("request.topology", request.topology, |held| {
            Ok(held.0.clone())
        })?;
    let present = if request.present.is_null() {
        None
    } else {
        let present = |held: &PlacementObject| Ok(held.placement.clone());
        Some(registry::with::<PlacementObject, _>("request.present", request.present, present)?)
    };
    let (policy, budget) =
        registry::with::<ConfigObject, _>("request.config", request.config, |held| {
            held.config.check()?;
            Ok((held.config.policy()?, held.config.policy.budget()))
        })?;
    let plans = plan(
        &*policy,
        &PlanRequest {
            shape,
            topology: &topology,
            windows: &windows,
            weights,
            present: present.as_ref(),
            layers: &layers,
            budget,
        },
    )?;
    let with_routing = |plan: LayerPlan| {
        let routing = plan.placement.routing(&topology);
        (plan, routing)
    };
    let layers = plans.into_iter().map(with_routing).collect();
    Ok(PlanObject { shape, topology, present, layers })
}

export! {
    fn eplb_plan_create(
        caller,
        request: *const c::eplb_plan_request,
        plan: *mut *mut c::eplb_plan,
    ) {
        let place = caller.place("plan", plan)?;
        let request = caller.structure("request", request)?;
        place.set(registry::insert(planned(caller, &request)?));
        Ok(())
    }

    fn eplb_plan_layers(caller, plan: *const c::eplb_plan, count: *mut usize) {
        let place = caller.place("count", count)?;
        registry::with::<PlanObject, _>("plan", plan, |plan| {
            place.set(plan.layers.len());
            Ok(())
        })
    }

    fn eplb_plan_layer(
        caller,
        plan: *const c::eplb_plan,
        index: usize,
        layer: *mut c::eplb_layer_plan,
    ) {
        let form = caller.form("layer", layer)?;
        registry::with::<PlanObject, _>("plan", plan, |plan| {
            let (plan, _) = plan.layer(index)?;
            let number = |of: fn(&Account) -> f64| plan.account.as_ref().map_or(f64::NAN, of);
            form.fill(c::eplb_layer_plan {
                struct_size: 0,
                layer: plan.layer.0,
                is_weighed: u32::from(plan.account.is_some()),
                balancedness_before: plan.balancedness_before.unwrap_or(f64::NAN),
                balancedness_after: plan.balancedness_after,
                moved_slots: plan.moved_slots.unwrap_or(0) as u64,
                gain: number(|account| account.gain),
                price: number(|account| account.price),
                bound: number(|account| account.bound),
            });
            Ok(())
        })
    }

    fn eplb_plan_placement(
        caller,
        plan: *const c::eplb_plan,
        placement: *mut *mut c::eplb_placement,
    ) {
        let place = caller.place("placement", placement)?;
        registry::with::<PlanObject, _>("plan", plan, |plan| {
            let (placement, topology) = (plan.placement()?, plan.topology.clone());
            place.set(registry::insert(PlacementObject { placement, topology }));
            Ok(())
        })
    }

    fn eplb_plan_routing(
        caller,
        plan: *const c::eplb_plan,
        index: usize,
        routing: *mut c::eplb_routing,
    ) {
        let form = caller.form("routing", routing)?;
        registry::with::<PlanObject, _>("plan", plan, |plan| {
            form.fill(routing::view(&plan.layer(index)?.1));
            Ok(())
        })
    }

    fn eplb_plan_free(_caller, plan: *mut c::eplb_plan) {
        registry::free::<PlanObject>("plan", plan)
    }
}
