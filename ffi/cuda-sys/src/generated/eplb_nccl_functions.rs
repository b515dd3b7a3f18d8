//! The table of functions. Made by ci/update-bindings from include/eplb_nccl.h: change that.
//!
//! The functions of NCCL, `libnccl`. Those that queue work take a communicator and a stream of its
//! device, and are called by one thread at a time.

use core::ffi::{c_char, c_int, c_void};

use super::eplb_cuda_runtime::*;
use super::eplb_nccl::*;

crate::table! {
    /// The functions of NCCL, `libnccl`. Those that queue work take a communicator and a stream of its
    /// device, and are called by one thread at a time.
    pub struct Nccl {
        required {
            /// The version of the library: 10000 x major + 100 x minor + patch. Needs no device.
            "ncclGetVersion" => ncclGetVersion: unsafe extern "C" fn(
                version: *mut c_int,
            ) -> ncclResult_t,
            /// Makes a name for a communicator; opens a socket that the ranks meet at.
            "ncclGetUniqueId" => ncclGetUniqueId: unsafe extern "C" fn(
                uniqueId: *mut ncclUniqueId,
            ) -> ncclResult_t,
            /// Joins a communicator on the thread's device; waits for all ranks.
            "ncclCommInitRank" => ncclCommInitRank: unsafe extern "C" fn(
                comm: *mut ncclComm_t,
                nranks: c_int,
                commId: ncclUniqueId,
                rank: c_int,
            ) -> ncclResult_t,
            /// As above, with settings; with `blocking` 0 it returns at once.
            "ncclCommInitRankConfig" => ncclCommInitRankConfig: unsafe extern "C" fn(
                comm: *mut ncclComm_t,
                nranks: c_int,
                commId: ncclUniqueId,
                rank: c_int,
                config: *mut ncclConfig_t,
            ) -> ncclResult_t,
            /// Ends a communicator's work and its links; all ranks call it.
            "ncclCommFinalize" => ncclCommFinalize: unsafe extern "C" fn(
                comm: ncclComm_t,
            ) -> ncclResult_t,
            /// Frees a communicator.
            "ncclCommDestroy" => ncclCommDestroy: unsafe extern "C" fn(
                comm: ncclComm_t,
            ) -> ncclResult_t,
            /// Gives up a communicator's work and frees it; all ranks call it, each when it wants.
            "ncclCommAbort" => ncclCommAbort: unsafe extern "C" fn(
                comm: ncclComm_t,
            ) -> ncclResult_t,
            /// Where a communicator stands: a failure, `ncclInProgress`, or `ncclSuccess`.
            "ncclCommGetAsyncError" => ncclCommGetAsyncError: unsafe extern "C" fn(
                comm: ncclComm_t,
                asyncError: *mut ncclResult_t,
            ) -> ncclResult_t,
            /// How many ranks a communicator has.
            "ncclCommCount" => ncclCommCount: unsafe extern "C" fn(
                comm: ncclComm_t,
                count: *mut c_int,
            ) -> ncclResult_t,
            /// The device of this end.
            "ncclCommCuDevice" => ncclCommCuDevice: unsafe extern "C" fn(
                comm: ncclComm_t,
                device: *mut c_int,
            ) -> ncclResult_t,
            /// The rank of this end.
            "ncclCommUserRank" => ncclCommUserRank: unsafe extern "C" fn(
                comm: ncclComm_t,
                rank: *mut c_int,
            ) -> ncclResult_t,
            /// A sentence on a status; static text.
            "ncclGetErrorString" => ncclGetErrorString: unsafe extern "C" fn(
                result: ncclResult_t,
            ) -> *const c_char,
            /// The library's last complaint in words; the communicator may be null.
            "ncclGetLastError" => ncclGetLastError: unsafe extern "C" fn(
                comm: ncclComm_t,
            ) -> *const c_char,
            /// Begins a group of the calling thread: calls up to its end progress together. Groups nest.
            "ncclGroupStart" => ncclGroupStart: unsafe extern "C" fn() -> ncclResult_t,
            /// Ends a group and queues it; errors of its calls show here.
            "ncclGroupEnd" => ncclGroupEnd: unsafe extern "C" fn() -> ncclResult_t,
            /// Queues sending to a peer.
            "ncclSend" => ncclSend: unsafe extern "C" fn(
                sendbuff: *const c_void,
                count: usize,
                datatype: ncclDataType_t,
                peer: c_int,
                comm: ncclComm_t,
                stream: cudaStream_t,
            ) -> ncclResult_t,
            /// Queues receiving from a peer.
            "ncclRecv" => ncclRecv: unsafe extern "C" fn(
                recvbuff: *mut c_void,
                count: usize,
                datatype: ncclDataType_t,
                peer: c_int,
                comm: ncclComm_t,
                stream: cudaStream_t,
            ) -> ncclResult_t,
            /// Queues gathering `sendcount` elements of every rank, by rank.
            "ncclAllGather" => ncclAllGather: unsafe extern "C" fn(
                sendbuff: *const c_void,
                recvbuff: *mut c_void,
                sendcount: usize,
                datatype: ncclDataType_t,
                comm: ncclComm_t,
                stream: cudaStream_t,
            ) -> ncclResult_t,
            /// Queues copying the root's elements to every rank.
            "ncclBroadcast" => ncclBroadcast: unsafe extern "C" fn(
                sendbuff: *const c_void,
                recvbuff: *mut c_void,
                count: usize,
                datatype: ncclDataType_t,
                root: c_int,
                comm: ncclComm_t,
                stream: cudaStream_t,
            ) -> ncclResult_t,
            /// Queues a reduction whose result every rank gets.
            "ncclAllReduce" => ncclAllReduce: unsafe extern "C" fn(
                sendbuff: *const c_void,
                recvbuff: *mut c_void,
                count: usize,
                datatype: ncclDataType_t,
                op: ncclRedOp_t,
                comm: ncclComm_t,
                stream: cudaStream_t,
            ) -> ncclResult_t,
        }
        optional {
            /// Gives up a communicator's work without freeing it; flags are 0.
            /// Since 2.28.7.
            "ncclCommRevoke" => ncclCommRevoke: unsafe extern "C" fn(
                comm: ncclComm_t,
                revokeFlags: c_int,
            ) -> ncclResult_t,
            /// Allocates device memory that the library can use without copies of its own.
            /// Since 2.19.1.
            "ncclMemAlloc" => ncclMemAlloc: unsafe extern "C" fn(
                ptr: *mut *mut c_void,
                size: usize,
            ) -> ncclResult_t,
            /// Frees such memory.
            /// Since 2.19.1.
            "ncclMemFree" => ncclMemFree: unsafe extern "C" fn(ptr: *mut c_void) -> ncclResult_t,
            /// Registers a buffer with this end of a communicator, so that transfers need no copies.
            /// Since 2.19.1.
            "ncclCommRegister" => ncclCommRegister: unsafe extern "C" fn(
                comm: ncclComm_t,
                buff: *mut c_void,
                size: usize,
                handle: *mut *mut c_void,
            ) -> ncclResult_t,
            /// Ends that.
            /// Since 2.19.1.
            "ncclCommDeregister" => ncclCommDeregister: unsafe extern "C" fn(
                comm: ncclComm_t,
                handle: *mut c_void,
            ) -> ncclResult_t,
            /// Registers buffers of all ranks together; all call it.
            /// Since 2.27.3.
            "ncclCommWindowRegister" => ncclCommWindowRegister: unsafe extern "C" fn(
                comm: ncclComm_t,
                buff: *mut c_void,
                size: usize,
                win: *mut ncclWindow_t,
                winFlags: c_int,
            ) -> ncclResult_t,
            /// Ends that.
            /// Since 2.27.3.
            "ncclCommWindowDeregister" => ncclCommWindowDeregister: unsafe extern "C" fn(
                comm: ncclComm_t,
                win: ncclWindow_t,
            ) -> ncclResult_t,
        }
    }
}
