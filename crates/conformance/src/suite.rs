//! The suite: all cases, and running them.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use eplb::device::DeviceInfo;
use thiserror::Error;

use crate::Outcome;
use crate::case::{Case, CaseFile, Mode};
use crate::expectations::Expectations;
use crate::processes::run_processes;
use crate::report::{Entry, Report};
use crate::requirement::{Requirement, can_connect};
use crate::runner::{Ground, run_threads};
use crate::subject::{Processes, Subject, SubjectError};

/// The files of the standard cases, in the order in which they run.
const FILES: &[&str] = &[
    include_str!("../cases/devices.toml"),
    include_str!("../cases/memory.toml"),
    include_str!("../cases/streams.toml"),
    include_str!("../cases/events.toml"),
    include_str!("../cases/ordering.toml"),
    include_str!("../cases/errors.toml"),
    include_str!("../cases/leaks.toml"),
    include_str!("../cases/threads.toml"),
    include_str!("../cases/lent.toml"),
    include_str!("../cases/peer_memory.toml"),
    include_str!("../cases/communicators.toml"),
    include_str!("../cases/deadlines.toml"),
    include_str!("../cases/abort.toml"),
    include_str!("../cases/engine.toml"),
];

/// Cases, ready to be run on a backend.
#[derive(Clone, Debug)]
pub struct Suite {
    cases: Vec<Arc<Case>>,
}

/// Why texts are no suite.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// Not TOML, an unknown key or verb, or a key that is missing.
    #[error("{0}")]
    Syntax(String),
    /// A case whose parts don't fit.
    #[error("case {name:?}: {text}")]
    Case {
        /// The case.
        name: String,
        /// What is wrong.
        text: String,
    },
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Entries that are over.
    pub done: usize,
    /// Entries in all.
    pub total: usize,
    /// The topic at hand.
    pub topic: &'a str,
}

/// One run of one case.
#[derive(Clone, Debug)]
struct Variant {
    case: Arc<Case>,
    ranks: u32,
    mode: Mode,
    title: Option<String>,
    missing: Vec<String>,
}

impl Suite {
    /// All cases that the library brings.
    pub fn standard() -> Self {
        static STANDARD: OnceLock<Suite> = OnceLock::new();
        // A test reads every file, so that none is ever left out here.
        STANDARD.get_or_init(|| Self::parse(FILES).unwrap_or(Self { cases: Vec::new() })).clone()
    }

    /// Reads cases from TOML, one text for each topic.
    ///
    /// # Errors
    /// A text is no list of cases, or a case contradicts itself or another one.
    pub fn parse(files: &[&str]) -> Result<Self, SuiteError> {
        let mut cases: Vec<Arc<Case>> = Vec::new();
        for text in files {
            let file: CaseFile = toml::from_str(text).map_err(|error| syntax(text, &error))?;
            for mut case in file.case {
                case.topic.clone_from(&file.topic);
                let wrong = if cases.iter().any(|other| other.name == case.name) {
                    "the name is used twice"
                } else if case.engine.is_some() != case.steps.is_empty() {
                    "it needs either steps or an engine"
                } else if case.rules.is_empty() {
                    "it covers no rule"
                } else if case.ranks.as_ref().is_some_and(Vec::is_empty) || case.modes.is_empty() {
                    "it never runs"
                } else {
                    cases.push(Arc::new(case));
                    continue;
                };
                return Err(SuiteError::Case { name: case.name, text: wrong.to_owned() });
            }
        }
        Ok(Self { cases })
    }

