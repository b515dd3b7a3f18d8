//! What the declarations are, apart from any library.

use std::collections::BTreeSet;
use std::mem::{offset_of, size_of};
use std::path::Path;

use eplb_ascend_sys::{
    AclRuntime, CONFIG_VERSION_6_BYTES, CONFIG_VERSION_10_BYTES, Hccl, HcclCommConfig, HcclResult,
    HcclRootInfo, HcclSendRecvItem, aclCANNPackageVersion, aclError, aclrtEventRecordedStatus,
    aclrtStreamStatus,
};

#[test]
fn structures_are_as_long_as_the_vendor_says() {
    assert_eq!(size_of::<HcclRootInfo>(), 4108);
    assert_eq!(size_of::<HcclSendRecvItem>(), 32);
    assert_eq!(size_of::<aclCANNPackageVersion>(), 512);
    assert_eq!((CONFIG_VERSION_6_BYTES, CONFIG_VERSION_10_BYTES), (312, 2240));
    assert_eq!(offset_of!(HcclCommConfig, hcclBufferSize), 24);
    assert_eq!(offset_of!(HcclCommConfig, hcclExecTimeOut), 316);
}

#[test]
fn a_configuration_has_nothing_set() {
    let older = HcclCommConfig::version_6();
    let newer = HcclCommConfig::version_10();
    assert_eq!((older.eplb_size, older.eplb_version), (312, 6));
    assert_eq!((newer.eplb_size, newer.eplb_version), (2240, 10));
    for config in [older, newer] {
        assert_eq!((config.eplb_magic, config.eplb_zero), (0xf0f0_f0f0, 0));
        assert_eq!((config.hcclBufferSize, config.hcclDeterministic), (u32::MAX, u32::MAX));
        assert_eq!(
            (config.hcclRdmaTrafficClass, config.hcclRdmaServiceLevel),
            (u32::MAX, u32::MAX)
        );
        assert_eq!(
            (config.hcclOpExpansionMode, config.hcclWorldRankID, config.hcclJobID),
            (0, 0, 0)
        );
        assert_eq!((config.hcclCommName[0], config.hcclUdi[0], config.hcclAlgo[0]), (0, 0, 0));
        assert_eq!((config.aclGraphZeroCopyEnable, config.hcclExecTimeOut), (0, -1));
        assert_eq!((config.hcclQos, config.hcclSymWinMaxMemSizePerRank), (u32::MAX, 16));
    }
}

#[test]
fn codes_are_open_numbers_with_names() {
    assert_eq!(aclError::ACL_ERROR_RT_STREAM_ABORT, aclError(107_023));
    assert_eq!(aclError(507_046).name(), Some("ACL_ERROR_RT_STREAM_SYNC_TIMEOUT"));
    assert_eq!(aclError(-1).name(), None);
    assert_eq!(format!("{:?}", HcclResult(1041)), "HcclResult(1041)");
    // The two are opposite.
    assert_eq!(aclrtStreamStatus::ACL_STREAM_STATUS_COMPLETE.0, 0);
    assert_eq!(aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_COMPLETE.0, 1);
}

#[test]
fn no_function_is_in_two_places() {
    let all = [AclRuntime::REQUIRED, AclRuntime::OPTIONAL, Hccl::REQUIRED, Hccl::OPTIONAL].concat();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    // Capabilities of devices that not all versions have.
    for symbol in ["aclrtIpcMemGetExportKey", "aclrtStreamAbort", "aclrtMemcpyBatchAsync"] {
        assert!(AclRuntime::OPTIONAL.contains(&symbol), "{symbol}");
    }
    // Marked experimental by the vendor, process-wide, blocking and silent about errors.
    assert!(!all.iter().any(|symbol| symbol.starts_with("HcclGroup")));
}

/// The full comparison is `ci/update-bindings --check`, which needs libclang; this needs nothing.
#[test]
fn generated_files_are_of_the_present_headers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["eplb_acl", "eplb_hccl"] {
        let header = std::fs::read(root.join(format!("include/{name}.h"))).unwrap();
        let checksum = header.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let text = std::fs::read_to_string(root.join(format!("src/generated/{name}.rs"))).unwrap();
        let checksum = format!("Header checksum: {checksum:016x}");
        assert!(
            text.contains(&checksum),
            "{name}.rs is of an older header: run ci/update-bindings"
        );
    }
    assert_eq!(std::fs::read_dir(root.join("include")).unwrap().count(), 2);
}
