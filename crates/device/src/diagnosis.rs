//! What a backend finds on a machine, for whoever sets it up.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::{Backend, Device, DeviceInfo, MemoryInfo};

/// What a backend finds on a machine, and whether it can be used there. Nothing in it is a failure of
/// whoever asked: what is missing is told as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The backend's name.
    pub backend: String,
    /// Whether there is a device to run on.
    pub usable: bool,
    /// Why it is usable or not, in one sentence.
    pub reason: String,
    /// The libraries that it needs, found or not.
    pub libraries: Vec<LibraryDiagnosis>,
    /// The devices that it shows.
    pub devices: Vec<DeviceDiagnosis>,
    /// For each device which devices it can read directly, itself included; empty where nobody can tell.
    pub peer_access: Vec<Vec<bool>>,
}

/// A library of the vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LibraryDiagnosis {
    /// Its name for people.
    pub title: String,
    /// The environment variable that may hold its path.
    pub variable: String,
    /// The files that it is in, as the system knows them; none if it was not found.
    pub files: Vec<PathBuf>,
    /// Its version, where it says one.
    pub version: Option<String>,
    /// Functions that other versions of it have, and it has not.
    pub absent: Vec<String>,
    /// What was tried, if it was not found.
    pub problem: Option<String>,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceDiagnosis {
    /// Its ordinal among the devices that this process sees.
    pub ordinal: u32,
    /// What it is and can do; nothing if it could not be opened.
    pub info: Option<DeviceInfo>,
    /// Its memory, if it could be asked.
    pub memory: Option<MemoryInfo>,
    /// Why it could not be opened or asked.
    pub problem: Option<String>,
}

impl Diagnosis {
    /// A backend whose libraries are there: opens each of its devices.
    pub fn of_devices(backend: &Arc<dyn Backend>, libraries: Vec<LibraryDiagnosis>) -> Self {
        let (devices, counted) = match backend.devices() {
            Ok(count) => {
                ((0..count).map(|ordinal| DeviceDiagnosis::of(backend, ordinal)).collect(), None)
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let devices: Vec<DeviceDiagnosis> = devices;
        let working = devices.iter().filter(|device| device.problem.is_none()).count();
        let reason = match (counted, devices.len()) {
            (Some(problem), _) => problem,
            (None, 0) => "the libraries show no device".to_owned(),
            (None, 1) if working == 1 => "its one device can be used".to_owned(),
            (None, count) if working == count => format!("all {count} devices can be used"),
            (None, count) => format!("{working} of {count} devices can be used"),
        };
        let backend = backend.name().to_owned();
        let usable = working > 0;
        Self { backend, usable, reason, libraries, devices, peer_access: Vec::new() }
    }

    /// A backend that there is no use in opening.
    pub fn unusable(backend: &str, reason: String, libraries: Vec<LibraryDiagnosis>) -> Self {
        let (devices, peer_access) = (Vec::new(), Vec::new());
        let backend = backend.to_owned();
        Self { backend, usable: false, reason, libraries, devices, peer_access }
    }
}

impl DeviceDiagnosis {
    fn of(backend: &Arc<dyn Backend>, ordinal: u32) -> Self {
        let mut found = Self { ordinal, info: None, memory: None, problem: None };
        match Device::open(backend, ordinal) {
            Ok(device) => {
                found.info = Some(device.info().clone());
                match device.memory_info() {
                    Ok(memory) => found.memory = Some(memory),
                    Err(error) => found.problem = Some(error.to_string()),
                }
            }
            Err(error) => found.problem = Some(error.to_string()),
        }
        found
    }
}
