//! Host memory as a device.
//!
//! Streams are threads with queues, so that work really runs beside the caller and beside other
//! streams. Memory is host memory, several devices and ranks live in one process, memory exported by
//! one is imported by another as the same bytes, and communicators meet inside the backend.
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
