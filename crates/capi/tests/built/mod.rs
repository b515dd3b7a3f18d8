//! What is built beside a test: the shared library, and programs in C and C++ against it.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of this crate.
pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shared library, which cargo builds together with this test.
pub(crate) fn shared_library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.with_file_name("libeplb_capi.so");
    assert!(library.exists(), "{} is missing; run `cargo test -p eplb-capi`", library.display());
    library
}

/// Compiles a program of C or C++, strictly, links it to the library, and gives its path.
pub(crate) fn program(sources: &[PathBuf], name: &str) -> PathBuf {
    let library = shared_library();
    let output = library.parent().unwrap().join("capi-programs").join(name);
    std::fs::create_dir_all(output.parent().unwrap()).unwrap();
    let is_c = sources.iter().all(|source| source.extension().is_some_and(|ending| ending == "c"));
    let (compiler, standard) = if is_c { ("cc", "-std=c99") } else { ("c++", "-std=c++17") };
    let compiled = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"])
        .arg("-I")
        .arg(folder().join("include"))
        .args(sources)
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.parent().unwrap().display()))
        .arg("-o")
        .arg(&output)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    output
}

/// What a program prints; it has to succeed.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{out}{err}", program.display(), output.status);
    out.into_owned()
}
