//! Shares: how each expert's tokens divide over its replicas.
//!
//! Even shares are what a routing table has unless something better is known. Three things can be:
//!
//! | | for | what it minimises |
//! |---|---|---|
//! | [`exact_shares`] | counts that are known, such as those of the step itself | the largest rank time |
//! | [`hedged_shares`] | the windows to come, from recorded ones | a smooth cost over all windows |
//! | [`local_shares`] | known counts, and traffic between nodes | tokens that leave their node, within a bound on the largest rank time |
//!
//! All give shares by slot in units of 1/[`SHARE_ONE`](eplb_core::SHARE_ONE), as
//! [`LayerPlacement::with_shares`](eplb_core::LayerPlacement::with_shares) and
//! [`RoutingTable::with_shares`](eplb_core::RoutingTable::with_shares) take them: the live replicas of
//! an expert add up to it, slots of dead ranks have 0. The same input gives the same shares on every
//! machine. To compute shares of one placement often, make its [`Replicas`] once and keep an
//! [`ExactShares`] or [`HedgedShares`].
//!
//! ```
//! use eplb_core::{Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, Topology};
//! use eplb_policy::exact_shares;
//!
//! // Rank 0 holds experts 0 and 1, rank 1 holds 0 and 2; expert 2 is busier than expert 1.
//! let (shape, topology) = (ModelShape::new(1, 3, 1)?, Topology::uniform(2, 2, 1)?);
//! let table = [0, 1, 0, 2].map(ExpertId);
//! let placement = LayerPlacement::new(LayerId(0), &table, Epoch(0), shape, &topology)?;
//! // Both ranks get 50 tokens when 30 of expert 0's 40 go to rank 0.
//! let shares = exact_shares(&[40, 20, 40], &placement, &topology)?;
//! assert_eq!(shares, [49_151, 65_535, 16_384, 65_535]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ensemble;
mod error;
mod exact;
mod flow;
mod forecast;
mod hedged;
mod local;
mod local_flow;
mod replicas;
mod rounding;

pub use error::SharesError;
pub use exact::{ExactShares, exact_shares};
pub use hedged::{HedgedShares, hedged_shares};
pub use local::{LocalShares, local_shares};
pub use replicas::Replicas;
