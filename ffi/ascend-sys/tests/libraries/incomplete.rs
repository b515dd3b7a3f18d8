//! What is said when there is no library, or not all of one.

use eplb_ascend_sys::{AclRuntime, Attempt, Failure, Hccl, Origin, Search};

use super::fake;

#[test]
fn a_path_to_nothing_is_an_error_with_the_words_of_the_loader() {
    let search = Search::at("/nowhere/libascendcl.so");
    let error = AclRuntime::open(&search).unwrap_err();
    let [Attempt { origin, failure: Failure::NotOpened(texts), .. }] = &error.attempts[..] else {
        panic!("{error}");
    };
    assert_eq!(*origin, Origin::Paths(search.paths().to_vec()));
    assert!(texts.len() == 1 && texts[0].contains("No such file"), "{texts:?}");
    let text = error.to_string();
    assert!(text.starts_with("ACL runtime was not loaded: /nowhere/libascendcl.so: "), "{text}");
    assert!(text.ends_with("install it or set EPLB_ASCENDCL to its path"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn a_file_that_is_no_library_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libhccl.so");
    std::fs::write(&path, "not a library").unwrap();
    let error = Hccl::open(&Search::at(&path)).unwrap_err().to_string();
    assert!(error.contains("libhccl.so") && error.contains("EPLB_HCCL"), "{error}");
}

#[test]
fn of_files_that_were_named_none_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let complete = fake::library(folder.path(), "libhccl.so", Hccl::REQUIRED.iter().copied(), "");
    let search = Search::in_all([complete, "/nowhere/libhcomm.so".into()]);
    let error = Hccl::open(&search).unwrap_err();
    let Failure::NotOpened(texts) = &error.attempts[0].failure else { panic!("{error}") };
    assert!(texts.len() == 1 && texts[0].contains("/nowhere/libhcomm.so"), "{texts:?}");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let error = Hccl::open(&Search::at(&empty)).unwrap_err();
    let Failure::NotOpened(texts) = &error.attempts[0].failure else { panic!("{error}") };
    assert_eq!(texts.len(), 2, "{texts:?}");
}

#[test]
fn each_required_symbol_is_required_and_named() {
    let folder = tempfile::tempdir().unwrap();
    for (index, symbol) in AclRuntime::REQUIRED.iter().copied().enumerate().step_by(9) {
        let symbols = fake::all_but(AclRuntime::REQUIRED, symbol);
        let path = fake::library(folder.path(), &format!("lib{index}.so"), symbols, "");
        let error = AclRuntime::open(&Search::at(path)).unwrap_err();
        let expected = Failure::Missing { symbols: vec![symbol], not_opened: Vec::new() };
        assert_eq!(error.attempts[0].failure, expected);
        assert!(error.to_string().contains(&format!("without {symbol};")), "{error}");
    }
}

#[test]
fn an_optional_symbol_may_be_absent_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let symbols = fake::all_but(AclRuntime::OPTIONAL, "aclrtStreamAbort");
    let symbols = symbols.chain(AclRuntime::REQUIRED.iter().copied());
    let path = fake::library(folder.path(), "libascendcl.so", symbols, "");
    let loaded = AclRuntime::open(&Search::at(path)).unwrap();
    assert_eq!(loaded.absent, ["aclrtStreamAbort"]);
    assert!(loaded.table.aclrtStreamAbort.is_none());
    assert!(loaded.table.aclrtDestroyStreamForce.is_some());
}
