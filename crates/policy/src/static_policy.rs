//! The policy that changes nothing.

use eplb_core::ExpertId;

use crate::{LayerRequest, Policy, PolicyError};

/// Keeps the present placement, or starts with [`eplb_core::Placement::initial`]'s row: the baseline
/// that other policies are measured against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Static;

impl Policy for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Vec<ExpertId>, PolicyError> {
        request.standing_table()
    }
}
