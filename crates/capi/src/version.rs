//! The version of the library and of its interface.

use std::ffi::{CStr, c_char};

use crate::generated as c;
use crate::registry;

/// The package's version, ending in a zero byte.
const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn eplb_version() -> *const c_char {
    VERSION.as_ptr()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn eplb_abi_version() -> u32 {
    c::EPLB_ABI_VERSION
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn eplb_handle_count() -> usize {
    registry::count()
}

const _: unsafe extern "C" fn() -> *const c_char = c::eplb_version;
const _: unsafe extern "C" fn() -> u32 = c::eplb_abi_version;
const _: unsafe extern "C" fn() -> usize = c::eplb_handle_count;
