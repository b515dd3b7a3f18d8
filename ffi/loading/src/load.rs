//! Loading a table of functions.

use std::env;
use std::path::PathBuf;

use crate::{Attempt, LibraryNames, LoadError, Place, Search, Table};

/// A table, and where it came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded<T, P: Place> {
    /// The functions. They stay callable until the process ends.
    pub table: T,
    /// The place that they were found in.
    pub origin: P,
    /// The files that were opened there, as they were given to the loader; none for symbols that the
    /// process had already.
    pub files: Vec<PathBuf>,
    /// Optional symbols that this library has not got.
    pub absent: Vec<&'static str>,
    /// What was tried before without success.
    pub attempts: Vec<Attempt<P>>,
}

/// Takes the first place whose files have all required symbols among them.
///
/// # Errors
///
/// There is no such place; what was tried, and why it was not taken.
pub fn load<T: Table, P: Place>(
    names: &LibraryNames,
    search: &Search<P::Files>,
) -> Result<Loaded<T, P>, LoadError<P>> {
    let mut attempts = Vec::new();
    for origin in origins::<P>(names, search) {
        match take(&origin, names) {
            Ok((table, files, absent)) => {
                return Ok(Loaded { table, origin, files, absent, attempts });
            }
            Err(failure) => attempts.push(Attempt { origin, failure }),
        }
    }
    Err(LoadError { names: *names, attempts })
}

/// The places to look at, in order.
fn origins<P: Place>(names: &LibraryNames, search: &Search<P::Files>) -> Vec<P> {
    if let Some(files) = search.named() {
        return vec![P::named(files)];
    }
    if let Some(value) = env::var_os(names.variable).filter(|value| !value.is_empty()) {
        return vec![P::of_variable(names.variable, &value)];
    }
    P::usual(names)
}

/// A table, the files that it is of, and the optional symbols that they have not got.
type Taken<T> = (T, Vec<PathBuf>, Vec<&'static str>);

fn take<T: Table, P: Place>(origin: &P, names: &LibraryNames) -> Result<Taken<T>, P::Failure> {
    let library = origin.open(names).map_err(P::not_opened)?;
    if library.is_empty() {
        return Err(P::not_opened(library.not_opened));
    }
    let (mut missing, mut absent) = (Vec::new(), Vec::new());
    match T::resolve(&library, &mut missing, &mut absent) {
        Some(table) => Ok((table, library.files, absent)),
        None => Err(P::incomplete(missing, library.not_opened)),
    }
}
