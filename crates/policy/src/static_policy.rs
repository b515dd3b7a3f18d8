//! The policy that changes nothing.

use crate::{LayerRequest, Policy, PolicyError, Proposal};

/// Keeps the present placement, or starts with [`eplb_core::Placement::initial`]'s row: the baseline
/// that other policies are measured against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Static;

impl Policy for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError> {
        let present = request.present.map(|present| present.for_topology(request.topology));
        let shares = present.as_ref().and_then(|present| present.shares()).map(<[u16]>::to_vec);
        Ok(Proposal { shares, ..Proposal::of_table(request.standing_table()?) })
    }
}
