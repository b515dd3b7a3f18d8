//! `eplb run`: ranks as threads of this process, as processes that it starts, or one rank of a group that
//! someone else has started.

mod bootstrap;
#[cfg(feature = "mpi")]
mod carrier;
mod member;
mod processes;

use std::io::Write;
use std::process::ExitCode;

use eplb_sim::{Devices, Progress, RunError, RunInput, RunReport, Trace};

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::output::{check_target, write_whole};
use crate::page;
use crate::progress::StepProgress;
use crate::run_config::{Flags, RunConfig, configure, of_flag_or_file};
use crate::run_text;
pub(crate) use bootstrap::Bootstrap;

/// Exit status of a run that ended, and whose bytes or outputs were not as they must be.
const UNVERIFIED: u8 = 1;

/// Exit status of a run that ended early, because ranks are gone.
pub(crate) const INTERRUPTED: u8 = 3;

pub(crate) fn run(arguments: &RunArguments, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    match (arguments.processes, &arguments.bootstrap) {
        (Some(processes), _) => processes::run(processes, arguments, out),
        (None, Some(bootstrap)) => member::run(bootstrap, arguments, out),
        (None, None) => run_threads(arguments, out),
    }
}

/// All ranks in this process.
fn run_threads(arguments: &RunArguments, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let run = configure(arguments)?;
    let trace = read_trace(&run, arguments)?;
    let RunConfig { config, settings, backend, flags } = run;
    let progress = StepProgress::new(2 * trace.windows.len());
    let opened = eplb_backends::open(backend.name, &backend.libraries, config.ep_size)
        .map_err(Failure::new)?;
    let devices = |_| match backend.device {
        Some(ordinal) => Ok(Devices::one(opened.clone(), ordinal)),
        None => Devices::all(opened.clone()),
    };
    let input = RunInput { config: &config, settings: &settings, trace: &trace };
    let report = eplb_sim::run(&input, &devices, &mut |step| show(&progress, step));
    progress.end();
    let report = report.map_err(|error| failure_of(error, &flags, arguments))?;
    print(&report, arguments, out)
}

/// The windows that are to be served; and whether the page that is wanted can be written.
fn read_trace(run: &RunConfig, arguments: &RunArguments) -> Result<Trace, Failure> {
    if let Some(path) = &arguments.html {
        check_target(path)?;
    }
    let settings = &run.settings;
    let mut trace = Trace::read(&settings.trace).map_err(Failure::new)?;
    let available = trace.windows.len();
    if settings.windows > available {
        let (windows, path) = (settings.windows, settings.trace.display());
        let allowed = format!("allowed: 0 to {available}, the windows of {path}");
        return Err(match arguments.windows {
            Some(_) => Failure::new(format!("--windows {windows} is not allowed; {allowed}")),
            None => {
                let error = format!("run.windows = {windows} is not allowed; {allowed}");
                Failure::of_file(&arguments.config, error)
            }
        });
    }
    if settings.windows > 0 {
        trace.windows.truncate(settings.windows);
    }
    Ok(trace)
}

fn failure_of(error: RunError, flags: &Flags, arguments: &RunArguments) -> Failure {
    match error {
        RunError::Config(error) => of_flag_or_file(error, flags, &arguments.config),
        RunError::NoDevice { .. } | RunError::Device(_) => Failure::new(error),
        error => Failure::of_file(&arguments.config, error),
    }
}

/// Prints a report as the flags want it.
fn print(
    report: &RunReport,
    arguments: &RunArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    if let Some(path) = &arguments.html {
        write_whole(path, &page::render(report))?;
    }
    if arguments.json {
        serde_json::to_writer(&mut *out, report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", run_text::render(report))?;
    }
    out.flush()?;
    Ok(match (&report.interruption, is_verified(report)) {
        (Some(_), _) => ExitCode::from(INTERRUPTED),
        (None, true) => ExitCode::SUCCESS,
        (None, false) => ExitCode::from(UNVERIFIED),
    })
}

/// The run with balancing comes after the one without.
fn show(bar: &StepProgress, progress: Progress) {
    let Progress { balanced, done, windows } = progress;
    match balanced {
        false => bar.show("without EPLB", done),
        true => bar.show("with EPLB", windows + done),
    }
}

pub(crate) fn is_verified(report: &RunReport) -> bool {
    report.verified.mismatches == 0 && report.verified.outputs_equal
}
