//! Reading a header with bindgen.

use std::path::Path;

use crate::description::Binding;
use crate::error::Error;

/// What bindgen makes of one header: what it declares itself, without what it includes.
pub(crate) fn bindgen(folder: &Path, binding: &Binding) -> Result<syn::File, Error> {
    let header = folder.join(&binding.header);
    let failed = |text: String| Error::Bindgen { header: header.clone(), text };
    let name = header.to_str().ok_or_else(|| failed("its path is not UTF-8".to_owned()))?;
    let bindings = bindgen::Builder::default()
        .header(name)
        // C++, because only there an enumeration has a given width, in which unknown codes stay.
        .clang_args(["-x", "c++", "-std=c++17"])
        .allowlist_file(regex_escaped(name))
        .allowlist_recursively(false)
        .default_enum_style(bindgen::EnumVariation::NewType {
            is_bitfield: false,
            is_global: false,
        })
        .use_core()
        .formatter(bindgen::Formatter::None)
        .generate()
        .map_err(|error| failed(error.to_string()))?;
    Ok(syn::parse_file(&bindings.to_string())?)
}

fn regex_escaped(text: &str) -> String {
    let special = |letter: char| !letter.is_ascii_alphanumeric() && !"/_-".contains(letter);
    text.chars()
        .flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter]))
        .collect()
}
