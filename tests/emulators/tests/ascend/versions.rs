//! Other versions of the libraries, and those that only pretend.

use eplb_ascend_sys::{AclRuntime, Hccl, Search, aclError};
use eplb_emulators::ascend;

fn folder(name: &str) -> Search {
    Search::at(ascend().folder().join(name))
}

#[test]
fn the_usual_libraries_have_all_functions() {
    let emulated = ascend();
    let acl = AclRuntime::open(&Search::at(emulated.file("EPLB_ASCENDCL").unwrap())).unwrap();
    let hccl = Hccl::open(&Search::at(emulated.file("EPLB_HCCL").unwrap())).unwrap();
    assert_eq!((acl.absent, hccl.absent), (vec![], vec![]));
}

#[test]
fn the_names_of_cann_9_are_found() {
    let acl = AclRuntime::open(&folder("cann-9")).unwrap();
    assert!(acl.files[0].ends_with("libacl_rt.so"));
    assert_eq!(acl.absent, Vec::<&str>::new());
    let hccl = Hccl::open(&folder("cann-9")).unwrap();
    assert_eq!(hccl.files.len(), 2, "operators and communicators are apart");
    assert_eq!(hccl.absent, Vec::<&str>::new());
    // They are one with what the process has of the library already.
    let status = unsafe { (acl.table.aclInit)(std::ptr::null()) };
    assert!(matches!(status.0, 0 | 100_002), "{status:?}");
}

#[test]
fn older_headers_have_fewer_functions() {
    let older = AclRuntime::open(&folder("acl-1.15")).unwrap();
    assert!(older.absent.contains(&"aclrtIpcMemGetExportKey"));
    assert!(older.absent.contains(&"aclrtLaunchHostFunc"));
    assert!(older.table.aclrtStreamAbort.is_some());
    let least = AclRuntime::open(&folder("least")).unwrap();
    assert_eq!(least.absent.len(), AclRuntime::OPTIONAL.len());
    let hccl = Hccl::open(&folder("least")).unwrap();
    assert_eq!(hccl.absent.len(), Hccl::OPTIONAL.len());
}

#[test]
fn stubs_give_their_code_and_write_nothing() {
    for (name, code) in [("stub", 100_039), ("silent", 0)] {
        let acl = AclRuntime::open(&folder(name)).unwrap().table;
        let mut devices = 77;
        let status = unsafe { (acl.aclrtGetDeviceCount)(&raw mut devices) };
        assert_eq!((status, devices), (aclError(code), 77));
        assert!(unsafe { (acl.aclGetRecentErrMsg)() }.is_null());
    }
}
