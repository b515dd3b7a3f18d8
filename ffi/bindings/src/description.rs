//! `bindings.toml` of a crate: which headers it has, and what becomes of them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;

/// All headers of a crate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    pub(crate) bindings: Vec<Binding>,
}

/// One header and the table of its functions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    /// The header, from the crate's folder. Its name gives the names of the two Rust files.
    pub(crate) header: PathBuf,
    /// The name of the table of functions.
    pub(crate) table: String,
    /// What the table's documentation says.
    pub(crate) about: String,
    /// Modules beside this one whose types the header uses.
    #[serde(default)]
    pub(crate) uses: Vec<String>,
}

impl Description {
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("bindings.toml");
        let text = std::fs::read_to_string(&path).map_err(|source| Error::file(&path, source))?;
        toml::from_str(&text).map_err(|source| Error::Description { path, source })
    }

    /// The header with this file name, ending left out.
    pub(crate) fn binding(&self, stem: &str) -> Result<&Binding, Error> {
        self.bindings
            .iter()
            .find(|binding| binding.header.file_stem().is_some_and(|found| found == stem))
            .ok_or_else(|| Error::NoHeader { header: stem.to_owned() })
    }
}

impl Binding {
    /// The header's file name without its ending.
    pub(crate) fn stem(&self) -> Result<&str, Error> {
        let stem = self.header.file_stem().and_then(|stem| stem.to_str());
        stem.ok_or_else(|| Error::NoHeader { header: self.header.display().to_string() })
    }
}
