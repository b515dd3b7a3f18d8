//! What a rank tells the manager after each step.

use std::fmt;

use eplb_core::{RankId, Step};

use crate::{Phase, Timestamp, Token};

/// The message from one rank to the manager after one engine step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankReport {
    /// The rank that reports.
    pub rank: RankId,
    /// The step it reports after. A rank gives one report for a step.
    pub step: Step,
    /// The rank's clock. In spmd carriage the lowest live rank's is everybody's time.
    pub clock: Timestamp,
    /// Tokens counted since its last load report, if it has any to give: each part of other steps, in
    /// the order of their steps. What a device counts arrives a few steps late, so that there may be
    /// several parts, and each is credited to its own steps.
    pub loads: Vec<LoadReport>,
    /// The present status of every change the rank knows of, in token order.
    pub statuses: Vec<TokenStatus>,
    /// The digest of the rank's plan, in spmd carriage, until all ranks' are compared.
    pub plan_digest: Option<PlanDigest>,
}

/// Tokens that a rank counted on its own slots over some steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// The first step counted.
    pub first_step: Step,
    /// The last step counted.
    pub last_step: Step,
    /// Tokens: layers × slots of this rank, row-major.
    pub counts: Vec<u64>,
    /// What the numbers of a row are.
    pub form: CountForm,
    /// What these steps did. Where ranks differ, their steps count as [`Phase::Mixed`].
    pub phase: Phase,
}

/// What the numbers of a row of counts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountForm {
    /// The tokens of each slot.
    Plain,
    /// The tokens of all slots up to and with this one; xLLM's workers count like this.
    PrefixSums,
}

/// How far a rank got with one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenStatus {
    /// The change.
    pub token: Token,
    /// How far it got.
    pub status: Status,
}

/// How far a rank got with a change. A change that is only begun has no status yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything is ready for the switch.
    Prepared,
    /// It cannot be prepared (NACK).
    Refused {
        /// Why.
        reason: Reason,
    },
    /// The rank routes with the new epoch.
    Committed {
        /// The first step it does so on.
        step: Step,
    },
    /// The switch failed; the rank is on the old epoch.
    CommitFailed {
        /// Why.
        reason: Reason,
    },
    /// The rank is on the old epoch again.
    Reverted,
    /// The rank could not go back; it runs no step until it can. It tries again with each header.
    RevertFailed {
        /// Why.
        reason: Reason,
    },
}

/// A digest of what a rank planned, to be compared before anything moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanDigest {
    /// The round that the plan is for.
    pub round: RoundId,
    /// The digest of loads and plan, or [`PlanDigest::FAILED`].
    pub digest: u64,
}

impl PlanDigest {
    /// Stands for a plan that failed on this rank; the round ends on all ranks then.
    pub const FAILED: u64 = 0;
}

/// One round of planning and changing layers, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundId(pub u64);

impl fmt::Display for RoundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}", self.0)
    }
}

/// A reason in a few words, at most [`Reason::MOST_BYTES`] long; a longer one is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason(String);

impl LoadReport {
    /// What a rank counted in one step: plain counts, row-major [layers, local slots], of a step that
    /// may be anything ([`Phase::Mixed`]).
    pub fn of_step(step: Step, counts: Vec<u64>) -> Self {
        let (form, phase) = (CountForm::Plain, Phase::Mixed);
        Self { first_step: step, last_step: step, counts, form, phase }
    }

    /// The same of steps that did this.
    #[must_use]
    pub fn in_phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

impl Reason {
    /// Longest reason, in bytes of UTF-8.
    pub const MOST_BYTES: usize = 256;

    /// The reason `text`, cut where it is too long.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > Self::MOST_BYTES {
            let end = (0..=Self::MOST_BYTES).rev().find(|&end| text.is_char_boundary(end));
            text.truncate(end.unwrap_or(0));
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let reason = Reason::new("é".repeat(200));
        assert_eq!(reason.as_str(), "é".repeat(128));
        let reason = Reason::new(format!("a{}", "é".repeat(200)));
        assert_eq!(reason.as_str().len(), 255);
    }
}
