//! NVIDIA devices.
//!
//! Translates the traits of [`eplb_device::raw`] into calls of the CUDA runtime, the CUDA driver and
//! NCCL. All three are looked for at run time: without the runtime there is no backend, without a
//! driver there are no devices, without NCCL there are no communicators.
//!
//! Each call makes its context current by the driver and puts back the one that it found, so the
//! runtime's own notion of a thread's device is never touched. Streams of ours are not ordered against
//! the null stream. Communicators do not block; a call that queues work returns when NCCL has put it on
//! the stream. CUDA cannot abort a stream, and NCCL ends aborted work as if it had succeeded: the backend
//! remembers which streams had such work, reports these and what waits for them as failed, and takes no
//! more work for them. Work that was queued behind it before the abort runs all the same, in memory that
//! is kept until then.

#![allow(unsafe_code, reason = "a backend calls its vendor's library; each use says why it may")]

mod backend;
mod communicator;
mod context;
mod diagnosis;
mod driver;
mod error;
mod event;
mod library;
mod lock;
mod memory;
mod nccl;
mod peer;
mod products;
mod round;
mod scratch;
mod siblings;
mod stream;

pub use backend::CudaBackend;
pub use eplb_cuda_sys::{LoadError, Search};
pub use library::Libraries;
pub use products::MatrixProducts;
