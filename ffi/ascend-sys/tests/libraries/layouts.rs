//! Where the functions are: in one file up to CANN 8, in two since CANN 9.

use std::path::Path;
use std::ptr;

use eplb_ascend_sys::{AclRuntime, Failure, Hccl, HcclResult, Origin, Search};

use super::fake;

/// The symbols that CANN 9 has in the file beside the operators'.
fn is_of_communicators(symbol: &str) -> bool {
    !["AllGather", "AllReduce", "Barrier", "BatchSendRecv", "Broadcast", "Recv", "Send"]
        .contains(&symbol.trim_start_matches("Hccl"))
}

fn cann_8(folder: &Path) {
    fake::library(folder, "libascendcl.so", AclRuntime::REQUIRED.iter().copied(), "");
    fake::library(folder, "libhccl.so", Hccl::REQUIRED.iter().copied(), "");
}

/// With all optional functions, and the old file of the runtime beside the new one.
fn cann_9(folder: &Path) {
    let acl = || AclRuntime::REQUIRED.iter().chain(AclRuntime::OPTIONAL).copied();
    let is_of_the_runtime = |symbol: &&str| symbol.starts_with("aclrt");
    let runtime = "int aclrtResetDevice(int device) { return 900 + device; }";
    fake::library(folder, "libacl_rt.so", acl().filter(is_of_the_runtime), runtime);
    let old = "int aclrtResetDevice(int device) { return 800 + device; }";
    let rest = acl().filter(|symbol| !is_of_the_runtime(symbol));
    fake::library(folder, "libascendcl.so", rest, old);

    let hccl = || Hccl::REQUIRED.iter().chain(Hccl::OPTIONAL).copied();
    let communicators = "int hcomm_inner(void) { return 20; }";
    fake::library(
        folder,
        "libhcomm.so",
        hccl().filter(|symbol| is_of_communicators(symbol)),
        communicators,
    );
    // As in the vendor's headers, a function of the other file that may not be there.
    let operators = "
        __attribute__((weak)) int hcomm_inner(void);
        int HcclBarrier(void *communicator, void *stream) {
            return hcomm_inner == NULL ? 5 : hcomm_inner();
        }";
    fake::library(
        folder,
        "libhccl.so",
        hccl().filter(|symbol| !is_of_communicators(symbol)),
        operators,
    );
}

#[test]
fn cann_8_is_one_file_each_and_lacks_what_is_optional() {
    let folder = tempfile::tempdir().unwrap();
    cann_8(folder.path());
    let acl = AclRuntime::open(&Search::at(folder.path())).unwrap();
    assert_eq!(acl.files, [folder.path().join("libascendcl.so")]);
    assert_eq!(acl.absent, AclRuntime::OPTIONAL);
    assert!(acl.table.aclrtIpcMemGetExportKey.is_none() && acl.attempts.is_empty());
    let hccl = Hccl::open(&Search::at(folder.path().join("libhccl.so"))).unwrap();
    assert_eq!(hccl.origin, Origin::Paths(vec![folder.path().join("libhccl.so")]));
    assert_eq!(hccl.absent, Hccl::OPTIONAL);
}

#[test]
fn cann_9_is_two_files_each_the_newer_before_the_older() {
    let folder = tempfile::tempdir().unwrap();
    cann_9(folder.path());
    let acl = AclRuntime::open(&Search::at(folder.path())).unwrap();
    assert_eq!(acl.files, ["libacl_rt.so", "libascendcl.so"].map(|name| folder.path().join(name)));
    assert!(acl.absent.is_empty() && acl.table.aclrtIpcMemGetExportKey.is_some());
    // SAFETY: the function is the one above, which takes a number and has no other effect.
    assert_eq!(unsafe { (acl.table.aclrtResetDevice)(7) }.0, 907);

    let files = ["libhccl.so", "libhcomm.so"].map(|name| folder.path().join(name));
    let hccl = Hccl::open(&Search::in_all(files.clone())).unwrap();
    assert_eq!(hccl.files, files);
    assert!(hccl.absent.is_empty());
    // SAFETY: the function is the one above, which looks behind neither pointer.
    let result = unsafe { (hccl.table.HcclBarrier)(ptr::null_mut(), ptr::null_mut()) };
    assert_eq!(result, HcclResult::HCCL_E_AGAIN, "the files do not find each other");
}

#[test]
fn half_of_cann_9_is_not_enough() {
    let folder = tempfile::tempdir().unwrap();
    cann_9(folder.path());
    let error = Hccl::open(&Search::at(folder.path().join("libhccl.so"))).unwrap_err();
    let Failure::Missing { symbols, not_opened } = &error.attempts[0].failure else {
        panic!("{error}");
    };
    assert!(symbols.contains(&"HcclGetRootInfo") && !symbols.contains(&"HcclSend"), "{error}");
    assert!(not_opened.is_empty());
    // In a folder the other file may be missing, but then its functions are.
    std::fs::remove_file(folder.path().join("libhcomm.so")).unwrap();
    let error = Hccl::open(&Search::at(folder.path())).unwrap_err().to_string();
    assert!(error.contains("more symbols") && error.contains("libhcomm.so"), "{error}");
}
