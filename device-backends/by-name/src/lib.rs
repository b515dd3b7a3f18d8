//! The device backends that a program was built with, by name: the one place that knows them all.
//!
//! The command line, the C ABI and the Python module open devices by what a configuration says in
//! `[backend]`. The host is always there; `cuda` and `ascend` are features, which need nothing at build
//! time, since the vendors' libraries are looked for at run time.

#![forbid(unsafe_code)]

mod error;
mod name;
mod open;
mod products;
mod settings;

pub use eplb_host::{Carrier, CarrierError, Links};
pub use error::OpenError;
pub use name::BackendName;
pub use open::{diagnose, open, open_host};
pub use products::{Products, products};
pub use settings::{BackendSettings, LibrarySettings};
