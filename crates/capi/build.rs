//! Gives the shared library's symbols their version: `eplb.map`, by way of `linker/ld.bfd`.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=eplb.map");
    println!("cargo::rerun-if-changed=linker/ld.bfd");
    let is_gnu_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux")
        && env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|environment| environment == "gnu");
    if !is_gnu_linux {
        return;
    }
    if !is_in_path("ld.bfd") {
        println!(
            "cargo::warning=ld.bfd is missing: the symbols of the shared library get no version; \
             install binutils"
        );
        return;
    }
    // Of this run, not of the one that compiled this program: a target folder may serve several checkouts.
    let Ok(folder) = env::var("CARGO_MANIFEST_DIR") else {
        return;
    };
    for argument in [
        format!("-B{folder}/linker"),
        "-fuse-ld=bfd".to_owned(),
        format!("-Wl,--version-script={folder}/eplb.map"),
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
