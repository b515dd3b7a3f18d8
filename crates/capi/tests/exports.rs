//! The shared library exports what `eplb.map` names, each with its version, and nothing else.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod built;
mod headers;

use std::collections::BTreeMap;

use object::elf::FileHeader64;
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, elf};

/// The symbols that a shared library defines for others, with their versions.
fn exports(bytes: &[u8]) -> BTreeMap<String, String> {
    let header = FileHeader64::<Endianness>::parse(bytes).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, bytes).unwrap();
    let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM).unwrap();
    let versions = sections.versions(endian, bytes).unwrap().expect("symbols have versions");
    let mut exports = BTreeMap::new();
    for (index, symbol) in symbols.enumerate() {
        if symbol.is_undefined(endian) || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        let name = symbols.symbol_name(endian, symbol).unwrap();
        let version = versions.version_index(endian, index);
        let version = versions.version(version).unwrap().map_or(b"none".as_slice(), |v| v.name());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        exports.insert(text(name), text(version));
    }
    // The version itself is a symbol, too.
    exports.remove("EPLB_1").expect("the version is defined");
    exports
}

#[test]
fn only_the_functions_of_the_headers_are_exported_each_with_its_version() {
    let found = exports(&std::fs::read(built::shared_library()).unwrap());
    let declared = headers::functions();
    assert!(declared.len() > 80, "{declared:?}");
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), declared);
    for (name, version) in found {
        assert_eq!(version, "EPLB_1", "{name}");
    }
}
