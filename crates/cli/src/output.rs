//! Files that are there whole or not at all.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Whether `path` can be written: asked before a long command, not after it.
pub(crate) fn check_target(path: &Path) -> Result<(), Failure> {
    target_of(path).map(drop)
}

/// The file that `path` means, behind links. A file is replaced, nothing else is: a device such as
/// `/dev/null` or a pipe would be gone for every program that uses it.
fn target_of(path: &Path) -> Result<PathBuf, Failure> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(refuse(path, format!("there is no folder {}", folder.display())));
    }
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(refuse(path, "it is not a regular file")),
        Ok(_) => path.canonicalize().map_err(|error| refuse(path, error)),
        Err(_) if path.is_symlink() => Err(refuse(path, "it is a link that leads nowhere")),
        Err(_) => Ok(path.to_owned()),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn refuse(path: &Path, problem: impl Display) -> Failure {
    Failure::new(format!("{}: cannot be written: {problem}", path.display()))
}

/// Writes `text` to `path`: into a temporary file beside it, which then takes its name.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let target = target_of(path)?;
    let folder = folder_of(&target);
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(|error| refuse(path, system(&error)))?;
    file.write_all(text.as_bytes()).map_err(|error| refuse(path, system(&error)))?;
    // A temporary file is for its owner alone; a result is as readable as any file one writes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable).map_err(|error| refuse(path, system(&error)))?;
    }
    file.persist(&target).map_err(|error| refuse(path, system(&error.error)))?;
    Ok(())
}

/// What the system said, without the temporary file's name that nobody asked for.
fn system(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((said, _)) => said.to_owned(),
        None => text,
    }
}
