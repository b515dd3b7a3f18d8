//! `eplb doctor`.

mod text;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use eplb::Config;
use eplb::device::Diagnosis;
use eplb_backends::{BackendName, BackendSettings, LibrarySettings};
use serde::Serialize;

use crate::arguments::DoctorArguments;
use crate::failure::Failure;

/// What `eplb doctor --json` prints.
#[derive(Debug, Serialize)]
struct DoctorReport {
    /// The version of this program.
    version: &'static str,
    /// The backend that commands use unless told otherwise.
    default: String,
    /// Backends that have a device here.
    usable: Vec<String>,
    /// What would be used for what, and why.
    advice: Vec<String>,
    backends: Vec<Diagnosis>,
}

/// Looks at everything and changes nothing. Missing libraries and devices are findings: the status is
/// success wherever there is an answer.
pub(crate) fn doctor(
    arguments: &DoctorArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let libraries = match &arguments.config {
        Some(path) => libraries_of(path)?,
        None => LibrarySettings::default(),
    };
    let backends = eplb_backends::diagnose(&libraries);
    let usable: Vec<_> = backends.iter().filter(|found| found.usable).collect();
    let report = DoctorReport {
        version: env!("CARGO_PKG_VERSION"),
        default: BackendName::default().to_string(),
        advice: advice(&usable),
        usable: usable.iter().map(|found| found.backend.clone()).collect(),
        backends,
    };
    if arguments.json {
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", text::render(&report))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The paths that a configuration names, so that the findings are those of a run with it.
fn libraries_of(path: &Path) -> Result<LibrarySettings, Failure> {
    let config = Config::read(path).map_err(Failure::new)?;
    let settings =
        BackendSettings::of(&config.backend).map_err(|error| Failure::of_file(path, error))?;
    Ok(settings.libraries)
}

fn advice(usable: &[&Diagnosis]) -> Vec<String> {
    let mut advice = Vec::new();
    for found in usable {
        let name = &found.backend;
        if *name == BackendName::default().to_string() {
            advice.push(format!("{name} is used unless --backend names another"));
            continue;
        }
        advice.push(format!("--backend {name} is possible: {}", found.reason));
        let all_can = |ability: fn(&eplb::device::DeviceInfo) -> bool| {
            found.devices.iter().filter_map(|device| device.info.as_ref()).all(ability)
        };
        if !all_can(|info| info.communicators) {
            advice
                .push(format!("{name} without communicators: ranks exchange by peer memory only"));
        } else if !all_can(|info| info.ranks_share_device) {
            advice.push(format!(
                "{name}: ranks that share a device exchange by peer memory, others also by communicators"
            ));
        }
    }
    if usable.len() == 1 {
        advice.push("no accelerator can be used here; the lines above say what is missing".into());
    }
    advice
}
