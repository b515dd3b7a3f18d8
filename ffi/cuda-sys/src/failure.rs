//! Why a library was not taken.

use std::fmt;

/// Why a library was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be opened; the loader's words.
    NotOpened(String),
    /// It was opened and has not got these symbols, all of which are needed.
    Missing(Vec<&'static str>),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpened(text) => formatter.write_str(text),
            Self::Missing(symbols) if symbols.len() > 4 => {
                write!(formatter, "without {} and {} more", symbols[0], symbols.len() - 1)
            }
            Self::Missing(symbols) => write!(formatter, "without {}", symbols.join(", ")),
        }
    }
}
