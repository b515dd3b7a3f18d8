//! The table of functions. Made by ci/update-bindings from include/eplb_hccl.h: change that.
//!
//! The functions of HCCL: `libhccl`, and `libhcomm` beside it since CANN 9. Those that queue work are
//! called by one thread of a device at a time, for all of its communicators.

use core::ffi::{c_char, c_void};

use super::eplb_acl::*;
use super::eplb_hccl::*;

crate::table! {
    /// The functions of HCCL: `libhccl`, and `libhcomm` beside it since CANN 9. Those that queue work are
    /// called by one thread of a device at a time, for all of its communicators.
    pub struct Hccl {
        required {
            /// Makes the name of a communicator, on the root, with a device set.
            "HcclGetRootInfo" => HcclGetRootInfo: unsafe extern "C" fn(
                root_info: *mut HcclRootInfo,
            ) -> HcclResult,
            /// Creates this rank's end, with the environment's settings; waits for all ranks.
            "HcclCommInitRootInfo" => HcclCommInitRootInfo: unsafe extern "C" fn(
                ranks: u32,
                root_info: *const HcclRootInfo,
                rank: u32,
                communicator: *mut HcclComm,
            ) -> HcclResult,
            /// The same with a configuration, which all ranks give alike.
            "HcclCommInitRootInfoConfig" => HcclCommInitRootInfoConfig: unsafe extern "C" fn(
                ranks: u32,
                root_info: *const HcclRootInfo,
                rank: u32,
                config: *const HcclCommConfig,
                communicator: *mut HcclComm,
            ) -> HcclResult,
            /// Releases this rank's end; from another thread it also ends a set-up of links that hangs. In use
            /// is HCCL_E_AGAIN.
            "HcclCommDestroy" => HcclCommDestroy: unsafe extern "C" fn(
                communicator: HcclComm,
            ) -> HcclResult,
            "HcclGetRankSize" => HcclGetRankSize: unsafe extern "C" fn(
                communicator: HcclComm,
                size: *mut u32,
            ) -> HcclResult,
            "HcclGetRankId" => HcclGetRankId: unsafe extern "C" fn(
                communicator: HcclComm,
                rank: *mut u32,
            ) -> HcclResult,
            /// A failure that the network card reported (HCCL_E_REMOTE); no other failures show here.
            "HcclGetCommAsyncError" => HcclGetCommAsyncError: unsafe extern "C" fn(
                communicator: HcclComm,
                error: *mut HcclResult,
            ) -> HcclResult,
            /// The name of a code.
            "HcclGetErrorString" => HcclGetErrorString: unsafe extern "C" fn(
                code: HcclResult,
            ) -> *const c_char,
            /// A set of sends and receives that progress together.
            "HcclBatchSendRecv" => HcclBatchSendRecv: unsafe extern "C" fn(
                items: *mut HcclSendRecvItem,
                item_count: u32,
                communicator: HcclComm,
                stream: aclrtStream,
            ) -> HcclResult,
            /// Strictly paired with the peer's receive; the first use sets up links and blocks the host.
            "HcclSend" => HcclSend: unsafe extern "C" fn(
                buffer: *mut c_void,
                count: u64,
                type_: HcclDataType,
                destination_rank: u32,
                communicator: HcclComm,
                stream: aclrtStream,
            ) -> HcclResult,
            "HcclRecv" => HcclRecv: unsafe extern "C" fn(
                buffer: *mut c_void,
                count: u64,
                type_: HcclDataType,
                source_rank: u32,
                communicator: HcclComm,
                stream: aclrtStream,
            ) -> HcclResult,
            /// `count` is of one rank's part.
            "HcclAllGather" => HcclAllGather: unsafe extern "C" fn(
                send_buffer: *mut c_void,
                receive_buffer: *mut c_void,
                count: u64,
                type_: HcclDataType,
                communicator: HcclComm,
                stream: aclrtStream,
            ) -> HcclResult,
            "HcclBroadcast" => HcclBroadcast: unsafe extern "C" fn(
                buffer: *mut c_void,
                count: u64,
                type_: HcclDataType,
                root: u32,
                communicator: HcclComm,
                stream: aclrtStream,
            ) -> HcclResult,
            /// Signed integers, fp16, fp32 and bfp16 only.
            "HcclAllReduce" => HcclAllReduce: unsafe extern "C" fn(
                send_buffer: *mut c_void,
                receive_buffer: *mut c_void,
                count: u64,
                type_: HcclDataType,
                reduction: HcclReduceOp,
                communicator: HcclComm,
                stream: aclrtStream,
            ) -> HcclResult,
            /// A barrier of the streams; the host does not wait.
            "HcclBarrier" => HcclBarrier: unsafe extern "C" fn(
                communicator: HcclComm,
                stream: aclrtStream,
            ) -> HcclResult,
        }
        optional {
            /// Creates this rank's end as a rank table file says. Since 1.15.
            "HcclCommInitClusterInfo" => HcclCommInitClusterInfo: unsafe extern "C" fn(
                rank_table: *const c_char,
                rank: u32,
                communicator: *mut HcclComm,
            ) -> HcclResult,
            /// Since 1.15.
            "HcclCommInitClusterInfoConfig" => HcclCommInitClusterInfoConfig: unsafe extern "C" fn(
                rank_table: *const c_char,
                rank: u32,
                config: *mut HcclCommConfig,
                communicator: *mut HcclComm,
            ) -> HcclResult,
            /// The communicator's name; `name` has room for 128 bytes. Since 1.15.
            "HcclGetCommName" => HcclGetCommName: unsafe extern "C" fn(
                communicator: HcclComm,
                name: *mut c_char,
            ) -> HcclResult,
            /// One more than the index of the last configuration field that the library honours. Since 1.15.
            "HcclGetCommConfigCapability" => HcclGetCommConfigCapability: unsafe extern "C" fn(
            ) -> u32,
            /// Stops a communicator after an uncorrectable memory error, and lets it go on. Since 1.15.
            "HcclCommSuspend" => HcclCommSuspend: unsafe extern "C" fn(
                communicator: HcclComm,
            ) -> HcclResult,
            /// Since 1.15.
            "HcclCommResume" => HcclCommResume: unsafe extern "C" fn(
                communicator: HcclComm,
            ) -> HcclResult,
        }
    }
}
