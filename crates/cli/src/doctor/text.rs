//! Findings as text.

use eplb::device::{DeviceDiagnosis, Diagnosis, LibraryDiagnosis};

use super::DoctorReport;
use crate::numbers::bytes;

pub(super) fn render(report: &DoctorReport) -> String {
    let mut text = format!("eplb {}\n", report.version);
    for backend in &report.backends {
        text += "\n";
        text += &of_backend(backend);
    }
    text += "\n";
    for line in &report.advice {
        text += line;
        text += "\n";
    }
    text
}

fn of_backend(found: &Diagnosis) -> String {
    let state = if found.usable { "usable" } else { "not usable" };
    let mut text = format!("{}: {state}: {}\n", found.backend, found.reason);
    for library in &found.libraries {
        text += &of_library(library);
    }
    for device in &found.devices {
        text += &of_device(device);
    }
    if found.devices.len() > 1 {
        text += &of_peer_access(&found.peer_access);
    }
    text
}

fn of_library(library: &LibraryDiagnosis) -> String {
    let LibraryDiagnosis { title, variable, files, version, absent, problem } = library;
    if let Some(problem) = problem {
        return format!("  {title}: not found; {variable} may name it\n    {problem}\n");
    }
    let version = version.as_deref().unwrap_or("of a version that it does not say");
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let place = if files.is_empty() { "in the process".to_owned() } else { files.join(", ") };
    let mut text = format!("  {title} {version}: {place}\n");
    if !absent.is_empty() {
        text += &format!("    without {}\n", absent.join(", "));
    }
    text
}

fn of_device(device: &DeviceDiagnosis) -> String {
    let ordinal = device.ordinal;
    let mut text = String::new();
    if let Some(info) = &device.info {
        text += &format!("  device {ordinal}: {}\n", info.name);
        if !info.software.is_empty() {
            text += &format!("    {}\n", info.software);
        }
        let abilities = [
            ("peer memory", info.peer_memory),
            ("communicators", info.communicators),
            ("stream abort", info.stream_abort),
            ("several ranks a device in a communicator", info.ranks_share_device),
        ];
        let (can, cannot): (Vec<_>, Vec<_>) = abilities.into_iter().partition(|(_, can)| *can);
        let names = |abilities: Vec<(&'static str, bool)>| -> String {
            abilities.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        };
        if !can.is_empty() {
            text += &format!("    has: {}\n", names(can));
        }
        if !cannot.is_empty() {
            text += &format!("    has not: {}\n", names(cannot));
        }
    }
    if let Some(memory) = device.memory {
        text += &format!("    {} of {} free\n", bytes(memory.free), bytes(memory.total));
    }
    if let Some(problem) = &device.problem {
        text += &format!("  device {ordinal}: cannot be used: {problem}\n");
    }
    text
}

/// One line a device: the devices whose memory it reads directly.
fn of_peer_access(access: &[Vec<bool>]) -> String {
    let mut text = String::new();
    for (device, row) in access.iter().enumerate() {
        let reached: Vec<_> = row
            .iter()
            .enumerate()
            .filter(|&(peer, &can)| can && peer != device)
            .map(|(peer, _)| peer.to_string())
            .collect();
        let reached = if reached.is_empty() { "none".to_owned() } else { reached.join(", ") };
        text += &format!("  device {device} reads directly from: {reached}\n");
    }
    text
}
