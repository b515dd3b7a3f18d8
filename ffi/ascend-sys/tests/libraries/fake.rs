//! Makes small libraries with the symbols of the vendor's. What is not given in C is there by name only
//! and is never called.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a shared library in a folder: `code` in C, and the `symbols` that it does not define.
pub(crate) fn library(
    folder: &Path,
    name: &str,
    symbols: impl IntoIterator<Item = &'static str>,
    code: &str,
) -> PathBuf {
    let defined =
        |symbol: &str| [' ', '*'].iter().any(|before| code.contains(&format!("{before}{symbol}(")));
    let mut source =
        String::from("#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n");
    source.push_str(code);
    for symbol in symbols.into_iter().filter(|symbol| !defined(symbol)) {
        source.push_str(&format!("\nvoid {symbol}(void) {{}}"));
    }
    let (input, output) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(&input, source).unwrap();
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .args([&output, &input])
        .output()
        .expect("a C compiler is there");
    assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
    output
}

/// All symbols of a table but one.
pub(crate) fn all_but(
    symbols: &'static [&'static str],
    one: &'static str,
) -> impl Iterator<Item = &'static str> {
    assert!(symbols.contains(&one));
    symbols.iter().copied().filter(move |symbol| *symbol != one)
}
