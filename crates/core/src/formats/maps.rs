//! The int64 maps of vLLM, SGLang and DeepSeek's EPLB.

use super::FormatError;
use crate::{ExpertId, LayerId, LayerPlacement, ModelShape, Placement, SlotId, Topology};

/// A placement as three int64 arrays, row-major.
///
/// Slots of dead ranks stand in `physical_to_logical_map`, because slot numbers stay what they are,
/// and nowhere else. Ranks may hold different numbers of slots; engines that use these maps expect
/// equally many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementMaps {
    /// MoE layers.
    pub layers: usize,
    /// Logical experts of each layer.
    pub experts: usize,
    /// Slots of each layer.
    pub slots: usize,
    /// Most replicas of an expert in any layer.
    pub most_replicas: usize,
    /// The logical expert of each slot: layers × slots.
    pub physical_to_logical_map: Vec<i64>,
    /// The slots of each expert's live replicas in ascending order, padded with −1:
    /// layers × experts × most replicas.
    pub logical_to_physical_map: Vec<i64>,
    /// Live replicas of each expert: layers × experts.
    pub logical_replica_count: Vec<i64>,
}

impl PlacementMaps {
    /// The maps of a placement.
    pub fn new(placement: &Placement, topology: &Topology) -> Self {
        let shape = placement.shape();
        let (layers, experts, slots) = (shape.layers(), shape.experts(), topology.slots());
        let replicas: Vec<Vec<Vec<i64>>> =
            placement.layers().map(|layer| slots_by_expert(layer, experts, topology)).collect();
        let most_replicas = replicas.iter().flatten().map(Vec::len).max().unwrap_or(0);

        let mut maps = Self {
            layers,
            experts,
            slots,
            most_replicas,
            physical_to_logical_map: Vec::with_capacity(layers * slots),
            logical_to_physical_map: Vec::with_capacity(layers * experts * most_replicas),
            logical_replica_count: Vec::with_capacity(layers * experts),
        };
        for layer in placement.layers() {
            let row = layer.experts().iter().map(|expert| i64::from(expert.0));
            maps.physical_to_logical_map.extend(row);
        }
        for slots in replicas.iter().flatten() {
            let padding = std::iter::repeat_n(-1, most_replicas - slots.len());
            maps.logical_to_physical_map.extend(slots.iter().copied().chain(padding));
            maps.logical_replica_count.push(slots.len() as i64);
        }
        maps
    }

    /// The placement that a `physical_to_logical_map`, layers × slots, stands for.
    ///
    /// # Errors
    /// Another number of entries, ids that are no expert, an expert without a live slot.
    pub fn placement(
        physical_to_logical_map: &[i64],
        shape: ModelShape,
        topology: &Topology,
    ) -> Result<Placement, FormatError> {
        let (slots, experts) = (topology.slots(), shape.experts());
        length(
            "physical_to_logical_map",
            physical_to_logical_map.len(),
            shape.layers() * slots,
            "layers × slots",
        )?;
        let mut tables = Vec::with_capacity(shape.layers());
        for (layer, row) in physical_to_logical_map.chunks_exact(slots).enumerate() {
            let mut table = Vec::with_capacity(slots);
            for (slot, &value) in row.iter().enumerate() {
                if !(0..experts as i64).contains(&value) {
                    let field = format!("physical_to_logical_map[{layer}][{slot}]");
                    let (least, most) = (0, experts as i64 - 1);
                    return Err(FormatError::Range { field, value, least, most });
                }
                table.push(ExpertId::from_index(value as usize));
            }
            tables.push(table);
        }
        Ok(Placement::new(&tables, shape, topology)?)
    }

    /// Checks that a `logical_to_physical_map` (layers × experts × any width) and a
    /// `logical_replica_count` (layers × experts) say what `placement` says. Replicas may come in any
    /// order, as DeepSeek's do.
    ///
    /// # Errors
    /// Other sizes, or the first entry that disagrees: a count that is not that of the live
    /// replicas, a slot that does not hold the expert, is dead or comes twice, padding that is not −1.
    pub fn check(
        placement: &Placement,
        topology: &Topology,
        logical_to_physical_map: &[i64],
        logical_replica_count: &[i64],
    ) -> Result<(), FormatError> {
        let experts = placement.shape().experts();
        let rows = placement.shape().layers() * experts;
        length("logical_replica_count", logical_replica_count.len(), rows, "layers × experts")?;
        let width = logical_to_physical_map.len() / rows;
        if width == 0 || !logical_to_physical_map.len().is_multiple_of(rows) {
            return length(
                "logical_to_physical_map",
                logical_to_physical_map.len(),
                rows * width.max(1),
                "layers × experts × replicas",
            );
        }
        let mut given = logical_to_physical_map.chunks_exact(width).zip(logical_replica_count);
        for (layer, row) in placement.shape().layer_ids().zip(placement.layers()) {
            let expected = slots_by_expert(row, experts, topology);
            for (expert, (expected, (slots, &count))) in expected.iter().zip(&mut given).enumerate()
            {
                check_count(layer, expert, count, expected.len())?;
                check_slots(layer, expert, slots, expected)?;
            }
        }
        Ok(())
    }
}

fn check_count(
    layer: LayerId,
    expert: usize,
    count: i64,
    expected: usize,
) -> Result<(), FormatError> {
    if count == expected as i64 {
        return Ok(());
    }
    Err(FormatError::Disagreement {
        field: format!("logical_replica_count[{}][{expert}]", layer.0),
        layer,
        found: count,
        expected: format!("{expected}"),
    })
}

fn check_slots(
    layer: LayerId,
    expert: usize,
    slots: &[i64],
    expected: &[i64],
) -> Result<(), FormatError> {
    let disagreement = |replica: usize, expected: String| FormatError::Disagreement {
        field: format!("logical_to_physical_map[{}][{expert}][{replica}]", layer.0),
        layer,
        found: slots.get(replica).copied().unwrap_or(-1),
        expected,
    };
    let mut left = expected.to_vec();
    for (replica, slot) in slots.iter().enumerate() {
        if replica >= expected.len() {
            if *slot != -1 {
                return Err(disagreement(replica, "-1 (padding)".to_owned()));
            }
        } else if let Some(index) = left.iter().position(|left| left == slot) {
            left.remove(index);
        } else {
            return Err(disagreement(replica, format!("one of {left:?}")));
        }
    }
    match left.is_empty() {
        true => Ok(()),
        // The row is too narrow for all replicas.
        false => Err(disagreement(slots.len(), format!("one of {left:?}"))),
    }
}

/// The live slots of each expert, ascending.
fn slots_by_expert(layer: &LayerPlacement, experts: usize, topology: &Topology) -> Vec<Vec<i64>> {
    let mut slots = vec![Vec::new(); experts];
    for slot in layer.live_slots(topology) {
        let SlotId(number) = slot;
        slots[layer.expert_at(slot).index()].push(i64::from(number));
    }
    slots
}

fn length(
    field: &'static str,
    found: usize,
    expected: usize,
    of_what: &'static str,
) -> Result<(), FormatError> {
    if found == expected {
        return Ok(());
    }
    Err(FormatError::Length { field: field.to_owned(), found, expected, of_what })
}
