//! Expert loads from files.

mod error;
mod json;
mod npy;
mod npy_header;
mod npz;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use eplb_core::{ExpertLoad, ModelShape};

pub use error::{LoadFileError, LoadFileProblem};
pub(crate) use npz::Archive;

/// Expert loads as a file holds them, window by window.
///
/// | ending | what is read |
/// |---|---|
/// | `.npy` | the array |
/// | `.npz` | the array `counts`, or the only array of numbers with two or three dimensions |
/// | `.json` | nested lists, or an object with such lists as `logical_count` (SGLang's `--init-expert-location`) |
///
/// Arrays are `[layers, experts]` (one window) or `[windows, layers, experts]`, in tokens. Their
/// values are integers of any width, or `float32`/`float64` that are all whole; either byte order,
/// C or Fortran order. Anything else is an error: a load is never guessed or rounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFile {
    /// Layers and experts of every window.
    pub shape: ModelShape,
    /// The windows, in order; at least one.
    pub windows: Vec<ExpertLoad>,
}

impl LoadFile {
    /// Most counts of a file, all windows together. Reading needs 16 bytes of memory for each.
    pub const MOST_COUNTS: u64 = 1 << 26;
    /// Most windows of a file.
    pub const MOST_WINDOWS: u64 = 1 << 20;
    /// Most bytes of a JSON file, whose parsed form takes about 16 times as many.
    pub const MOST_JSON_BYTES: u64 = 1 << 26;

    /// Reads the loads of a model without expert groups.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold loads; the error names the file, the array, the
    /// index and the value.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, LoadFileError> {
        Self::read_with_groups(path, 1)
    }

    /// Reads the loads of a model with `groups` expert groups.
    ///
    /// # Errors
    /// As [`LoadFile::read`], and if the experts do not divide into `groups`.
    pub fn read_with_groups(path: impl AsRef<Path>, groups: u32) -> Result<Self, LoadFileError> {
        let path = path.as_ref();
        Counts::read(path)
            .and_then(|counts| counts.into_load_file(groups))
            .map_err(|problem| LoadFileError::new(path, problem))
    }
}

/// The file formats that are read, by ending.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Npy,
    Npz,
    Json,
}

impl Format {
    pub(crate) fn of(path: &Path) -> Result<Self, LoadFileProblem> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("npy") => Ok(Self::Npy),
            Some("npz") => Ok(Self::Npz),
            Some("json") => Ok(Self::Json),
            _ => Err(LoadFileProblem::UnknownEnding { ending: ending.unwrap_or_default() }),
        }
    }
}

/// Counts of all windows before they are split into loads.
pub(crate) struct Counts {
    /// What the file calls them, for messages.
    place: String,
    /// `[layers, experts]` or `[windows, layers, experts]`; no dimension is zero.
    dimensions: Vec<u64>,
    /// In C order.
    values: Vec<u64>,
}

impl Counts {
    fn read(path: &Path) -> Result<Self, LoadFileProblem> {
        match Format::of(path)? {
            Format::Npy => npy::read_counts(BufReader::new(open(path)?), "the array"),
            Format::Npz => Archive::open(path)?.counts(),
            Format::Json => json::read_counts(open(path)?),
        }
    }

    pub(crate) fn into_load_file(self, groups: u32) -> Result<LoadFile, LoadFileProblem> {
        let Self { place, dimensions, values } = self;
        let (layers, experts) = match dimensions[..] {
            [layers, experts] | [_, layers, experts] => (layers, experts),
            _ => return Err(LoadFileProblem::Dimensions { place, dimensions }),
        };
        // Too large for u32 is too large for a shape: its own error says what is allowed.
        let narrow = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
        let shape = ModelShape::new(narrow(layers), narrow(experts), groups)
            .map_err(|problem| LoadFileProblem::Shape { place: place.clone(), problem })?;
        let mut windows = Vec::new();
        for window in values.chunks_exact(shape.layers() * shape.experts()) {
            let rows: Vec<&[u64]> = window.chunks_exact(shape.experts()).collect();
            let load = ExpertLoad::from_rows(shape, &rows).map_err(|problem| {
                LoadFileProblem::Load { place: place.clone(), window: windows.len(), problem }
            })?;
            windows.push(load);
        }
        Ok(LoadFile { shape, windows })
    }
}

/// Checks the dimensions that a file promises, before anything is allocated for them.
fn check_dimensions(place: &str, dimensions: &[u64]) -> Result<(), LoadFileProblem> {
    let place = || place.to_owned();
    if !matches!(dimensions.len(), 2 | 3) {
        return Err(LoadFileProblem::Dimensions {
            place: place(),
            dimensions: dimensions.to_vec(),
        });
    }
    if dimensions.contains(&0) {
        return Err(LoadFileProblem::Empty { place: place(), dimensions: dimensions.to_vec() });
    }
    let counts = dimensions.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    let windows = if dimensions.len() == 3 { dimensions[0] } else { 1 };
    if windows > LoadFile::MOST_WINDOWS || counts.is_none_or(|all| all > LoadFile::MOST_COUNTS) {
        return Err(LoadFileProblem::TooManyCounts {
            place: place(),
            dimensions: dimensions.to_vec(),
        });
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, LoadFileProblem> {
    let is_file = std::fs::metadata(path).map_err(LoadFileProblem::Io)?.is_file();
    if !is_file {
        return Err(LoadFileProblem::NotAFile);
    }
    File::open(path).map_err(LoadFileProblem::Io)
}
