//! Types and constants. Made by ci/update-bindings from include/eplb_hccl.h: change that.
//!
//! Header checksum: 74f033140479663d

use core::ffi::{c_char, c_void};

crate::code! {
    /// What HCCL functions return.
    pub struct HcclResult(u32) {
        HCCL_SUCCESS = 0,
        HCCL_E_PARA = 1,
        HCCL_E_PTR = 2,
        HCCL_E_MEMORY = 3,
        HCCL_E_INTERNAL = 4,
        HCCL_E_NOT_SUPPORT = 5,
        HCCL_E_NOT_FOUND = 6,
        HCCL_E_UNAVAIL = 7,
        HCCL_E_SYSCALL = 8,
        HCCL_E_TIMEOUT = 9,
        HCCL_E_OPEN_FILE_FAILURE = 10,
        HCCL_E_TCP_CONNECT = 11,
        HCCL_E_ROCE_CONNECT = 12,
        HCCL_E_TCP_TRANSFER = 13,
        HCCL_E_ROCE_TRANSFER = 14,
        HCCL_E_RUNTIME = 15,
        HCCL_E_DRV = 16,
        HCCL_E_PROFILING = 17,
        HCCL_E_CCE = 18,
        HCCL_E_NETWORK = 19,
        HCCL_E_AGAIN = 20,
        HCCL_E_REMOTE = 21,
        HCCL_E_SUSPENDING = 22,
        HCCL_E_OPRETRY_FAIL = 23,
        /// Since 1.17.
        HCCL_E_OOM = 24,
    }
}

crate::code! {
    /// Types of elements.
    pub struct HcclDataType(u32) {
        HCCL_DATA_TYPE_INT8 = 0,
        HCCL_DATA_TYPE_INT16 = 1,
        HCCL_DATA_TYPE_INT32 = 2,
        HCCL_DATA_TYPE_FP16 = 3,
        HCCL_DATA_TYPE_FP32 = 4,
        HCCL_DATA_TYPE_INT64 = 5,
        HCCL_DATA_TYPE_UINT64 = 6,
        HCCL_DATA_TYPE_UINT8 = 7,
        HCCL_DATA_TYPE_UINT16 = 8,
        HCCL_DATA_TYPE_UINT32 = 9,
        HCCL_DATA_TYPE_FP64 = 10,
        HCCL_DATA_TYPE_BFP16 = 11,
    }
}

crate::code! {
    /// Reductions.
    pub struct HcclReduceOp(u32) {
        HCCL_REDUCE_SUM = 0,
        HCCL_REDUCE_PROD = 1,
        HCCL_REDUCE_MAX = 2,
        HCCL_REDUCE_MIN = 3,
    }
}

crate::code! {
    /// The direction of a part of a batch.
    pub struct HcclSendRecvType(u32) {
        HCCL_SEND = 0,
        HCCL_RECV = 1,
    }
}

crate::code! {
    /// Fields that a library may honour; it does if the index is below its capability.
    pub struct HcclCommConfigCapability(u32) {
        HCCL_COMM_CONFIG_BUFFER_SIZE = 0,
        HCCL_COMM_CONFIG_DETERMINISTIC = 1,
        HCCL_COMM_CONFIG_COMM_NAME = 2,
        /// Since 1.17.
        HCCL_COMM_CONFIG_EXEC_TIMEOUT = 8,
    }
}

pub const HCCL_COMM_CONFIG_MAGIC_WORD: u32 = 4042322160;

pub const HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET: u32 = 4294967295;

pub const HCCL_COMM_DETERMINISTIC_CONFIG_NOT_SET: u32 = 4294967295;

pub const HCCL_COMM_DEFAULT_OP_EXPANSION_MODE: u32 = 0;

pub const HCCL_COMM_TRAFFIC_CLASS_CONFIG_NOT_SET: u32 = 4294967295;

pub const HCCL_COMM_SERVICE_LEVEL_CONFIG_NOT_SET: u32 = 4294967295;

/// Since 1.17.
pub const HCCL_COMM_EXECTIMEOUT_CONFIG_NOT_SET: i32 = -1;

/// Since 1.17.
pub const HCCL_COMM_QOS_CONFIG_NOT_SET: u32 = 4294967295;

/// Gigabytes of address space for symmetric memory, where nothing is set. Since 1.17.
pub const HCCL_DEFAULT_SYMMETRIC_MEMORY_STRIDE: u64 = 16;

/// Megabytes of each of a communicator's two buffers, where nothing is set.
pub const HCCL_COMM_DEFAULT_BUFFSIZE: u32 = 200;

