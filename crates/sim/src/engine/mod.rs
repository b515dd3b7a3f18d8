//! A small but real Mixture-of-Experts engine: ranks, as threads or as processes, that own the weights of
//! their slots on a device, route sampled tokens through the routing tables, compute, and combine.
//!
//! A [`Group`](eplb_launch::Group) joins the ranks: rank 0 leads, hands out steps, and collects reports.
//! A rank does the same whether the others are threads beside it or processes on other hosts.

mod digest;
mod dispatch;
mod interruption;
mod leader;
mod linking;
mod membership;
mod message;
mod rank;
mod serve;
mod slot_weights;
mod windows;

pub use interruption::{Interruption, LostRank};
pub(crate) use serve::compare_inputs;
pub use serve::{EngineOutcome, EngineSetup, WindowFigures, serve, serve_as_member};
