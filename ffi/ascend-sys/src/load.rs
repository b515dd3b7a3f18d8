//! Loading a table of functions.

use std::path::PathBuf;

use crate::error::{Attempt, Failure, LoadError, Origin};
use crate::library::Library;
use crate::search::{ACL_RUNTIME, HCCL, LibraryNames, Search};
use crate::{AclRuntime, Hccl};

/// A table that can be filled from a library.
pub(crate) trait Table: Sized {
    /// Looks all symbols up: adds required ones that are not there to `missing`, which gives no
    /// table, and optional ones that are not there to `absent`.
    fn resolve(
        library: &Library,
        missing: &mut Vec<&'static str>,
        absent: &mut Vec<&'static str>,
    ) -> Option<Self>;
}

/// The symbols that were not found.
pub(crate) fn without(symbols: &[(&'static str, bool)]) -> impl Iterator<Item = &'static str> {
    symbols.iter().filter(|(_, is_found)| !is_found).map(|(symbol, _)| *symbol)
}

/// A table, and where it came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded<T> {
    /// The functions. They stay callable until the process ends.
    pub table: T,
    /// The place that they were found in.
    pub origin: Origin,
    /// The files that were opened there, as they were given to the loader; none for symbols that the
    /// process had already.
    pub files: Vec<PathBuf>,
    /// Optional symbols that this library has not got.
    pub absent: Vec<&'static str>,
    /// What was tried before without success.
    pub attempts: Vec<Attempt>,
}

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

/// Takes the first place whose files have all required symbols among them.
fn load<T: Table>(names: &LibraryNames, search: &Search) -> Result<Loaded<T>, LoadError> {
    let mut attempts = Vec::new();
    for origin in search.origins(names) {
        match take(&origin, names) {
            Ok((table, files, absent)) => {
                return Ok(Loaded { table, origin, files, absent, attempts });
            }
            Err(failure) => attempts.push(Attempt { origin, failure }),
        }
    }
    Err(LoadError { names: *names, attempts })
}

/// A table, the files that it is of, and the optional symbols that they have not got.
type Taken<T> = (T, Vec<PathBuf>, Vec<&'static str>);

fn take<T: Table>(origin: &Origin, names: &LibraryNames) -> Result<Taken<T>, Failure> {
    let library = Library::open(origin, names)?;
    let (mut missing, mut absent) = (Vec::new(), Vec::new());
    match T::resolve(&library, &mut missing, &mut absent) {
        Some(table) => Ok((table, library.files, absent)),
        None => Err(Failure::Missing { symbols: missing, not_opened: library.not_opened }),
    }
}
