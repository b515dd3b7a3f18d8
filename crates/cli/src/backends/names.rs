//! The names of backends.

use std::fmt;

use clap::ValueEnum;
use serde::Deserialize;

/// A backend, built in or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BackendName {
    /// Host memory: always there, and the default.
    #[default]
    Host,
    /// NVIDIA devices.
    Cuda,
    /// Ascend NPUs.
    Ascend,
}

impl fmt::Display for BackendName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Host => "host",
            Self::Cuda => "cuda",
            Self::Ascend => "ascend",
        })
    }
}
