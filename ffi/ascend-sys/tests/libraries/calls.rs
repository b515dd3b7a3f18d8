//! What goes through a table arrives, and what comes back is kept.

use std::ffi::{CStr, c_void};
use std::ptr;

use eplb_ascend_sys::{
    AclRuntime, CONFIG_VERSION_6_BYTES, Hccl, HcclCommConfig, HcclDataType, HcclResult,
    HcclRootInfo, HcclSendRecvItem, HcclSendRecvType, Search, aclError, aclrtEventRecordedStatus,
    aclrtStreamStatus,
};

use super::fake;

#[test]
fn codes_that_have_no_name_are_kept() {
    let code = "
        int aclrtGetDeviceCount(uint32_t *count) { *count = 8; return 107002; }
        int aclrtSetDevice(int device) { return 424242; }
        int aclrtStreamQuery(void *stream, unsigned *status) { *status = 77; return 0; }
        int aclrtQueryEventStatus(void *event, unsigned *status) { *status = 1; return 0; }
        const char *aclGetRecentErrMsg(void) { return \"EI0000: text\"; }";
    let folder = tempfile::tempdir().unwrap();
    let symbols = AclRuntime::REQUIRED.iter().copied();
    let path = fake::library(folder.path(), "libascendcl.so", symbols, code);
    let acl = AclRuntime::open(&Search::at(path)).unwrap().table;

    let mut count = 0;
    // SAFETY: the function is the one above; it writes one number, which is there.
    let status = unsafe { (acl.aclrtGetDeviceCount)(&raw mut count) };
    assert_eq!((status, count), (aclError::ACL_ERROR_RT_CONTEXT_NULL, 8));
    assert_eq!(format!("{status:?}"), "ACL_ERROR_RT_CONTEXT_NULL");
    // SAFETY: the function is the one above, without any effect.
    let status = unsafe { (acl.aclrtSetDevice)(0) };
    assert_eq!((status, status.name()), (aclError(424_242), None));
    assert_eq!(format!("{status:?}"), "aclError(424242)");

    let mut stream = aclrtStreamStatus::ACL_STREAM_STATUS_COMPLETE;
    // SAFETY: as for the count; nothing looks behind the stream.
    let status = unsafe { (acl.aclrtStreamQuery)(ptr::null_mut(), &raw mut stream) };
    assert_eq!((status, stream), (aclError::ACL_SUCCESS, aclrtStreamStatus(77)));
    let mut event = aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_NOT_READY;
    // SAFETY: as for the stream.
    let status = unsafe { (acl.aclrtQueryEventStatus)(ptr::null_mut(), &raw mut event) };
    let complete = aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_COMPLETE;
    assert_eq!((status, event), (aclError::ACL_SUCCESS, complete));

    // SAFETY: the function is the one above and gives a constant text.
    let text = unsafe { (acl.aclGetRecentErrMsg)() };
    // SAFETY: the text ends with a zero and stays as long as the library.
    assert_eq!(unsafe { CStr::from_ptr(text) }, c"EI0000: text");
}

#[test]
fn structures_arrive_with_all_fields_in_their_places() {
    // By offsets, so that the C side says where the vendor has them.
    let code = "
        int HcclBatchSendRecv(void *items, uint32_t count, void *communicator, void *stream) {
            unsigned char *item = (unsigned char *)items + 32 * (count - 1);
            uint32_t direction, type, peer; uint64_t elements; void *buffer;
            memcpy(&direction, item, 4); memcpy(&buffer, item + 8, 8);
            memcpy(&elements, item + 16, 8); memcpy(&type, item + 24, 4);
            memcpy(&peer, item + 28, 4);
            if (buffer != communicator) return 2;
            return direction == 1 && elements == 1ull << 35 && type == 7 && peer == 5 ? 20 : 1;
        }
        int HcclGetRootInfo(char *info) { memset(info, 0x5a, 4108); return 0; }
        int HcclCommInitRootInfoConfig(uint32_t ranks, const char *info, uint32_t rank,
                                       const unsigned char *config, void **communicator) {
            size_t size; uint32_t magic, version, megabytes;
            memcpy(&size, config, 8); memcpy(&magic, config + 8, 4);
            memcpy(&version, config + 12, 4); memcpy(&megabytes, config + 24, 4);
            if (info[4107] != 0x5a || size != 312 || magic != 0xf0f0f0f0u || version != 6) return 1;
            *communicator = (void *)(uintptr_t)(megabytes * 1000 + ranks * 10 + rank);
            return 0;
        }";
    let folder = tempfile::tempdir().unwrap();
    let symbols = Hccl::REQUIRED.iter().copied();
    let path = fake::library(folder.path(), "libhccl.so", symbols, code);
    let hccl = Hccl::open(&Search::at(path)).unwrap().table;

    let mut bytes = [0_u8; 4];
    let buf: *mut c_void = bytes.as_mut_ptr().cast();
    let item = |direction, count| HcclSendRecvItem {
        sendRecvType: direction,
        buf,
        count,
        dataType: HcclDataType::HCCL_DATA_TYPE_UINT8,
        remoteRank: 5,
    };
    let mut items =
        [item(HcclSendRecvType::HCCL_SEND, 1), item(HcclSendRecvType::HCCL_RECV, 1 << 35)];
    // SAFETY: the function is the one above; it reads the items, which are there, and compares the
    // communicator with the buffer's address.
    let result = unsafe { (hccl.HcclBatchSendRecv)(items.as_mut_ptr(), 2, buf, ptr::null_mut()) };
    assert_eq!(result, HcclResult::HCCL_E_AGAIN);

    let mut root_info = HcclRootInfo { internal: [0; 4108] };
    // SAFETY: the function is the one above; it fills the structure, which is there.
    assert_eq!(unsafe { (hccl.HcclGetRootInfo)(&raw mut root_info) }, HcclResult::HCCL_SUCCESS);
    let config = HcclCommConfig { hcclBufferSize: 20, ..HcclCommConfig::version_6() };
    assert_eq!(config.eplb_size, CONFIG_VERSION_6_BYTES);
    let mut communicator = ptr::null_mut();
    // SAFETY: the function is the one above; it reads both structures and writes one pointer.
    let result = unsafe {
        (hccl.HcclCommInitRootInfoConfig)(
            4,
            &raw const root_info,
            3,
            &raw const config,
            &raw mut communicator,
        )
    };
    assert_eq!((result, communicator.addr()), (HcclResult::HCCL_SUCCESS, 20_043));
}
