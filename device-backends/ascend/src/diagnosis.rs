//! What is found on a machine, for whoever sets it up.

use std::ffi::c_char;
use std::sync::Arc;

use eplb_ascend_sys::{
    AclRuntime, Hccl, LibraryNames, LoadError, Loaded, aclCANNPackageName, aclCANNPackageVersion,
    aclError, file_of,
};
use eplb_device::raw::Backend;
use eplb_device::{Diagnosis, LibraryDiagnosis};

use crate::backend::AscendBackend;
use crate::error::{NAME, forget, words};
use crate::library::{Api, Libraries};

impl AscendBackend {
    /// Looks for the libraries and the devices, and says what is there and what is missing. Opens each
    /// device, which creates its default context.
    pub fn diagnose(libraries: &Libraries) -> Diagnosis {
        let runtime = AclRuntime::open(&libraries.runtime);
        let hccl = Hccl::open(&libraries.hccl);
        let versions = runtime.as_ref().ok().map(|loaded| {
            let table = &loaded.table;
            [runtime_version(table), package_version(table, aclCANNPackageName::ACL_PKG_NAME_HCCL)]
        });
        let [runtime_version, hccl_version] = versions.unwrap_or_default();
        let found = vec![
            library(&AclRuntime::NAMES, &runtime, runtime_version, |table| table.aclInit as usize),
            library(&Hccl::NAMES, &hccl, hccl_version, |table| table.HcclGetRootInfo as usize),
        ];
        let backend = match AscendBackend::open(libraries) {
            Ok(backend) => Arc::new(backend),
            Err(error) => {
                let reason = format!("the {} was not found", error.names.title);
                return Diagnosis::unusable(NAME, reason, found);
            }
        };
        let shared: Arc<dyn Backend> = backend.clone();
        let mut diagnosis = Diagnosis::of_devices(&shared, found);
        diagnosis.peer_access = backend.peer_access(diagnosis.devices.len());
        diagnosis
    }

    fn peer_access(&self, devices: usize) -> Vec<Vec<bool>> {
        let devices = i32::try_from(devices).unwrap_or(0);
        let runtime = &self.api().runtime;
        let reads = |device, peer| {
            let mut can = 0;
            // SAFETY: writes one number, which lives; both are devices that the library counted.
            let status = unsafe { (runtime.aclrtDeviceCanAccessPeer)(&raw mut can, device, peer) };
            if status != aclError::ACL_SUCCESS {
                forget(runtime);
            }
            device == peer || status == aclError::ACL_SUCCESS && can != 0
        };
        (0..devices).map(|device| (0..devices).map(|peer| reads(device, peer)).collect()).collect()
    }
}

/// The versions of all, in one line.
pub(crate) fn software(api: &Api) -> String {
    let runtime = &api.runtime;
    let package = |name| package_version(runtime, name);
    let parts = [
        ("driver", package(aclCANNPackageName::ACL_PKG_NAME_DRIVER)),
        ("CANN", package(aclCANNPackageName::ACL_PKG_NAME_CANN)),
        ("ACL runtime", runtime_version(runtime)),
        ("HCCL", package(aclCANNPackageName::ACL_PKG_NAME_HCCL).filter(|_| api.hccl.is_ok())),
    ];
    let parts = parts.into_iter().filter_map(|(name, version)| Some((name, version?)));
    let parts: Vec<String> = parts.map(|(name, version)| format!("{name} {version}")).collect();
    parts.join(", ")
}

fn library<T>(
    names: &LibraryNames,
    loaded: &Result<Loaded<T>, LoadError>,
    version: Option<String>,
    address: fn(&T) -> usize,
) -> LibraryDiagnosis {
    let (title, variable) = (names.title.to_owned(), names.variable.to_owned());
    let found = LibraryDiagnosis { title, variable, ..LibraryDiagnosis::default() };
    match loaded {
        Err(error) => LibraryDiagnosis { problem: Some(error.to_string()), ..found },
        Ok(loaded) => LibraryDiagnosis {
            // What was opened by name may be in several files, and is found where one function is.
            files: file_of(address(&loaded.table)).map_or(loaded.files.clone(), |file| vec![file]),
            version,
            absent: loaded.absent.iter().map(|&symbol| symbol.to_owned()).collect(),
            ..found
        },
    }
}

/// The version of the interface, which a stub does not write.
fn runtime_version(runtime: &AclRuntime) -> Option<String> {
    let ask = runtime.aclrtGetVersion?;
    let (mut major, mut minor, mut patch) = (-1, -1, -1);
    // SAFETY: writes three numbers, which live; needs no device.
    let status = unsafe { ask(&raw mut major, &raw mut minor, &raw mut patch) };
    if status != aclError::ACL_SUCCESS {
        forget(runtime);
        return None;
    }
    (major >= 0).then(|| format!("{major}.{minor}.{patch}"))
}

/// The version of a package that is installed, which a stub does not write.
fn package_version(runtime: &AclRuntime, package: aclCANNPackageName) -> Option<String> {
    let ask = runtime.aclsysGetCANNVersion?;
    let mut found = aclCANNPackageVersion {
        version: [0; 128],
        majorVersion: [0; 64],
        minorVersion: [0; 64],
        releaseVersion: [0; 64],
        patchVersion: [0; 64],
        reserved: [0; 128],
    };
    // SAFETY: writes one structure, which lives; needs no device.
    let status = unsafe { ask(package, &raw mut found) };
    if status != aclError::ACL_SUCCESS {
        forget(runtime);
        return None;
    }
    text_of(&mut found.version)
}

fn text_of(characters: &mut [c_char; 128]) -> Option<String> {
    // The library ends it, but a text without an end would be read beyond.
    characters[127] = 0;
    Some(words(characters.as_ptr())).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_an_end_are_cut_and_empty_ones_are_none() {
        let mut full = [b'8' as c_char; 128];
        assert_eq!(text_of(&mut full).unwrap().len(), 127);
        assert_eq!(text_of(&mut [0; 128]), None);
    }
}
