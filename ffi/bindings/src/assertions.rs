//! Assertions on a vendor's header, as C++17 that compiles only if our declarations are true of it.

use std::fmt::Write as _;

use crate::declarations::{Alias, Declarations, Structure};
use crate::types::Type;
use crate::version::{Version, is_present};

/// Fields of ours that no version of the vendor's header has under this name: room for later ones.
const OWN_PREFIX: &str = "eplb_";

/// Writes the assertions for the vendor's header of `version`, to be compiled after it. The first
/// line counts what is checked.
pub(crate) fn write(declarations: &Declarations, version: &Version) -> String {
    let mut text = String::new();
    let mut counts = [0_usize; 4];
    let [functions, constants, structures, types] = &mut counts;

    for function in &declarations.functions {
        if is_present(&function.docs, version) {
            let (symbol, expected) = (&function.symbol, function.signature.cpp());
            assert_line(
                &mut text,
                &format!("std::is_same_v<decltype(&::{symbol}), {expected}>"),
                &format!("function {} is declared otherwise", function.name),
            );
            *functions += 1;
        }
    }
    for code in declarations.codes.iter().filter(|code| is_present(&code.docs, version)) {
        let (name, integer) = (&code.name, code.integer.cpp());
        assert_line(
            &mut text,
            &format!(
                "sizeof({name}) == sizeof({integer}) && \
                 (std::is_enum_v<{name}> || std::is_integral_v<{name}>)"
            ),
            &format!("{name} is no integer of this width"),
        );
        *types += 1;
    }
    let values = declarations.codes.iter().flat_map(|code| &code.values);
    for constant in values.chain(&declarations.constants) {
        if is_present(&constant.docs, version) {
            let (name, value) = (&constant.name, constant.value);
            assert_line(
                &mut text,
                &format!("static_cast<long long>({name}) == {value}ll"),
                &format!("constant {name} is not {value}"),
            );
            *constants += 1;
        }
    }
    for structure in &declarations.structures {
        if !structure.is_opaque() && is_present(&structure.docs, version) {
            write_structure(&mut text, structure, version);
            *structures += 1;
        }
    }
    for alias in declarations.aliases.iter().filter(|alias| is_present(&alias.docs, version)) {
        write_alias(&mut text, alias, declarations);
        *types += 1;
    }

    format!(
        "// functions={functions} constants={constants} structs={structures} types={types}\n\
         #include <cstddef>\n#include <cstdint>\n#include <type_traits>\n\n{text}"
    )
}

fn write_structure(text: &mut String, structure: &Structure, version: &Version) {
    let (name, size) = (&structure.name, structure.size);
    let since = |word| Version::noted(&structure.docs, word);
    // Where the vendor's structure grew, ours is the head that all versions share, or the longest.
    let comparison = if since("Longer since").is_some_and(|since| *version >= since) {
        ">="
    } else if since("Shorter before").is_some_and(|before| *version < before) {
        "<="
    } else {
        "=="
    };
    assert_line(
        text,
        &format!("sizeof({name}) {comparison} {size}"),
        &format!("struct {name} has not {comparison} {size} bytes"),
    );
    assert_line(
        text,
        &format!("alignof({name}) == {}", structure.alignment),
        &format!("struct {name} is aligned otherwise"),
    );
    for field in &structure.fields {
        if field.name.starts_with(OWN_PREFIX) || !is_present(&field.docs, version) {
            continue;
        }
        // bindgen adds a line below to names that are words of Rust, such as `type`.
        let field_name = field.name.trim_end_matches('_');
        let (offset, kind) = (field.offset, field.kind.cpp());
        assert_line(
            text,
            &format!("offsetof({name}, {field_name}) == {offset}"),
            &format!("struct {name}: {field_name} is not at {offset}"),
        );
        assert_line(
            text,
            &format!("std::is_same_v<decltype({name}::{field_name}), {kind}>"),
            &format!("struct {name}: {field_name} has another type"),
        );
    }
}

fn write_alias(text: &mut String, alias: &Alias, declarations: &Declarations) {
    let name = &alias.name;
    let opaque = |kind: &Type| match kind {
        Type::Pointer { to, .. } => match &**to {
            Type::Name(to) => declarations
                .structures
                .iter()
                .any(|structure| structure.is_opaque() && structure.name == *to),
            _ => false,
        },
        _ => false,
    };
    // What a handle points to is the vendor's own affair and has changed its name before.
    let expected = if opaque(&alias.kind) {
        format!("std::is_pointer_v<{name}> && std::is_class_v<std::remove_pointer_t<{name}>>")
    } else {
        format!("std::is_same_v<{name}, {}>", alias.kind.cpp())
    };
    assert_line(text, &expected, &format!("type {name} is declared otherwise"));
}

fn assert_line(text: &mut String, condition: &str, message: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "static_assert({condition}, \"{message}\");");
}
