//! The names of backends.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::OpenError;

/// A backend, built in or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum BackendName {
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

impl FromStr for BackendName {
    type Err = OpenError;

    fn from_str(name: &str) -> Result<Self, OpenError> {
        match name {
            "host" => Ok(Self::Host),
            "cuda" => Ok(Self::Cuda),
            "ascend" => Ok(Self::Ascend),
            _ => Err(OpenError::Unknown { name: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [BackendName::Host, BackendName::Cuda, BackendName::Ascend] {
            assert_eq!(name.to_string().parse::<BackendName>().unwrap(), name);
        }
        let error = "rocm".parse::<BackendName>().unwrap_err().to_string();
        assert_eq!(error, "no backend is called \"rocm\", allowed are host, cuda and ascend");
    }
}