/// The name of a communicator to be, made on one rank and carried to the others whole.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HcclRootInfo {
    pub internal: [c_char; 4108],
}

const _: () = {
    assert!(size_of::<HcclRootInfo>() == 4108);
    assert!(align_of::<HcclRootInfo>() == 1);
    assert!(core::mem::offset_of!(HcclRootInfo, internal) == 0);
};

/// A part of a batch: at most one per peer and direction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HcclSendRecvItem {
    pub sendRecvType: HcclSendRecvType,
    pub buf: *mut c_void,
    /// In elements.
    pub count: u64,
    pub dataType: HcclDataType,
    pub remoteRank: u32,
}

const _: () = {
    assert!(size_of::<HcclSendRecvItem>() == 32);
    assert!(align_of::<HcclSendRecvItem>() == 8);
    assert!(core::mem::offset_of!(HcclSendRecvItem, sendRecvType) == 0);
    assert!(core::mem::offset_of!(HcclSendRecvItem, buf) == 8);
    assert!(core::mem::offset_of!(HcclSendRecvItem, count) == 16);
    assert!(core::mem::offset_of!(HcclSendRecvItem, dataType) == 24);
    assert!(core::mem::offset_of!(HcclSendRecvItem, remoteRank) == 28);
};

/// The configuration of a communicator in its version 10. The first 312 bytes are version 6, which
/// older and newer libraries accept. The vendor's headers call the first 24 bytes reserved.
/// Shorter before 1.17.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HcclCommConfig {
    /// Bytes of the whole configuration, of the version given below.
    pub eplb_size: usize,
    /// HCCL_COMM_CONFIG_MAGIC_WORD.
    pub eplb_magic: u32,
    pub eplb_version: u32,
    /// 0.
    pub eplb_zero: u64,
    /// Megabytes of each of the two buffers.
    pub hcclBufferSize: u32,
    pub hcclDeterministic: u32,
    /// A text that ends with a zero, as all texts here.
    pub hcclCommName: [c_char; 128],
    pub hcclUdi: [c_char; 128],
    /// 0 default, 1 host, 2 AI CPU, 3 AIV.
    pub hcclOpExpansionMode: u32,
    pub hcclRdmaTrafficClass: u32,
    pub hcclRdmaServiceLevel: u32,
    pub hcclWorldRankID: u32,
    pub hcclJobID: u64,
    /// Version 7. Since 1.17.
    pub aclGraphZeroCopyEnable: u8,
    /// Seconds until an operator counts as failed. Version 8. Since 1.17.
    pub hcclExecTimeOut: i32,
    /// Version 8. Since 1.17.
    pub hcclAlgo: [c_char; 1600],
    /// Version 8. Since 1.17.
    pub hcclRetryEnable: [c_char; 50],
    /// Version 8. Since 1.17.
    pub hcclRetryParams: [c_char; 128],
    /// Version 9. Since 1.17.
    pub hcclBufferName: [c_char; 128],
    /// Version 10. Since 1.17.
    pub hcclQos: u32,
    /// Gigabytes. Version 10. Since 1.17.
    pub hcclSymWinMaxMemSizePerRank: u64,
}

const _: () = {
    assert!(size_of::<HcclCommConfig>() == 2240);
    assert!(align_of::<HcclCommConfig>() == 8);
    assert!(core::mem::offset_of!(HcclCommConfig, eplb_size) == 0);
    assert!(core::mem::offset_of!(HcclCommConfig, eplb_magic) == 8);
    assert!(core::mem::offset_of!(HcclCommConfig, eplb_version) == 12);
    assert!(core::mem::offset_of!(HcclCommConfig, eplb_zero) == 16);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclBufferSize) == 24);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclDeterministic) == 28);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclCommName) == 32);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclUdi) == 160);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclOpExpansionMode) == 288);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclRdmaTrafficClass) == 292);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclRdmaServiceLevel) == 296);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclWorldRankID) == 300);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclJobID) == 304);
    assert!(core::mem::offset_of!(HcclCommConfig, aclGraphZeroCopyEnable) == 312);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclExecTimeOut) == 316);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclAlgo) == 320);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclRetryEnable) == 1920);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclRetryParams) == 1970);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclBufferName) == 2098);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclQos) == 2228);
    assert!(core::mem::offset_of!(HcclCommConfig, hcclSymWinMaxMemSizePerRank) == 2232);
};

/// One rank's end of a communicator: a pointer that only the library looks behind.
pub type HcclComm = *mut c_void;
