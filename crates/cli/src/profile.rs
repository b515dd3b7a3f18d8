//! `eplb profile`.

use std::io::Write;
use std::process::ExitCode;

use eplb::core::formats::profile::write as write_profile;
use eplb::core::{Ensemble, EnsembleSettings};
use eplb_sim::Trace;
use serde::Serialize;

use crate::arguments::ProfileArguments;
use crate::failure::Failure;
use crate::numbers::{bytes, grouped};
use crate::output::{check_target, write_whole};
use crate::window_range::WindowRange;

/// What `eplb profile --json` prints.
#[derive(Debug, Serialize)]
struct ProfileReport {
    profile: String,
    trace: String,
    layers: usize,
    experts: usize,
    groups: usize,
    /// The first window of the trace that was seen.
    first_window: usize,
    /// Windows of the trace that were seen.
    windows: usize,
    /// Windows of the profile, which stand for these.
    kept: usize,
    bytes: u64,
}

pub(crate) fn profile(
    arguments: &ProfileArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    check_target(&arguments.output)?;
    let settings = settings(arguments.representatives)?;
    let mut trace = Trace::read(&arguments.trace).map_err(Failure::new)?;
    let seen = WindowRange::cut(arguments.windows, &mut trace, &arguments.trace, 1)?;
    let shape = trace.shape;
    let mut ensemble = Ensemble::new(shape, settings).map_err(Failure::new)?;
    for window in trace.windows {
        ensemble.push(window).map_err(Failure::new)?;
    }
    let text = write_profile(&ensemble).map_err(Failure::new)?;
    write_whole(&arguments.output, &text)?;
    let report = ProfileReport {
        profile: arguments.output.display().to_string(),
        trace: trace.name,
        layers: shape.layers(),
        experts: shape.experts(),
        groups: shape.groups(),
        first_window: seen.start,
        windows: seen.len(),
        kept: ensemble.windows().len(),
        bytes: text.len() as u64,
    };
    if arguments.json {
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", line(&report))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn settings(representatives: usize) -> Result<EnsembleSettings, Failure> {
    let settings = EnsembleSettings { representatives, ..EnsembleSettings::default() };
    let most = Ensemble::MOST_WINDOWS - settings.recent;
    if representatives <= most {
        return Ok(settings);
    }
    let error = format!("--representatives {representatives} is not allowed; allowed: 0 to {most}");
    Err(Failure::new(error))
}

fn line(report: &ProfileReport) -> String {
    format!(
        "{}: {} windows stand for {} of {} ({} layers × {} experts), {}",
        report.profile,
        grouped(report.kept as u64),
        grouped(report.windows as u64),
        report.trace,
        report.layers,
        report.experts,
        bytes(report.bytes),
    )
}
