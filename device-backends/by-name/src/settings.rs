//! `[backend]` of a configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::BackendName;

/// `[backend]`: what holds the weights.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendSettings {
    /// The backend.
    pub name: BackendName,
    /// The one device that all ranks share; all devices in turn unless given.
    pub device: Option<u32>,
    /// Where its libraries are.
    pub libraries: LibrarySettings,
}

/// `[backend.libraries]`: paths that are the only places looked at. Without one, the environment
/// variable with its name (`EPLB_CUDART` for `cudart`) may name it, and then the usual places are looked
/// at. Keys are known also where their backend is not built in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LibrarySettings {
    /// The CUDA runtime.
    pub cudart: Option<PathBuf>,
    /// The CUDA driver.
    pub cuda: Option<PathBuf>,
    /// NCCL.
    pub nccl: Option<PathBuf>,
    /// The ACL runtime.
    pub ascendcl: Option<PathBuf>,
    /// HCCL.
    pub hccl: Option<PathBuf>,
}

impl BackendSettings {
    /// Reads the section.
    ///
    /// # Errors
    /// One line that says what is wrong, without the file's name.
    pub fn of(section: &toml::Table) -> Result<Self, String> {
        toml::Value::Table(section.clone())
            .try_into()
            .map_err(|error: toml::de::Error| format!("[backend]: {}", error.message()))
    }
}

impl LibrarySettings {
    /// The names of libraries, as configurations have them.
    pub const KEYS: [&str; 5] = ["cudart", "cuda", "nccl", "ascendcl", "hccl"];

    /// Where the path of a library is kept, by its name.
    pub fn path_mut(&mut self, key: &str) -> Option<&mut Option<PathBuf>> {
        match key {
            "cudart" => Some(&mut self.cudart),
            "cuda" => Some(&mut self.cuda),
            "nccl" => Some(&mut self.nccl),
            "ascendcl" => Some(&mut self.ascendcl),
            "hccl" => Some(&mut self.hccl),
            _ => None,
        }
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn cuda(&self) -> eplb_cuda::Libraries {
        let mut libraries = eplb_cuda::Libraries::default();
        for (path, search) in [
            (&self.cudart, &mut libraries.runtime),
            (&self.cuda, &mut libraries.driver),
            (&self.nccl, &mut libraries.nccl),
        ] {
            if let Some(path) = path {
                *search = eplb_cuda::Search::at(path);
            }
        }
        libraries
    }

    #[cfg(feature = "ascend")]
    pub(crate) fn ascend(&self) -> eplb_ascend::Libraries {
        let mut libraries = eplb_ascend::Libraries::default();
        for (path, search) in
            [(&self.ascendcl, &mut libraries.runtime), (&self.hccl, &mut libraries.hccl)]
        {
            if let Some(path) = path {
                *search = eplb_ascend::Search::at(path);
            }
        }
        libraries
    }
}
