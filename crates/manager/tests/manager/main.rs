//! Tests of the manager and the follower through their public interface.

mod accounts;
mod cluster;
mod faults;
mod follower;
mod lies;
mod loads;
mod member;
mod network;
mod parts;
mod phases;
mod rig;
mod rounds;
mod settings;
mod shares;
mod spmd;
mod timeouts;
mod trigger;
mod wire;
