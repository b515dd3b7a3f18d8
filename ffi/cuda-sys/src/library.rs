//! An open library.

use std::ffi::{OsStr, c_void};
use std::mem::{ManuallyDrop, size_of, transmute_copy};

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};

/// An open library, which stays open: threads of the vendor's driver run in it and destructors of
/// thread-local values point into it until the process ends, so closing it would crash them.
#[derive(Debug)]
pub(crate) struct Library {
    handle: ManuallyDrop<Handle>,
}

impl Library {
    /// Opens a library by path, or by a name that the loader searches for. `RTLD_NOW`, so that a
    /// library whose own needs are not met fails here, not in the middle of a call.
    pub(crate) fn open(name: &OsStr) -> Result<Self, String> {
        // SAFETY: the initialisers of the vendor's library run here, on this thread; it is the one that
        // the user installed or named, and it stays open for ever.
        let handle = unsafe { Handle::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
        handle.map(Self::keep).map_err(|error| describe(&error))
    }

    /// The symbols that are in the process for all to see, such as a preloaded or linked library's.
    pub(crate) fn process() -> Self {
        Self::keep(Handle::this())
    }

    fn keep(handle: Handle) -> Self {
        Self { handle: ManuallyDrop::new(handle) }
    }

    /// The function with this symbol; nothing if the library has not got it.
    ///
    /// # Safety
    ///
    /// `F` is the type of a pointer to a function, and the type of the symbol's function.
    pub(crate) unsafe fn function<F: Copy>(&self, symbol: &str) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: an address without a type is valid for whatever the symbol is.
        let address = unsafe { self.handle.get::<*mut c_void>(symbol.as_bytes()) }.ok()?.into_raw();
        // SAFETY: `F` is a pointer to a function (the caller's promise) and not null (checked), and
        // the function stays where it is, because the library is never closed.
        (!address.is_null()).then(|| unsafe { transmute_copy::<*mut c_void, F>(&address) })
    }
}

/// What the loader said, without the words that were put around it.
fn describe(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
