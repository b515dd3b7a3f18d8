//! Why there is no plan.

use eplb_core::{LayerId, LoadError, PlacementError, RoutingError, ShapeError};
use thiserror::Error;

use crate::{NAMES, SharesError};

/// Why a policy gives no plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No policy has this name.
    #[error("no policy is called {name:?}, allowed are {}", NAMES.join(", "))]
    UnknownPolicy {
        /// The name asked for.
        name: String,
    },
    /// There is no load to plan from.
    #[error("no load window; give at least one (zeros when no load is known)")]
    NoWindows,
    /// A window that belongs to another model.
    #[error(
        "window {window} has load for {found_layers} layers of {found_experts} experts, \
         the model has {layers} of {experts}"
    )]
    WindowShape {
        /// The window, counted from 0, oldest first.
        window: usize,
        /// Layers of the window.
        found_layers: usize,
        /// Experts of the window.
        found_experts: usize,
        /// Layers of the model.
        layers: usize,
        /// Experts of the model.
        experts: usize,
    },
    /// Not one weight for each window.
    #[error("{found} weights for {windows} windows; give one for each, or none")]
    WindowWeights {
        /// Weights given.
        found: usize,
        /// Windows given.
        windows: usize,
    },
    /// A weight of a window that is no weight.
    #[error("window {window} has weight {weight}, allowed are finite numbers from 0")]
    WindowWeight {
        /// The window, counted from 0, oldest first.
        window: usize,
        /// The weight, as text.
        weight: String,
    },
    /// A layer that the model does not have.
    #[error("{layer} is not one of the model's {layers} layers")]
    UnknownLayer {
        /// The layer asked for.
        layer: LayerId,
        /// Layers of the model.
        layers: usize,
    },
    /// The present placement belongs to another model.
    #[error(
        "the present placement has {found_layers} layers of {found_experts} experts, \
         the model has {layers} of {experts}"
    )]
    PresentShape {
        /// Layers of the present placement.
        found_layers: usize,
        /// Experts of the present placement.
        found_experts: usize,
        /// Layers of the model.
        layers: usize,
        /// Experts of the model.
        experts: usize,
    },
    /// The present placement of a layer belongs to another topology.
    #[error("the present placement of {layer} has {found} slots, the ranks hold {expected}")]
    PresentSlots {
        /// The layer.
        layer: LayerId,
        /// Slots of the present placement.
        found: usize,
        /// Slots of the topology.
        expected: usize,
    },
    /// The policy cannot plan for this topology.
    #[error("policy {policy} cannot plan for this: {reason}; use {instead}")]
    Unsupported {
        /// The policy.
        policy: &'static str,
        /// What it does not support.
        reason: String,
        /// What does.
        instead: &'static str,
    },
    /// A number that must divide another does not, or is zero.
    #[error(
        "{whole_name} = {whole} does not divide by {parts_name} = {parts}; give a multiple of it"
    )]
    Indivisible {
        /// Name of the number to divide.
        whole_name: &'static str,
        /// The number to divide.
        whole: usize,
        /// Name of the divisor.
        parts_name: &'static str,
        /// The divisor.
        parts: usize,
    },
    /// Fewer replicas than experts.
    #[error("{replicas} replicas cannot hold {experts} experts; give at least {experts}")]
    TooFewReplicas {
        /// Replicas asked for.
        replicas: usize,
        /// Logical experts.
        experts: usize,
    },
    /// A row of weights of another length than the first.
    #[error("weight row {row} has {found} experts, row 0 has {expected}")]
    WeightRow {
        /// The row.
        row: usize,
        /// Weights in it.
        found: usize,
        /// Weights in the first row.
        expected: usize,
    },
    /// A weight that is no load.
    #[error("weight row {row} expert {expert} is {weight}, allowed are finite numbers from 0")]
    Weight {
        /// The row.
        row: usize,
        /// The expert.
        expert: usize,
        /// The weight, as text.
        weight: String,
    },
    /// The windows are no load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The table is no placement.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// There are no shares.
    #[error(transparent)]
    Shares(#[from] SharesError),
    /// The shares are no routing.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// A single layer of the model is no model; never the case for a shape that exists.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}
