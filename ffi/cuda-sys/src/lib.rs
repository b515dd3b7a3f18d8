//! The CUDA runtime, the CUDA driver and NCCL: declarations, and tables that are loaded at run time.
//!
//! Nothing is linked: a process without these libraries learns so from [`LoadError`], which says what
//! was tried. The declarations are made from our own headers in `include/` by `ci/update-bindings`, and
//! `ci/abi-check` holds them against the vendor's headers. Names are the vendor's, so that its manuals
//! can be searched for them.
//!
//! There is no safe layer here: what a call needs is in the vendor's manual, and who calls answers for it.
#![allow(
    unsafe_code,
    reason = "addresses of functions come from libraries that are found at run time"
)]

mod code;
mod generated;
mod library;
mod load;
mod search;
mod table;

pub use generated::*;
pub use load::{Attempt, Failure, LoadError, Loaded, Origin};
pub use search::{LibraryNames, Search};

pub(crate) use code::code;
pub(crate) use table::table;
