//! Host memory as a device.
//!
//! Streams are threads with queues, so that work really runs beside the caller and beside other
//! streams. Memory is host memory, and several devices and ranks can live in one process: memory
//! exported by one is imported by another as the same bytes, and communicators meet inside the backend.
//!
//! Ranks in other processes of the host pull and push exported memory by copies of the kernel
//! (`process_vm_readv(2)`), which wants them to be of the same user; where Yama restricts tracing to
//! descendants (`ptrace_scope` 1), exporting allows it for this process to all of that user. Where the
//! kernel refuses, or on another host, an import is `Unsupported` and says why. Memory that is freed in the
//! middle of a copy, or whose process ends, is an error of the stream and never taken for what it was.
//!
//! Communicators reach other processes and hosts by [`Links`]: by TCP, from the first id or joining on, or
//! by a [`Carrier`] of the program that embeds the backend. A process that ends, or a connection that
//! carries what it should not, fails the work that needs it within moments. Nothing is encrypted: ids are
//! secrets, and the network between hosts has to be one that can be trusted.
//!
//! The backend is as strict as the strictest vendor: what the contract of [`eplb_device::raw`]
//! forbids is reported as an error where it can be seen, and never touches memory that is gone.
//! Copies of different streams that touch the same bytes at the same moment run one after the
//! other, so that no order of calls is a data race.
//!
//! ```
//! use std::sync::Arc;
//! use eplb_device::{Backend, Device, Expired, StreamPriority, Wait};
//! use eplb_host::HostBackend;
//!
//! struct Patience(u32);
//!
//! impl Wait for Patience {
//!     fn pause(&mut self) -> Result<(), Expired> {
//!         self.0 = self.0.checked_sub(1).ok_or(Expired)?;
//!         std::thread::sleep(std::time::Duration::from_millis(1));
//!         Ok(())
//!     }
//! }
//!
//! let backend: Arc<dyn Backend> = HostBackend::new(1);
//! let device = Device::open(&backend, 0)?;
//! let stream = device.stream(StreamPriority::Normal)?;
//! let memory = device.allocate(4)?;
//! let back = device.allocate_pinned(4)?;
//! stream.upload(&memory, &device.pin(b"moe!")?)?;
//! stream.download(&back, &memory)?;
//! stream.wait(&mut Patience(10_000))?;
//! assert_eq!(back.to_vec()?, b"moe!");
//! # Ok::<(), eplb_device::DeviceError>(())
//! ```

#![allow(unsafe_code, reason = "a backend turns addresses into memory; each use says why it may")]

mod access;
mod backend;
mod collective;
mod communicator;
mod copy;
mod diagnosis;
mod driver;
mod error;
mod event;
mod foreign;
mod gate;
mod hub;
mod imports;
mod kernel_copy;
mod links;
mod memory;
mod peer;
mod process;
mod round;
mod stream;
mod ticket;

pub use backend::{Hold, HostBackend};
pub use links::{Carrier, CarrierError, Links, MOST_MESSAGE_BYTES};
