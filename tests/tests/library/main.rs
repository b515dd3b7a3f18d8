//! The whole library as an engine embeds it: coordinators, sessions and devices of a small engine.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod collective;
mod counters;
mod engine;
mod faults;
mod integrity;
mod misuse;
mod parts;
mod planning;
mod policy_settings;
mod pool;
mod profiles;
mod shares;
mod spmd;
mod tables;
