//! The CUDA runtime, the CUDA driver, NCCL and what benchmarks use of cuBLAS: declarations, and tables that are
//! loaded at run time.
//!
//! Nothing is linked: a process without these libraries learns so from [`LoadError`], which says what
//! was tried. The declarations are made from our own headers in `include/` by `ci/update-bindings`, and
//! `ci/abi-check` holds them against the vendor's headers. Names are the vendor's, so that its manuals
//! can be searched for them.
//!
//! There is no safe layer here: what a call needs is in the vendor's manual, and who calls answers for it.
#![allow(unsafe_code, reason = "functions of a library are called to ask for its version")]

mod failure;
mod generated;
mod load;
mod names;
mod origin;

pub use eplb_loading::{LibraryNames, file_of};
pub use failure::Failure;
pub use generated::*;
pub use load::{Attempt, LoadError, Loaded, Search};
pub use origin::Origin;

pub(crate) use eplb_loading::{code, table};
