//! Loading the tables.

use std::path::PathBuf;

use eplb_loading::{LibraryNames, load};

use crate::names::{ACL_RUNTIME, HCCL};
use crate::{AclRuntime, Hccl, Origin};

/// Where to look for a library.
///
/// Paths given here, or else those in the environment variable of [`LibraryNames`], are the only place
/// looked at: whoever names a file does not want another. Without any, symbols that the process has
/// already are taken if they are complete (the engine may have linked or preloaded the library), then
/// the file names are left to the loader, which searches as usual and finds a library that the process
/// has loaded by itself before, then they are looked for where CANN is installed. At each place, all
/// files that are there are opened, and a function is taken from the first that has it.
pub type Search = eplb_loading::Search<Vec<PathBuf>>;

/// A table, and where it came from.
pub type Loaded<T> = eplb_loading::Loaded<T, Origin>;

/// A library was not found, or none of those found was complete.
pub type LoadError = eplb_loading::LoadError<Origin>;

/// A place that was looked at without success.
pub type Attempt = eplb_loading::Attempt<Origin>;

impl AclRuntime {
    /// How the library is called.
    pub const NAMES: LibraryNames = ACL_RUNTIME;

    /// Loads the ACL runtime. Initialises nothing, and needs no device.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        load(&Self::NAMES, search)
    }
}

impl Hccl {
    /// How the library is called.
    pub const NAMES: LibraryNames = HCCL;

    /// Loads HCCL. Creates nothing, and needs no device.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        load(&Self::NAMES, search)
    }
}
