//! What became of a case.

use serde::Serialize;

/// What became of a case. A skip is never a pass, and an unexpected pass is a failure: whoever
/// expects a failure wants to know when it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was as it should be.
    Pass,
    /// Something was not.
    Fail {
        /// Which step, and what was seen.
        text: String,
    },
    /// The device can't do what the case needs.
    Skip {
        /// The missing capabilities.
        missing: Vec<String>,
    },
    /// It failed, and that is known.
    ExpectedFailure {
        /// Why it is expected.
        reason: String,
        /// Which step, and what was seen.
        text: String,
    },
    /// It should have failed and passed.
    UnexpectedPass {
        /// Why a failure was expected.
        reason: String,
    },
}

impl Outcome {
    /// Whether the suite fails because of it.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Fail { .. } | Self::UnexpectedPass { .. })
    }

    /// What the outcome becomes when a failure is expected.
    #[must_use]
    pub(crate) fn expected_to_fail(self, reason: &str) -> Self {
        let reason = reason.to_owned();
        match self {
            Self::Fail { text } => Self::ExpectedFailure { reason, text },
            Self::Pass => Self::UnexpectedPass { reason },
            other => other,
        }
    }
}
