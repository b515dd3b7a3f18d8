//! Where the libraries can be.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use eplb_loading::{Library, LibraryNames, Place, Visibility};

use crate::Failure;

/// The variable that the vendor's `set_env.sh` sets to the folder that CANN is installed in.
const HOME_VARIABLE: &str = "ASCEND_HOME_PATH";

/// Where CANN 9, and CANN up to 8, put their libraries if they are not told otherwise.
const INSTALLED: [&str; 2] =
    ["/usr/local/Ascend/cann/lib64", "/usr/local/Ascend/ascend-toolkit/latest/lib64"];

/// A place where a library can be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// Files and folders that the caller gave.
    Paths(Vec<PathBuf>),
    /// The files and folders in this environment variable.
    Variable(&'static str, Vec<PathBuf>),
    /// Symbols that the process had already.
    Process,
    /// File names that the loader searched for.
    Names(&'static [&'static str]),
    /// A folder that the library's files are usually in.
    Folder(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paths(paths) => write_paths(formatter, paths),
            Self::Variable(variable, paths) => {
                write!(formatter, "{variable}=")?;
                write_paths(formatter, paths)
            }
            Self::Process => write!(formatter, "symbols of the process"),
            Self::Names(names) => formatter.write_str(&names.join(" and ")),
            Self::Folder(folder) => write!(formatter, "{}", folder.display()),
        }
    }
}

/// As they stand in an environment variable.
fn write_paths(formatter: &mut fmt::Formatter<'_>, paths: &[PathBuf]) -> fmt::Result {
    for (index, path) in paths.iter().enumerate() {
        write!(formatter, "{}{}", if index == 0 { "" } else { ":" }, path.display())?;
    }
    Ok(())
}

/// Each place is some files, which together are the library.
impl Place for Origin {
    type Files = Vec<PathBuf>;
    type Failure = Failure;

    fn named(paths: &Vec<PathBuf>) -> Self {
        Self::Paths(paths.clone())
    }

    /// A variable may hold several paths with colons between them.
    fn of_variable(variable: &'static str, value: &OsStr) -> Self {
        Self::Variable(variable, env::split_paths(value).collect())
    }

    fn usual(names: &LibraryNames) -> Vec<Self> {
        let home = env::var_os(HOME_VARIABLE).filter(|value| !value.is_empty());
        let home = home.map(|home| Path::new(&home).join("lib64"));
        let folders = home.into_iter().chain(INSTALLED.map(PathBuf::from));
        [Self::Process, Self::Names(names.files)]
            .into_iter()
            .chain(folders.map(Self::Folder))
            .collect()
    }

    /// Of files that the user named, all must be there.
    fn open(&self, names: &LibraryNames) -> Result<Library, Vec<String>> {
        match self {
            Self::Process => Ok(Library::process()),
            Self::Names(names) => Ok(open_files(names.iter().map(PathBuf::from).collect())),
            Self::Folder(folder) if !folder.is_dir() => Err(vec!["no such folder".to_owned()]),
            Self::Folder(folder) => Ok(open_files(files_in(folder, names).collect())),
            Self::Paths(paths) | Self::Variable(_, paths) => {
                let mut files: Vec<PathBuf> = Vec::new();
                for path in paths {
                    if path.is_dir() {
                        files.extend(files_in(path, names));
                    } else {
                        files.push(path.clone());
                    }
                }
                let library = open_files(files);
                let is_open =
                    |path: &PathBuf| library.files.iter().any(|file| file.starts_with(path));
                if paths.iter().all(is_open) { Ok(library) } else { Err(library.not_opened) }
            }
        }
    }

    fn not_opened(words: Vec<String>) -> Failure {
        Failure::NotOpened(words)
    }

    fn incomplete(missing: Vec<&'static str>, words: Vec<String>) -> Failure {
        Failure::Missing { symbols: missing, not_opened: words }
    }
}

/// The library's files, if they are in this folder.
fn files_in(folder: &Path, names: &LibraryNames) -> impl Iterator<Item = PathBuf> {
    names.files.iter().map(|name| folder.join(name))
}

/// For all to see, because the files of one library may refer to each other without saying so: headers
/// of CANN 9 declare functions of `libhcomm` weak.
fn open_files(files: Vec<PathBuf>) -> Library {
    Library::open(files, Visibility::Global)
}
