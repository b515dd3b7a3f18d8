//! The declarations of `eplb_session.h`, made by `ci/update-bindings`.
//!
//! Header checksum: 3d66d04630522e6c

use super::*;

pub const EPLB_COUNTS_PLAIN: eplb_count_form = 0;
pub const EPLB_COUNTS_PREFIX_SUMS: eplb_count_form = 1;
pub type eplb_count_form = ::core::ffi::c_uint;
pub const EPLB_PHASE_MIXED: eplb_phase = 0;
pub const EPLB_PHASE_PREFILL: eplb_phase = 1;
pub const EPLB_PHASE_DECODE: eplb_phase = 2;
pub type eplb_phase = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_load {
    pub struct_size: usize,
    pub first_step: u64,
    pub last_step: u64,
    pub counts: *const u64,
    pub count: usize,
    pub form: i32,
    pub phase: i32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_load"][::core::mem::size_of::<eplb_load>() - 48usize];
    ["Alignment of eplb_load"][::core::mem::align_of::<eplb_load>() - 8usize];
    ["Offset of field: eplb_load::struct_size"]
        [::core::mem::offset_of!(eplb_load, struct_size) - 0usize];
    ["Offset of field: eplb_load::first_step"]
        [::core::mem::offset_of!(eplb_load, first_step) - 8usize];
    ["Offset of field: eplb_load::last_step"]
        [::core::mem::offset_of!(eplb_load, last_step) - 16usize];
    ["Offset of field: eplb_load::counts"][::core::mem::offset_of!(eplb_load, counts) - 24usize];
    ["Offset of field: eplb_load::count"][::core::mem::offset_of!(eplb_load, count) - 32usize];
    ["Offset of field: eplb_load::form"][::core::mem::offset_of!(eplb_load, form) - 40usize];
    ["Offset of field: eplb_load::phase"][::core::mem::offset_of!(eplb_load, phase) - 44usize];
};
pub const EPLB_COUNTERS_INT32: eplb_counter_width = 4;
pub const EPLB_COUNTERS_INT64: eplb_counter_width = 8;
pub type eplb_counter_width = ::core::ffi::c_uint;
pub const EPLB_COUNTERS_RISING: eplb_counter_life = 0;
pub const EPLB_COUNTERS_CLEARED: eplb_counter_life = 1;
pub const EPLB_COUNTERS_OVERWRITTEN: eplb_counter_life = 2;
pub type eplb_counter_life = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_load_counters {
    pub struct_size: usize,
    pub memory: *const eplb_memory,
    pub width: i32,
    pub form: i32,
    pub life: i32,
    pub ring: u32,
    pub every: u64,
    pub most_tokens: u64,
    pub padding: *const u8,
    pub padding_count: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_load_counters"][::core::mem::size_of::<eplb_load_counters>() - 64usize];
    ["Alignment of eplb_load_counters"][::core::mem::align_of::<eplb_load_counters>() - 8usize];
    ["Offset of field: eplb_load_counters::struct_size"]
        [::core::mem::offset_of!(eplb_load_counters, struct_size) - 0usize];
    ["Offset of field: eplb_load_counters::memory"]
        [::core::mem::offset_of!(eplb_load_counters, memory) - 8usize];
    ["Offset of field: eplb_load_counters::width"]
        [::core::mem::offset_of!(eplb_load_counters, width) - 16usize];
    ["Offset of field: eplb_load_counters::form"]
        [::core::mem::offset_of!(eplb_load_counters, form) - 20usize];
    ["Offset of field: eplb_load_counters::life"]
        [::core::mem::offset_of!(eplb_load_counters, life) - 24usize];
    ["Offset of field: eplb_load_counters::ring"]
        [::core::mem::offset_of!(eplb_load_counters, ring) - 28usize];
    ["Offset of field: eplb_load_counters::every"]
        [::core::mem::offset_of!(eplb_load_counters, every) - 32usize];
    ["Offset of field: eplb_load_counters::most_tokens"]
        [::core::mem::offset_of!(eplb_load_counters, most_tokens) - 40usize];
    ["Offset of field: eplb_load_counters::padding"]
        [::core::mem::offset_of!(eplb_load_counters, padding) - 48usize];
    ["Offset of field: eplb_load_counters::padding_count"]
        [::core::mem::offset_of!(eplb_load_counters, padding_count) - 56usize];
};
pub const EPLB_HELD_ALL: eplb_held = 0;
pub const EPLB_HELD_NOTHING: eplb_held = 1;
pub const EPLB_HELD_OTHER: eplb_held = 2;
pub type eplb_held = ::core::ffi::c_uint;
#[repr(C)]
pub struct eplb_session_options {
    pub struct_size: usize,
    pub config: *const eplb_config,
    pub placement: *const eplb_placement,
    pub device: *const eplb_device,
    pub stream: *const eplb_stream,
    pub weights: *const eplb_weights,
    pub rank: u32,
    pub device_routing: u32,
    pub counters: *const eplb_load_counters,
    pub held_placement: *const eplb_placement,
    pub held: i32,
    pub reserved: i32,
    pub clock: eplb_clock_fn,
    pub user: *mut ::core::ffi::c_void,
    pub communicator: *const eplb_communicator,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_session_options"][::core::mem::size_of::<eplb_session_options>() - 104usize];
    ["Alignment of eplb_session_options"][::core::mem::align_of::<eplb_session_options>() - 8usize];
    ["Offset of field: eplb_session_options::struct_size"]
        [::core::mem::offset_of!(eplb_session_options, struct_size) - 0usize];
    ["Offset of field: eplb_session_options::config"]
        [::core::mem::offset_of!(eplb_session_options, config) - 8usize];
    ["Offset of field: eplb_session_options::placement"]
        [::core::mem::offset_of!(eplb_session_options, placement) - 16usize];
    ["Offset of field: eplb_session_options::device"]
        [::core::mem::offset_of!(eplb_session_options, device) - 24usize];
    ["Offset of field: eplb_session_options::stream"]
        [::core::mem::offset_of!(eplb_session_options, stream) - 32usize];
    ["Offset of field: eplb_session_options::weights"]
        [::core::mem::offset_of!(eplb_session_options, weights) - 40usize];
    ["Offset of field: eplb_session_options::rank"]
        [::core::mem::offset_of!(eplb_session_options, rank) - 48usize];
    ["Offset of field: eplb_session_options::device_routing"]
        [::core::mem::offset_of!(eplb_session_options, device_routing) - 52usize];
    ["Offset of field: eplb_session_options::counters"]
        [::core::mem::offset_of!(eplb_session_options, counters) - 56usize];
    ["Offset of field: eplb_session_options::held_placement"]
        [::core::mem::offset_of!(eplb_session_options, held_placement) - 64usize];
    ["Offset of field: eplb_session_options::held"]
        [::core::mem::offset_of!(eplb_session_options, held) - 72usize];
    ["Offset of field: eplb_session_options::reserved"]
        [::core::mem::offset_of!(eplb_session_options, reserved) - 76usize];
    ["Offset of field: eplb_session_options::clock"]
        [::core::mem::offset_of!(eplb_session_options, clock) - 80usize];
    ["Offset of field: eplb_session_options::user"]
        [::core::mem::offset_of!(eplb_session_options, user) - 88usize];
    ["Offset of field: eplb_session_options::communicator"]
        [::core::mem::offset_of!(eplb_session_options, communicator) - 96usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_device_routing {
    pub struct_size: usize,
    pub address: *mut ::core::ffi::c_void,
    pub version: u32,
    pub experts: u32,
    pub slot_count: u32,
    pub local_slots: u32,
    pub offsets: usize,
    pub slots: usize,
    pub shares: usize,
    pub buffers: usize,
    pub bytes: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_device_routing"][::core::mem::size_of::<eplb_device_routing>() - 72usize];
    ["Alignment of eplb_device_routing"][::core::mem::align_of::<eplb_device_routing>() - 8usize];
    ["Offset of field: eplb_device_routing::struct_size"]
        [::core::mem::offset_of!(eplb_device_routing, struct_size) - 0usize];
    ["Offset of field: eplb_device_routing::address"]
        [::core::mem::offset_of!(eplb_device_routing, address) - 8usize];
    ["Offset of field: eplb_device_routing::version"]
        [::core::mem::offset_of!(eplb_device_routing, version) - 16usize];
    ["Offset of field: eplb_device_routing::experts"]
        [::core::mem::offset_of!(eplb_device_routing, experts) - 20usize];
    ["Offset of field: eplb_device_routing::slot_count"]
        [::core::mem::offset_of!(eplb_device_routing, slot_count) - 24usize];
    ["Offset of field: eplb_device_routing::local_slots"]
        [::core::mem::offset_of!(eplb_device_routing, local_slots) - 28usize];
    ["Offset of field: eplb_device_routing::offsets"]
        [::core::mem::offset_of!(eplb_device_routing, offsets) - 32usize];
    ["Offset of field: eplb_device_routing::slots"]
        [::core::mem::offset_of!(eplb_device_routing, slots) - 40usize];
    ["Offset of field: eplb_device_routing::shares"]
        [::core::mem::offset_of!(eplb_device_routing, shares) - 48usize];
    ["Offset of field: eplb_device_routing::buffers"]
        [::core::mem::offset_of!(eplb_device_routing, buffers) - 56usize];
    ["Offset of field: eplb_device_routing::bytes"]
        [::core::mem::offset_of!(eplb_device_routing, bytes) - 64usize];
};
unsafe extern "C" {
    pub fn eplb_weights_create(weights: *mut *mut eplb_weights) -> eplb_status;
    pub fn eplb_weights_add_tensor(
        weights: *mut eplb_weights,
        layer: u32,
        name: *const ::core::ffi::c_char,
        memory: *const eplb_memory,
        slot_stride: usize,
        slot_bytes: usize,
    ) -> eplb_status;
    pub fn eplb_weights_free(weights: *mut eplb_weights) -> eplb_status;
    pub fn eplb_session_open(
        options: *const eplb_session_options,
        session: *mut *mut eplb_session,
    ) -> eplb_status;
    pub fn eplb_session_endpoint(
        session: *mut eplb_session,
        endpoint: *mut eplb_bytes,
    ) -> eplb_status;
    pub fn eplb_session_connect(
        session: *mut eplb_session,
        endpoints: *const eplb_bytes,
        count: usize,
    ) -> eplb_status;
    pub fn eplb_session_begin_step(
        session: *mut eplb_session,
        header: *const ::core::ffi::c_void,
        size: usize,
    ) -> eplb_status;
    pub fn eplb_session_collect(session: *mut eplb_session, phase: i32) -> eplb_status;
    pub fn eplb_session_end_step(
        session: *mut eplb_session,
        load: *const eplb_load,
        digest: *const eplb_plan_digest,
        report: *mut eplb_bytes,
    ) -> eplb_status;
    pub fn eplb_session_routing(
        session: *const eplb_session,
        layer: u32,
        routing: *mut eplb_routing,
    ) -> eplb_status;
    pub fn eplb_session_divide(
        session: *const eplb_session,
        layer: u32,
        tokens: *const u64,
        experts: usize,
        slot_tokens: *mut u64,
        slots: usize,
    ) -> eplb_status;
    pub fn eplb_session_device_routing(
        session: *const eplb_session,
        layer: u32,
        routing: *mut eplb_device_routing,
    ) -> eplb_status;
    pub fn eplb_session_slot(
        session: *const eplb_session,
        layer: u32,
        slot: u32,
        tensor: u32,
        memory: *mut *mut eplb_memory,
    ) -> eplb_status;
    pub fn eplb_session_slot_buffers(
        session: *const eplb_session,
        layer: u32,
        buffers: *mut u32,
        count: usize,
    ) -> eplb_status;
    pub fn eplb_session_epochs(
        session: *const eplb_session,
        epochs: *mut u64,
        count: usize,
    ) -> eplb_status;
    pub fn eplb_session_placement(
        session: *const eplb_session,
        placement: *mut *mut eplb_placement,
    ) -> eplb_status;
    pub fn eplb_session_settle(session: *mut eplb_session, timeout_ms: u32) -> eplb_status;
    pub fn eplb_session_figures(
        session: *const eplb_session,
        visit: eplb_figure_fn,
        user: *mut ::core::ffi::c_void,
    ) -> eplb_status;
    pub fn eplb_session_figure(
        session: *const eplb_session,
        name: *const ::core::ffi::c_char,
        value: *mut u64,
    ) -> eplb_status;
    pub fn eplb_session_free(session: *mut eplb_session) -> eplb_status;
}
