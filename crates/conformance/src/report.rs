//! What a run of the suite found.

use eplb::device::DeviceInfo;
use serde::Serialize;

use crate::case::{Case, Rule};
use crate::{Outcome, junit};

/// What a run of the suite found; its JSON form is what `eplb conformance --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The backend's name.
    pub backend: String,
    /// The devices under test.
    pub devices: Vec<DeviceInfo>,
    /// How many of each outcome.
    pub counts: Counts,
    /// Every case, once for each variant, in the order of the suite.
    pub entries: Vec<Entry>,
}

/// How many cases, variants counted each, ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed, unexpected passes included.
    pub failed: usize,
    /// Skipped for want of a capability.
    pub skipped: usize,
    /// Failed as expected.
    pub expected_failures: usize,
}

/// One case in one variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The case's topic.
    pub topic: String,
    /// The case's name.
    pub case: String,
    /// Ranks, and how they ran; none for cases of one rank.
    pub variant: Option<String>,
    /// What it checks.
    pub checks: String,
    /// The rules of the contract that it covers.
    pub rules: Vec<Rule>,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

impl Entry {
    pub(crate) fn new(
        case: &Case,
        variant: Option<String>,
        outcome: Outcome,
        seconds: f64,
    ) -> Self {
        Self {
            topic: case.topic.clone(),
            case: case.name.clone(),
            variant,
            checks: case.checks.clone(),
            rules: case.rules.clone(),
            outcome,
            seconds,
        }
    }

    /// The case with its variant.
    pub fn title(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{} [{variant}]", self.case),
            None => self.case.clone(),
        }
    }
}

impl Counts {
    fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut counts = Self::default();
        for entry in entries {
            let count = match entry.outcome {
                Outcome::Pass => &mut counts.passed,
                Outcome::Fail { .. } | Outcome::UnexpectedPass { .. } => &mut counts.failed,
                Outcome::Skip { .. } => &mut counts.skipped,
                Outcome::ExpectedFailure { .. } => &mut counts.expected_failures,
            };
            *count += 1;
        }
        counts
    }
}

impl Report {
    pub(crate) fn new(backend: String, devices: Vec<DeviceInfo>, entries: Vec<Entry>) -> Self {
        Self { backend, devices, counts: Counts::of(&entries), entries }
    }

    /// Whether nothing failed that was not expected to.
    pub fn is_success(&self) -> bool {
        self.counts.failed == 0
    }

    /// The topics in the order of the suite, each with its counts.
    pub fn topics(&self) -> Vec<(&str, Counts)> {
        let mut topics: Vec<&str> = Vec::new();
        for entry in &self.entries {
            if topics.last() != Some(&entry.topic.as_str()) {
                topics.push(&entry.topic);
            }
        }
        let of = |topic: &str| Counts::of(self.entries.iter().filter(|entry| entry.topic == topic));
        topics.into_iter().map(|topic| (topic, of(topic))).collect()
    }

    /// The report as JUnit XML: a suite for each topic, a case for each entry.
    pub fn junit(&self) -> String {
        junit::write(self)
    }
}
