//! The Rust files of a header: one with types and constants, one with the table of functions.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::declarations::{Constant, Declarations, Function};
use crate::description::Binding;
use crate::error::Error;
use crate::types::{Signature, Type};
use crate::version::is_optional;

/// The longest line that `rustfmt.toml` allows.
const WIDTH: usize = 100;

/// Types and constants. The checksum lets a test see, without libclang, that the header has changed.
pub(crate) fn types(
    binding: &Binding,
    declarations: &Declarations,
    header: &[u8],
) -> Result<String, Error> {
    let mut body = String::new();
    for code in &declarations.codes {
        body.push_str("crate::code! {\n");
        comment(&mut body, 1, &code.docs);
        line(&mut body, 1, &format!("pub struct {}({}) {{", code.name, code.integer.rust()));
        for value in &code.values {
            comment(&mut body, 2, &value.docs);
            line(&mut body, 2, &format!("{} = {},", value.name, value.value));
        }
        body.push_str("    }\n}\n\n");
    }
    for constant in &declarations.constants {
        write_constant(&mut body, constant);
    }
    for structure in &declarations.structures {
        let name = &structure.name;
        comment(&mut body, 0, &structure.docs);
        if structure.is_opaque() {
            let derived = "#[repr(C)]\n#[derive(Debug)]\n";
            let _ = writeln!(body, "{derived}pub struct {name} {{ _opaque: [u8; 0] }}\n");
            continue;
        }
        let _ = writeln!(body, "#[repr(C)]\n#[derive(Clone, Copy, Debug)]\npub struct {name} {{");
        for field in &structure.fields {
            comment(&mut body, 1, &field.docs);
            line(&mut body, 1, &format!("pub {}: {},", field.name, field.kind.rust()));
        }
        let (size, alignment) = (structure.size, structure.alignment);
        let _ = writeln!(
            body,
            "}}\n\nconst _: () = {{\nassert!(size_of::<{name}>() == {size});\n\
             assert!(align_of::<{name}>() == {alignment});"
        );
        for field in &structure.fields {
            let (field, offset) = (&field.name, field.offset);
            let _ = writeln!(body, "assert!(core::mem::offset_of!({name}, {field}) == {offset});");
        }
        body.push_str("};\n\n");
    }
    for alias in &declarations.aliases {
        comment(&mut body, 0, &alias.docs);
        let _ = writeln!(body, "pub type {} = {};\n", alias.name, alias.kind.rust());
    }

    let about = format!("Header checksum: {:016x}", checksum(header));
    let used = used_by_types(declarations);
    let mut modules: Vec<&str> = binding.uses.iter().map(String::as_str).collect();
    if used.iter().all(|name| is_own(name, declarations)) {
        modules.clear();
    }
    let text = head(binding, "Types and constants.", &about, &used, &modules);
    format_rust(&format!("{text}{body}"))
}

/// The table of functions, with those that some versions of the library lack apart.
pub(crate) fn functions(binding: &Binding, declarations: &Declarations) -> Result<String, Error> {
    let mut used = Vec::new();
    declarations.functions.iter().for_each(|function| function.signature.names(&mut used));
    let about = "The table of functions.";
    let mut modules: Vec<&str> = binding.uses.iter().map(String::as_str).collect();
    modules.push(binding.stem()?);
    let mut text = head(binding, about, &binding.about, &used, &modules);
    text.push_str("crate::table! {\n");
    comment(&mut text, 1, &binding.about.lines().map(str::to_owned).collect::<Vec<_>>());
    line(&mut text, 1, &format!("pub struct {} {{", binding.table));
    let (optional, required): (Vec<_>, Vec<_>) =
        declarations.functions.iter().partition(|function| is_optional(&function.docs));
    for (group, functions) in [("required", required), ("optional", optional)] {
        line(&mut text, 2, &format!("{group} {{"));
        functions.into_iter().for_each(|function| write_function(&mut text, function));
        line(&mut text, 2, "}");
    }
    text.push_str("    }\n}\n");
    format_rust(&text)
}

/// The comment at the head of a file, and its imports.
fn head(binding: &Binding, what: &str, about: &str, used: &[String], modules: &[&str]) -> String {
    let header = binding.header.display();
    let mut text =
        format!("//! {what} Made by ci/update-bindings from {header}: change that.\n//!\n");
    for line in about.lines() {
        let _ = writeln!(text, "//! {line}");
    }
    text.push('\n');
    let foreign: BTreeSet<_> = used.iter().filter(|name| name.starts_with("c_")).collect();
    let foreign: Vec<_> = foreign.into_iter().map(String::as_str).collect();
    if !foreign.is_empty() {
        let _ = writeln!(text, "use core::ffi::{{{}}};\n", foreign.join(", "));
    }
    for module in modules {
        let _ = writeln!(text, "use super::{module}::*;");
    }
    text.push('\n');
    text
}

/// Whether a type is declared by this header, or by the language.
fn is_own(name: &str, declarations: &Declarations) -> bool {
    let language = name.starts_with("c_")
        || ["usize", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"]
            .contains(&name);
    language
        || declarations.codes.iter().any(|code| code.name == name)
        || declarations.structures.iter().any(|structure| structure.name == name)
        || declarations.aliases.iter().any(|alias| alias.name == name)
}

fn used_by_types(declarations: &Declarations) -> Vec<String> {
    let mut used = Vec::new();
    let kinds = declarations.codes.iter().map(|code| &code.integer);
    let kinds = kinds.chain(declarations.constants.iter().map(|constant| &constant.kind));
    let fields = declarations.structures.iter().flat_map(|structure| &structure.fields);
    let kinds = kinds.chain(fields.map(|field| &field.kind));
    for kind in kinds.chain(declarations.aliases.iter().map(|alias| &alias.kind)) {
        kind.names(&mut used);
    }
    used
}

fn write_constant(text: &mut String, constant: &Constant) {
    comment(text, 0, &constant.docs);
    let (name, kind, value) = (&constant.name, constant.kind.rust(), constant.value);
    let _ = writeln!(text, "pub const {name}: {kind} = {value};\n");
}

/// One function; rustfmt leaves the inside of macros alone, so lines are broken here.
fn write_function(text: &mut String, function: &Function) {
    comment(text, 3, &function.docs);
    let key = format!("\"{}\" => {}: ", function.symbol, function.name);
    let whole = format!("{key}{},", function.signature.rust());
    if whole.len() + 12 <= WIDTH {
        line(text, 3, &whole);
        return;
    }
    let Signature { inputs, output } = &function.signature;
    line(text, 3, &format!("{key}unsafe extern \"C\" fn("));
    for (name, input) in inputs {
        line(text, 4, &format!("{name}: {},", input.rust()));
    }
    let output = output.as_ref().map(|output: &Type| format!(" -> {}", output.rust()));
    line(text, 3, &format!("){},", output.unwrap_or_default()));
}

fn comment(text: &mut String, depth: usize, lines: &[String]) {
    for comment in lines {
        line(text, depth, format!("/// {comment}").trim_end());
    }
}

fn line(text: &mut String, depth: usize, line: &str) {
    let _ = writeln!(text, "{:1$}{line}", "", depth * 4);
}

/// FNV-1a of 64 bits: enough to notice a change, and a few lines wherever it is computed.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Formats as `cargo fmt` does.
fn format_rust(text: &str) -> Result<String, Error> {
    let failed = |text: String| Error::Format { text };
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rustfmt.toml");
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = rustfmt.stdin.take() {
        input.write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = rustfmt.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()))
}
