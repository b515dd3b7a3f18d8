//! The declarations of `eplb.h`, made by `ci/update-bindings`.
//!
//! Header checksum: 89cb0a08f5edd079

use super::*;

pub const EPLB_ABI_VERSION: u32 = 1;
pub const EPLB_NONE: u32 = 4294967295;
pub type eplb_status = i32;
pub const EPLB_OK: eplb_status_code = 0;
pub const EPLB_ERROR_NULL: eplb_status_code = 1;
pub const EPLB_ERROR_HANDLE: eplb_status_code = 2;
pub const EPLB_ERROR_FREED: eplb_status_code = 3;
pub const EPLB_ERROR_BUSY: eplb_status_code = 4;
pub const EPLB_ERROR_PANIC: eplb_status_code = 5;
pub const EPLB_ERROR_BROKEN: eplb_status_code = 6;
pub const EPLB_ERROR_STRUCT_SIZE: eplb_status_code = 7;
pub const EPLB_ERROR_ARGUMENT: eplb_status_code = 8;
pub const EPLB_ERROR_LENGTH: eplb_status_code = 9;
pub const EPLB_ERROR_TEXT: eplb_status_code = 10;
pub const EPLB_ERROR_STATE: eplb_status_code = 11;
pub const EPLB_ERROR_CALLBACK: eplb_status_code = 12;
pub const EPLB_ERROR_CONFIG: eplb_status_code = 20;
pub const EPLB_ERROR_MODEL: eplb_status_code = 21;
pub const EPLB_ERROR_TOPOLOGY: eplb_status_code = 22;
pub const EPLB_ERROR_PLACEMENT: eplb_status_code = 23;
pub const EPLB_ERROR_PROFILE: eplb_status_code = 24;
pub const EPLB_ERROR_POLICY: eplb_status_code = 25;
pub const EPLB_ERROR_MANAGER: eplb_status_code = 26;
pub const EPLB_ERROR_BACKEND: eplb_status_code = 27;
pub const EPLB_ERROR_REPORT: eplb_status_code = 40;
pub const EPLB_ERROR_HEADER: eplb_status_code = 41;
pub const EPLB_ERROR_STEP_REFUSED: eplb_status_code = 42;
pub const EPLB_ERROR_COMMIT_FAILED: eplb_status_code = 43;
pub const EPLB_ERROR_STEP_ORDER: eplb_status_code = 44;
pub const EPLB_ERROR_EXECUTOR: eplb_status_code = 45;
pub const EPLB_ERROR_LOAD: eplb_status_code = 46;
pub const EPLB_ERROR_NO_COUNTERS: eplb_status_code = 47;
pub const EPLB_ERROR_NOT_RUNNING: eplb_status_code = 48;
pub const EPLB_ERROR_THREAD: eplb_status_code = 49;
pub const EPLB_ERROR_UNSETTLED: eplb_status_code = 50;
pub const EPLB_ERROR_DEVICE_LOST: eplb_status_code = 60;
pub const EPLB_ERROR_OUT_OF_MEMORY: eplb_status_code = 61;
pub const EPLB_ERROR_UNSUPPORTED: eplb_status_code = 62;
pub const EPLB_ERROR_INVALID_USE: eplb_status_code = 63;
pub const EPLB_ERROR_ABORTED: eplb_status_code = 64;
pub const EPLB_ERROR_TIMED_OUT: eplb_status_code = 65;
pub const EPLB_ERROR_DEVICE_FAILED: eplb_status_code = 66;
pub const EPLB_ERROR_OTHER: eplb_status_code = 99;
pub type eplb_status_code = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug)]
pub struct eplb_config {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_topology {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_placement {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_plan {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_coordinator {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_backend {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_device {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_stream {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_memory {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_communicator {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_weights {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct eplb_session {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_bytes {
    pub data: *const u8,
    pub size: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_bytes"][::core::mem::size_of::<eplb_bytes>() - 16usize];
    ["Alignment of eplb_bytes"][::core::mem::align_of::<eplb_bytes>() - 8usize];
    ["Offset of field: eplb_bytes::data"][::core::mem::offset_of!(eplb_bytes, data) - 0usize];
    ["Offset of field: eplb_bytes::size"][::core::mem::offset_of!(eplb_bytes, size) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_model {
    pub struct_size: usize,
    pub layers: u32,
    pub experts: u32,
    pub groups: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_model"][::core::mem::size_of::<eplb_model>() - 24usize];
    ["Alignment of eplb_model"][::core::mem::align_of::<eplb_model>() - 8usize];
    ["Offset of field: eplb_model::struct_size"]
        [::core::mem::offset_of!(eplb_model, struct_size) - 0usize];
    ["Offset of field: eplb_model::layers"][::core::mem::offset_of!(eplb_model, layers) - 8usize];
    ["Offset of field: eplb_model::experts"]
        [::core::mem::offset_of!(eplb_model, experts) - 12usize];
    ["Offset of field: eplb_model::groups"][::core::mem::offset_of!(eplb_model, groups) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_rank {
    pub struct_size: usize,
    pub node: u32,
    pub slots: u32,
    pub speed: u32,
    pub is_dead: u8,
    pub is_empty: u8,
    pub reserved: [u8; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_rank"][::core::mem::size_of::<eplb_rank>() - 24usize];
    ["Alignment of eplb_rank"][::core::mem::align_of::<eplb_rank>() - 8usize];
    ["Offset of field: eplb_rank::struct_size"]
        [::core::mem::offset_of!(eplb_rank, struct_size) - 0usize];
    ["Offset of field: eplb_rank::node"][::core::mem::offset_of!(eplb_rank, node) - 8usize];
    ["Offset of field: eplb_rank::slots"][::core::mem::offset_of!(eplb_rank, slots) - 12usize];
    ["Offset of field: eplb_rank::speed"][::core::mem::offset_of!(eplb_rank, speed) - 16usize];
    ["Offset of field: eplb_rank::is_dead"][::core::mem::offset_of!(eplb_rank, is_dead) - 20usize];
    ["Offset of field: eplb_rank::is_empty"]
        [::core::mem::offset_of!(eplb_rank, is_empty) - 21usize];
    ["Offset of field: eplb_rank::reserved"]
        [::core::mem::offset_of!(eplb_rank, reserved) - 22usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_routing {
    pub struct_size: usize,
    pub epoch: u64,
    pub experts: u32,
    pub entries: u32,
    pub offsets: *const u32,
    pub slots: *const u32,
    pub shares: *const u16,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_routing"][::core::mem::size_of::<eplb_routing>() - 48usize];
    ["Alignment of eplb_routing"][::core::mem::align_of::<eplb_routing>() - 8usize];
    ["Offset of field: eplb_routing::struct_size"]
        [::core::mem::offset_of!(eplb_routing, struct_size) - 0usize];
    ["Offset of field: eplb_routing::epoch"][::core::mem::offset_of!(eplb_routing, epoch) - 8usize];
    ["Offset of field: eplb_routing::experts"]
        [::core::mem::offset_of!(eplb_routing, experts) - 16usize];
    ["Offset of field: eplb_routing::entries"]
        [::core::mem::offset_of!(eplb_routing, entries) - 20usize];
    ["Offset of field: eplb_routing::offsets"]
        [::core::mem::offset_of!(eplb_routing, offsets) - 24usize];
    ["Offset of field: eplb_routing::slots"]
        [::core::mem::offset_of!(eplb_routing, slots) - 32usize];
    ["Offset of field: eplb_routing::shares"]
        [::core::mem::offset_of!(eplb_routing, shares) - 40usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_plan_request {
    pub struct_size: usize,
    pub config: *const eplb_config,
    pub topology: *const eplb_topology,
    pub model: *const eplb_model,
    pub loads: *const u64,
    pub windows: usize,
    pub weights: *const f32,
    pub present: *const eplb_placement,
    pub layers: *const u32,
    pub layer_count: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_plan_request"][::core::mem::size_of::<eplb_plan_request>() - 80usize];
    ["Alignment of eplb_plan_request"][::core::mem::align_of::<eplb_plan_request>() - 8usize];
    ["Offset of field: eplb_plan_request::struct_size"]
        [::core::mem::offset_of!(eplb_plan_request, struct_size) - 0usize];
    ["Offset of field: eplb_plan_request::config"]
        [::core::mem::offset_of!(eplb_plan_request, config) - 8usize];
    ["Offset of field: eplb_plan_request::topology"]
        [::core::mem::offset_of!(eplb_plan_request, topology) - 16usize];
    ["Offset of field: eplb_plan_request::model"]
        [::core::mem::offset_of!(eplb_plan_request, model) - 24usize];
    ["Offset of field: eplb_plan_request::loads"]
        [::core::mem::offset_of!(eplb_plan_request, loads) - 32usize];
    ["Offset of field: eplb_plan_request::windows"]
        [::core::mem::offset_of!(eplb_plan_request, windows) - 40usize];
    ["Offset of field: eplb_plan_request::weights"]
        [::core::mem::offset_of!(eplb_plan_request, weights) - 48usize];
    ["Offset of field: eplb_plan_request::present"]
        [::core::mem::offset_of!(eplb_plan_request, present) - 56usize];
    ["Offset of field: eplb_plan_request::layers"]
        [::core::mem::offset_of!(eplb_plan_request, layers) - 64usize];
    ["Offset of field: eplb_plan_request::layer_count"]
        [::core::mem::offset_of!(eplb_plan_request, layer_count) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_layer_plan {
    pub struct_size: usize,
    pub layer: u32,
    pub is_weighed: u32,
    pub balancedness_before: f64,
    pub balancedness_after: f64,
    pub moved_slots: u64,
    pub gain: f64,
    pub price: f64,
    pub bound: f64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_layer_plan"][::core::mem::size_of::<eplb_layer_plan>() - 64usize];
    ["Alignment of eplb_layer_plan"][::core::mem::align_of::<eplb_layer_plan>() - 8usize];
    ["Offset of field: eplb_layer_plan::struct_size"]
        [::core::mem::offset_of!(eplb_layer_plan, struct_size) - 0usize];
    ["Offset of field: eplb_layer_plan::layer"]
        [::core::mem::offset_of!(eplb_layer_plan, layer) - 8usize];
    ["Offset of field: eplb_layer_plan::is_weighed"]
        [::core::mem::offset_of!(eplb_layer_plan, is_weighed) - 12usize];
    ["Offset of field: eplb_layer_plan::balancedness_before"]
        [::core::mem::offset_of!(eplb_layer_plan, balancedness_before) - 16usize];
    ["Offset of field: eplb_layer_plan::balancedness_after"]
        [::core::mem::offset_of!(eplb_layer_plan, balancedness_after) - 24usize];
    ["Offset of field: eplb_layer_plan::moved_slots"]
        [::core::mem::offset_of!(eplb_layer_plan, moved_slots) - 32usize];
    ["Offset of field: eplb_layer_plan::gain"]
        [::core::mem::offset_of!(eplb_layer_plan, gain) - 40usize];
    ["Offset of field: eplb_layer_plan::price"]
        [::core::mem::offset_of!(eplb_layer_plan, price) - 48usize];
    ["Offset of field: eplb_layer_plan::bound"]
        [::core::mem::offset_of!(eplb_layer_plan, bound) - 56usize];
};
unsafe extern "C" {
    pub fn eplb_last_error() -> *const ::core::ffi::c_char;
    pub fn eplb_last_error_code() -> eplb_status;
    pub fn eplb_last_vendor_code() -> i64;
    pub fn eplb_status_name(status: eplb_status) -> *const ::core::ffi::c_char;
    pub fn eplb_version() -> *const ::core::ffi::c_char;
    pub fn eplb_abi_version() -> u32;
    pub fn eplb_handle_count() -> usize;
    pub fn eplb_config_create(config: *mut *mut eplb_config) -> eplb_status;
    pub fn eplb_config_parse(
        toml: *const ::core::ffi::c_char,
        origin: *const ::core::ffi::c_char,
        config: *mut *mut eplb_config,
    ) -> eplb_status;
    pub fn eplb_config_set_bool(
        config: *mut eplb_config,
        key: *const ::core::ffi::c_char,
        value: i32,
    ) -> eplb_status;
    pub fn eplb_config_set_integer(
        config: *mut eplb_config,
        key: *const ::core::ffi::c_char,
        value: i64,
    ) -> eplb_status;
    pub fn eplb_config_set_number(
        config: *mut eplb_config,
        key: *const ::core::ffi::c_char,
        value: f64,
    ) -> eplb_status;
    pub fn eplb_config_set_text(
        config: *mut eplb_config,
        key: *const ::core::ffi::c_char,
        value: *const ::core::ffi::c_char,
    ) -> eplb_status;
    pub fn eplb_config_check(config: *const eplb_config) -> eplb_status;
    pub fn eplb_config_text(config: *mut eplb_config, toml: *mut eplb_bytes) -> eplb_status;
    pub fn eplb_config_free(config: *mut eplb_config) -> eplb_status;
    pub fn eplb_topology_create(
        config: *const eplb_config,
        experts: u32,
        topology: *mut *mut eplb_topology,
    ) -> eplb_status;
    pub fn eplb_topology_create_of(
        ranks: *const eplb_rank,
        count: usize,
        topology: *mut *mut eplb_topology,
    ) -> eplb_status;
    pub fn eplb_topology_size(
        topology: *const eplb_topology,
        ranks: *mut u32,
        slots: *mut u32,
    ) -> eplb_status;
    pub fn eplb_topology_slots_of(
        topology: *const eplb_topology,
        rank: u32,
        first: *mut u32,
        count: *mut u32,
    ) -> eplb_status;
    pub fn eplb_topology_free(topology: *mut eplb_topology) -> eplb_status;
    pub fn eplb_placement_create(
        config: *const eplb_config,
        model: *const eplb_model,
        topology: *const eplb_topology,
        placement: *mut *mut eplb_placement,
    ) -> eplb_status;
    pub fn eplb_placement_create_of(
        model: *const eplb_model,
        topology: *const eplb_topology,
        experts: *const u32,
        count: usize,
        placement: *mut *mut eplb_placement,
    ) -> eplb_status;
    pub fn eplb_placement_layer(
        placement: *const eplb_placement,
        layer: u32,
        experts: *mut u32,
        count: usize,
        epoch: *mut u64,
    ) -> eplb_status;
    pub fn eplb_placement_balancedness(
        placement: *const eplb_placement,
        layer: u32,
        loads: *const u64,
        count: usize,
        balancedness: *mut f64,
    ) -> eplb_status;
    pub fn eplb_placement_free(placement: *mut eplb_placement) -> eplb_status;
    pub fn eplb_plan_create(
        request: *const eplb_plan_request,
        plan: *mut *mut eplb_plan,
    ) -> eplb_status;
    pub fn eplb_plan_layers(plan: *const eplb_plan, count: *mut usize) -> eplb_status;
    pub fn eplb_plan_layer(
        plan: *const eplb_plan,
        index: usize,
        layer: *mut eplb_layer_plan,
    ) -> eplb_status;
    pub fn eplb_plan_placement(
        plan: *const eplb_plan,
        placement: *mut *mut eplb_placement,
    ) -> eplb_status;
    pub fn eplb_plan_routing(
        plan: *const eplb_plan,
        index: usize,
        routing: *mut eplb_routing,
    ) -> eplb_status;
    pub fn eplb_plan_free(plan: *mut eplb_plan) -> eplb_status;
}
