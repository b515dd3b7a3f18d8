//! Why a place was not taken.

use std::fmt;

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
