//! What can be wrong with a load file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use eplb_core::{ExpertLoad, LoadError, ShapeError};
use thiserror::Error;

use super::LoadFile;

/// Why a file holds no expert loads.
#[derive(Debug, Error)]
#[error("{}: {problem}", path.display())]
pub struct LoadFileError {
    path: PathBuf,
    problem: LoadFileProblem,
}

impl LoadFileError {
    pub(crate) fn new(path: &Path, problem: LoadFileProblem) -> Self {
        Self { path: path.to_owned(), problem }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &LoadFileProblem {
        &self.problem
    }
}

/// What is wrong with a load file. `place` is the array or key of the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadFileProblem {
    /// The operating system or the archive does not give the bytes.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// A directory, a pipe or a device; reading a pipe could wait for ever.
    #[error("is not a regular file")]
    NotAFile,
    /// The ending says nothing about the format.
    #[error("the ending {ending:?} is not known, allowed are .npy, .npz and .json")]
    UnknownEnding {
        /// The ending, lower case, without the dot.
        ending: String,
    },
    /// Not a NumPy array.
    #[error("{place} is not in the .npy format: {reason}")]
    NotNpy {
        /// The array.
        place: String,
        /// What was found.
        reason: String,
    },
    /// A type of values that are no counts.
    #[error(
        "{place} has values of type {descr:?}, allowed are integers of 1, 2, 4 or 8 bytes, float32 \
         and float64"
    )]
    ValueType {
        /// The array.
        place: String,
        /// The type as NumPy writes it.
        descr: String,
    },
    /// Something else where a single value belongs.
    #[error("{place} has type {descr:?} and shape {dimensions:?}, allowed is a single {allowed}")]
    NotSingle {
        /// The array.
        place: String,
        /// Its type as NumPy writes it.
        descr: String,
        /// Its dimensions.
        dimensions: Vec<u64>,
        /// What belongs there.
        allowed: &'static str,
    },
    /// Python objects; reading them would run code of the file.
    #[error(
        "{place} holds pickled Python objects, which are not read; save it as an integer array"
    )]
    Pickled {
        /// The array.
        place: String,
    },
    /// Not two or three dimensions.
    #[error(
        "{place} has shape {dimensions:?}, allowed are [layers, experts] and [windows, layers, \
         experts]"
    )]
    Dimensions {
        /// The array.
        place: String,
        /// Its dimensions.
        dimensions: Vec<u64>,
    },
    /// A dimension of zero.
    #[error("{place} is empty (shape {dimensions:?}), every dimension must be at least 1")]
    Empty {
        /// The array.
        place: String,
        /// Its dimensions.
        dimensions: Vec<u64>,
    },
    /// More than is read at once.
    #[error(
        "{place} has shape {dimensions:?}, allowed are {} windows and {} counts in all; split the \
         file",
        LoadFile::MOST_WINDOWS,
        LoadFile::MOST_COUNTS
    )]
    TooManyCounts {
        /// The array.
        place: String,
        /// Its dimensions.
        dimensions: Vec<u64>,
    },
    /// Layers, experts or groups that no model has.
    #[error("{place}: {problem}")]
    Shape {
        /// The array.
        place: String,
        /// What is wrong.
        problem: ShapeError,
    },
    /// A value that is no count.
    #[error(
        "{place}{} is {value}, allowed are whole numbers from 0 to {}",
        At(index),
        ExpertLoad::MOST_TOKENS
    )]
    Value {
        /// The array.
        place: String,
        /// Where in the array.
        index: Vec<u64>,
        /// The value.
        value: String,
    },
    /// A window whose sums are too large.
    #[error("{place}: window {window}: {problem}")]
    Load {
        /// The array.
        place: String,
        /// The window, from 0.
        window: usize,
        /// What is wrong.
        problem: LoadError,
    },
    /// Fewer values than promised.
    #[error("{place} ends after {found} of {expected} values, the file is truncated")]
    Truncated {
        /// The array.
        place: String,
        /// Whole values there are.
        found: u64,
        /// Values that the header promises.
        expected: u64,
    },
    /// More bytes than promised.
    #[error("{place} has bytes after its last value; save one array to a file or use .npz")]
    TrailingBytes {
        /// The array.
        place: String,
    },
    /// Not a zip archive, which `.npz` files are.
    #[error("is not a .npz (zip) archive: {reason}")]
    NotZip {
        /// What was found.
        reason: String,
    },
    /// No array of the archive can be meant.
    #[error(
        "has no array \"counts\" and no other array of numbers with two or three dimensions (arrays: \
         {arrays})"
    )]
    NoLoadArray {
        /// The arrays there are.
        arrays: String,
    },
    /// More than one array of the archive can be meant.
    #[error(
        "more than one array can be the load ({arrays}); name the one that is meant \"counts\""
    )]
    SeveralLoadArrays {
        /// The arrays that can be meant.
        arrays: String,
    },
    /// A JSON file that is too large.
    #[error(
        "has more than {} bytes, which is too much JSON to read; save it as .npy or .npz",
        LoadFile::MOST_JSON_BYTES
    )]
    TooLargeJson,
    /// Not JSON.
    #[error("is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON that holds something else.
    #[error("{place}{} is {found}, allowed is {allowed}", At(index))]
    JsonKind {
        /// The key or "the file".
        place: String,
        /// Where in its lists.
        index: Vec<u64>,
        /// What is there.
        found: &'static str,
        /// What may be there.
        allowed: &'static str,
    },
    /// A JSON object without loads.
    #[error("has no key \"logical_count\" (keys: {keys})")]
    NoLogicalCount {
        /// The keys there are.
        keys: String,
    },
    /// Lists of JSON that make no array.
    #[error("{place}{} has {found} entries, the lists before it have {expected}", At(index))]
    UnequalLengths {
        /// The key or "the file".
        place: String,
        /// Which list.
        index: Vec<u64>,
        /// Its length.
        found: u64,
        /// The length of the others.
        expected: u64,
    },
}

/// Where in an array: ` at [1, 2, 3]`, or nothing for the whole of it.
struct At<'a>(&'a [u64]);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " at {:?}", self.0) }
    }
}
