//! SGLang's `--init-expert-location` as JSON: a file or inline.
//!
//! An object with either `physical_to_logical_map`, layers × slots, or `logical_count`,
//! layers × experts or steps × layers × experts, from which a placement is to be planned. Slots are
//! numbered rank by rank.

use serde::Serialize;
use serde_json::Value;

use super::FormatError;
use super::json::{self, Node};
use crate::{ExpertId, ExpertLoad, ModelShape, Placement, Topology};

const MAP: &str = "physical_to_logical_map";
const COUNT: &str = "logical_count";

/// What `--init-expert-location` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitExpertLocation {
    /// A placement to start with.
    Placement(Placement),
    /// Loads to plan a placement from, one for each step, oldest first; at least one.
    Load(Vec<ExpertLoad>),
}

/// Reads the JSON form; `trivial` and torch's `.pt` files are none.
///
/// # Errors
/// Text that is neither a placement of this model on these ranks nor a load of this model; the
/// message names the field.
pub fn parse(
    text: &str,
    shape: ModelShape,
    topology: &Topology,
) -> Result<InitExpertLocation, FormatError> {
    read(Node::root(&json::parse(text)?), shape, topology)
}

/// The `physical_to_logical_map` form of a placement.
///
/// # Errors
/// [`FormatError::Json`], should the text not be written; not the case for a placement.
pub fn write(placement: &Placement) -> Result<String, FormatError> {
    let tables = placement.layers().map(|layer| layer.experts()).collect();
    serde_json::to_string(&Location { physical_to_logical_map: tables })
        .map_err(|error| FormatError::Json { message: error.to_string() })
}

#[derive(Serialize)]
struct Location<'a> {
    physical_to_logical_map: Vec<&'a [ExpertId]>,
}

/// As [`parse`], for a text that is parsed already.
pub(super) fn read(
    root: Node<'_>,
    shape: ModelShape,
    topology: &Topology,
) -> Result<InitExpertLocation, FormatError> {
    let fields = root.object()?;
    match (fields.contains_key(MAP), fields.contains_key(COUNT)) {
        (true, true) => Err(FormatError::Both { one: MAP, other: COUNT }),
        (true, false) => {
            read_map(&root.field(MAP)?, shape, topology).map(InitExpertLocation::Placement)
        }
        (false, true) => read_loads(&root.field(COUNT)?, shape).map(InitExpertLocation::Load),
        (false, false) => Err(FormatError::UnknownForm {
            field: root.path(),
            allowed: "an object with physical_to_logical_map or logical_count",
        }),
    }
}

/// A placement of layers × slots.
pub(super) fn read_map(
    map: &Node<'_>,
    shape: ModelShape,
    topology: &Topology,
) -> Result<Placement, FormatError> {
    let rows = map.array_of(shape.layers(), "MoE layers")?;
    let mut tables = Vec::with_capacity(rows.len());
    for (layer, value) in rows.iter().enumerate() {
        let row = map.entry(layer, value);
        let ids = row.array_of(topology.slots(), "slots")?;
        let table = ids.iter().enumerate().map(|(slot, value)| {
            row.entry(slot, value).id_below(shape.experts()).map(ExpertId::from_index)
        });
        tables.push(table.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Placement::new(&tables, shape, topology)?)
}

fn read_loads(counts: &Node<'_>, shape: ModelShape) -> Result<Vec<ExpertLoad>, FormatError> {
    if !has_steps(counts)? {
        return Ok(vec![read_load(counts, shape)?]);
    }
    let steps = counts.array()?.iter().enumerate();
    steps.map(|(step, value)| read_load(&counts.entry(step, value), shape)).collect()
}

/// Whether the counts are steps × layers × experts, not layers × experts.
fn has_steps(counts: &Node<'_>) -> Result<bool, FormatError> {
    let entries = counts.array()?;
    let Some(Value::Array(first)) = entries.first() else {
        return Err(FormatError::UnknownForm {
            field: counts.path(),
            allowed: "arrays of layers × experts or steps × layers × experts, at least one step",
        });
    };
    Ok(first.first().is_some_and(Value::is_array))
}

fn read_load(rows: &Node<'_>, shape: ModelShape) -> Result<ExpertLoad, FormatError> {
    let layers = rows.array_of(shape.layers(), "MoE layers")?;
    let mut counts = Vec::with_capacity(layers.len());
    for (layer, value) in layers.iter().enumerate() {
        let row = rows.entry(layer, value);
        let experts = row.array_of(shape.experts(), "logical experts")?.iter().enumerate();
        let tokens = experts.map(|(expert, value)| row.entry(expert, value).count());
        counts.push(tokens.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(ExpertLoad::from_rows(shape, &counts)?)
}
