//! The expert map of vllm-ascend (`expert_map_path`, `expert_map_record_path`).
//!
//! A JSON object with `moe_layer_count` and `layer_list`; each layer has `layer_id`, `device_count`
//! and `device_list`, each device `device_id` and `device_expert`, the logical expert of each of its
//! slots. All devices hold equally many slots. Devices are ranks here.

use serde::Serialize;
use serde_json::Value;

use super::FormatError;
use super::json::{self, Node};
use crate::{ExpertId, LayerPlacement, ModelShape, Placement, RankId, Topology};

/// The placement that an expert map stands for. Layers and devices may come in any order.
///
/// # Errors
/// Text that is no expert map of this model on these ranks; the message names the field.
pub fn parse(text: &str, shape: ModelShape, topology: &Topology) -> Result<Placement, FormatError> {
    read(Node::root(&json::parse(text)?), shape, topology)
}

/// The expert map of a placement.
///
/// # Errors
/// [`FormatError::UnevenSlots`]: the form has equally many slots on every rank.
pub fn write(placement: &Placement, topology: &Topology) -> Result<String, FormatError> {
    check_even(topology)?;
    let layers = placement.shape().layer_ids().zip(placement.layers());
    let map = ExpertMap {
        moe_layer_count: placement.shape().layers(),
        layer_list: layers.map(|(layer, table)| Layer::new(layer.0, table, topology)).collect(),
    };
    serde_json::to_string_pretty(&map)
        .map_err(|error| FormatError::Json { message: error.to_string() })
}

#[derive(Serialize)]
struct ExpertMap {
    moe_layer_count: usize,
    layer_list: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    layer_id: u32,
    device_count: usize,
    device_list: Vec<Device>,
}

#[derive(Serialize)]
struct Device {
    device_id: u32,
    device_expert: Vec<ExpertId>,
}

impl Layer {
    fn new(layer_id: u32, table: &LayerPlacement, topology: &Topology) -> Self {
        let device = |rank: RankId| Device {
            device_id: rank.0,
            device_expert: table.experts()[topology.slots_of(rank)].to_vec(),
        };
        Self {
            layer_id,
            device_count: topology.ranks(),
            device_list: topology.rank_ids().map(device).collect(),
        }
    }
}

/// As [`parse`], for a text that is parsed already.
pub(super) fn read(
    root: Node<'_>,
    shape: ModelShape,
    topology: &Topology,
) -> Result<Placement, FormatError> {
    check_even(topology)?;
    expect_count(&root.field("moe_layer_count")?, shape.layers(), "model's MoE layers are")?;
    let layer_list = root.field("layer_list")?;
    let layers = layer_list.array_of(shape.layers(), "MoE layers")?;
    let mut tables: Vec<Option<Vec<ExpertId>>> = vec![None; shape.layers()];
    for (index, value) in layers.iter().enumerate() {
        let layer = layer_list.entry(index, value);
        let id_field = layer.field("layer_id")?;
        let id = id_field.id_below(shape.layers())?;
        if tables[id].is_some() {
            return Err(FormatError::Duplicate { field: id_field.path(), value: id as u64 });
        }
        tables[id] = Some(read_layer(&layer, shape, topology)?);
    }
    // As many layers as the model has, none twice: all are there.
    let tables: Vec<Vec<ExpertId>> = tables.into_iter().flatten().collect();
    Ok(Placement::new(&tables, shape, topology)?)
}

fn read_layer(
    layer: &Node<'_>,
    shape: ModelShape,
    topology: &Topology,
) -> Result<Vec<ExpertId>, FormatError> {
    expect_count(&layer.field("device_count")?, topology.ranks(), "ranks are")?;
    let device_list = layer.field("device_list")?;
    let devices = device_list.array_of(topology.ranks(), "ranks")?;
    let mut table = vec![ExpertId(0); topology.slots()];
    let mut seen = vec![false; topology.ranks()];
    for (index, value) in devices.iter().enumerate() {
        let device = device_list.entry(index, value);
        let id_field = device.field("device_id")?;
        let id = id_field.id_below(topology.ranks())?;
        if std::mem::replace(&mut seen[id], true) {
            return Err(FormatError::Duplicate { field: id_field.path(), value: id as u64 });
        }
        let slots = topology.slots_of(RankId::from_index(id));
        let experts = device.field("device_expert")?;
        let ids: &[Value] = experts.array_of(slots.len(), "slots of the rank")?;
        for (slot, (index, value)) in slots.zip(ids.iter().enumerate()) {
            let expert = experts.entry(index, value).id_below(shape.experts())?;
            table[slot] = ExpertId::from_index(expert);
        }
    }
    Ok(table)
}

fn expect_count(
    field: &Node<'_>,
    expected: usize,
    of_what: &'static str,
) -> Result<(), FormatError> {
    let value = field.count()?;
    if value != expected as u64 {
        return Err(FormatError::Count { field: field.path(), value, of_what, expected });
    }
    Ok(())
}

fn check_even(topology: &Topology) -> Result<(), FormatError> {
    let slots = |rank| topology.slots_of(rank).len();
    let first = RankId(0);
    match topology.rank_ids().find(|&rank| slots(rank) != slots(first)) {
        Some(other) => Err(FormatError::UnevenSlots {
            first,
            first_slots: slots(first),
            other,
            other_slots: slots(other),
        }),
        None => Ok(()),
    }
}
