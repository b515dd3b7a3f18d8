//! Errors as the command line tells them.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use eplb::core::Estimator;

use crate::run::{Bootstrap, INTERRUPTED};
use crate::window_range::WindowRange;

/// Exit status for anything that kept the command from its result.
const STATUS: u8 = 2;

/// Why a command has no result: one line for people.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to say.
    Message(String),
    /// Ranks are gone, which ended a run early.
    Interrupted(String),
    /// Standard output is closed: whoever read it has what they wanted.
    Closed,
}

impl Failure {
    pub(crate) fn new(message: impl Display) -> Self {
        Self::Message(message.to_string())
    }

    pub(crate) fn interrupted(message: impl Display) -> Self {
        Self::Interrupted(message.to_string())
    }

    /// An error that names a file: `path: what is wrong`, unless the error says so itself.
    pub(crate) fn of_file(path: &std::path::Path, error: impl Display) -> Self {
        let (path, error) = (path.display().to_string(), error.to_string());
        Self::Message(if error.starts_with(&path) { error } else { format!("{path}: {error}") })
    }

    /// What is wrong with the command line, as one line: the message and the hint, not the usage.
    pub(crate) fn of_arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
        let lines: Vec<_> = lines
            .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
            .map(|line| line.strip_prefix("error: ").unwrap_or(line))
            .collect();
        let mut message = lines.join("; ").replace(":;", ":");
        // What the value's type said comes last; the value before it may hold any text.
        if let Some((start, said)) = message.rsplit_once("': ")
            && let Some(allowed) = allowed_instead(said)
        {
            message = format!("{start}'; allowed: {allowed}");
        }
        if let Some((start, values)) = message.rsplit_once("[possible values: ") {
            message = format!("{start}allowed: {}", values.trim_end_matches(']'));
        }
        Self::Message(format!("{message}; see eplb --help"))
    }

    /// Says it on `err`, in one line.
    pub(crate) fn report(self, err: &mut dyn Write) -> ExitCode {
        let (message, status) = match self {
            Self::Closed => return ExitCode::SUCCESS,
            Self::Message(message) => (message, STATUS),
            Self::Interrupted(message) => (message, INTERRUPTED),
        };
        // When standard error is gone too, the status still tells.
        let _ = writeln!(err, "eplb: {}", message.replace('\n', " "));
        ExitCode::from(status)
    }
}

/// What is allowed where a number can't be read, by the words of Rust's number types.
fn allowed_instead(said: &str) -> Option<&'static str> {
    match said {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            Some("a whole number of at least 0")
        }
        "number too large to fit in target type" => Some("at most 18446744073709551615"),
        "invalid float literal" | "cannot parse float from empty string" => Some("a number"),
        // These types say themselves what is allowed.
        WindowRange::ALLOWED => Some(WindowRange::ALLOWED),
        Estimator::ALLOWED => Some(Estimator::ALLOWED),
        Bootstrap::ALLOWED => Some(Bootstrap::ALLOWED),
        _ if said.ends_with("is not in 0..=4294967295") => {
            Some("a whole number from 0 to 4294967295")
        }
        _ => None,
    }
}

impl From<io::Error> for Failure {
    /// Of writing results.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Message(format!("standard output: {error}")),
        }
    }
}
