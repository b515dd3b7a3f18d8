//! Which expert each slot holds: `eplb_placement`.

use eplb::core::{
    ExpertId, LayerId, ModelShape, Placement, RoutingTable, Topology, layer_balancedness,
};
use eplb::initial_placement;

use crate::boundary::export;
use crate::config::ConfigObject;
use crate::failure::Failure;
use crate::generated as c;
use crate::registry::{self, Kind, Object};
use crate::topology::TopologyObject;

/// A placement, with the topology that it was made for.
#[derive(Clone)]
pub(crate) struct PlacementObject {
    pub(crate) placement: Placement,
    pub(crate) topology: Topology,
}

impl Object for PlacementObject {
    type Raw = c::eplb_placement;
    const KIND: Kind = Kind { name: "eplb_placement", number: 3 };
}

/// The shape that a structure describes.
pub(crate) fn shape_of(model: &c::eplb_model) -> Result<ModelShape, Failure> {
    Ok(ModelShape::new(model.layers, model.experts, model.groups.max(1))?)
}

/// The layer, if the model has it.
pub(crate) fn layer_of(shape: ModelShape, layer: u32) -> Result<LayerId, Failure> {
    if (layer as usize) < shape.layers() {
        return Ok(LayerId(layer));
    }
    Err(Failure::argument("layer", layer, &format!("0 to {}", shape.layers() - 1)))
}

impl PlacementObject {
    fn routing(&self, layer: LayerId) -> RoutingTable {
        self.placement.layer(layer).routing(&self.topology)
    }
}

export! {
    fn eplb_placement_create(
        caller,
        config: *const c::eplb_config,
        model: *const c::eplb_model,
        topology: *const c::eplb_topology,
        placement: *mut *mut c::eplb_placement,
    ) {
        let place = caller.place("placement", placement)?;
        let shape = shape_of(&caller.structure("model", model)?)?;
        let topology =
            registry::with::<TopologyObject, _>("topology", topology, |topology| Ok(topology.0.clone()))?;
        registry::with::<ConfigObject, _>("config", config, |config| {
            let placement = initial_placement(&config.config, shape, &topology)?;
            place.set(registry::insert(PlacementObject { placement, topology }));
            Ok(())
        })
    }

    fn eplb_placement_create_of(
        caller,
        model: *const c::eplb_model,
        topology: *const c::eplb_topology,
        experts: *const u32,
        count: usize,
        placement: *mut *mut c::eplb_placement,
    ) {
        let place = caller.place("placement", placement)?;
        let shape = shape_of(&caller.structure("model", model)?)?;
        let experts = caller.slice("experts", experts, count)?;
        let topology =
            registry::with::<TopologyObject, _>("topology", topology, |topology| Ok(topology.0.clone()))?;
        let needed = shape.layers() * topology.slots();
        if count != needed {
            return Err(Failure::length("experts", count, needed));
        }
        let rows = experts.chunks_exact(topology.slots());
        let tables: Vec<Vec<ExpertId>> =
            rows.map(|row| row.iter().copied().map(ExpertId).collect()).collect();
        let placement = Placement::new(&tables, shape, &topology)?;
        place.set(registry::insert(PlacementObject { placement, topology }));
        Ok(())
    }

    fn eplb_placement_layer(
        caller,
        placement: *const c::eplb_placement,
        layer: u32,
        experts: *mut u32,
        count: usize,
        epoch: *mut u64,
    ) {
        let room = caller.room("experts", experts, count)?;
        let epoch = caller.optional_place("epoch", epoch)?;
        registry::with::<PlacementObject, _>("placement", placement, |held| {
            let layer = held.placement.layer(layer_of(held.placement.shape(), layer)?);
            if count != layer.experts().len() {
                return Err(Failure::length("experts", count, layer.experts().len()));
            }
            for (place, expert) in room.iter_mut().zip(layer.experts()) {
                place.write(expert.0);
            }
            epoch.into_iter().for_each(|place| place.set(layer.epoch().0));
            Ok(())
        })
    }

    fn eplb_placement_balancedness(
        caller,
        placement: *const c::eplb_placement,
        layer: u32,
        loads: *const u64,
        count: usize,
        balancedness: *mut f64,
    ) {
        let place = caller.place("balancedness", balancedness)?;
        let loads = caller.slice("loads", loads, count)?;
        registry::with::<PlacementObject, _>("placement", placement, |held| {
            let shape = held.placement.shape();
            let layer = layer_of(shape, layer)?;
            if count != shape.experts() {
                return Err(Failure::length("loads", count, shape.experts()));
            }
            check_tokens("loads", loads)?;
            place.set(layer_balancedness(loads, &held.routing(layer), &held.topology));
            Ok(())
        })
    }

    fn eplb_placement_free(_caller, placement: *mut c::eplb_placement) {
        registry::free::<PlacementObject>("placement", placement)
    }
}

/// Sums of tokens stay within what exact arithmetic is made for.
pub(crate) fn check_tokens(name: &str, tokens: &[u64]) -> Result<(), Failure> {
    let most = eplb::core::ExpertLoad::MOST_TOKENS;
    let sum = tokens.iter().try_fold(0_u64, |sum, &tokens| sum.checked_add(tokens));
    if sum.is_some_and(|sum| sum <= most) {
        return Ok(());
    }
    let found = sum.map_or("more than 64 bits hold".to_owned(), |sum| sum.to_string());
    Err(Failure::argument(&format!("the sum of {name}"), found, &format!("at most {most}")))
}
