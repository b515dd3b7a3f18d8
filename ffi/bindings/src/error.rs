//! What can go wrong.

use std::fmt;
use std::path::{Path, PathBuf};

/// A failure, told to whoever runs the tool; `main` returns it, so that its debug form is its text.
#[derive(thiserror::Error)]
pub(crate) enum Error {
    #[error("{usage}")]
    Usage { usage: &'static str },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Description { path: PathBuf, source: toml::de::Error },
    #[error("bindings.toml names no header {header}")]
    NoHeader { header: String },
    #[error("{}: bindgen: {text}", header.display())]
    Bindgen { header: PathBuf, text: String },
    #[error("what bindgen made cannot be parsed: {0}")]
    Syntax(#[from] syn::Error),
    #[error("{what} is more than the bindings are made for: {code}")]
    Unsupported { what: &'static str, code: String },
    #[error("{text:?} is not a version, which is numbers with dots between them")]
    Version { text: String },
    #[error("rustfmt failed: {text}")]
    Format { text: String },
    #[error("{} is not what the header gives; run ci/update-bindings", path.display())]
    Drifted { path: PathBuf },
}

impl Error {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn unsupported(what: &'static str, code: &impl quote::ToTokens) -> Self {
        Self::Unsupported { what, code: code.to_token_stream().to_string() }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
