//! The configuration of a communicator with nothing set.

use std::ffi::c_char;
use std::mem::offset_of;

use crate::{
    HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET, HCCL_COMM_CONFIG_MAGIC_WORD,
    HCCL_COMM_DEFAULT_OP_EXPANSION_MODE, HCCL_COMM_DETERMINISTIC_CONFIG_NOT_SET,
    HCCL_COMM_EXECTIMEOUT_CONFIG_NOT_SET, HCCL_COMM_QOS_CONFIG_NOT_SET,
    HCCL_COMM_SERVICE_LEVEL_CONFIG_NOT_SET, HCCL_COMM_TRAFFIC_CLASS_CONFIG_NOT_SET,
    HCCL_DEFAULT_SYMMETRIC_MEMORY_STRIDE, HcclCommConfig,
};

/// Bytes of version 6 of the configuration: up to its first field of version 7.
pub const CONFIG_VERSION_6_BYTES: usize = offset_of!(HcclCommConfig, aclGraphZeroCopyEnable);

/// Bytes of version 10 of the configuration.
pub const CONFIG_VERSION_10_BYTES: usize = size_of::<HcclCommConfig>();

impl HcclCommConfig {
    /// A configuration of version 6 with nothing set, which older and newer libraries accept; newer
    /// ones take their defaults for the fields after it. The vendor does this in an inline function,
    /// `HcclCommConfigInit`, which no library exports.
    pub const fn version_6() -> Self {
        Self { eplb_size: CONFIG_VERSION_6_BYTES, eplb_version: 6, ..Self::version_10() }
    }

    /// A configuration of version 10 with nothing set. Only for what version 6 lacks, such as the
    /// time limit of operators, and only where `HcclGetCommConfigCapability` covers it.
    pub const fn version_10() -> Self {
        const fn empty<const LENGTH: usize>() -> [c_char; LENGTH] {
            [0; LENGTH]
        }
        Self {
            eplb_size: CONFIG_VERSION_10_BYTES,
            eplb_magic: HCCL_COMM_CONFIG_MAGIC_WORD,
            eplb_version: 10,
            eplb_zero: 0,
            hcclBufferSize: HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET,
            hcclDeterministic: HCCL_COMM_DETERMINISTIC_CONFIG_NOT_SET,
            hcclCommName: empty(),
            hcclUdi: empty(),
            hcclOpExpansionMode: HCCL_COMM_DEFAULT_OP_EXPANSION_MODE,
            hcclRdmaTrafficClass: HCCL_COMM_TRAFFIC_CLASS_CONFIG_NOT_SET,
            hcclRdmaServiceLevel: HCCL_COMM_SERVICE_LEVEL_CONFIG_NOT_SET,
            hcclWorldRankID: 0,
            hcclJobID: 0,
            aclGraphZeroCopyEnable: 0,
            hcclExecTimeOut: HCCL_COMM_EXECTIMEOUT_CONFIG_NOT_SET,
            hcclAlgo: empty(),
            hcclRetryEnable: empty(),
            hcclRetryParams: empty(),
            hcclBufferName: empty(),
            hcclQos: HCCL_COMM_QOS_CONFIG_NOT_SET,
            hcclSymWinMaxMemSizePerRank: HCCL_DEFAULT_SYMMETRIC_MEMORY_STRIDE,
        }
    }
}
