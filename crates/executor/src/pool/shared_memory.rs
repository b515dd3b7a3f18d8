//! Experts in shared memory of a node.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use eplb_core::{ExpertId, LayerId};
use eplb_device::Wait;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{ExpertLayout, ExpertPool};
use crate::PoolError;

/// Room for the header; experts begin behind it, on a page of their own.
const HEADER: usize = 4_096;
const MAGIC: [u8; 8] = *b"EPLBPOOL";
/// The version of the header and of the order of experts.
const VERSION: u64 = 1;

/// All experts in a file in memory (under `/dev/shm`), which the processes of a node share: the first
/// one fills it from a slower pool, the others wait for it.
///
/// Who fills holds an exclusive lock of the file, who reads a shared one. The system takes locks from
/// processes that die, so after a crash of the filler the next process fills it anew. What the
/// file holds is told by its header: a mark that it is complete, its size, and a digest of the layout and
/// of the identity of the pool that it was filled from. A file with other contents is filled anew
/// when no process reads it. It outlives the processes, so that a service starts again fast; to give
/// its memory back, delete it.
///
/// Bytes are read by position and not mapped, for the reason that [`super::SafetensorsPool`] gives.
#[derive(Debug)]
pub struct SharedMemoryPool {
    path: PathBuf,
    /// Keeps its shared lock until it is closed.
    file: File,
    layout: ExpertLayout,
    identity: u64,
    /// Where the first expert of each layer and tensor begins.
    starts: Vec<Vec<u64>>,
}

/// What a process wants to find in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contents {
    /// Bytes of the file.
    bytes: u64,
    digest: u64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Complete(Contents),
    Unfilled,
}

impl SharedMemoryPool {
    /// The experts of `source` in the file at `path`, which is made and filled if no process has
    /// done so yet. `wait` bounds the wait for other processes.
    ///
    /// # Errors
    /// The deadline passed while another process fills the file or uses it with other contents; a file of
    /// another user; too little memory; a source that can't be read.
    pub fn open(
        path: &Path,
        source: &dyn ExpertPool,
        wait: &mut dyn Wait,
    ) -> Result<Self, PoolError> {
        let layout = source.layout().clone();
        let wanted = Contents {
            bytes: HEADER as u64 + layout.total_bytes(),
            digest: Self::digest(&layout, source.identity()),
        };
        let failed = |source| PoolError::File { path: path.to_owned(), source };
        let file = Self::open_file(path)?;
        let mut has_filled = false;
        loop {
            if Self::taken(file.try_lock_shared()).map_err(failed)? {
                if Self::found(&file).map_err(failed)? == Found::Complete(wanted) {
                    let identity = source.identity();
                    let starts = Self::starts(&layout);
                    return Ok(Self { path: path.to_owned(), file, layout, identity, starts });
                }
                file.unlock().map_err(failed)?;
            }
            if Self::taken(file.try_lock()).map_err(failed)? {
                // Another process may have filled it since this one looked.
                let is_filled = Self::found(&file).map_err(failed)? == Found::Complete(wanted);
                let filled = if is_filled || has_filled {
                    Ok(())
                } else {
                    has_filled = true;
                    Self::fill(path, &file, source, wanted)
                };
                file.unlock().map_err(failed)?;
                filled?;
                if Self::found(&file).map_err(failed)? == Found::Complete(wanted) {
                    continue;
                }
            }
            if wait.pause().is_err() {
                let state = match Self::found(&file).map_err(failed)? {
                    Found::Complete(found) if found == wanted => "another process holds its lock",
                    Found::Complete(_) => {
                        "other processes use it with the experts of another model"
                    }
                    Found::Unfilled => "another process has not filled it yet",
                };
                return Err(PoolError::TimedOut { path: path.to_owned(), state });
            }
        }
    }

    /// The file in memory that all processes of a node reach under `name`.
    pub fn path_of(name: &str) -> PathBuf {
        Path::new("/dev/shm").join(name)
    }

