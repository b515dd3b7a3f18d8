//! Archives of NumPy arrays.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use zip::ZipArchive;

use super::error::LoadFileProblem;
use super::npy_header::Header;
use super::{Counts, npy, open};

/// An open `.npz` file.
pub(crate) struct Archive {
    archive: ZipArchive<BufReader<File>>,
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self, LoadFileProblem> {
        let archive = ZipArchive::new(BufReader::new(open(path)?))
            .map_err(|error| LoadFileProblem::NotZip { reason: error.to_string() })?;
        Ok(Self { archive })
    }

    /// The array named `counts`, or the only other one that can be the load.
    pub(crate) fn counts(&mut self) -> Result<Counts, LoadFileProblem> {
        let name = if self.holds("counts") { "counts".to_owned() } else { self.only_load_array()? };
        self.read(&name, |reader, place| npy::read_counts(reader, place))
    }

    /// The whole number that an array of one value holds, if there is the array.
    pub(crate) fn whole_number(&mut self, name: &str) -> Result<Option<u64>, LoadFileProblem> {
        if !self.holds(name) {
            return Ok(None);
        }
        self.read(name, |reader, place| npy::read_whole_number(reader, place)).map(Some)
    }

    /// The text that an array of one value holds, if there is the array.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, LoadFileProblem> {
        if !self.holds(name) {
            return Ok(None);
        }
        self.read(name, |reader, place| npy::read_text(reader, place)).map(Some)
    }

    fn holds(&self, name: &str) -> bool {
        self.archive.index_for_name(&file_name(name)).is_some()
    }

    /// The arrays, sorted: the archive keeps them in no order of its own.
    fn names(&self) -> Vec<String> {
        // A file whose name can't be read is no array that anybody asks for.
        let files = self.archive.file_names().filter_map(Result::ok);
        let mut names: Vec<String> =
            files.filter_map(|file| Some(file.strip_suffix(".npy")?.to_owned())).collect();
        names.sort();
        names.dedup();
        names
    }

    fn only_load_array(&mut self) -> Result<String, LoadFileProblem> {
        let (mut described, mut candidates) = (Vec::new(), Vec::new());
        for name in self.names() {
            let header = self.read(&name, |mut reader, place| Header::read(&mut reader, place))?;
            described.push(format!("{name} {} {:?}", header.descr, header.dimensions));
            if header.kind.is_number() && matches!(header.dimensions.len(), 2 | 3) {
                candidates.push(name);
            }
        }
        match candidates.len() {
            1 => Ok(candidates.remove(0)),
            0 => Err(LoadFileProblem::NoLoadArray { arrays: described.join(", ") }),
            _ => Err(LoadFileProblem::SeveralLoadArrays { arrays: candidates.join(", ") }),
        }
    }

    /// Reads one array with `read`, which is told what to call the array in messages.
    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut dyn Read, &str) -> Result<T, LoadFileProblem>,
    ) -> Result<T, LoadFileProblem> {
        let place = format!("array {name:?}");
        let entry = self.archive.by_name(&file_name(name));
        let entry = entry.map_err(|error| {
            let reason = format!("{place}: {error}");
            LoadFileProblem::Io(io::Error::new(ErrorKind::InvalidData, reason))
        })?;
        read(&mut BufReader::new(entry), &place)
    }
}

/// The file of an array within an archive.
fn file_name(array: &str) -> String {
    format!("{array}.npy")
}
