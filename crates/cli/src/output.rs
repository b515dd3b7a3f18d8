//! Files that are there whole or not at all.

use std::io::Write;
use std::path::Path;

use crate::failure::Failure;

/// Whether `path` can be written: asked before a long command, not after it.
pub(crate) fn check_folder(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    let (path, folder) = (path.display(), folder.display());
    Err(Failure::new(format!("{path}: cannot be written: there is no folder {folder}")))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes `text` to `path`: into a temporary file beside it, which then takes its name.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    check_folder(path)?;
    let folder = folder_of(path);
    let refuse = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{}: cannot be written: {error}", path.display()))
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| refuse(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| refuse(&error))?;
    // A temporary file is for its owner alone; a result is as readable as any file one writes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable).map_err(|error| refuse(&error))?;
    }
    file.persist(path).map_err(|error| refuse(&error.error))?;
    Ok(())
}
