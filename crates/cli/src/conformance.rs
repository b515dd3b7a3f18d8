//! `eplb conformance`.

mod text;

use std::io::{BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use eplb::device::Backend;
use eplb_backends::{BackendName, LibrarySettings};
use eplb_conformance::{
    Expectations, Processes, Progress, Subject, SubjectError, Suite, serve_rank,
};

use crate::arguments::{ConformanceArguments, ConformanceRankArguments};
use crate::failure::Failure;
use crate::output::{check_target, write_whole};
use crate::progress::StepProgress;

/// Exit status of a suite that ended, and in which a case failed.
const FAILED: u8 = 1;

/// Devices that the host backend shows: as many as cases have ranks by default.
const HOST_DEVICES: u32 = 4;

/// The hidden command with which the suite starts this program as one rank.
const RANK_COMMAND: &str = "conformance-rank";

/// Runs the suite on a backend and reports.
pub(crate) fn conformance(
    arguments: &ConformanceArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let mut suite = Suite::standard();
    let expectations = match &arguments.expectations {
        Some(path) => read_expectations(path, &suite)?,
        None => Expectations::default(),
    };
    if let Some(part) = &arguments.only {
        suite = suite.only(part);
        if suite.names().next().is_none() {
            return Err(Failure::new(format!(
                "--only {part} chooses no case; allowed: a part of a topic's or a case's name"
            )));
        }
    }
    if let Some(path) = &arguments.junit {
        check_target(path)?;
    }
    let subject = Subject {
        backend: open(arguments.backend)?,
        device: arguments.device,
        ranks: arguments.ranks.clone(),
        processes: Some(processes(arguments.backend)?),
    };
    let mut bar = None;
    let report = suite.run(&subject, &expectations, &mut |progress| show(&mut bar, progress));
    if let Some(bar) = bar {
        bar.end();
    }
    let report = report.map_err(|error| match error {
        SubjectError::Ranks { most } => {
            Failure::new(format!("--ranks: allowed: whole numbers from 1 to {most}"))
        }
        error => Failure::new(error),
    })?;
    if let Some(path) = &arguments.junit {
        write_whole(path, &report.junit())?;
    }
    if arguments.json {
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", text::render(&report))?;
    }
    out.flush()?;
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Is one rank of a case, for the suite that started this process.
pub(crate) fn conformance_rank(
    arguments: &ConformanceRankArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let backend = open(arguments.backend)?;
    let input = BufReader::new(std::io::stdin());
    let passed = serve_rank(backend, input, out).map_err(Failure::new)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn open(name: BackendName) -> Result<Arc<dyn Backend>, Failure> {
    eplb_backends::open(name, &LibrarySettings::default(), HOST_DEVICES).map_err(Failure::new)
}

/// How this program is started as a rank.
fn processes(backend: BackendName) -> Result<Processes, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program's own file: {error}")))?;
    Ok(Processes::new(move |_| {
        let mut command = Command::new(&program);
        command.args([RANK_COMMAND, "--backend", &backend.to_string()]);
        command
    }))
}

fn read_expectations(path: &Path, suite: &Suite) -> Result<Expectations, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::of_file(path, format!("cannot be read: {error}")))?;
    Expectations::parse(&text, suite).map_err(|error| Failure::of_file(path, error))
}

fn show(bar: &mut Option<StepProgress>, progress: Progress<'_>) {
    let Progress { done, total, topic } = progress;
    bar.get_or_insert_with(|| StepProgress::new(total)).show(topic.to_owned(), done);
}
