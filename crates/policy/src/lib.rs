//! Policies: which expert goes into which slot.
//!
//! A [`Policy`] is a pure function of one layer's load, the topology and the present placement.
//! [`plan`] runs one over several layers in parallel, keeps experts that stay on a rank in their old
//! slots, checks every table, and tells what the new placement gains and how many slots change
//! hands. The same request gives the same plans for any number of threads.
//!
//! ```
//! use eplb_core::{ExpertLoad, LayerId, ModelShape, Placement, Topology};
//! use eplb_policy::{Budget, PlanRequest, by_name, plan};
//!
//! let shape = ModelShape::new(1, 8, 1)?;
//! let topology = Topology::uniform(4, 3, 1)?;
//! let present = Placement::initial(shape, &topology)?;
//! let load = ExpertLoad::from_rows(shape, &[vec![70, 10, 10, 10, 10, 10, 10, 10]])?;
//! let policy = by_name("xllm")?;
//! let plans = plan(
//!     &*policy,
//!     &PlanRequest {
//!         shape,
//!         topology: &topology,
//!         windows: &[load],
//!         weights: &[],
//!         present: Some(&present),
//!         layers: &[LayerId(0)],
//!         budget: Budget::default(),
//!     },
//! )?;
//! assert!(Some(plans[0].balancedness_after) > plans[0].balancedness_before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod align;
mod budget;
mod deepseek;
mod error;
mod greedy;
mod names;
mod plan;
mod policy;
mod proposal;
mod robust;
mod shares;
mod static_policy;
mod xllm;

pub use budget::Budget;
pub use deepseek::{DeepSeek, RebalancedExperts, rebalance_experts};
pub use error::PolicyError;
pub use greedy::{Greedy, GreedyTables};
pub use names::{NAMES, by_name};
pub use plan::{LayerPlan, PlanRequest, plan};
pub use policy::{LayerRequest, Policy};
pub use proposal::Proposal;
pub use robust::{MovePrice, Objective, Robust};
pub use shares::{
    ExactShares, HedgedShares, LocalShares, Replicas, SharesError, exact_shares, hedged_shares,
    local_shares,
};
pub use static_policy::Static;
pub use xllm::Xllm;
