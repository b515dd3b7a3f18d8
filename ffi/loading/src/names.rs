//! How a library is called.

/// How a library is called, and how the user says where it is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LibraryNames {
    /// The library's name for people.
    pub title: &'static str,
    /// The environment variable that may hold its path.
    pub variable: &'static str,
    /// File names to ask the loader for, the preferred one first.
    pub files: &'static [&'static str],
}

impl LibraryNames {
    /// A library with this name for people, variable, and file names.
    pub const fn new(
        title: &'static str,
        variable: &'static str,
        files: &'static [&'static str],
    ) -> Self {
        Self { title, variable, files }
    }
}
