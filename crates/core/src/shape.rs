//! The shape of a model's Mixture-of-Experts part.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How many MoE layers a model has, how many logical experts each, and in how many expert groups.
///
/// Expert groups are those of group-limited routing (DeepSeek-V3: 8 groups of 32 experts); models
/// without them have one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    layers: u32,
    experts: u32,
    groups: u32,
}

/// Why numbers are no [`ModelShape`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A dimension is zero or beyond what the tables hold.
    #[error("{name} is {value}, allowed is 1 to {most}")]
    OutOfRange {
        /// Which dimension.
        name: &'static str,
        /// Its value.
        value: u32,
        /// The largest that is allowed.
        most: u32,
    },
    /// Groups must be of equal size.
    #[error("{experts} experts do not divide into {groups} groups; give a divisor of {experts}")]
    UnevenGroups {
        /// Logical experts of a layer.
        experts: u32,
        /// Expert groups asked for.
        groups: u32,
    },
}

impl ModelShape {
    /// Most layers of a model.
    pub const MOST_LAYERS: u32 = 4_096;
    /// Most logical experts of a layer.
    pub const MOST_EXPERTS: u32 = 65_536;

    /// A model with `layers` MoE layers of `experts` logical experts in `groups` expert groups.
    ///
    /// # Errors
    /// A dimension of zero or beyond its bound, or groups of unequal size.
    pub fn new(layers: u32, experts: u32, groups: u32) -> Result<Self, ShapeError> {
        let within = |name, value, most| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(ShapeError::OutOfRange { name, value, most })
            }
        };
        within("layers", layers, Self::MOST_LAYERS)?;
        within("experts", experts, Self::MOST_EXPERTS)?;
        within("groups", groups, experts)?;
        if !experts.is_multiple_of(groups) {
            return Err(ShapeError::UnevenGroups { experts, groups });
        }
        Ok(Self { layers, experts, groups })
    }

    /// MoE layers.
    pub fn layers(&self) -> usize {
        self.layers as usize
    }

    /// Logical experts of each layer.
    pub fn experts(&self) -> usize {
        self.experts as usize
    }

    /// Expert groups of each layer.
    pub fn groups(&self) -> usize {
        self.groups as usize
    }

    /// All layers, in order.
    pub fn layer_ids(&self) -> impl ExactSizeIterator<Item = crate::LayerId> + use<> {
        (0..self.layers).map(crate::LayerId)
    }
}
