//! Experts in `safetensors` files.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use eplb_core::{ExpertId, LayerId};
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use super::{ExpertLayout, ExpertPool, TensorTemplate};
use crate::PoolError;

/// The index of a checkpoint in several files, as the Hugging Face libraries write it.
const INDEX: &str = "model.safetensors.index.json";
/// The length of the header comes first, in so many bytes.
const LENGTH: u64 = 8;
/// No real header is longer; the format's own library has the same limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// The experts of a checkpoint in `safetensors` files, in one or in several.
///
/// The files are read by position from the page cache and never mapped: a mapped file that somebody
/// cuts short or replaces in place kills the process that touches it by SIGBUS, and that process
/// serves. A read that comes too late is an error instead. Only headers are parsed, when the pool is
/// opened, and checked against the sizes of the files; whether the bytes of every expert are there
/// is known from then on. The format is that of <https://github.com/huggingface/safetensors>.
#[derive(Debug)]
pub struct SafetensorsPool {
    files: Vec<(PathBuf, File)>,
    layout: ExpertLayout,
    /// For each layer, tensor and expert where its bytes are.
    parts: Vec<Vec<Vec<Vec<Part>>>>,
    identity: u64,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    file: usize,
    offset: u64,
    bytes: usize,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl SafetensorsPool {
    /// Opens a file, or the files of a folder: those that its index names, or without an index all.
    /// Tensors of the files are opaque bytes, whatever their type; those that make one of ours must
    /// have just the bytes that `layout` says.
    ///
    /// # Errors
    /// Files that can't be read or are damaged; an expert that they don't hold, or with other bytes.
    pub fn open(
        path: &Path,
        template: &TensorTemplate,
        layout: ExpertLayout,
    ) -> Result<Self, PoolError> {
        template.check()?;
        let mut checkpoint = Checkpoint::open(path)?;
        let parts = checkpoint.find_all(template, &layout)?;
        let files = checkpoint.files.into_iter().map(|shard| (shard.path, shard.file)).collect();
        let identity = checkpoint.identity.digest();
        Ok(Self { files, layout, parts, identity })
    }
}

impl ExpertPool for SafetensorsPool {
    fn layout(&self) -> &ExpertLayout {
        &self.layout
    }

    /// Made of the names, sizes and times of change of the files.
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
        let mut rest = into;
        for part in &self.parts[layer.index()][tensor][expert.index()] {
            let (first, behind) = rest.split_at_mut(part.bytes);
            let (path, file) = &self.files[part.file];
            file.read_exact_at(first, part.offset).map_err(|source| unreadable(path, source))?;
            rest = behind;
        }
        Ok(())
    }
}

/// The files of a checkpoint while the experts in them are looked up.
struct Checkpoint {
    path: PathBuf,
    /// Of a checkpoint with an index: the file of each tensor. The files are opened as needed.
    index: Option<BTreeMap<String, String>>,
    files: Vec<Shard>,
    identity: Xxh3,
}

struct Shard {
    path: PathBuf,
    file: File,
    header: Metadata,
    /// Where the bytes of tensors begin.
    start: u64,
}

impl Checkpoint {
    fn open(path: &Path) -> Result<Self, PoolError> {
        let folder = path.is_dir();
        let index = path.join(INDEX);
        let is_indexed = folder && index.exists();
        let index = if is_indexed { Some(Self::read_index(&index)?) } else { None };
        let mut checkpoint =
            Self { path: path.to_owned(), index, files: Vec::new(), identity: Xxh3::new() };
        if !folder {
            checkpoint.add(path)?;
        } else if !is_indexed {
            for file in Self::files_of(path)? {
                checkpoint.add(&file)?;
            }
        }
        Ok(checkpoint)
    }

    fn read_index(path: &Path) -> Result<BTreeMap<String, String>, PoolError> {
        let text = std::fs::read(path).map_err(|source| unreadable(path, source))?;
        let index: Index = serde_json::from_slice(&text)
            .map_err(|error| form(path, format!("it is no index: {error}")))?;
        for file in index.weight_map.values() {
            let mut components = Path::new(file).components();
            let is_name = matches!(components.next(), Some(Component::Normal(_)));
            if !is_name || components.next().is_some() {
                let reason = format!("it names {file:?}; allowed are files beside it");
                return Err(form(path, reason));
            }
        }
        Ok(index.weight_map)
    }

