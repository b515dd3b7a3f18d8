//! Where the libraries can be.

use std::ffi::OsStr;
use std::fmt;
use std::iter;
use std::path::PathBuf;

use eplb_loading::{Library, LibraryNames, Place, Visibility};

use crate::Failure;

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

/// Each place is one file, and the file is the library.
impl Place for Origin {
    type Files = PathBuf;
    type Failure = Failure;

    fn named(file: &PathBuf) -> Self {
        Self::Path(file.clone())
    }

    fn of_variable(variable: &'static str, value: &OsStr) -> Self {
        Self::Variable(variable, value.into())
    }

    fn usual(names: &LibraryNames) -> Vec<Self> {
        iter::once(Self::Process).chain(names.files.iter().copied().map(Self::Name)).collect()
    }

    /// Symbols stay the library's own: an engine may have another major of it in the same process.
    fn open(&self, _: &LibraryNames) -> Result<Library, Vec<String>> {
        let file = match self {
            Self::Process => return Ok(Library::process()),
            Self::Path(path) | Self::Variable(_, path) => path.clone(),
            Self::Name(name) => PathBuf::from(name),
        };
        Ok(Library::open(vec![file], Visibility::Local))
    }

    fn not_opened(words: Vec<String>) -> Failure {
        Failure::NotOpened(words.join(", "))
    }

    fn incomplete(missing: Vec<&'static str>, _: Vec<String>) -> Failure {
        Failure::Missing(missing)
    }
}
