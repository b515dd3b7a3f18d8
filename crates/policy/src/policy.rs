//! What a policy is, and what it plans from.

use std::fmt::Debug;

use eplb_core::{
    Estimator, ExpertId, ExpertLoad, LayerId, LayerPlacement, LoadError, ModelShape, Placement,
    PlacementError, Topology,
};

use crate::{PolicyError, Proposal};

/// Computes the placement of a layer. A pure function: the same request gives the same table, on any
/// thread and any processor.
pub trait Policy: Send + Sync + Debug {
    /// The name by which [`crate::by_name`] knows it.
    fn name(&self) -> &'static str;

    /// What it plans from, unless told otherwise: the last window alone.
    fn estimator(&self) -> Estimator {
        Estimator::Last
    }

    /// The placement that the layer should have, [`Topology::slots`] entries.
    ///
    /// # Errors
    /// A request that is no request ([`LayerRequest`] says what one is), or a topology that this
    /// policy does not support.
    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError>;
}

/// What one layer's placement is planned from.
#[derive(Clone, Copy, Debug)]
pub struct LayerRequest<'a> {
    /// The layer.
    pub layer: LayerId,
    /// The model.
    pub shape: ModelShape,
    /// The ranks and their slots.
    pub topology: &'a Topology,
    /// Load windows of this layer, oldest first, each with the tokens of every logical expert; at
    /// least one. All together at most [`ExpertLoad::MOST_TOKENS`] tokens.
    pub windows: &'a [&'a [u64]],
    /// How much each window counts, relative to the others: 0 or more and finite, one for each
    /// window, or none at all when all count alike. Policies that plan from a sum take them as equal.
    pub weights: &'a [f32],
    /// The most experts that may be sent to ranks that did not hold them, where the policy can tell; a
    /// plan that sends more is not used.
    pub most_sent: usize,
    /// The placement that the layer has now, made for as many slots as the topology has. Ranks may
    /// have died since.
    pub present: Option<&'a LayerPlacement>,
}

impl LayerRequest<'_> {
    /// The tokens of each logical expert over all windows.
    ///
    /// # Errors
    /// No window, a window for another number of experts, or too many tokens.
    pub fn summed_load(&self) -> Result<Vec<u64>, PolicyError> {
        if self.windows.is_empty() {
            return Err(PolicyError::NoWindows);
        }
        let (layer, experts) = (self.layer, self.shape.experts());
        let mut sums = vec![0u64; experts];
        let mut total = 0u64;
        for window in self.windows {
            if window.len() != experts {
                let found = window.len();
                return Err(LoadError::Experts { layer, found, expected: experts }.into());
            }
            for (sum, &tokens) in sums.iter_mut().zip(*window) {
                // A sum that saturates is over the bound and found below.
                *sum = sum.saturating_add(tokens);
                total = total.saturating_add(tokens);
            }
        }
        if total > ExpertLoad::MOST_TOKENS {
            return Err(LoadError::TooManyTokens { layer }.into());
        }
        Ok(sums)
    }

    /// The table that stands without planning: the present placement, or the row of
    /// [`Placement::initial`] when there is none. Policies start from it, so that slots of dead
    /// ranks keep what they hold.
    ///
    /// # Errors
    /// Fewer live slots than experts, or a present placement of another topology or model.
    pub fn standing_table(&self) -> Result<Vec<ExpertId>, PolicyError> {
        let (slots, experts) = (self.topology.live_slots(), self.shape.experts());
        if slots < experts {
            return Err(PlacementError::TooFewSlots { slots, experts }.into());
        }
        match self.present {
            Some(present) => {
                self.check_present(present)?;
                Ok(present.experts().to_vec())
            }
            None => {
                let shape = ModelShape::new(1, experts as u32, self.shape.groups() as u32)?;
                let initial = Placement::initial(shape, self.topology)?;
                Ok(initial.layer(LayerId(0)).experts().to_vec())
            }
        }
    }

    fn check_present(&self, present: &LayerPlacement) -> Result<(), PolicyError> {
        let (found, expected) = (present.experts().len(), self.topology.slots());
        if found != expected {
            return Err(PolicyError::PresentSlots { layer: self.layer, found, expected });
        }
        let highest = present.experts().iter().map(|expert| expert.index()).max().unwrap_or(0);
        if highest >= self.shape.experts() {
            let (layers, experts) = (self.shape.layers(), self.shape.experts());
            return Err(PolicyError::PresentShape {
                found_layers: layers,
                found_experts: highest + 1,
                layers,
                experts,
            });
        }
        Ok(())
    }
}