    fn files_of(folder: &Path) -> Result<Vec<PathBuf>, PoolError> {
        let entries = std::fs::read_dir(folder).map_err(|source| unreadable(folder, source))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| unreadable(folder, source))?.path();
            if path.extension().is_some_and(|extension| extension == "safetensors") {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(form(folder, "the folder holds no .safetensors file".to_owned()));
        }
        files.sort();
        Ok(files)
    }

    /// Opens one more file; gives its number.
    fn add(&mut self, path: &Path) -> Result<usize, PoolError> {
        let failed = |source| unreadable(path, source);
        // Opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(form(path, "it is not a regular file".to_owned()));
        }
        let file = File::open(path).map_err(failed)?;
        let known = file.metadata().map_err(failed)?;
        let (header, start) = Self::read_header(path, &file, known.len())?;
        self.identity.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        for number in [known.len(), known.mtime() as u64, known.mtime_nsec() as u64] {
            self.identity.update(&number.to_le_bytes());
        }
        self.files.push(Shard { path: path.to_owned(), file, header, start });
        Ok(self.files.len() - 1)
    }

    /// The header of a file of `bytes` bytes, and where what follows it begins.
    fn read_header(path: &Path, file: &File, bytes: u64) -> Result<(Metadata, u64), PoolError> {
        let failed = |source| unreadable(path, source);
        if bytes < LENGTH {
            return Err(form(path, format!("{bytes} bytes are too few for a safetensors file")));
        }
        let mut length = [0; LENGTH as usize];
        file.read_exact_at(&mut length, 0).map_err(failed)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER || length > bytes - LENGTH {
            let reason = format!("a header of {length} bytes in a file of {bytes}");
            return Err(form(path, reason));
        }
        let mut header = vec![0; length as usize];
        file.read_exact_at(&mut header, LENGTH).map_err(failed)?;
        // Reading it checks that tensors follow each other without gaps and are as long as their
        // shapes say.
        let header: Metadata = serde_json::from_slice(&header)
            .map_err(|error| form(path, format!("its header can't be used: {error}")))?;
        let start = LENGTH + length;
        let held = bytes - start;
        if header.data_len() as u64 != held {
            let named = header.data_len();
            let reason = format!("its header names {named} bytes of tensors, it holds {held}");
            return Err(form(path, reason));
        }
        Ok((header, start))
    }

    fn find_all(
        &mut self,
        template: &TensorTemplate,
        layout: &ExpertLayout,
    ) -> Result<Vec<Vec<Vec<Vec<Part>>>>, PoolError> {
        let mut parts: Vec<Vec<Vec<_>>> = (0..layout.layers())
            .map(|layer| vec![Vec::new(); layout.tensors(LayerId::from_index(layer)).len()])
            .collect();
        for (layer, tensor, expert) in layout.entries() {
            let known = &layout.tensors(layer)[tensor];
            let mut found = Vec::new();
            for name in template.names(layer, expert, &known.name) {
                let part = self.find(&name, template, layout.experts(), expert)?;
                found.push(part.ok_or_else(|| PoolError::NoTensor {
                    path: self.path.clone(),
                    name,
                    layer,
                    expert,
                    tensor: known.name.clone(),
                })?);
            }
            let bytes: usize = found.iter().map(|part| part.bytes).sum();
            if bytes != known.bytes {
                let (tensor, found, expected) = (known.name.clone(), bytes, known.bytes);
                return Err(PoolError::Size { layer, expert, tensor, found, expected });
            }
            parts[layer.index()][tensor].push(found);
        }
        Ok(parts)
    }

    fn find(
        &mut self,
        name: &str,
        template: &TensorTemplate,
        experts: usize,
        expert: ExpertId,
    ) -> Result<Option<Part>, PoolError> {
        let file = match &self.index {
            None => self.files.iter().position(|shard| shard.header.info(name).is_some()),
            Some(index) => match index.get(name) {
                None => None,
                Some(file) => {
                    let path = self.path.join(file);
                    let open = self.files.iter().position(|shard| shard.path == path);
                    Some(match open {
                        Some(open) => open,
                        None => self.add(&path)?,
                    })
                }
            },
        };
        let Some(file) = file else { return Ok(None) };
        let shard = &self.files[file];
        let Some(info) = shard.header.info(name) else { return Ok(None) };
        let (begin, end) = info.data_offsets;
        let mut part = Part { file, offset: shard.start + begin as u64, bytes: end - begin };
        if !template.is_by_expert() {
            Self::check_first_axis(&shard.path, name, info, experts)?;
            part.bytes /= experts;
            part.offset += (expert.index() * part.bytes) as u64;
        }
        Ok(Some(part))
    }

    fn check_first_axis(
        path: &Path,
        name: &str,
        info: &TensorInfo,
        experts: usize,
    ) -> Result<(), PoolError> {
        let first = info.shape.first().copied();
        if first == Some(experts) && experts > 0 {
            return Ok(());
        }
        let shape = &info.shape;
        let reason =
            format!("{name} is of shape {shape:?}; its first axis must be {experts} experts");
        Err(form(path, reason))
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> PoolError {
    PoolError::File { path: path.to_owned(), source }
}

fn form(path: &Path, reason: String) -> PoolError {
    PoolError::Form { path: path.to_owned(), reason }
}