    /// The names of all cases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().map(|case| case.name.as_str())
    }

    pub(crate) fn case(&self, name: &str) -> Option<Arc<Case>> {
        self.cases.iter().find(|case| case.name == name).cloned()
    }

    /// The suite with those cases whose name or topic holds `part`.
    #[must_use]
    pub fn only(&self, part: &str) -> Self {
        let cases = self.cases.iter();
        let chosen = cases.filter(|case| case.name.contains(part) || case.topic.contains(part));
        Self { cases: chosen.cloned().collect() }
    }

    /// Runs all cases. Each has its deadline, so that this ends whatever the backend does.
    ///
    /// # Errors
    /// There is no device, or it can't be opened.
    pub fn run(
        &self,
        subject: &Subject,
        expectations: &Expectations,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Report, SubjectError> {
        let (ordinals, devices) = subject.devices()?;
        let ordinals: Arc<[u32]> = ordinals.into();
        let variants: Vec<Variant> =
            self.cases.iter().flat_map(|case| variants(case, subject, &devices)).collect();
        let total = variants.len();
        let mut entries = Vec::with_capacity(total);
        for (done, variant) in variants.iter().enumerate() {
            let Variant { case, title, .. } = variant;
            progress(Progress { done, total, topic: &case.topic });
            let ground = Ground {
                backend: Arc::clone(&subject.backend),
                device: subject.device,
                ordinals: Arc::clone(&ordinals),
                ranks: variant.ranks,
            };
            let start = Instant::now();
            let outcome = variant.run(&ground, subject.processes.as_ref());
            let seconds = start.elapsed().as_secs_f64();
            let reason = devices
                .iter()
                .find_map(|device| expectations.reason(&case.name, title.as_deref(), device));
            let outcome = match reason {
                Some(reason) => outcome.expected_to_fail(reason),
                None => outcome,
            };
            entries.push(Entry::new(case, title.clone(), outcome, seconds));
            progress(Progress { done: done + 1, total, topic: &case.topic });
        }
        let backend = subject.backend.name().to_owned();
        Ok(Report::new(backend, devices, entries))
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> SuiteError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count() + 1;
    let topic = text.lines().find(|line| line.starts_with("topic")).unwrap_or("no topic");
    SuiteError::Syntax(format!("{topic}, line {line}: {}", error.message().replace('\n', "; ")))
}

/// A case with each number of ranks and each way to run them; one that can't be run is there once.
fn variants(case: &Arc<Case>, subject: &Subject, devices: &[DeviceInfo]) -> Vec<Variant> {
    let missing = case.requires.iter().filter(|needed| !needed.is_met(devices));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    let variant = |ranks, mode, title, missing| Variant {
        case: Arc::clone(case),
        ranks,
        mode,
        title,
        missing,
    };
    let Some(ranks) = &case.ranks else {
        return vec![variant(1, Mode::Threads, None, missing)];
    };
    let chosen: Vec<u32> =
        ranks.iter().copied().filter(|ranks| subject.ranks.contains(ranks)).collect();
    if chosen.is_empty() {
        let ranks: Vec<String> = ranks.iter().map(ToString::to_string).collect();
        let missing = vec![format!("ranks {}", ranks.join(" or "))];
        return vec![variant(1, Mode::Threads, None, missing)];
    }
    let mut variants = Vec::new();
    for mode in case.modes.iter().copied() {
        for ranks in chosen.iter().copied() {
            let mut missing = missing.clone();
            let connects = case.requires.contains(&Requirement::Communicators);
            if connects && !can_connect(ranks, devices) {
                missing.push(format!("ranks_share_device, or {ranks} devices"));
            }
            if mode == Mode::Processes && subject.processes.is_none() {
                missing.push("processes".to_owned());
            }
            let plural = if ranks == 1 { "" } else { "s" };
            let title = Some(format!("{ranks} rank{plural}, {mode}"));
            variants.push(variant(ranks, mode, title, missing));
        }
    }
    variants
}

impl Variant {
    fn run(&self, ground: &Ground, processes: Option<&Processes>) -> Outcome {
        if !self.missing.is_empty() {
            return Outcome::Skip { missing: self.missing.clone() };
        }
        let result = match (self.mode, processes) {
            (Mode::Processes, Some(processes)) => run_processes(&self.case, ground, processes),
            _ => run_threads(&self.case, ground),
        };
        match result {
            Ok(()) => Outcome::Pass,
            Err(text) => Outcome::Fail { text: text.replace('\n', " ") },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Rule;

    fn standard() -> Suite {
        Suite::parse(FILES).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_standard_cases_are_many_and_say_what_they_check() {
        let suite = standard();
        assert!(suite.cases.len() >= 80, "{} cases", suite.cases.len());
        for case in &suite.cases {
            let (name, checks) = (&case.name, &case.checks);
            assert!(checks.ends_with('.') && checks.len() > 20, "{name}: {checks}");
            assert!(checks.starts_with(|first: char| first.is_uppercase()), "{name}: {checks}");
            let plain =
                |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
            assert!(name.chars().all(plain), "{name}");
        }
        let sentences: BTreeSet<_> = suite.cases.iter().map(|case| &case.checks).collect();
        assert_eq!(sentences.len(), suite.cases.len(), "two cases check the same");
    }

    #[test]
    fn every_rule_of_the_contract_is_covered() {
        let suite = standard();
        let covered: BTreeSet<Rule> =
            suite.cases.iter().flat_map(|case| case.rules.iter().copied()).collect();
        let missing: Vec<Rule> = Rule::all().filter(|rule| !covered.contains(rule)).collect();
        assert_eq!(missing, [], "no case covers these");
    }

    #[test]
    fn files_that_are_no_cases_are_refused() {
        let case = "[[case]]\nname = 'a'\nchecks = 'It works.'\nrules = ['R1']\n";
        let steps = "steps = [{ collect = 'd' }]\n";
        for (text, part) in [
            (format!("{case}{steps}"), "missing field `topic`"),
            (format!("topic = 't'\n{case}"), "either steps or an engine"),
            (format!("topic = 't'\n{case}{steps}size = 3"), "unknown field `size`"),
            (format!("topic = 't'\n{case}{steps}{case}{steps}"), "used twice"),
            (format!("topic = 't'\n{case}steps = [{{ collects = 'd' }}]"), "exactly one verb"),
            (format!("topic = 't'\n{case}{steps}requires = ['luck']"), "unknown variant `luck`"),
            (format!("topic = 't'\n{}{steps}", case.replace("R1", "R29")), "no rule \"R29\""),
        ] {
            let error = Suite::parse(&[&text]).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
