//! The vendor's part of a search.

use std::ffi::OsStr;
use std::fmt;

use crate::{Library, LibraryNames};

/// A place where a library of a vendor can be. As text, it is what the user named or can look for.
pub trait Place: fmt::Display + Sized {
    /// What a user can name: a file, or several files and folders that together are the library.
    type Files;

    /// Why such a place was not taken.
    type Failure: Clone + fmt::Debug + fmt::Display;

    /// What the caller named.
    fn named(files: &Self::Files) -> Self;

    /// What the user named in an environment variable, which is not empty.
    fn of_variable(variable: &'static str, value: &OsStr) -> Self;

    /// The places to look at, in this order, when nothing was named.
    fn usual(names: &LibraryNames) -> Vec<Self>;

    /// Opens what is there.
    ///
    /// # Errors
    ///
    /// The loader's words on each file, if the place is not worth a look for symbols.
    fn open(&self, names: &LibraryNames) -> Result<Library, Vec<String>>;

    /// There was nothing to open, or not enough; with the loader's words on each file.
    fn not_opened(words: Vec<String>) -> Self::Failure;

    /// Something was opened and has not got these symbols, all of which are needed. The loader's words
    /// are on the files that it did not open, one of which may have them.
    fn incomplete(missing: Vec<&'static str>, words: Vec<String>) -> Self::Failure;
}
