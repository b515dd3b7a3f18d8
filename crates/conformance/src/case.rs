//! Cases, as the files hold them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine_case::EngineCase;
use crate::requirement::Requirement;
use crate::step::Step;

/// Seconds that a case may take unless it says otherwise.
const DEADLINE_S: u64 = 20;

/// A file: the cases of one topic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseFile {
    pub(crate) topic: String,
    pub(crate) case: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// What it checks, in one sentence.
    pub(crate) checks: String,
    /// The rules of the contract that it covers.
    pub(crate) rules: Vec<Rule>,
    #[serde(default)]
    pub(crate) requires: Vec<Requirement>,
    /// With how many ranks it runs; without, it is one process's own matter.
    pub(crate) ranks: Option<Vec<u32>>,
    /// How ranks run.
    #[serde(default = "all_modes")]
    pub(crate) modes: Vec<Mode>,
    #[serde(default = "deadline_s")]
    pub(crate) deadline_s: u64,
    /// Parameters: it runs once with each of these.
    #[serde(default)]
    pub(crate) each: Vec<BTreeMap<String, i64>>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// Instead of steps: a whole engine.
    pub(crate) engine: Option<EngineCase>,
    /// The file's topic.
    #[serde(skip)]
    pub(crate) topic: String,
}

fn all_modes() -> Vec<Mode> {
    vec![Mode::Threads, Mode::Processes]
}

fn deadline_s() -> u64 {
    DEADLINE_S
}

/// How ranks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// As threads of one process.
    Threads,
    /// As processes.
    Processes,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Threads => "threads",
            Self::Processes => "processes",
        })
    }
}

/// A rule of the device trait's contract, R1 to R28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule(u8);

impl Rule {
    /// Rules of the contract.
    pub const COUNT: u8 = 28;

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=Self::COUNT).map(Self)
    }
}

impl TryFrom<String> for Rule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_prefix('R').and_then(|number| number.parse().ok());
        match number {
            Some(number) if (1..=Self::COUNT).contains(&number) => Ok(Self(number)),
            _ => Err(format!("there is no rule {text:?}; allowed are R1 to R{}", Self::COUNT)),
        }
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "R{}", self.0)
    }
}
