//! The Rust side of the library's own C interface: one file for each header.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// What `write-interface` and `check-interface` make of a crate: the path and the text of each file.
///
/// The interface is `include/eplb.h`, read as C, and the headers that it includes. A file has just what
/// its header declares itself, and sees the others'.
/// The checksum lets a test see, without libclang, that the header has changed.
pub(crate) fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let include = folder.join("include");
    let entries = std::fs::read_dir(&include).map_err(|source| Error::file(&include, source))?;
    let mut headers: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "h"))
        .collect();
    headers.sort();
    headers.iter().map(|header| file(folder, header)).collect()
}

fn file(folder: &Path, header: &Path) -> Result<(PathBuf, String), Error> {
    let failed = |text: String| Error::Bindgen { header: header.to_owned(), text };
    let bytes = std::fs::read(header).map_err(|source| Error::file(header, source))?;
    let stem = header.file_stem().and_then(|stem| stem.to_str());
    let stem = stem.ok_or_else(|| failed("its name is not UTF-8".to_owned()))?;
    let whole = header.with_file_name("eplb.h");
    let whole = whole.to_str().ok_or_else(|| failed("its path is not UTF-8".to_owned()))?;
    let checksum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let bindings = bindgen::Builder::default()
        .header(whole)
        .clang_args(["-x", "c", "-std=c11"])
        .allowlist_file(format!(r".*/{stem}\.h"))
        .allowlist_recursively(false)
        .raw_line(format!("//! The declarations of `{stem}.h`, made by `ci/update-bindings`."))
        .raw_line("//!")
        .raw_line(format!("//! Header checksum: {checksum:016x}"))
        .raw_line("")
        .raw_line("use super::*;")
        .disable_header_comment()
        .generate_comments(false)
        .merge_extern_blocks(true)
        .prepend_enum_name(false)
        .default_macro_constant_type(bindgen::MacroTypeVariation::Unsigned)
        .use_core()
        .formatter(bindgen::Formatter::Rustfmt)
        .rustfmt_configuration_file(Some(
            std::env::current_dir()
                .map_or_else(|_| PathBuf::from("rustfmt.toml"), |root| root.join("rustfmt.toml")),
        ))
        .generate()
        .map_err(|error| failed(error.to_string()))?;
    let output = folder.join("src/generated").join(format!("{stem}_h.rs"));
    Ok((output, bindings.to_string()))
}
