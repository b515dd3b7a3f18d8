//! The declarations of `eplb_device.h`, made by `ci/update-bindings`.
//!
//! Header checksum: 26da506b8732e315

use super::*;

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_device_info {
    pub struct_size: usize,
    pub ordinal: u32,
    pub peer_memory: u8,
    pub communicators: u8,
    pub stream_abort: u8,
    pub ranks_share_device: u8,
    pub alignment: usize,
    pub backend: *const ::core::ffi::c_char,
    pub name: *const ::core::ffi::c_char,
    pub software: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_device_info"][::core::mem::size_of::<eplb_device_info>() - 48usize];
    ["Alignment of eplb_device_info"][::core::mem::align_of::<eplb_device_info>() - 8usize];
    ["Offset of field: eplb_device_info::struct_size"]
        [::core::mem::offset_of!(eplb_device_info, struct_size) - 0usize];
    ["Offset of field: eplb_device_info::ordinal"]
        [::core::mem::offset_of!(eplb_device_info, ordinal) - 8usize];
    ["Offset of field: eplb_device_info::peer_memory"]
        [::core::mem::offset_of!(eplb_device_info, peer_memory) - 12usize];
    ["Offset of field: eplb_device_info::communicators"]
        [::core::mem::offset_of!(eplb_device_info, communicators) - 13usize];
    ["Offset of field: eplb_device_info::stream_abort"]
        [::core::mem::offset_of!(eplb_device_info, stream_abort) - 14usize];
    ["Offset of field: eplb_device_info::ranks_share_device"]
        [::core::mem::offset_of!(eplb_device_info, ranks_share_device) - 15usize];
    ["Offset of field: eplb_device_info::alignment"]
        [::core::mem::offset_of!(eplb_device_info, alignment) - 16usize];
    ["Offset of field: eplb_device_info::backend"]
        [::core::mem::offset_of!(eplb_device_info, backend) - 24usize];
    ["Offset of field: eplb_device_info::name"]
        [::core::mem::offset_of!(eplb_device_info, name) - 32usize];
    ["Offset of field: eplb_device_info::software"]
        [::core::mem::offset_of!(eplb_device_info, software) - 40usize];
};
pub const EPLB_PRIORITY_LOW: eplb_stream_priority = -1;
pub const EPLB_PRIORITY_NORMAL: eplb_stream_priority = 0;
pub const EPLB_PRIORITY_HIGH: eplb_stream_priority = 1;
pub type eplb_stream_priority = ::core::ffi::c_int;
pub const EPLB_FAILURE_NONE: eplb_device_failure_kind = 0;
pub const EPLB_FAILURE_LOST: eplb_device_failure_kind = 1;
pub const EPLB_FAILURE_OUT_OF_MEMORY: eplb_device_failure_kind = 2;
pub const EPLB_FAILURE_UNSUPPORTED: eplb_device_failure_kind = 3;
pub const EPLB_FAILURE_INVALID_USE: eplb_device_failure_kind = 4;
pub const EPLB_FAILURE_ABORTED: eplb_device_failure_kind = 5;
pub const EPLB_FAILURE_TIMED_OUT: eplb_device_failure_kind = 6;
pub const EPLB_FAILURE_FAILED: eplb_device_failure_kind = 7;
pub type eplb_device_failure_kind = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_device_failure {
    pub struct_size: usize,
    pub code: i64,
    pub text: [::core::ffi::c_char; 240usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_device_failure"][::core::mem::size_of::<eplb_device_failure>() - 256usize];
    ["Alignment of eplb_device_failure"][::core::mem::align_of::<eplb_device_failure>() - 8usize];
    ["Offset of field: eplb_device_failure::struct_size"]
        [::core::mem::offset_of!(eplb_device_failure, struct_size) - 0usize];
    ["Offset of field: eplb_device_failure::code"]
        [::core::mem::offset_of!(eplb_device_failure, code) - 8usize];
    ["Offset of field: eplb_device_failure::text"]
        [::core::mem::offset_of!(eplb_device_failure, text) - 16usize];
};
pub const EPLB_PROGRESS_COMPLETE: eplb_progress = 0;
pub const EPLB_PROGRESS_PENDING: eplb_progress = 1;
pub const EPLB_PROGRESS_FAILED: eplb_progress = 2;
pub type eplb_progress = ::core::ffi::c_uint;
pub const EPLB_COPY_DEVICE: eplb_copy_kind = 0;
pub const EPLB_COPY_PEER: eplb_copy_kind = 1;
pub const EPLB_COPY_UPLOAD: eplb_copy_kind = 2;
pub const EPLB_COPY_DOWNLOAD: eplb_copy_kind = 3;
pub type eplb_copy_kind = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_copy {
    pub destination: usize,
    pub source: usize,
    pub bytes: usize,
    pub kind: i32,
    pub reserved: i32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_copy"][::core::mem::size_of::<eplb_copy>() - 32usize];
    ["Alignment of eplb_copy"][::core::mem::align_of::<eplb_copy>() - 8usize];
    ["Offset of field: eplb_copy::destination"]
        [::core::mem::offset_of!(eplb_copy, destination) - 0usize];
    ["Offset of field: eplb_copy::source"][::core::mem::offset_of!(eplb_copy, source) - 8usize];
    ["Offset of field: eplb_copy::bytes"][::core::mem::offset_of!(eplb_copy, bytes) - 16usize];
    ["Offset of field: eplb_copy::kind"][::core::mem::offset_of!(eplb_copy, kind) - 24usize];
    ["Offset of field: eplb_copy::reserved"]
        [::core::mem::offset_of!(eplb_copy, reserved) - 28usize];
};
#[repr(C)]
#[derive(Debug)]
pub struct eplb_engine_device {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct eplb_device_functions {
    pub struct_size: usize,
    pub name: *const ::core::ffi::c_char,
    pub user: *mut ::core::ffi::c_void,
    pub release: ::core::option::Option<unsafe extern "C" fn(user: *mut ::core::ffi::c_void)>,
    pub count: ::core::option::Option<
        unsafe extern "C" fn(
            user: *mut ::core::ffi::c_void,
            devices: *mut u32,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub open: ::core::option::Option<
        unsafe extern "C" fn(
            user: *mut ::core::ffi::c_void,
            ordinal: u32,
            device: *mut *mut eplb_engine_device,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub adopt: ::core::option::Option<
        unsafe extern "C" fn(
            user: *mut ::core::ffi::c_void,
            ordinal: u32,
            context: usize,
            device: *mut *mut eplb_engine_device,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub close: ::core::option::Option<unsafe extern "C" fn(device: *mut eplb_engine_device)>,
    pub describe: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            info: *mut eplb_device_info,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub memory_info: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            free_bytes: *mut u64,
            total_bytes: *mut u64,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub create_stream: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            priority: i32,
            stream: *mut usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub destroy_stream: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            stream: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub query_stream: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            stream: usize,
            progress: *mut i32,
            kind: *mut i32,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub abort_stream: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            stream: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub create_event: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            event: *mut usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub destroy_event: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            event: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub record_event: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            event: usize,
            stream: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub wait_event: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            stream: usize,
            event: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub query_event: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            event: usize,
            progress: *mut i32,
            kind: *mut i32,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub allocate: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            bytes: usize,
            address: *mut usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub free: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            address: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub allocate_pinned: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            bytes: usize,
            address: *mut usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub free_pinned: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            address: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub copy: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            copies: *const eplb_copy,
            count: usize,
            stream: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub fill: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            destination: usize,
            value: u8,
            bytes: usize,
            stream: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub export_memory: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            base: usize,
            bytes: usize,
            key: *mut u8,
            capacity: usize,
            size: *mut usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub withdraw: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            key: *const u8,
            size: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub import_memory: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            key: *const u8,
            size: usize,
            address: *mut usize,
            bytes: *mut usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
    pub close_import: ::core::option::Option<
        unsafe extern "C" fn(
            device: *mut eplb_engine_device,
            key: *const u8,
            size: usize,
            address: usize,
            failure: *mut eplb_device_failure,
        ) -> i32,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of eplb_device_functions"][::core::mem::size_of::<eplb_device_functions>() - 232usize];
    ["Alignment of eplb_device_functions"]
        [::core::mem::align_of::<eplb_device_functions>() - 8usize];
    ["Offset of field: eplb_device_functions::struct_size"]
        [::core::mem::offset_of!(eplb_device_functions, struct_size) - 0usize];
    ["Offset of field: eplb_device_functions::name"]
        [::core::mem::offset_of!(eplb_device_functions, name) - 8usize];
    ["Offset of field: eplb_device_functions::user"]
        [::core::mem::offset_of!(eplb_device_functions, user) - 16usize];
    ["Offset of field: eplb_device_functions::release"]
        [::core::mem::offset_of!(eplb_device_functions, release) - 24usize];
    ["Offset of field: eplb_device_functions::count"]
        [::core::mem::offset_of!(eplb_device_functions, count) - 32usize];
    ["Offset of field: eplb_device_functions::open"]
        [::core::mem::offset_of!(eplb_device_functions, open) - 40usize];
    ["Offset of field: eplb_device_functions::adopt"]
        [::core::mem::offset_of!(eplb_device_functions, adopt) - 48usize];
    ["Offset of field: eplb_device_functions::close"]
        [::core::mem::offset_of!(eplb_device_functions, close) - 56usize];
    ["Offset of field: eplb_device_functions::describe"]
        [::core::mem::offset_of!(eplb_device_functions, describe) - 64usize];
    ["Offset of field: eplb_device_functions::memory_info"]
        [::core::mem::offset_of!(eplb_device_functions, memory_info) - 72usize];
    ["Offset of field: eplb_device_functions::create_stream"]
        [::core::mem::offset_of!(eplb_device_functions, create_stream) - 80usize];
    ["Offset of field: eplb_device_functions::destroy_stream"]
        [::core::mem::offset_of!(eplb_device_functions, destroy_stream) - 88usize];
    ["Offset of field: eplb_device_functions::query_stream"]
        [::core::mem::offset_of!(eplb_device_functions, query_stream) - 96usize];
    ["Offset of field: eplb_device_functions::abort_stream"]
        [::core::mem::offset_of!(eplb_device_functions, abort_stream) - 104usize];
    ["Offset of field: eplb_device_functions::create_event"]
        [::core::mem::offset_of!(eplb_device_functions, create_event) - 112usize];
    ["Offset of field: eplb_device_functions::destroy_event"]
        [::core::mem::offset_of!(eplb_device_functions, destroy_event) - 120usize];
    ["Offset of field: eplb_device_functions::record_event"]
        [::core::mem::offset_of!(eplb_device_functions, record_event) - 128usize];
    ["Offset of field: eplb_device_functions::wait_event"]
        [::core::mem::offset_of!(eplb_device_functions, wait_event) - 136usize];
    ["Offset of field: eplb_device_functions::query_event"]
        [::core::mem::offset_of!(eplb_device_functions, query_event) - 144usize];
    ["Offset of field: eplb_device_functions::allocate"]
        [::core::mem::offset_of!(eplb_device_functions, allocate) - 152usize];
    ["Offset of field: eplb_device_functions::free"]
        [::core::mem::offset_of!(eplb_device_functions, free) - 160usize];
    ["Offset of field: eplb_device_functions::allocate_pinned"]
        [::core::mem::offset_of!(eplb_device_functions, allocate_pinned) - 168usize];
    ["Offset of field: eplb_device_functions::free_pinned"]
        [::core::mem::offset_of!(eplb_device_functions, free_pinned) - 176usize];
    ["Offset of field: eplb_device_functions::copy"]
        [::core::mem::offset_of!(eplb_device_functions, copy) - 184usize];
    ["Offset of field: eplb_device_functions::fill"]
        [::core::mem::offset_of!(eplb_device_functions, fill) - 192usize];
    ["Offset of field: eplb_device_functions::export_memory"]
        [::core::mem::offset_of!(eplb_device_functions, export_memory) - 200usize];
    ["Offset of field: eplb_device_functions::withdraw"]
        [::core::mem::offset_of!(eplb_device_functions, withdraw) - 208usize];
    ["Offset of field: eplb_device_functions::import_memory"]
        [::core::mem::offset_of!(eplb_device_functions, import_memory) - 216usize];
    ["Offset of field: eplb_device_functions::close_import"]
        [::core::mem::offset_of!(eplb_device_functions, close_import) - 224usize];
};
unsafe extern "C" {
    pub fn eplb_backend_open(
        name: *const ::core::ffi::c_char,
        devices: u32,
        config: *const eplb_config,
        backend: *mut *mut eplb_backend,
    ) -> eplb_status;
    pub fn eplb_backend_open_configured(
        config: *const eplb_config,
        devices: u32,
        backend: *mut *mut eplb_backend,
    ) -> eplb_status;
    pub fn eplb_backend_name(backend: *const eplb_backend, name: *mut eplb_bytes) -> eplb_status;
    pub fn eplb_backend_devices(backend: *const eplb_backend, devices: *mut u32) -> eplb_status;
    pub fn eplb_backend_free(backend: *mut eplb_backend) -> eplb_status;
    pub fn eplb_device_open(
        backend: *const eplb_backend,
        ordinal: u32,
        device: *mut *mut eplb_device,
    ) -> eplb_status;
    pub fn eplb_device_adopt(
        backend: *const eplb_backend,
        ordinal: u32,
        context: *mut ::core::ffi::c_void,
        device: *mut *mut eplb_device,
    ) -> eplb_status;
    pub fn eplb_device_describe(
        device: *const eplb_device,
        info: *mut eplb_device_info,
    ) -> eplb_status;
    pub fn eplb_device_memory(
        device: *const eplb_device,
        free_bytes: *mut u64,
        total_bytes: *mut u64,
    ) -> eplb_status;
    pub fn eplb_device_drain(device: *const eplb_device, timeout_ms: u32) -> eplb_status;
    pub fn eplb_device_abort(device: *const eplb_device) -> eplb_status;
    pub fn eplb_device_free(device: *mut eplb_device) -> eplb_status;
    pub fn eplb_stream_create(
        device: *const eplb_device,
        priority: i32,
        stream: *mut *mut eplb_stream,
    ) -> eplb_status;
    pub fn eplb_stream_borrow(
        device: *const eplb_device,
        handle: *mut ::core::ffi::c_void,
        stream: *mut *mut eplb_stream,
    ) -> eplb_status;
    pub fn eplb_stream_handle(
        stream: *const eplb_stream,
        handle: *mut *mut ::core::ffi::c_void,
    ) -> eplb_status;
    pub fn eplb_stream_wait(stream: *const eplb_stream, timeout_ms: u32) -> eplb_status;
    pub fn eplb_stream_free(stream: *mut eplb_stream) -> eplb_status;
    pub fn eplb_memory_allocate(
        device: *const eplb_device,
        bytes: usize,
        memory: *mut *mut eplb_memory,
    ) -> eplb_status;
    pub fn eplb_memory_borrow(
        device: *const eplb_device,
        address: *mut ::core::ffi::c_void,
        bytes: usize,
        memory: *mut *mut eplb_memory,
    ) -> eplb_status;
    pub fn eplb_memory_range(
        memory: *const eplb_memory,
        address: *mut *mut ::core::ffi::c_void,
        bytes: *mut usize,
    ) -> eplb_status;
    pub fn eplb_memory_write(
        memory: *const eplb_memory,
        stream: *const eplb_stream,
        offset: usize,
        bytes: *const ::core::ffi::c_void,
        size: usize,
        timeout_ms: u32,
    ) -> eplb_status;
    pub fn eplb_memory_read(
        memory: *const eplb_memory,
        stream: *const eplb_stream,
        offset: usize,
        bytes: *mut ::core::ffi::c_void,
        size: usize,
        timeout_ms: u32,
    ) -> eplb_status;
    pub fn eplb_memory_free(memory: *mut eplb_memory) -> eplb_status;
    pub fn eplb_communicator_id(device: *mut eplb_device, id: *mut eplb_bytes) -> eplb_status;
    pub fn eplb_communicator_create(
        device: *const eplb_device,
        id: *const ::core::ffi::c_void,
        id_size: usize,
        rank: u32,
        size: u32,
        buffer_bytes: u64,
        communicator: *mut *mut eplb_communicator,
    ) -> eplb_status;
    pub fn eplb_communicator_borrow(
        device: *const eplb_device,
        handle: *mut ::core::ffi::c_void,
        rank: u32,
        size: u32,
        communicator: *mut *mut eplb_communicator,
    ) -> eplb_status;
    pub fn eplb_communicator_is_ready(
        communicator: *const eplb_communicator,
        is_ready: *mut i32,
    ) -> eplb_status;
    pub fn eplb_communicator_all_gather(
        communicator: *const eplb_communicator,
        send: *const eplb_memory,
        receive: *const eplb_memory,
        stream: *const eplb_stream,
    ) -> eplb_status;
    pub fn eplb_communicator_barrier(
        communicator: *const eplb_communicator,
        stream: *const eplb_stream,
    ) -> eplb_status;
    pub fn eplb_communicator_abort(communicator: *const eplb_communicator) -> eplb_status;
    pub fn eplb_communicator_free(communicator: *mut eplb_communicator) -> eplb_status;
    pub fn eplb_backend_create(
        functions: *const eplb_device_functions,
        backend: *mut *mut eplb_backend,
    ) -> eplb_status;
}
