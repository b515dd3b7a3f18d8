//! Functions that the headers declare, and since which version of them.

use std::fs;
use std::path::Path;

/// A function of a header of ours.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Whether it gives a pointer.
    pub(crate) gives_pointer: bool,
    /// Without this version a library lacks it; nothing if every library has it.
    pub(crate) since: Option<String>,
}

/// All functions of a header.
pub(crate) fn functions(folder: &Path, file: &str) -> Vec<Function> {
    let path = folder.join(file);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = Vec::new();
    let mut comment = String::new();
    let mut in_comment = false;
    for line in text.lines() {
        if line.starts_with("/**") {
            comment.clear();
            in_comment = true;
        }
        if in_comment {
            comment.push_str(line);
            in_comment = !line.ends_with("*/");
            continue;
        }
        let Some((head, _)) = line.split_once('(') else {
            continue;
        };
        let is_declaration = ["aclError ", "HcclResult ", "const char *", "uint32_t "]
            .iter()
            .any(|kind| head.starts_with(kind));
        let name = head.rsplit([' ', '*']).next().unwrap_or_default();
        if is_declaration && !name.is_empty() {
            let since = comment.split("Since ").nth(1).map(|rest| rest[..4].to_owned());
            let gives_pointer = head.contains('*');
            found.push(Function { name: name.to_owned(), gives_pointer, since });
        }
        comment.clear();
    }
    assert!(!found.is_empty(), "{} declares nothing", path.display());
    found
}

/// C++ of a library whose functions do nothing but give a code, as vendors' stubs for linking do.
pub(crate) fn stub(functions: &[Function], code: i32) -> String {
    let mut text = String::from("extern \"C\" {\n");
    for function in functions {
        let (kind, value) =
            if function.gives_pointer { ("const char *", 0) } else { ("int ", code) };
        let name = &function.name;
        text += &format!(
            "__attribute__((visibility(\"default\"))) {kind}{name}() {{ return {value}; }}\n"
        );
    }
    text + "}\n"
}
