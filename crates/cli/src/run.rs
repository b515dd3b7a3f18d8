//! `eplb run`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use eplb::device::Backend;
use eplb_host::HostBackend;
use eplb_sim::{Progress, RunInput, RunReport, Trace};

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::output::{check_folder, write_whole};
use crate::page;
use crate::progress::StepProgress;
use crate::run_config::configure;
use crate::run_text;

/// Exit status of a run that ended, and whose bytes or outputs were not as they must be.
const UNVERIFIED: u8 = 1;

pub(crate) fn run(arguments: &RunArguments, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let (config, settings) = configure(arguments)?;
    if let Some(path) = &arguments.html {
        check_folder(path)?;
    }
    let mut trace = Trace::read(&settings.trace).map_err(Failure::new)?;
    let available = trace.windows.len();
    if settings.windows > available {
        let (windows, path) = (settings.windows, settings.trace.display());
        let allowed = format!("allowed: 0 to {available}, the windows of {path}");
        let key = if arguments.windows.is_some() { "--windows" } else { "run.windows" };
        return Err(Failure::new(format!("{key} {windows} is not allowed; {allowed}")));
    }
    if settings.windows > 0 {
        trace.windows.truncate(settings.windows);
    }
    let progress = StepProgress::new(2 * trace.windows.len());
    let backend = |ranks: u32| -> Arc<dyn Backend> { HostBackend::new(ranks) };
    let input = RunInput { config: &config, settings: &settings, trace: &trace };
    let report = eplb_sim::run(&input, &backend, &mut |step| show(&progress, step));
    progress.end();
    let report = report.map_err(|error| Failure::of_file(&arguments.config, error))?;

    if let Some(path) = &arguments.html {
        write_whole(path, &page::render(&report))?;
    }
    if arguments.json {
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", run_text::render(&report))?;
    }
    out.flush()?;
    Ok(if is_verified(&report) { ExitCode::SUCCESS } else { ExitCode::from(UNVERIFIED) })
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
