//! The declarations of `eplb_coordinator.h`, made by `ci/update-bindings`.
//!
//! Header checksum: 7683bbb5e651bb81

use super::*;

pub type eplb_clock_fn =
    ::core::option::Option<unsafe extern "C" fn(user: *mut ::core::ffi::c_void) -> u64>;
pub const EPLB_CARRIAGE_LEADER: eplb_carriage = 0;
pub const EPLB_CARRIAGE_SPMD: eplb_carriage = 1;
pub type eplb_carriage = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_coordinator_options {
    pub struct_size: usize,
    pub carriage: i32,
    pub own_rank: u32,
    pub clock: eplb_clock_fn,
    pub user: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_coordinator_options"]
        [::core::mem::size_of::<eplb_coordinator_options>() - 32usize];
    ["Alignment of eplb_coordinator_options"]
        [::core::mem::align_of::<eplb_coordinator_options>() - 8usize];
    ["Offset of field: eplb_coordinator_options::struct_size"]
        [::core::mem::offset_of!(eplb_coordinator_options, struct_size) - 0usize];
    ["Offset of field: eplb_coordinator_options::carriage"]
        [::core::mem::offset_of!(eplb_coordinator_options, carriage) - 8usize];
    ["Offset of field: eplb_coordinator_options::own_rank"]
        [::core::mem::offset_of!(eplb_coordinator_options, own_rank) - 12usize];
    ["Offset of field: eplb_coordinator_options::clock"]
        [::core::mem::offset_of!(eplb_coordinator_options, clock) - 16usize];
    ["Offset of field: eplb_coordinator_options::user"]
        [::core::mem::offset_of!(eplb_coordinator_options, user) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_plan_digest {
    pub struct_size: usize,
    pub round: u64,
    pub digest: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_plan_digest"][::core::mem::size_of::<eplb_plan_digest>() - 24usize];
    ["Alignment of eplb_plan_digest"][::core::mem::align_of::<eplb_plan_digest>() - 8usize];
    ["Offset of field: eplb_plan_digest::struct_size"]
        [::core::mem::offset_of!(eplb_plan_digest, struct_size) - 0usize];
    ["Offset of field: eplb_plan_digest::round"]
        [::core::mem::offset_of!(eplb_plan_digest, round) - 8usize];
    ["Offset of field: eplb_plan_digest::digest"]
        [::core::mem::offset_of!(eplb_plan_digest, digest) - 16usize];
};
pub type eplb_figure_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user: *mut ::core::ffi::c_void,
        name: *const ::core::ffi::c_char,
        value: u64,
    ) -> i32,
>;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_note {
    pub struct_size: usize,
    pub kind: i32,
    pub layer: u32,
    pub rank: u32,
    pub count: u32,
    pub round: u64,
    pub epoch: u64,
    pub step: u64,
    pub balancedness_before: f64,
    pub balancedness_after: f64,
    pub gain: f64,
    pub price: f64,
    pub text: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_note"][::core::mem::size_of::<eplb_note>() - 88usize];
    ["Alignment of eplb_note"][::core::mem::align_of::<eplb_note>() - 8usize];
    ["Offset of field: eplb_note::struct_size"]
        [::core::mem::offset_of!(eplb_note, struct_size) - 0usize];
    ["Offset of field: eplb_note::kind"][::core::mem::offset_of!(eplb_note, kind) - 8usize];
    ["Offset of field: eplb_note::layer"][::core::mem::offset_of!(eplb_note, layer) - 12usize];
    ["Offset of field: eplb_note::rank"][::core::mem::offset_of!(eplb_note, rank) - 16usize];
    ["Offset of field: eplb_note::count"][::core::mem::offset_of!(eplb_note, count) - 20usize];
    ["Offset of field: eplb_note::round"][::core::mem::offset_of!(eplb_note, round) - 24usize];
    ["Offset of field: eplb_note::epoch"][::core::mem::offset_of!(eplb_note, epoch) - 32usize];
    ["Offset of field: eplb_note::step"][::core::mem::offset_of!(eplb_note, step) - 40usize];
    ["Offset of field: eplb_note::balancedness_before"]
        [::core::mem::offset_of!(eplb_note, balancedness_before) - 48usize];
    ["Offset of field: eplb_note::balancedness_after"]
        [::core::mem::offset_of!(eplb_note, balancedness_after) - 56usize];
    ["Offset of field: eplb_note::gain"][::core::mem::offset_of!(eplb_note, gain) - 64usize];
    ["Offset of field: eplb_note::price"][::core::mem::offset_of!(eplb_note, price) - 72usize];
    ["Offset of field: eplb_note::text"][::core::mem::offset_of!(eplb_note, text) - 80usize];
};
pub const EPLB_NOTE_OTHER: eplb_note_kind = 0;
pub const EPLB_NOTE_ROUND_STARTED: eplb_note_kind = 1;
pub const EPLB_NOTE_ROUND_SKIPPED: eplb_note_kind = 2;
pub const EPLB_NOTE_LAYER_PLANNED: eplb_note_kind = 3;
pub const EPLB_NOTE_ROUND_PLANNED: eplb_note_kind = 4;
pub const EPLB_NOTE_ROUND_FINISHED: eplb_note_kind = 5;
pub const EPLB_NOTE_ROUND_ABORTED: eplb_note_kind = 6;
pub const EPLB_NOTE_LAYER_COMMITTED: eplb_note_kind = 7;
pub const EPLB_NOTE_LAYER_INDIVISIBLE: eplb_note_kind = 8;
pub const EPLB_NOTE_LAYER_REFUSED: eplb_note_kind = 9;
pub const EPLB_NOTE_COMMIT_FAILED: eplb_note_kind = 10;
pub const EPLB_NOTE_REVERT_FAILED: eplb_note_kind = 11;
pub const EPLB_NOTE_LAYER_REVERTED: eplb_note_kind = 12;
pub const EPLB_NOTE_REVERT_UNCONFIRMED: eplb_note_kind = 13;
pub const EPLB_NOTE_REPORT_REJECTED: eplb_note_kind = 14;
pub type eplb_note_kind = ::core::ffi::c_uint;
pub type eplb_note_fn = ::core::option::Option<
    unsafe extern "C" fn(user: *mut ::core::ffi::c_void, note: *const eplb_note) -> i32,
>;
pub const EPLB_LOG_ERROR: eplb_log_level = 1;
pub const EPLB_LOG_WARN: eplb_log_level = 2;
pub const EPLB_LOG_INFO: eplb_log_level = 3;
pub const EPLB_LOG_DEBUG: eplb_log_level = 4;
pub const EPLB_LOG_TRACE: eplb_log_level = 5;
pub type eplb_log_level = ::core::ffi::c_uint;
pub type eplb_log_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user: *mut ::core::ffi::c_void,
        level: i32,
        target: *const ::core::ffi::c_char,
        message: *const ::core::ffi::c_char,
    ),
