/*
 * HCCL, the collectives of Ascend devices, as far as a backend needs them.
 *
 * Written for this project from facts about the binary interface, as eplb_acl.h; versions are those of
 * the ACL headers beside which HCCL's are found. Manual: the HCCL interface reference of CANN 9.1,
 * docs/zh of the repository hicann/hccl.
 */
#ifndef EPLB_HCCL_H
#define EPLB_HCCL_H

#include "eplb_acl.h"

extern "C" {

/** One rank's end of a communicator: a pointer that only the library looks behind. */
typedef void *HcclComm;

/** What HCCL functions return. */
enum HcclResult : uint32_t {
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
    /* In use: try again. */
    HCCL_E_AGAIN = 20,
    /* The network card reported a failed transfer. */
    HCCL_E_REMOTE = 21,
    HCCL_E_SUSPENDING = 22,
    HCCL_E_OPRETRY_FAIL = 23,
    /** Since 1.17. */
    HCCL_E_OOM = 24
};

/** Types of elements. */
enum HcclDataType : uint32_t {
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
    HCCL_DATA_TYPE_BFP16 = 11
};

/** Reductions. */
enum HcclReduceOp : uint32_t {
    HCCL_REDUCE_SUM = 0,
    HCCL_REDUCE_PROD = 1,
    HCCL_REDUCE_MAX = 2,
    HCCL_REDUCE_MIN = 3
};

/** The name of a communicator to be, made on one rank and carried to the others whole. */
struct HcclRootInfo {
    char internal[4108];
};

/** The direction of a part of a batch. */
enum HcclSendRecvType : uint32_t {
    HCCL_SEND = 0,
    HCCL_RECV = 1
};

/** A part of a batch: at most one per peer and direction. */
struct HcclSendRecvItem {
    HcclSendRecvType sendRecvType;
    void *buf;
    /** In elements. */
    uint64_t count;
    HcclDataType dataType;
    uint32_t remoteRank;
};

/* The configuration of a communicator describes itself: the library reads as many bytes as
 * `eplb_size` says, and honours the fields up to `eplb_version`. */

constexpr uint32_t HCCL_COMM_CONFIG_MAGIC_WORD = 0xf0f0f0f0;
constexpr uint32_t HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET = 0xffffffff;
constexpr uint32_t HCCL_COMM_DETERMINISTIC_CONFIG_NOT_SET = 0xffffffff;
constexpr uint32_t HCCL_COMM_DEFAULT_OP_EXPANSION_MODE = 0;
constexpr uint32_t HCCL_COMM_TRAFFIC_CLASS_CONFIG_NOT_SET = 0xffffffff;
constexpr uint32_t HCCL_COMM_SERVICE_LEVEL_CONFIG_NOT_SET = 0xffffffff;
/** Since 1.17. */
constexpr int32_t HCCL_COMM_EXECTIMEOUT_CONFIG_NOT_SET = -1;
/** Since 1.17. */
constexpr uint32_t HCCL_COMM_QOS_CONFIG_NOT_SET = 0xffffffff;
/** Gigabytes of address space for symmetric memory, where nothing is set. Since 1.17. */
constexpr uint64_t HCCL_DEFAULT_SYMMETRIC_MEMORY_STRIDE = 16;
/** Megabytes of each of a communicator's two buffers, where nothing is set. */
constexpr uint32_t HCCL_COMM_DEFAULT_BUFFSIZE = 200;

/**
 * The configuration of a communicator in its version 10. The first 312 bytes are version 6, which
 * older and newer libraries accept. The vendor's headers call the first 24 bytes reserved.
 * Shorter before 1.17.
 */
struct HcclCommConfig {
    /** Bytes of the whole configuration, of the version given below. */
    size_t eplb_size;
    /** HCCL_COMM_CONFIG_MAGIC_WORD. */
    uint32_t eplb_magic;
    uint32_t eplb_version;
    /** 0. */
    uint64_t eplb_zero;
    /** Megabytes of each of the two buffers. */
    uint32_t hcclBufferSize;
    uint32_t hcclDeterministic;
    /** A text that ends with a zero, as all texts here. */
    char hcclCommName[128];
    char hcclUdi[128];
    /** 0 default, 1 host, 2 AI CPU, 3 AIV. */
    uint32_t hcclOpExpansionMode;
    uint32_t hcclRdmaTrafficClass;
    uint32_t hcclRdmaServiceLevel;
    uint32_t hcclWorldRankID;
    uint64_t hcclJobID;
    /** Version 7. Since 1.17. */
    uint8_t aclGraphZeroCopyEnable;
    /** Seconds until an operator counts as failed. Version 8. Since 1.17. */
    int32_t hcclExecTimeOut;
    /** Version 8. Since 1.17. */
    char hcclAlgo[1600];
    /** Version 8. Since 1.17. */
    char hcclRetryEnable[50];
    /** Version 8. Since 1.17. */
    char hcclRetryParams[128];
    /** Version 9. Since 1.17. */
    char hcclBufferName[128];
    /** Version 10. Since 1.17. */
    uint32_t hcclQos;
    /** Gigabytes. Version 10. Since 1.17. */
    uint64_t hcclSymWinMaxMemSizePerRank;
};

/** Fields that a library may honour; it does if the index is below its capability. */
enum HcclCommConfigCapability : uint32_t {
    HCCL_COMM_CONFIG_BUFFER_SIZE = 0,
    HCCL_COMM_CONFIG_DETERMINISTIC = 1,
    HCCL_COMM_CONFIG_COMM_NAME = 2,
    /** Since 1.17. */
    HCCL_COMM_CONFIG_EXEC_TIMEOUT = 8
};

/* Communicators. On one device they are created one after another. */

/** Makes the name of a communicator, on the root, with a device set. */
HcclResult HcclGetRootInfo(HcclRootInfo *root_info);
/** Creates this rank's end, with the environment's settings; waits for all ranks. */
HcclResult HcclCommInitRootInfo(uint32_t ranks, const HcclRootInfo *root_info, uint32_t rank,
                                HcclComm *communicator);
/** The same with a configuration, which all ranks give alike. */
HcclResult HcclCommInitRootInfoConfig(uint32_t ranks, const HcclRootInfo *root_info, uint32_t rank,
                                      const HcclCommConfig *config, HcclComm *communicator);
/** Releases this rank's end; from another thread it also ends a set-up of links that hangs. In use
 *  is HCCL_E_AGAIN. */
HcclResult HcclCommDestroy(HcclComm communicator);
HcclResult HcclGetRankSize(HcclComm communicator, uint32_t *size);
HcclResult HcclGetRankId(HcclComm communicator, uint32_t *rank);
/** A failure that the network card reported (HCCL_E_REMOTE); no other failures show here. */
HcclResult HcclGetCommAsyncError(HcclComm communicator, HcclResult *error);
/** The name of a code. */
const char *HcclGetErrorString(HcclResult code);

/* Operators. One after another for all communicators of a device, in the same order on all
 * ranks. */

/** A set of sends and receives that progress together. */
HcclResult HcclBatchSendRecv(HcclSendRecvItem *items, uint32_t item_count, HcclComm communicator,
                             aclrtStream stream);
/** Strictly paired with the peer's receive; the first use sets up links and blocks the host. */
HcclResult HcclSend(void *buffer, uint64_t count, HcclDataType type, uint32_t destination_rank,
                    HcclComm communicator, aclrtStream stream);
HcclResult HcclRecv(void *buffer, uint64_t count, HcclDataType type, uint32_t source_rank,
                    HcclComm communicator, aclrtStream stream);
/** `count` is of one rank's part. */
HcclResult HcclAllGather(void *send_buffer, void *receive_buffer, uint64_t count,
                         HcclDataType type, HcclComm communicator, aclrtStream stream);
HcclResult HcclBroadcast(void *buffer, uint64_t count, HcclDataType type, uint32_t root,
                         HcclComm communicator, aclrtStream stream);
/** Signed integers, fp16, fp32 and bfp16 only. */
HcclResult HcclAllReduce(void *send_buffer, void *receive_buffer, uint64_t count,
                         HcclDataType type, HcclReduceOp reduction, HcclComm communicator,
                         aclrtStream stream);
/** A barrier of the streams; the host does not wait. */
HcclResult HcclBarrier(HcclComm communicator, aclrtStream stream);

/** Creates this rank's end as a rank table file says. Since 1.15. */
HcclResult HcclCommInitClusterInfo(const char *rank_table, uint32_t rank, HcclComm *communicator);
/** Since 1.15. */
HcclResult HcclCommInitClusterInfoConfig(const char *rank_table, uint32_t rank,
                                         HcclCommConfig *config, HcclComm *communicator);
/** The communicator's name; `name` has room for 128 bytes. Since 1.15. */
HcclResult HcclGetCommName(HcclComm communicator, char *name);
/** One more than the index of the last configuration field that the library honours. Since 1.15. */
uint32_t HcclGetCommConfigCapability(void);
/** Stops a communicator after an uncorrectable memory error, and lets it go on. Since 1.15. */
HcclResult HcclCommSuspend(HcclComm communicator);
/** Since 1.15. */
HcclResult HcclCommResume(HcclComm communicator);

} /* extern "C" */

#endif
