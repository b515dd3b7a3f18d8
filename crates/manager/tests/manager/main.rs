//! Tests of the manager and the follower through their public interface.

mod cluster;
mod faults;
mod follower;
mod lies;
mod loads;
mod member;
mod network;
mod rig;
mod rounds;
mod settings;
mod spmd;
mod timeouts;
mod trigger;
mod wire;
