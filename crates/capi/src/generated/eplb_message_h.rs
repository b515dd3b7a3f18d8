//! The declarations of `eplb_message.h`, made by `ci/update-bindings`.
//!
//! Header checksum: 0a6ac64810efb218

use super::*;

pub const EPLB_DIRECTIVE_PREPARE: eplb_directive_kind = 1;
pub const EPLB_DIRECTIVE_COMMIT: eplb_directive_kind = 2;
pub const EPLB_DIRECTIVE_REVERT: eplb_directive_kind = 3;
pub type eplb_directive_kind = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_directive {
    pub struct_size: usize,
    pub kind: i32,
    pub layer: u32,
    pub token: u64,
    pub from_epoch: u64,
    pub epoch: u64,
    pub at_step: u64,
    pub experts: *const u32,
    pub expert_count: usize,
    pub shares: *const u16,
    pub share_count: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_directive"][::core::mem::size_of::<eplb_directive>() - 80usize];
    ["Alignment of eplb_directive"][::core::mem::align_of::<eplb_directive>() - 8usize];
    ["Offset of field: eplb_directive::struct_size"]
        [::core::mem::offset_of!(eplb_directive, struct_size) - 0usize];
    ["Offset of field: eplb_directive::kind"]
        [::core::mem::offset_of!(eplb_directive, kind) - 8usize];
    ["Offset of field: eplb_directive::layer"]
        [::core::mem::offset_of!(eplb_directive, layer) - 12usize];
    ["Offset of field: eplb_directive::token"]
        [::core::mem::offset_of!(eplb_directive, token) - 16usize];
    ["Offset of field: eplb_directive::from_epoch"]
        [::core::mem::offset_of!(eplb_directive, from_epoch) - 24usize];
    ["Offset of field: eplb_directive::epoch"]
        [::core::mem::offset_of!(eplb_directive, epoch) - 32usize];
    ["Offset of field: eplb_directive::at_step"]
        [::core::mem::offset_of!(eplb_directive, at_step) - 40usize];
    ["Offset of field: eplb_directive::experts"]
        [::core::mem::offset_of!(eplb_directive, experts) - 48usize];
    ["Offset of field: eplb_directive::expert_count"]
        [::core::mem::offset_of!(eplb_directive, expert_count) - 56usize];
    ["Offset of field: eplb_directive::shares"]
        [::core::mem::offset_of!(eplb_directive, shares) - 64usize];
    ["Offset of field: eplb_directive::share_count"]
        [::core::mem::offset_of!(eplb_directive, share_count) - 72usize];
};
pub type eplb_directive_fn = ::core::option::Option<
    unsafe extern "C" fn(user: *mut ::core::ffi::c_void, directive: *const eplb_directive) -> i32,
>;
pub const EPLB_ANSWER_PREPARED: eplb_answer_kind = 1;
pub const EPLB_ANSWER_REFUSED: eplb_answer_kind = 2;
pub const EPLB_ANSWER_COMMITTED: eplb_answer_kind = 3;
pub const EPLB_ANSWER_COMMIT_FAILED: eplb_answer_kind = 4;
pub const EPLB_ANSWER_REVERTED: eplb_answer_kind = 5;
pub const EPLB_ANSWER_REVERT_FAILED: eplb_answer_kind = 6;
pub type eplb_answer_kind = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_answer {
    pub struct_size: usize,
    pub kind: i32,
    pub reserved: u32,
    pub token: u64,
    pub step: u64,
    pub reason: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_answer"][::core::mem::size_of::<eplb_answer>() - 40usize];
    ["Alignment of eplb_answer"][::core::mem::align_of::<eplb_answer>() - 8usize];
    ["Offset of field: eplb_answer::struct_size"]
        [::core::mem::offset_of!(eplb_answer, struct_size) - 0usize];
    ["Offset of field: eplb_answer::kind"][::core::mem::offset_of!(eplb_answer, kind) - 8usize];
    ["Offset of field: eplb_answer::reserved"]
        [::core::mem::offset_of!(eplb_answer, reserved) - 12usize];
    ["Offset of field: eplb_answer::token"][::core::mem::offset_of!(eplb_answer, token) - 16usize];
    ["Offset of field: eplb_answer::step"][::core::mem::offset_of!(eplb_answer, step) - 24usize];
    ["Offset of field: eplb_answer::reason"]
        [::core::mem::offset_of!(eplb_answer, reason) - 32usize];
};
pub type eplb_answer_fn = ::core::option::Option<
    unsafe extern "C" fn(user: *mut ::core::ffi::c_void, answer: *const eplb_answer) -> i32,
>;
unsafe extern "C" {
    pub fn eplb_header_read(
        header: *const ::core::ffi::c_void,
        size: usize,
        step: *mut u64,
        visit: eplb_directive_fn,
        user: *mut ::core::ffi::c_void,
    ) -> eplb_status;
    pub fn eplb_header_write(
        step: u64,
        epochs: *const u64,
        layers: usize,
        directives: *const eplb_directive,
        count: usize,
        header: *mut ::core::ffi::c_void,
        capacity: usize,
        written: *mut usize,
    ) -> eplb_status;
    pub fn eplb_report_read(
        report: *const ::core::ffi::c_void,
        size: usize,
        rank: *mut u32,
        step: *mut u64,
        visit: eplb_answer_fn,
        user: *mut ::core::ffi::c_void,
    ) -> eplb_status;
    pub fn eplb_report_write(
        rank: u32,
        step: u64,
        load: *const eplb_load,
        answers: *const eplb_answer,
        count: usize,
        report: *mut ::core::ffi::c_void,
        capacity: usize,
        written: *mut usize,
    ) -> eplb_status;
}
