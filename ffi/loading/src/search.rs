//! Where to look for a library.

use std::path::{Path, PathBuf};

/// Where to look for a library. `Files` is what a user can name: a file, or several files and folders
/// that together are the library.
///
/// What is named here, or else in the environment variable of [`LibraryNames`](crate::LibraryNames), is
/// the only place looked at: whoever names a file does not want another. Without it, the usual places
/// of the [`Place`](crate::Place) are looked at.
#[derive(Clone, Debug)]
pub struct Search<Files> {
    named: Option<Files>,
}

impl<Files> Search<Files> {
    /// Looks at the environment variable and in the usual places.
    pub fn new() -> Self {
        Self { named: None }
    }

    /// What is the only place to look at, if it was named.
    pub fn named(&self) -> Option<&Files> {
        self.named.as_ref()
    }
}

impl<Files> Default for Search<Files> {
    fn default() -> Self {
        Self::new()
    }
}

impl Search<PathBuf> {
    /// Looks at this file only.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { named: Some(path.into()) }
    }

    /// The one file to look at, if it was named.
    pub fn path(&self) -> Option<&Path> {
        self.named.as_deref()
    }
}

impl Search<Vec<PathBuf>> {
    /// Looks only at this file, or for the usual names in this folder.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::in_all([path])
    }

    /// Looks only at these files and folders, which together are the library, and all of which are
    /// there. None at all is as good as not named.
    pub fn in_all(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let paths: Vec<_> = paths.into_iter().map(Into::into).collect();
        Self { named: Some(paths).filter(|paths| !paths.is_empty()) }
    }

    /// The files and folders to look at, if any were named.
    pub fn paths(&self) -> &[PathBuf] {
        self.named.as_deref().unwrap_or_default()
    }
}
