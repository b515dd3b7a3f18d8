//! Shares of replicas: exact, hedged and local ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod exact;
mod hedged;
mod linear_program;
mod local;
mod refusals;
