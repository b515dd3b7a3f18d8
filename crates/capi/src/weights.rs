//! The tensors of one rank's experts: `eplb_weights`.

use std::ffi::c_char;

use eplb::core::ModelShape;
use eplb::{SlotTensor, WeightManifest};

use crate::boundary::export;
use crate::failure::Failure;
use crate::generated as c;
use crate::memory;
use crate::registry::{self, Kind, Object};

/// The tensors of each layer, in the order in which they were added.
#[derive(Default)]
pub(crate) struct WeightsObject {
    layers: Vec<Vec<SlotTensor>>,
}

impl Object for WeightsObject {
    type Raw = c::eplb_weights;
    const KIND: Kind = Kind { name: "eplb_weights", number: 11 };
}

impl WeightsObject {
    /// What a session registers.
    pub(crate) fn manifest(&self) -> WeightManifest {
        let mut manifest = WeightManifest::new();
        self.layers.iter().for_each(|tensors| manifest.push_layer(tensors.clone()));
        manifest
    }

    fn add(&mut self, layer: usize, tensor: SlotTensor) -> Result<(), Failure> {
        let layers = self.layers.len();
        if layer > layers || layer >= ModelShape::MOST_LAYERS as usize {
            let allowed = format!("at most {layers}, the layer after those that have tensors");
            return Err(Failure::argument("layer", layer, &allowed));
        }
        if layer == layers {
            self.layers.push(Vec::new());
        }
        self.layers[layer].push(tensor);
        Ok(())
    }
}

export! {
    fn eplb_weights_create(caller, weights: *mut *mut c::eplb_weights) {
        caller.place("weights", weights)?.set(registry::insert(WeightsObject::default()));
        Ok(())
    }

    fn eplb_weights_add_tensor(
        caller,
        weights: *mut c::eplb_weights,
        layer: u32,
        name: *const c_char,
        memory: *const c::eplb_memory,
        slot_stride: usize,
        slot_bytes: usize,
    ) {
        let name = caller.text("name", name)?.to_owned();
        let memory = memory::with("memory", memory, |memory| Ok(memory.clone()))?;
        if slot_bytes == 0 || slot_bytes > slot_stride {
            let allowed = format!("1 to slot_stride, which is {slot_stride}");
            return Err(Failure::argument("slot_bytes", slot_bytes, &allowed));
        }
        registry::with_mut::<WeightsObject, _>("weights", weights, |weights| {
            weights.add(layer as usize, SlotTensor { name, memory, slot_stride, slot_bytes })
        })
    }

    fn eplb_weights_free(_caller, weights: *mut c::eplb_weights) {
        registry::free::<WeightsObject>("weights", weights)
    }
}
