//! The executor: moves the weights of experts between ranks and switches layers over.
//!
//! One rank's executor has two halves, so that no lock is shared between moving and serving:
//!
//! - the [`Migrator`] belongs to a thread of its own. It copies what a layer's new placement needs
//!   into memory that no forward pass reads, on a stream of its own, and saves what will be
//!   overwritten;
//! - the [`Switcher`] belongs to the engine's thread. It takes over what the migrator has prepared
//!   and switches the layer on the engine's stream, between two forward passes; it can go back.
//!
//! A [`PreparedChange`] is handed from one to the other by value. Nothing here waits: progress is
//! polled, and deadlines are the manager's.
//!
//! Between ranks, bytes are pulled through peer memory, or travel by packed rounds of a communicator;
//! [`Transports`] says which pair uses what, and why.
//!
//! Besides other ranks, bytes come from an [`ExpertPool`], where the engine has one: ranks may start from
//! it, and an expert whose last replica died comes back from it. With [`Verify`] bytes are
//! compared with checksums.
//!
//! Weights are opaque bytes described by a [`WeightManifest`]; which copies a change takes is decided
//! by the [`eplb_core::TransferPlan`], the same on all ranks.
//!
//! What this crate is not: it decides nothing (that is the manager's), and it knows no vendor.
//!
//! ```
//! use std::sync::Arc;
//! use eplb_core::{LayerId, ModelShape, RankId, SlotId, Topology};
//! use eplb_device::{Backend, Device, StreamPriority};
//! use eplb_executor::{
//!     CommitMode, Executor, ExecutorOptions, SlotTensor, TransportChoice, WeightManifest,
//! };
//!
//! let (shape, topology) = (ModelShape::new(1, 4, 1)?, Topology::uniform(2, 3, 1)?);
//! let backend: Arc<dyn Backend> = eplb_host::HostBackend::new(2);
//! let open = |rank: u32| -> Result<Executor, Box<dyn std::error::Error>> {
//!     let device = Device::open(&backend, rank)?;
//!     let engine = device.stream(StreamPriority::High)?;
//!     let memory = device.allocate(3 * 64)?; // three slots of 64 bytes
//!     let mut weights = WeightManifest::new();
//!     let name = "gate_up_proj".to_owned();
//!     weights.push_layer(vec![SlotTensor { name, memory, slot_stride: 64, slot_bytes: 64 }]);
//!     let options = ExecutorOptions {
//!         commit: CommitMode::InPlace,
//!         spare_slots: 0,
//!         staged_slots: 1,
//!         layers_in_flight: 1,
//!         is_capped: false,
//!         transport: TransportChoice::default(),
//!         round_slots: 1,
//!     };
//!     let (rank, topology) = (RankId(rank), &topology);
//!     Ok(Executor::open(rank, shape, topology, options, &device, engine, weights)?)
//! };
//! let (first, second) = (open(0)?, open(1)?);
//! let peer = second.endpoint().clone(); // travels to rank 0 as bytes
//! let (_migrator, switcher) = first.connect(&[peer])?;
//! assert_eq!(switcher.slot(LayerId(0), SlotId(2))?[0].bytes(), 64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod arrival;
mod buffers;
mod change;
mod checksums;
mod collective;
mod endpoint;
mod error;
mod executor;
mod inspector;
mod linking;
mod load;
mod manifest;
mod migrator;
mod pool;
mod registration;
mod staging;
mod switcher;
mod weights;

pub use arrival::ChangeFigures;
pub use buffers::{BufferTable, Landing, TooFewSpares};
pub use change::PreparedChange;
pub use checksums::Verify;
pub use collective::{
    CollectiveFigures, CollectiveState, CollectiveWait, CollectiveWatch, PairTransport, Reach,
    Transport, TransportBoard, TransportChoice, Transports,
};
pub use endpoint::Endpoint;
pub use error::{ExecutorError, RollCallRefusal};
pub use executor::{CommitMode, Executor, ExecutorOptions};
pub use load::{
    CollectedLoad, Collector, CounterForm, CounterLife, CounterWidth, LoadCounters, LoadError,
    LoadFigures, Padding,
};
pub use manifest::{SlotTensor, WeightManifest};
pub use migrator::Migrator;
pub use pool::{
    ExpertLayout, ExpertPool, PinnedPool, PoolError, SafetensorsPool, SharedMemoryPool,
    TensorBytes, TensorTemplate,
};
pub use switcher::{Switched, Switcher};