    fn digest(layout: &ExpertLayout, identity: u64) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&layout.digest().to_le_bytes());
        hash.update(&identity.to_le_bytes());
        hash.digest()
    }

    fn starts(layout: &ExpertLayout) -> Vec<Vec<u64>> {
        let mut next = HEADER as u64;
        let mut start = |bytes: usize| {
            let start = next;
            next += bytes as u64 * layout.experts() as u64;
            start
        };
        let layers = (0..layout.layers()).map(LayerId::from_index);
        layers
            .map(|layer| layout.tensors(layer).iter().map(|tensor| start(tensor.bytes)).collect())
            .collect()
    }

    fn open_file(path: &Path) -> Result<File, PoolError> {
        let failed = |source| PoolError::File { path: path.to_owned(), source };
        let refuse = |reason: &str| {
            Err(PoolError::Form { path: path.to_owned(), reason: reason.to_owned() })
        };
        // Everybody may make files there: nothing is read or written that another user made or
        // points to.
        if let Ok(found) = std::fs::symlink_metadata(path)
            && !found.is_file()
        {
            return refuse("it is not a regular file");
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(failed)?;
        let own = std::fs::metadata("/proc/self").map_err(failed)?.uid();
        if file.metadata().map_err(failed)?.uid() != own {
            return refuse("it belongs to another user; name another file");
        }
        Ok(file)
    }

    /// Whether a lock was taken.
    fn taken(lock: Result<(), TryLockError>) -> io::Result<bool> {
        match lock {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// What the file's header says; a header that was not written whole says nothing.
    fn found(file: &File) -> io::Result<Found> {
        let length = file.metadata()?.len();
        if length < HEADER as u64 {
            return Ok(Found::Unfilled);
        }
        let mut header = [0; 48];
        file.read_exact_at(&mut header, 0)?;
        let number =
            |index: usize| u64::from_le_bytes(std::array::from_fn(|byte| header[8 * index + byte]));
        let is_sound = header[..8] == MAGIC && xxh3_64(&header[..40]) == number(5);
        let is_complete = number(1) == VERSION && number(2) == 1 && number(3) == length;
        if is_sound && is_complete {
            return Ok(Found::Complete(Contents { bytes: number(3), digest: number(4) }));
        }
        Ok(Found::Unfilled)
    }

    fn header(contents: Contents, is_complete: bool) -> [u8; 48] {
        let mut header = [0; 48];
        header[..8].copy_from_slice(&MAGIC);
        let numbers = [VERSION, u64::from(is_complete), contents.bytes, contents.digest];
        for (index, number) in numbers.into_iter().enumerate() {
            header[8 * (index + 1)..][..8].copy_from_slice(&number.to_le_bytes());
        }
        let check = xxh3_64(&header[..40]);
        header[40..].copy_from_slice(&check.to_le_bytes());
        header
    }

    fn fill(
        path: &Path,
        file: &File,
        source: &dyn ExpertPool,
        contents: Contents,
    ) -> Result<(), PoolError> {
        let failed = |source| PoolError::File { path: path.to_owned(), source };
        file.set_len(0).map_err(failed)?;
        file.set_len(contents.bytes).map_err(failed)?;
        file.write_all_at(&Self::header(contents, false), 0).map_err(failed)?;
        let layout = source.layout();
        let mut next = HEADER as u64;
        let mut bytes = Vec::new();
        for (layer, tensor, expert) in layout.entries() {
            let tensor = &layout.tensors(layer)[tensor];
            bytes.resize(tensor.bytes, 0);
            source.read(layer, &tensor.name, expert, &mut bytes)?;
            file.write_all_at(&bytes, next).map_err(failed)?;
            next += tensor.bytes as u64;
        }
        file.write_all_at(&Self::header(contents, true), 0).map_err(failed)
    }
}

impl ExpertPool for SharedMemoryPool {
    fn layout(&self) -> &ExpertLayout {
        &self.layout
    }

    fn identity(&self) -> u64 {
        self.identity
    }

    fn read(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        into: &mut [u8],
    ) -> Result<(), PoolError> {
        let tensor = self.layout.find(layer, tensor, expert, into.len())?;
        let start = self.starts[layer.index()][tensor] + expert.index() as u64 * into.len() as u64;
        let read = self.file.read_exact_at(into, start);
        read.map_err(|source| PoolError::File { path: self.path.clone(), source })
    }
}
