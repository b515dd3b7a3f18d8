//! The emulated CUDA libraries: each rule is broken once, and is seen; each order works.

#![allow(unsafe_code, reason = "the tests call the libraries as an engine would, and wrongly so")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "what is unsound is what the emulated libraries have to see; they stay alive"
)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod communicators;
mod counts;
mod description;
mod handles;
mod memory;
mod orders;
mod races;
mod stage;
