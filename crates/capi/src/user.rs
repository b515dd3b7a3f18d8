//! The pointer that a callback gets back.

use std::ffi::c_void;

/// A `user` pointer of the caller: kept, and handed to the callbacks that it was given with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User(pub(crate) *mut c_void);

// SAFETY: it is never followed here. The header says from which threads callbacks come, and whoever gave
// the pointer has agreed to that.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}
