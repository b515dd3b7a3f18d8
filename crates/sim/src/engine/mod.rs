//! A small but real Mixture-of-Experts engine: ranks as threads that own the weights of their slots on
//! a device, route sampled tokens through the routing tables, compute, and combine.

mod digest;
mod exchange;
mod linking;
mod meeting;
mod rank;
mod serve;
mod slot_weights;

pub use serve::{EngineOutcome, EngineSetup, WindowFigures, serve};
