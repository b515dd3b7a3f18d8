//! Loading a table of functions, and what there is to say about it.

use std::ffi::{OsStr, c_int};
use std::fmt;
use std::path::PathBuf;

use crate::library::Library;
use crate::search::{CUDA_DRIVER, CUDA_RUNTIME, LibraryNames, NCCL, Search};
use crate::{CudaDriver, CudaRuntime, Nccl, cudaError_t};

/// The first version of the CUDA runtime whose `cudaMemcpyBatchAsync` has the arguments of 13.
const RUNTIME_13: c_int = 13_000;

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
    /// The library that they are of.
    pub origin: Origin,
    /// Optional symbols that this library has not got.
    pub absent: Vec<&'static str>,
    /// What was tried before without success.
    pub attempts: Vec<Attempt>,
}

/// A place where a library can be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// A path that the caller gave.
    Path(PathBuf),
    /// The path in this environment variable.
    Variable(&'static str, PathBuf),
    /// Symbols that the process had already.
    Process,
    /// A file name that the loader searched for.
    Name(&'static str),
}

/// A place that was looked at without success.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// The place.
    pub origin: Origin,
    /// Why it was not taken.
    pub failure: Failure,
}

/// Why a library was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be opened; the loader's words.
    NotOpened(String),
    /// It was opened and has not got these symbols, all of which are needed.
    Missing(Vec<&'static str>),
}

/// A library was not found, or none of those found was complete.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} was not loaded: {}; install it or set {} to its path", names.title, Attempts(attempts), names.variable)]
#[non_exhaustive]
pub struct LoadError {
    /// The library.
    pub names: LibraryNames,
    /// What was tried, in this order; never empty.
    pub attempts: Vec<Attempt>,
}

struct Attempts<'a>(&'a [Attempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.0.iter().enumerate() {
            write!(formatter, "{}{attempt}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, failure) = (self.origin.to_string(), self.failure.to_string());
        // Most loaders begin with the name that they were given.
        if failure.starts_with(&origin) {
            return formatter.write_str(&failure);
        }
        write!(formatter, "{origin}: {failure}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(formatter, "{}", path.display()),
            Self::Variable(variable, path) => write!(formatter, "{variable}={}", path.display()),
            Self::Process => write!(formatter, "symbols of the process"),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpened(text) => formatter.write_str(text.trim_end()),
            Self::Missing(symbols) if symbols.len() > 4 => {
                write!(formatter, "without {} and {} more", symbols[0], symbols.len() - 1)
            }
            Self::Missing(symbols) => write!(formatter, "without {}", symbols.join(", ")),
        }
    }
}

impl CudaRuntime {
    /// How the library is called.
    pub const NAMES: LibraryNames = CUDA_RUNTIME;

    /// Loads the CUDA runtime. Of `cudaMemcpyBatchAsync`, which 12 and 13 export under one symbol with
    /// different arguments, only the form of the library that was found is kept. Needs no driver
    /// and no device.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        let mut loaded: Loaded<Self> = load(&Self::NAMES, search)?;
        let mut version = 0;
        // SAFETY: the function writes one integer, which outlives the call; any thread may call it.
        let status = unsafe { (loaded.table.cudaRuntimeGetVersion)(&raw mut version) };
        let known = status == cudaError_t::cudaSuccess && version > 0;
        if !known || version < RUNTIME_13 {
            loaded.table.cudaMemcpyBatchAsync_v13 = None;
        }
        if !known || version >= RUNTIME_13 {
            loaded.table.cudaMemcpyBatchAsync_v12 = None;
        }
        loaded.absent.dedup();
        Ok(loaded)
    }
}

impl CudaDriver {
    /// How the library is called.
    pub const NAMES: LibraryNames = CUDA_DRIVER;

    /// Loads the CUDA driver.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        load(&Self::NAMES, search)
    }
}

impl Nccl {
    /// How the library is called.
    pub const NAMES: LibraryNames = NCCL;

    /// Loads NCCL, 2.14.3 or later. Needs no device.
    ///
    /// # Errors
    ///
    /// The library is not there, or not complete.
    pub fn open(search: &Search) -> Result<Loaded<Self>, LoadError> {
        load(&Self::NAMES, search)
    }
}

/// Takes the first place whose library has all required symbols.
fn load<T: Table>(names: &LibraryNames, search: &Search) -> Result<Loaded<T>, LoadError> {
    let mut attempts = Vec::new();
    for origin in origins(names, search) {
        match take(&origin) {
            Ok((table, absent)) => return Ok(Loaded { table, origin, absent, attempts }),
            Err(failure) => attempts.push(Attempt { origin, failure }),
        }
    }
    Err(LoadError { names: *names, attempts })
}

/// The places to look at, in order.
fn origins(names: &LibraryNames, search: &Search) -> Vec<Origin> {
    if let Some(path) = search.path() {
        return vec![Origin::Path(path.to_owned())];
    }
    if let Some(path) = std::env::var_os(names.variable).filter(|path| !path.is_empty()) {
        return vec![Origin::Variable(names.variable, path.into())];
    }
    std::iter::once(Origin::Process).chain(names.files.iter().copied().map(Origin::Name)).collect()
}

fn take<T: Table>(origin: &Origin) -> Result<(T, Vec<&'static str>), Failure> {
    let library = match origin {
        Origin::Path(path) | Origin::Variable(_, path) => Library::open(path.as_os_str()),
        Origin::Name(name) => Library::open(OsStr::new(name)),
        Origin::Process => Ok(Library::process()),
    };
    let library = library.map_err(Failure::NotOpened)?;
    let (mut missing, mut absent) = (Vec::new(), Vec::new());
    match T::resolve(&library, &mut missing, &mut absent) {
        Some(table) => Ok((table, absent)),
        None => Err(Failure::Missing(missing)),
    }
}
