//! What bindgen makes of `include/eplb.h` and the headers that it includes; `ci/update-bindings` writes
//! the files. Functions are declared here and defined in the files of their handles.
#![allow(
    missing_docs,
    non_camel_case_types,
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    reason = "generated: the headers hold the documentation, and names are those of C"
)]

mod eplb_coordinator_h;
mod eplb_device_h;
mod eplb_h;
mod eplb_message_h;
mod eplb_session_h;

pub(crate) use eplb_coordinator_h::*;
pub(crate) use eplb_device_h::*;
pub(crate) use eplb_h::*;
pub(crate) use eplb_message_h::*;
pub(crate) use eplb_session_h::*;
