//! An open library, which may consist of several files.

use std::ffi::{OsStr, c_void};
use std::mem::{ManuallyDrop, size_of, transmute_copy};
use std::path::PathBuf;

use libloading::os::unix::{Library as Handle, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

/// Who finds the symbols of a library that is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Visibility {
    /// Only who asks the library for them: two versions of it can be in one process.
    Local,
    /// All libraries that are opened later, too.
    Global,
}

/// The open files of a library, which stay open: threads of the vendor's driver run in them and
/// destructors of thread-local values point into them until the process ends, so closing them would
/// crash those. That holds for files in which functions are missing, too.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Library {
    /// In the order in which they are asked for a function.
    handles: Vec<ManuallyDrop<Handle>>,
    /// The files that were opened, as they were given to the loader, in the same order.
    pub files: Vec<PathBuf>,
    /// The loader's words on the files that it did not open.
    pub not_opened: Vec<String>,
}

impl Library {
    /// The symbols that are in the process for all to see, such as a preloaded or linked library's.
    pub fn process() -> Self {
        Self { handles: vec![ManuallyDrop::new(Handle::this())], ..Self::default() }
    }

    /// Opens all files that are there, by path, or by a name that the loader searches for. `RTLD_NOW`,
    /// so that a library whose own needs are not met fails here, not in the middle of a call. The last
    /// comes first, so that an earlier one finds the symbols of later ones if they are visible to it.
    pub fn open(files: Vec<PathBuf>, visibility: Visibility) -> Self {
        let flags = match visibility {
            Visibility::Local => RTLD_NOW | RTLD_LOCAL,
            Visibility::Global => RTLD_NOW | RTLD_GLOBAL,
        };
        let mut library = Self::default();
        for file in files.into_iter().rev() {
            let name: &OsStr = file.as_os_str();
            // SAFETY: the initialisers of the vendor's library run here, on this thread; it is the one
            // that the user installed or named, and it stays open for ever.
            match unsafe { Handle::open(Some(name), flags) } {
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

    /// Whether nothing was opened.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// The function with this symbol, of the first file that has it; nothing if none has.
    ///
    /// # Safety
    ///
    /// `F` is the type of a pointer to a function, and the type of the symbol's function.
    pub unsafe fn function<F: Copy>(&self, symbol: &str) -> Option<F> {
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
