//! Where to look for a library.

use std::path::{Path, PathBuf};

/// How a library is called, and how the user says where it is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LibraryNames {
    /// The library's name for people.
    pub title: &'static str,
    /// The environment variable that may hold its path.
    pub variable: &'static str,
    /// File names to ask the loader for, the preferred one first.
    pub files: &'static [&'static str],
}

/// The CUDA runtime; both majors in use have all that is needed, the newer first.
pub(crate) const CUDA_RUNTIME: LibraryNames = LibraryNames {
    title: "CUDA runtime",
    variable: "EPLB_CUDART",
    files: &["libcudart.so.13", "libcudart.so.12", "libcudart.so"],
};

/// The CUDA driver comes with the kernel's module and has kept one name.
pub(crate) const CUDA_DRIVER: LibraryNames =
    LibraryNames { title: "CUDA driver", variable: "EPLB_CUDA", files: &["libcuda.so.1"] };

/// NCCL has kept one major; the plain name exists only where its development files are.
pub(crate) const NCCL: LibraryNames =
    LibraryNames { title: "NCCL", variable: "EPLB_NCCL", files: &["libnccl.so.2", "libnccl.so"] };

/// Where to look for a library.
///
/// A path given here, or else one in the environment variable of [`LibraryNames`], is the only place
/// looked at: whoever names a file does not want another. Without one, symbols that the process has
/// already are taken if they are complete (the engine may have linked or preloaded the library), then
/// the file names are left to the loader, which searches as usual and finds a library that the process
/// has loaded by itself before.
#[derive(Clone, Debug, Default)]
pub struct Search {
    path: Option<PathBuf>,
}

impl Search {
    /// Looks at the environment variable, in the process, and for the usual names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at this file only.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()) }
    }

    /// The one file to look at, if it was named.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}
