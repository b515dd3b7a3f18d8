//! Where to look for a library.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::Origin;

/// How a library is called, and how the user says where it is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LibraryNames {
    /// The library's name for people.
    pub title: &'static str,
    /// The environment variable that may hold its path.
    pub variable: &'static str,
    /// File names to ask the loader for. All that are there are opened, and a function is taken from
    /// the first that has it.
    pub files: &'static [&'static str],
}

/// CANN 9 has the runtime in a library of its own and keeps the old one beside it; up to CANN 8 there
/// is only the latter.
pub(crate) const ACL_RUNTIME: LibraryNames = LibraryNames {
    title: "ACL runtime",
    variable: "EPLB_ASCENDCL",
    files: &["libacl_rt.so", "libascendcl.so"],
};

/// CANN 9 has communicators in a library beside that of the operators; up to CANN 8 all is in the
/// latter.
pub(crate) const HCCL: LibraryNames =
    LibraryNames { title: "HCCL", variable: "EPLB_HCCL", files: &["libhccl.so", "libhcomm.so"] };

/// The variable that the vendor's `set_env.sh` sets to the folder that CANN is installed in.
const HOME_VARIABLE: &str = "ASCEND_HOME_PATH";

/// Where CANN 9, and CANN up to 8, put their libraries if they are not told otherwise.
const INSTALLED: [&str; 2] =
    ["/usr/local/Ascend/cann/lib64", "/usr/local/Ascend/ascend-toolkit/latest/lib64"];

/// Where to look for a library.
///
/// Paths given here, or else those in the environment variable of [`LibraryNames`], are the only place
/// looked at: whoever names a file does not want another. Without any, symbols that the process has
/// already are taken if they are complete (the engine may have linked or preloaded the library), then
/// the file names are left to the loader, which searches as usual and finds a library that the process
/// has loaded by itself before, then they are looked for where CANN is installed.
#[derive(Clone, Debug, Default)]
pub struct Search {
    paths: Vec<PathBuf>,
}

impl Search {
    /// Looks at the environment variable, in the process, for the usual names, and in the usual
    /// folders.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks only at this file, or for the usual names in this folder.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::in_all([path])
    }

    /// Looks only at these files and folders, which together are the library, and all of which are
    /// there.
    pub fn in_all(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { paths: paths.into_iter().map(Into::into).collect() }
    }

    /// The files and folders to look at, if any were named.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The places to look at, in order; a variable may hold several paths with colons between them.
    pub(crate) fn origins(&self, names: &LibraryNames) -> Vec<Origin> {
        if !self.paths.is_empty() {
            return vec![Origin::Paths(self.paths.clone())];
        }
        if let Some(value) = env::var_os(names.variable).filter(|value| !value.is_empty()) {
            return vec![Origin::Variable(names.variable, env::split_paths(&value).collect())];
        }
        let home = env::var_os(HOME_VARIABLE).filter(|value| !value.is_empty());
        let home = home.map(|home| Path::new(&home).join("lib64"));
        let folders = home.into_iter().chain(INSTALLED.map(PathBuf::from));
        [Origin::Process, Origin::Names(names.files)]
            .into_iter()
            .chain(folders.map(Origin::Folder))
            .collect()
    }
}
