//! Ascend NPUs.
//!
//! Translates the traits of [`eplb_device::raw`] into calls of the ACL runtime and of HCCL. Both are
//! looked for at run time: without the runtime there is no backend, without HCCL there are no
//! communicators, and a library that is only a stub for linking shows no devices. What an older library
//! lacks, the device cannot do, and its [`DeviceInfo`](eplb_device::DeviceInfo) says so.
//!
//! Written from the vendor's headers, manuals and published source.
//!
//! Each call makes its context current and puts back the one that it found; a thread that had none keeps
//! ours, because ACL has no call that takes a context away. Streams of ours stop at their first failure;
//! on most chips ACL extends that to all streams of the context, the engine's included.
//!
//! HCCL creates communicators in a call that blocks until all ranks have come, and that nothing ends
//! before HCCL's own limit (`HCCL_CONNECT_TIMEOUT`, two minutes or more). So it is made on a thread of its
//! own. One that is given up is destroyed when it comes back; other work of the device goes on meanwhile,
//! and other creations on the device wait for it, since they have to be made one after another.
//!
//! HCCL has no abort: streams of ours that carry work of a communicator are aborted instead, and a call
//! that is stuck inside the library is ended by destroying the communicator. The backend remembers which
//! streams had such work, reports these and what waits for them as failed, and takes no more work for
//! them. Work on a stream of the engine is the engine's to abort.

#![allow(unsafe_code, reason = "a backend calls its vendor's library; each use says why it may")]

mod backend;
mod communicator;
mod context;
mod creation;
mod diagnosis;
mod driver;
mod error;
mod event;
mod hccl;
mod library;
mod lock;
mod memory;
mod peer;
mod round;
mod shared;
mod stream;

pub use backend::AscendBackend;
pub use eplb_ascend_sys::{LoadError, Search};
pub use hccl::rank_table;
pub use library::Libraries;
