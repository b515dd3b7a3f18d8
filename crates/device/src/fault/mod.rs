//! Faults on order: a wrapper that makes chosen calls of any backend fail or linger.

mod backend;
mod live;
mod plan;

pub use backend::{DelayCall, FaultyBackend};
pub use live::Live;
pub use plan::{Fault, FaultAt, FaultKind};
