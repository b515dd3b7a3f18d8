//! Devices, as the layers above use them: a safe layer over the trait that backends implement.
//!
//! The crate knows no vendor, no clock and no thread. [`raw`] holds the traits of a backend and
//! their contract; a backend only translates. Everything that can be checked without the vendor's
//! library is checked here, once: bounds, overlaps, devices, ranks, and that nothing is freed while
//! queued work uses it.
//!
//! Calls that queue work return at once, and completion is polled. Waiting takes a [`Wait`], which
//! carries the caller's deadline. Nothing that the engine lent is destroyed, aborted or freed.
//!
//! ```
//! use std::sync::Arc;
//! use eplb_device::{Backend, Device, Expired, StreamPriority, Wait};
//!
//! struct Deadline(std::time::Instant);
//!
//! impl Wait for Deadline {
//!     fn pause(&mut self) -> Result<(), Expired> {
//!         std::thread::yield_now();
//!         if std::time::Instant::now() < self.0 { Ok(()) } else { Err(Expired) }
//!     }
//! }
//!
//! let backend: Arc<dyn Backend> = eplb_host::HostBackend::new(1); // or one of a vendor
//! let device = Device::open(&backend, 0)?;
//! let stream = device.stream(StreamPriority::Normal)?;
//! let (memory, back) = (device.allocate(4)?, device.allocate_pinned(4)?);
//! stream.fill(&memory, 7)?; // queued, not done
//! stream.download(&back, &memory)?;
//! stream.wait(&mut Deadline(std::time::Instant::now() + std::time::Duration::from_secs(10)))?;
//! assert_eq!(back.to_vec()?, [7; 4]);
//! # Ok::<(), eplb_device::DeviceError>(())
//! ```

mod communicator;
mod copies;
mod core;
mod device;
mod diagnosis;
mod error;
mod event;
pub mod fault;
mod lock;
mod memory;
mod peer;
mod pinned;
pub mod raw;
mod stream;
mod wait;

pub use communicator::{Communicator, Transfer};
pub use copies::MemoryCopy;
pub use device::Device;
pub use diagnosis::{DeviceDiagnosis, Diagnosis, LibraryDiagnosis};
pub use error::{DeviceError, ErrorKind, Result, VendorCode};
pub use event::Event;
pub use fault::{Fault, FaultAt, FaultKind, FaultyBackend, Live};
pub use memory::Memory;
pub use peer::{PeerKey, PeerMemory};
pub use pinned::PinnedMemory;
pub use raw::{
    Address, Backend, CommunicatorHandle, CommunicatorId, CommunicatorOptions, ContextHandle,
    DeviceInfo, MemoryInfo, StreamHandle, StreamPriority,
};
pub use stream::Stream;
pub use wait::{Expired, Wait};
