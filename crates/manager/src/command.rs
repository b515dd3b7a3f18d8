//! What a manager wants done.

use eplb_core::{ExpertLoad, LayerId, Placement};

use crate::{Note, RoundId, StepHeader};

/// Something for the outside to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Send this to every rank with the step.
    Header(StepHeader),
    /// Compute a plan and answer with [`crate::Event::Planned`].
    Plan(PlanJob),
    /// Nothing to do; something worth a trace or a metric.
    Note(Note),
}

/// What to plan for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanJob {
    /// The round to answer with.
    pub round: RoundId,
    /// The layers to plan, in order; the others stay as they are.
    pub layers: Vec<LayerId>,
    /// Load windows of all layers, oldest first, at least one. A layer of which nothing is known in a
    /// window has no token there.
    pub windows: Vec<ExpertLoad>,
    /// How much each window counts, relative to the others: one weight for each, or none at all when
    /// all count alike.
    pub weights: Vec<f32>,
    /// The placement that is live.
    pub present: Placement,
}
