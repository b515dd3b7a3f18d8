//! What there is to say when a library was not taken.

use std::fmt;

use crate::{LibraryNames, Place};

/// A library was not found, or none of those found was complete.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} was not loaded: {}; install it or set {} to its path", names.title, Attempts(attempts), names.variable)]
#[non_exhaustive]
pub struct LoadError<P: Place> {
    /// The library.
    pub names: LibraryNames,
    /// What was tried, in this order; never empty.
    pub attempts: Vec<Attempt<P>>,
}

/// A place that was looked at without success.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt<P: Place> {
    /// The place.
    pub origin: P,
    /// Why it was not taken.
    pub failure: P::Failure,
}

struct Attempts<'a, P: Place>(&'a [Attempt<P>]);

impl<P: Place> fmt::Display for Attempts<'_, P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.0.iter().enumerate() {
            write!(formatter, "{}{attempt}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl<P: Place> fmt::Display for Attempt<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, failure) = (format!("{}: ", self.origin), self.failure.to_string());
        // Most loaders begin with the name that they were given.
        if !failure.starts_with(&origin) {
            formatter.write_str(&origin)?;
        }
        formatter.write_str(&failure)
    }
}
