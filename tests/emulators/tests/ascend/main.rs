//! The emulated ACL and HCCL: each rule is broken once, and the library sees it.

#![allow(unsafe_code, reason = "the tests call the libraries as C does")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "each test says what it breaks")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "a test is one sequence of calls")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod collectives;
mod contexts;
mod copies;
mod creation;
mod events;
mod failures;
mod memory;
mod peers;
mod rig;
mod streams;
mod versions;
