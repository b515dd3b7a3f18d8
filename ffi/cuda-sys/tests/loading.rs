//! Loading tables from libraries that are missing, incomplete, or whole, as far as loading looks.
#![allow(unsafe_code, reason = "functions of loaded libraries can only be called so")]
#![allow(clippy::unwrap_used, reason = "a test that cannot build its library has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use eplb_cuda_sys::{CudaDriver, CudaRuntime, Failure, LoadError, Nccl, Origin, Search};

/// Builds a library that exports functions of these names, each of which returns 0 and writes `answer`
/// to the address in its first argument if it is one that is called on loading.
fn library(folder: &Path, symbols: &[&str], answer: i32) -> PathBuf {
    let mut symbols = symbols.to_vec();
    symbols.dedup();
    let functions = symbols.iter().map(|symbol| match *symbol {
        "cudaRuntimeGetVersion" => {
            format!("int {symbol}(int *version) {{ *version = {answer}; return 0; }}\n")
        }
        _ => format!("int {symbol}(void) {{ return 0; }}\n"),
    });
    let (source, library) = (folder.join("library.c"), folder.join("library.so"));
    std::fs::write(&source, functions.collect::<String>()).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or("cc".into());
    let status = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(status.success());
    library
}

fn all(required: &[&'static str], optional: &[&'static str]) -> Vec<&'static str> {
    [required, optional].concat()
}

/// The symbols that the only attempt of `error` missed.
fn missing(error: &LoadError) -> &[&'static str] {
    match &error.attempts[..] {
        [attempt] => match &attempt.failure {
            Failure::Missing(symbols) => symbols,
            other => panic!("{other:?}"),
        },
        attempts => panic!("{attempts:?}"),
    }
}

#[test]
fn a_missing_library_is_a_value_that_says_what_was_tried() {
    let path = Path::new("/nowhere/libcudart.so.13");
    let error = CudaRuntime::open(&Search::at(path)).unwrap_err();
    let [attempt] = &error.attempts[..] else { panic!("{error:?}") };
    assert_eq!(attempt.origin, Origin::Path(path.to_owned()));
    let Failure::NotOpened(text) = &attempt.failure else { panic!("{attempt:?}") };
    assert!(text.contains("No such file"), "{text}");
    let message = error.to_string();
    for part in ["CUDA runtime was not loaded", "/nowhere/libcudart.so.13", "EPLB_CUDART"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn a_file_that_is_no_library_is_told_from_a_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libnccl.so.2");
    std::fs::write(&path, "no library").unwrap();
    let error = Nccl::open(&Search::at(&path)).unwrap_err();
    let Failure::NotOpened(text) = &error.attempts[0].failure else { panic!("{error:?}") };
    assert!(!text.contains("No such file"), "{text}");
}

#[test]
fn exactly_the_missing_required_symbols_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let left_out = ["ncclCommAbort", "ncclGroupEnd"];
    let mut symbols = all(Nccl::REQUIRED, Nccl::OPTIONAL);
    symbols.retain(|symbol| !left_out.contains(symbol));
    let error = Nccl::open(&Search::at(library(folder.path(), &symbols, 0))).unwrap_err();
    assert_eq!(missing(&error), left_out);
    assert!(error.to_string().contains("without ncclCommAbort, ncclGroupEnd"), "{error}");
}

#[test]
fn an_empty_library_misses_everything_that_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let path = library(folder.path(), &["unrelated"], 0);
    let error = CudaRuntime::open(&Search::at(&path)).unwrap_err();
    assert_eq!(missing(&error), CudaRuntime::REQUIRED);
    assert!(error.to_string().len() < 400, "{error}");
    let error = CudaDriver::open(&Search::at(&path)).unwrap_err();
    assert_eq!(missing(&error), CudaDriver::REQUIRED);
}

#[test]
fn missing_optional_symbols_are_listed_and_none() {
    let folder = tempfile::tempdir().unwrap();
    let left_out = ["ncclCommRevoke", "ncclCommWindowRegister"];
    let mut symbols = all(Nccl::REQUIRED, Nccl::OPTIONAL);
    symbols.retain(|symbol| !left_out.contains(symbol));
    let path = library(folder.path(), &symbols, 0);
    let loaded = Nccl::open(&Search::at(&path)).unwrap();
    assert_eq!(loaded.origin, Origin::Path(path));
    assert_eq!(loaded.absent, left_out);
    assert!(loaded.attempts.is_empty());
    assert!(loaded.table.ncclCommRevoke.is_none());
    assert!(loaded.table.ncclCommWindowRegister.is_none());
    assert!(loaded.table.ncclMemAlloc.is_some());
    // SAFETY: the library's function takes no arguments and returns an integer.
    let status = unsafe { (loaded.table.ncclGroupStart)() };
    assert_eq!(status.0, 0);
}

#[test]
fn of_batched_copies_the_form_of_the_library_is_kept() {
    for (version, twelve, thirteen) in [(12_090, true, false), (13_050, false, true)] {
        let folder = tempfile::tempdir().unwrap();
        let symbols = all(CudaRuntime::REQUIRED, CudaRuntime::OPTIONAL);
        let path = library(folder.path(), &symbols, version);
        let table = CudaRuntime::open(&Search::at(path)).unwrap().table;
        assert_eq!(table.cudaMemcpyBatchAsync_v12.is_some(), twelve, "{version}");
        assert_eq!(table.cudaMemcpyBatchAsync_v13.is_some(), thirteen, "{version}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = library(folder.path(), CudaRuntime::REQUIRED, 12_000);
    let loaded = CudaRuntime::open(&Search::at(path)).unwrap();
    assert_eq!(loaded.absent, ["cudaMemcpyBatchAsync"]);
    assert!(loaded.table.cudaMemcpyBatchAsync_v12.is_none());
}

#[test]
fn without_a_path_the_process_and_then_the_usual_names_are_tried() {
    let names = Nccl::NAMES;
    let files = names.files.iter().copied().map(Origin::Name);
    let expected: Vec<_> = match std::env::var_os(names.variable) {
        Some(path) => vec![Origin::Variable(names.variable, path.into())],
        None => std::iter::once(Origin::Process).chain(files).collect(),
    };
    // Machines with NCCL stop at one of the places; all others go through the list.
    let tried: Vec<_> = match Nccl::open(&Search::new()) {
        Ok(loaded) => {
            let tried = loaded.attempts.into_iter().map(|attempt| attempt.origin);
            tried.chain([loaded.origin]).collect()
        }
        Err(error) => {
            assert_eq!(error.attempts.len(), expected.len());
            error.attempts.into_iter().map(|attempt| attempt.origin).collect()
        }
    };
    assert_eq!(tried, expected[..tried.len()]);
}

/// Runs itself once more with the variable set, because a process's own environment cannot be changed
/// while other tests run.
#[test]
fn the_variable_names_the_only_place_and_a_given_path_goes_before_it() {
    let variable = CudaDriver::NAMES.variable;
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        let loaded = CudaDriver::open(&Search::new()).unwrap();
        assert_eq!(loaded.origin, Origin::Variable(variable, path.clone()));
        let error = CudaDriver::open(&Search::at("/nowhere/libcuda.so.1")).unwrap_err();
        assert_eq!(error.attempts.len(), 1);
        assert_eq!(error.attempts[0].origin, Origin::Path("/nowhere/libcuda.so.1".into()));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_variable_names_the_only_place_and_a_given_path_goes_before_it"])
        .env(variable, library(folder.path(), CudaDriver::REQUIRED, 0))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
