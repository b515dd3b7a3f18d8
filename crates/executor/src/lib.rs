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
//! Weights are opaque bytes described by a [`WeightManifest`]; which copies a change takes is decided
//! by the [`eplb_core::TransferPlan`], the same on all ranks.
//!
//! What this crate is not: it decides nothing (that is the manager's), and it knows no vendor.

#![forbid(unsafe_code)]

mod buffers;
mod change;
mod endpoint;
mod error;
mod executor;
mod manifest;
mod migrator;
mod staging;
mod switcher;
mod weights;

pub use buffers::{BufferTable, Landing, TooFewSpares};
pub use change::{ChangeFigures, PreparedChange};
pub use endpoint::Endpoint;
pub use error::ExecutorError;
pub use executor::{CommitMode, Executor, ExecutorOptions};
pub use manifest::{SlotTensor, WeightManifest};
pub use migrator::Migrator;
pub use switcher::{Switched, Switcher};
