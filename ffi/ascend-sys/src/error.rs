//! What there is to say when a library was not taken.

use std::fmt;
use std::path::PathBuf;

use crate::search::LibraryNames;

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

/// A place that was looked at without success.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// The place.
    pub origin: Origin,
    /// Why it was not taken.
    pub failure: Failure,
}

/// A place where a library can be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// Files and folders that the caller gave.
    Paths(Vec<PathBuf>),
    /// The files and folders in this environment variable.
    Variable(&'static str, Vec<PathBuf>),
    /// Symbols that the process had already.
    Process,
    /// File names that the loader searched for.
    Names(&'static [&'static str]),
    /// A folder that the library's files are usually in.
    Folder(PathBuf),
}

/// Why a place was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// There was nothing to open; the loader's words on each file.
    NotOpened(Vec<String>),
    /// Something was opened and has not got these symbols, all of which are needed.
    Missing {
        /// The symbols.
        symbols: Vec<&'static str>,
        /// The loader's words on the files that it did not open, one of which may have them.
        not_opened: Vec<String>,
    },
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
        write!(formatter, "{}: {}", self.origin, self.failure)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paths(paths) => write_paths(formatter, paths),
            Self::Variable(variable, paths) => {
                write!(formatter, "{variable}=")?;
                write_paths(formatter, paths)
            }
            Self::Process => write!(formatter, "symbols of the process"),
            Self::Names(names) => formatter.write_str(&names.join(" and ")),
            Self::Folder(folder) => write!(formatter, "{}", folder.display()),
        }
    }
}

/// As they stand in an environment variable.
fn write_paths(formatter: &mut fmt::Formatter<'_>, paths: &[PathBuf]) -> fmt::Result {
    for (index, path) in paths.iter().enumerate() {
        write!(formatter, "{}{}", if index == 0 { "" } else { ":" }, path.display())?;
    }
    Ok(())
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpened(texts) => formatter.write_str(&texts.join(", ")),
            Self::Missing { symbols, not_opened } => {
                if symbols.len() > 4 {
                    let shown = symbols[..3].join(", ");
                    write!(formatter, "without {shown} and {} more symbols", symbols.len() - 3)?;
                } else {
                    write!(formatter, "without {}", symbols.join(", "))?;
                }
                if !not_opened.is_empty() {
                    write!(formatter, " ({})", not_opened.join(", "))?;
                }
                Ok(())
            }
        }
    }
}
