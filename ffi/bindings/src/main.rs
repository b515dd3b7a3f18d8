//! Keeps the declarations of vendors' libraries true: our header → Rust, and our header → assertions.
//!
//! A header of ours is C++17 of `extern "C"` functions, enumerations with a width (`enum x : int`),
//! `constexpr` integers, structures and aliases; anything else is an error. Its comments become the
//! Rust side's, and some notes in them mean something here:
//!
//! - "Since 2.28.7." and "Until 3.0.": the first version with and the first without it. It is checked
//!   against versions between, and a function is optional in the table.
//! - "Symbol name.": what the function is called in the library, if not as here.
//! - "Longer since 2.28.", "Shorter before 13.0.": versions whose structure has more or fewer bytes.
//! - Fields called `eplb_...` are room of ours and are not looked for in the vendor's structure.
//!
//! The library's own C interface goes the other way: its headers are C, and what bindgen makes of them is
//! what the exports of `eplb-capi` are written against.
//!
//! Run by `ci/update-bindings` and `ci/abi-check`; needs libclang when it runs, not when it is built.
#![forbid(unsafe_code)]

mod assertions;
mod declarations;
mod description;
mod error;
mod header;
mod interface;
mod rust;
mod types;
mod version;

use std::path::Path;

use crate::declarations::Declarations;
use crate::description::{Binding, Description};
use crate::error::Error;
use crate::version::Version;

/// Says what it can do, when asked for something else.
const USAGE: &str = "use: eplb-bindings write CRATE | check CRATE | write-interface CRATE | \
                     check-interface CRATE | assertions CRATE HEADER VERSION OUTPUT";

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", folder] => each_output(Path::new(folder), write),
        ["check", folder] => each_output(Path::new(folder), check),
        ["write-interface", folder] => interface::files(Path::new(folder))?
            .iter()
            .try_for_each(|(path, text)| write(path, text)),
        ["check-interface", folder] => interface::files(Path::new(folder))?
            .iter()
            .try_for_each(|(path, text)| check(path, text)),
        ["assertions", folder, header, version, output] => {
            let folder = Path::new(folder);
            let description = Description::read(folder)?;
            let binding = description.binding(header)?;
            let declarations = declare(folder, binding)?;
            let text = assertions::write(&declarations, &Version::parse(version)?);
            std::fs::write(output, text).map_err(|source| Error::file(Path::new(output), source))
        }
        _ => Err(Error::Usage { usage: USAGE }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::file(path, source))
}

fn check(path: &Path, text: &str) -> Result<(), Error> {
    let found = std::fs::read_to_string(path).map_err(|source| Error::file(path, source))?;
    if found == text { Ok(()) } else { Err(Error::Drifted { path: path.to_owned() }) }
}

/// Calls `with` for each file that a crate's headers give.
fn each_output(
    folder: &Path,
    with: impl Fn(&Path, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    for binding in &Description::read(folder)?.bindings {
        let declarations = declare(folder, binding)?;
        let header = folder.join(&binding.header);
        let bytes = std::fs::read(&header).map_err(|source| Error::file(&header, source))?;
        let generated = folder.join("src/generated");
        let stem = binding.stem()?;
        let types = rust::types(binding, &declarations, &bytes)?;
        with(&generated.join(format!("{stem}.rs")), &types)?;
        let functions = rust::functions(binding, &declarations)?;
        with(&generated.join(format!("{stem}_functions.rs")), &functions)?;
    }
    Ok(())
}

fn declare(folder: &Path, binding: &Binding) -> Result<Declarations, Error> {
    Declarations::parse(&header::bindgen(folder, binding)?)
}
