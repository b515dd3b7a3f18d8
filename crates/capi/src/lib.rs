//! The C interface of expert-parallel load balancing.
//!
//! `include/eplb.h` is the interface and its documentation; `include/eplb.hpp` makes C++17 of it. What is
//! here are the functions that it declares, one file for each type of handle. They are written against
//! what bindgen makes of the header (`generated`), so that a difference between both does not compile.
//!
//! - `boundary`: what stands around every function: no panic leaves it, errors become numbers;
//! - `caller`: the one place that reads and writes through the caller's pointers;
//! - `registry`: handles are numbers in a table of the process, so that wrong ones are found out.
//!
//! Rust programs use the crate `eplb` instead.

#![allow(
    unsafe_code,
    reason = "pointers of C callers cannot be checked by the compiler; their uses are in `caller` and \
              where callbacks are called"
)]

mod backend;
mod boundary;
mod caller;
mod clock;
mod communicator;
mod config;
mod coordinator;
mod device;
mod engine_backend;
mod failure;
mod figures;
mod generated;
mod log;
mod memory;
mod message;
mod note;
mod placement;
mod plan;
mod registry;
mod routing;
mod session;
mod session_options;
mod status;
mod stream;
mod structure;
mod topology;
mod user;
mod version;
mod weights;
