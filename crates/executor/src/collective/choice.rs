//! Which transport is asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How experts are to come from other ranks. The same on all ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportChoice {
    /// Through peer memory, and by rounds of the communicator, if there is one, between ranks that can't
    /// use it.
    #[default]
    Auto,
    /// Through peer memory alone: a rank whose memory can't be exported or imported is an error.
    Peer,
    /// By rounds of the communicator alone.
    Collective,
}

impl fmt::Display for TransportChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Peer => "peer",
            Self::Collective => "collective",
        })
    }
}
