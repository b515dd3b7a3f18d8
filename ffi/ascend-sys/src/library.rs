//! An open library, which may consist of several files.

use std::ffi::{OsStr, c_void};
use std::mem::{ManuallyDrop, size_of, transmute_copy};
use std::path::PathBuf;

use libloading::os::unix::{Library as Handle, RTLD_GLOBAL, RTLD_NOW};

use crate::error::{Failure, Origin};
use crate::search::LibraryNames;

/// The open files of a library, which stay open: threads of the vendor's driver run in them and
/// destructors of thread-local values point into them until the process ends, so closing them would
/// crash those. That holds for files in which functions are missing, too.
#[derive(Debug, Default)]
pub(crate) struct Library {
    /// In the order in which they are asked for a function.
    handles: Vec<ManuallyDrop<Handle>>,
    /// The files that were opened, as they were given to the loader, in the same order.
    pub(crate) files: Vec<PathBuf>,
    /// The loader's words on the files that it did not open.
    pub(crate) not_opened: Vec<String>,
}

impl Library {
    /// Opens what there is at a place. Of files that the user named, all must be there.
    pub(crate) fn open(origin: &Origin, names: &LibraryNames) -> Result<Self, Failure> {
        let named = |folder: &PathBuf| names.files.iter().map(|name| folder.join(name)).collect();
        let library = match origin {
            Origin::Process => Self::process(),
            Origin::Names(names) => Self::open_files(names.iter().map(PathBuf::from).collect()),
            Origin::Folder(folder) if !folder.is_dir() => {
                return Err(Failure::NotOpened(vec!["no such folder".to_owned()]));
            }
            Origin::Folder(folder) => Self::open_files(named(folder)),
            Origin::Paths(paths) | Origin::Variable(_, paths) => {
                let mut files: Vec<PathBuf> = Vec::new();
                for path in paths {
                    if path.is_dir() { files.extend(named(path)) } else { files.push(path.clone()) }
                }
                let library = Self::open_files(files);
                let is_open =
                    |path: &PathBuf| library.files.iter().any(|file| file.starts_with(path));
                if !paths.iter().all(is_open) {
                    return Err(Failure::NotOpened(library.not_opened));
                }
                library
            }
        };
        if library.handles.is_empty() {
            return Err(Failure::NotOpened(library.not_opened));
        }
        Ok(library)
    }

    /// The symbols that are in the process for all to see, such as a preloaded or linked library's.
    fn process() -> Self {
        Self { handles: vec![ManuallyDrop::new(Handle::this())], ..Self::default() }
    }

    /// Opens all files that are there, by path, or by a name that the loader searches for. `RTLD_NOW`,
    /// so that a library whose own needs are not met fails here, not in the middle of a call.
    /// `RTLD_GLOBAL`, and the last first, because the files of one library may refer to each other
    /// without saying so: headers of CANN 9 declare functions of `libhcomm` weak.
    fn open_files(files: Vec<PathBuf>) -> Self {
        let mut library = Self::default();
        for file in files.into_iter().rev() {
            let name: &OsStr = file.as_os_str();
            // SAFETY: the initialisers of the vendor's library run here, on this thread; it is the one
            // that the user installed or named, and it stays open for ever.
            match unsafe { Handle::open(Some(name), RTLD_NOW | RTLD_GLOBAL) } {
                Ok(handle) => {
                    library.handles.push(ManuallyDrop::new(handle));
                    library.files.push(file);
                }
                Err(error) => library.not_opened.push(describe(&error)),
            }
        }
        library.handles.reverse();
        library.files.reverse();
        library.not_opened.reverse();
        library
    }

    /// The function with this symbol, of the first file that has it; nothing if none has.
    ///
    /// # Safety
    ///
    /// `F` is the type of a pointer to a function, and the type of the symbol's function.
    pub(crate) unsafe fn function<F: Copy>(&self, symbol: &str) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let address = self.handles.iter().find_map(|handle| {
            // SAFETY: an address without a type is valid for whatever the symbol is.
            let address = unsafe { handle.get::<*mut c_void>(symbol.as_bytes()) };
            // A weak symbol that nothing defines is there, and null.
            address.ok().map(|address| address.into_raw()).filter(|address| !address.is_null())
        })?;
        // SAFETY: `F` is a pointer to a function (the caller's promise) and not null (checked), and the
        // function stays where it is, because no file is ever closed.
        Some(unsafe { transmute_copy::<*mut c_void, F>(&address) })
    }
}

/// What the loader said, without the words that were put around it.
fn describe(error: &libloading::Error) -> String {
    use std::error::Error as _;
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    text.trim_end().to_owned()
}