>;
unsafe extern "C" {
    pub fn eplb_coordinator_start(
        config: *const eplb_config,
        placement: *const eplb_placement,
        options: *const eplb_coordinator_options,
        coordinator: *mut *mut eplb_coordinator,
    ) -> eplb_status;
    pub fn eplb_coordinator_begin_step(
        coordinator: *mut eplb_coordinator,
        step: u64,
        allow_changes: i32,
        header: *mut eplb_bytes,
    ) -> eplb_status;
    pub fn eplb_coordinator_accept_report(
        coordinator: *mut eplb_coordinator,
        sender: u32,
        report: *const ::core::ffi::c_void,
        size: usize,
    ) -> eplb_status;
    pub fn eplb_coordinator_settle(
        coordinator: *mut eplb_coordinator,
        timeout_ms: u32,
    ) -> eplb_status;
    pub fn eplb_coordinator_plan_digest(
        coordinator: *const eplb_coordinator,
        digest: *mut eplb_plan_digest,
        has_digest: *mut i32,
    ) -> eplb_status;
    pub fn eplb_coordinator_placement(
        coordinator: *const eplb_coordinator,
        placement: *mut *mut eplb_placement,
    ) -> eplb_status;
    pub fn eplb_coordinator_profile(
        coordinator: *mut eplb_coordinator,
        profile: *mut eplb_bytes,
    ) -> eplb_status;
    pub fn eplb_coordinator_counters(
        coordinator: *const eplb_coordinator,
        visit: eplb_figure_fn,
        user: *mut ::core::ffi::c_void,
    ) -> eplb_status;
    pub fn eplb_coordinator_counter(
        coordinator: *const eplb_coordinator,
        name: *const ::core::ffi::c_char,
        value: *mut u64,
    ) -> eplb_status;
    pub fn eplb_coordinator_take_notes(
        coordinator: *mut eplb_coordinator,
        visit: eplb_note_fn,
        user: *mut ::core::ffi::c_void,
    ) -> eplb_status;
    pub fn eplb_coordinator_free(coordinator: *mut eplb_coordinator) -> eplb_status;
    pub fn eplb_log_set(
        level: i32,
        log: eplb_log_fn,
        user: *mut ::core::ffi::c_void,
    ) -> eplb_status;
}
