//! `[backend]` of a configuration.

use std::path::PathBuf;

use eplb::Config;
use serde::Deserialize;

use super::BackendName;

/// `[backend]`: what holds the weights. Flags override it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BackendSettings {
    pub(crate) name: BackendName,
    /// The one device that all ranks share; all devices in turn unless given.
    pub(crate) device: Option<u32>,
    pub(crate) libraries: LibrarySettings,
}

/// `[backend.libraries]`: paths that are the only places looked at. Without one, the environment
/// variable with its name (`EPLB_CUDART` for `cudart`) may name it, and then the usual places are looked
/// at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    not(all(feature = "cuda", feature = "ascend")),
    allow(dead_code, reason = "keys are known also where their backend is not built in")
)]
pub(crate) struct LibrarySettings {
    cudart: Option<PathBuf>,
    cuda: Option<PathBuf>,
    nccl: Option<PathBuf>,
    ascendcl: Option<PathBuf>,
    hccl: Option<PathBuf>,
}

impl BackendSettings {
    /// Reads the section. The error is one line, without the file's name.
    pub(crate) fn of(config: &Config) -> Result<Self, String> {
        toml::Value::Table(config.backend.clone())
            .try_into()
            .map_err(|error: toml::de::Error| format!("[backend]: {}", error.message()))
    }
}

impl LibrarySettings {
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
