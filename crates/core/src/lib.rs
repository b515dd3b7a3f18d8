//! The types of expert-parallel load balancing.
//!
//! Everything here is parsed once and valid from then on: a [`Placement`] that exists places every
//! expert on a live rank and keeps every rank's capacity, a [`RoutingTable`] that exists routes every
//! expert with shares that add up exactly. The crates above may rely on that and check nothing again.
//!
//! This crate knows no device, no clock, no thread and no policy.
//!
//! ```
//! use eplb_core::{ExpertLoad, ModelShape, Placement, Topology, layer_balancedness, LayerId};
//!
//! let shape = ModelShape::new(1, 8, 1)?;
//! let topology = Topology::uniform(4, 3, 1)?; // 4 ranks with 3 slots each, on one node
//! let placement = Placement::initial(shape, &topology)?;
//! let load = ExpertLoad::from_rows(shape, &[vec![70, 10, 10, 10, 10, 10, 10, 10]])?;
//! let routing = placement.layer(LayerId(0)).even_routing(&topology);
//! let balancedness = layer_balancedness(load.layer(LayerId(0)), &routing, &topology);
//! assert!(balancedness < 0.75);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod account;
mod balance;
mod ensemble;
pub mod formats;
mod ids;
mod load;
mod parts;
mod placement;
mod routing;
mod shape;
mod topology;
mod transfer_plan;

pub use account::{Account, Verdict};
pub use balance::{Balancedness, layer_balancedness, mean_balancedness, moved_slots, rank_loads};
pub use ensemble::{
    Ensemble, EnsembleError, EnsembleSettings, Estimate, Estimator, UnknownEstimator, Weighted,
    WindowWeight,
};
pub use ids::{Epoch, ExpertId, LayerId, NodeId, RankId, SlotId, Step};
pub use load::{ExpertLoad, LoadError};
pub use placement::{LayerPlacement, Placement, PlacementError};
pub use routing::{Replica, RoutingError, RoutingTable, SHARE_ONE};
pub use shape::{ModelShape, ShapeError};
pub use topology::{NOMINAL_SPEED, RankSpec, Topology, TopologyError};
pub use transfer_plan::{SlotChange, Source, TransferPlan};
