//! How a checkpoint names the tensors of experts.

use std::collections::BTreeMap;

use eplb_core::{ExpertId, LayerId};

use crate::PoolError;

/// Maps a layer, an expert and one of our tensors to names in a checkpoint.
///
/// In `model.layers.{layer}.mlp.experts.{expert}.{tensor}` the layer is the number in the checkpoint,
/// which counts dense layers too. Without `{expert}` a tensor of the checkpoint holds all experts of
/// its layer, one after the other along its first axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorTemplate {
    /// The pattern, with `{layer}`, `{tensor}` and, as a rule, `{expert}`.
    pub pattern: String,
    /// The number in the checkpoint of our layer 0: 3 for a model with three dense layers first.
    pub first_layer: u32,
    /// From one of our layers to the next in the checkpoint: 2 where every second layer is dense.
    pub layer_step: u32,
    /// For each of our tensors what it is made of, one after the other: `gate_up` of
    /// `gate_proj.weight` and `up_proj.weight`. A tensor that is not named here is called the same
    /// in the checkpoint.
    pub tensors: BTreeMap<String, Vec<String>>,
}

impl TensorTemplate {
    /// A template whose layers are counted as ours and whose tensors are called as ours.
    pub fn new(pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        Self { pattern, first_layer: 0, layer_step: 1, tensors: BTreeMap::new() }
    }

    /// Whether every tensor gets names of its own.
    ///
    /// # Errors
    /// A placeholder that is missing or unknown, a step of 0, or a tensor made of nothing.
    pub fn check(&self) -> Result<(), PoolError> {
        let refuse =
            |reason: String| Err(PoolError::Template { pattern: self.pattern.clone(), reason });
        for needed in ["{layer}", "{tensor}"] {
            if !self.pattern.contains(needed) {
                return refuse(format!("{needed} is missing"));
            }
        }
        let rest = ["{layer}", "{tensor}", "{expert}"];
        let rest = rest.iter().fold(self.pattern.clone(), |rest, known| rest.replace(known, ""));
        if rest.contains(['{', '}']) {
            return refuse("allowed in braces are layer, expert and tensor".to_owned());
        }
        if self.layer_step == 0 {
            return refuse("the step between layers is 0, allowed is 1 and more".to_owned());
        }
        match self.tensors.iter().find(|(_, parts)| parts.is_empty()) {
            Some((tensor, _)) => refuse(format!("tensor {tensor} is made of nothing")),
            None => Ok(()),
        }
    }

    /// Whether each expert has tensors of its own in the checkpoint.
    pub fn is_by_expert(&self) -> bool {
        self.pattern.contains("{expert}")
    }

    /// The names in the checkpoint, in the order in which their bytes follow each other.
    pub fn names(&self, layer: LayerId, expert: ExpertId, tensor: &str) -> Vec<String> {
        let number = u64::from(self.first_layer) + u64::from(layer.0) * u64::from(self.layer_step);
        let pattern = self.pattern.replace("{layer}", &number.to_string());
        let pattern = pattern.replace("{expert}", &expert.0.to_string());
        match self.tensors.get(tensor) {
            Some(parts) => parts.iter().map(|part| pattern.replace("{tensor}", part)).collect(),
            None => vec![pattern.replace("{tensor}", tensor)],
        }
    }
}
