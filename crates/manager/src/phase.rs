//! Prefill and decode, which load experts differently and are kept apart on request.

use serde::{Deserialize, Serialize};

/// What the forward passes that some load was counted in did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Both, or the engine does not say.
    #[default]
    Mixed,
    /// They took in prompts.
    Prefill,
    /// They generated tokens.
    Decode,
}

/// Which load plans are made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedPhases {
    /// All load, whatever was done.
    #[default]
    All,
    /// Load that is all of prefill ([`Phase::Prefill`]).
    Prefill,
    /// Load that is all of decode ([`Phase::Decode`]).
    Decode,
}

impl Phase {
    /// The phase of two loads together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        if self == other { self } else { Self::Mixed }
    }
}

impl PlannedPhases {
    /// Whether load of a phase is planned for. Mixed load is only when all is.
    pub fn includes(self, phase: Phase) -> bool {
        match self {
            Self::All => true,
            Self::Prefill => phase == Phase::Prefill,
            Self::Decode => phase == Phase::Decode,
        }
    }
}
