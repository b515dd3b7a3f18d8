//! Where the emulated libraries are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the build has put them, one folder per vendor.
const FOLDER: &str = env!("EPLB_EMULATED_LIBRARIES");

/// A vendor whose libraries are emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// The CUDA runtime and driver, and NCCL.
    Cuda,
    /// ACL and HCCL.
    Ascend,
}

/// The emulated libraries of one vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emulated {
    folder: PathBuf,
    /// Environment variable and file.
    files: &'static [(&'static str, &'static str)],
    core: &'static str,
}

impl Vendor {
    /// The vendor of this name, as the program `emulated` takes it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "cuda" => Some(Self::Cuda),
            "ascend" => Some(Self::Ascend),
            _ => None,
        }
    }

    /// Its libraries.
    pub fn libraries(self) -> Emulated {
        match self {
            Self::Cuda => cuda(),
            Self::Ascend => ascend(),
        }
    }
}

/// The emulated CUDA runtime and driver, NCCL and cuBLAS.
pub fn cuda() -> Emulated {
    Emulated {
        folder: Path::new(FOLDER).join("cuda"),
        files: &[
            ("EPLB_CUDART", "libcudart.so"),
            ("EPLB_CUDA", "libcuda.so.1"),
            ("EPLB_NCCL", "libnccl.so.2"),
            ("EPLB_CUBLAS", "libcublas.so.13"),
        ],
        core: "libeplb_emulated_cuda.so",
    }
}

/// The emulated ACL and HCCL.
pub fn ascend() -> Emulated {
    Emulated {
        folder: Path::new(FOLDER).join("ascend"),
        files: &[("EPLB_ASCENDCL", "libascendcl.so"), ("EPLB_HCCL", "libhccl.so")],
        core: "libeplb_emulated_ascend.so",
    }
}

impl Emulated {
    /// The folder that holds all of them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The library that a variable such as `EPLB_CUDART` names.
    pub fn file(&self, variable: &str) -> Option<PathBuf> {
        let (_, file) = self.files.iter().find(|(known, _)| *known == variable)?;
        Some(self.folder.join(file))
    }

    /// What makes a process, or its children, load these libraries: variable and path.
    pub fn environment(&self) -> BTreeMap<&'static str, PathBuf> {
        self.files.iter().map(|(variable, file)| (*variable, self.folder.join(file))).collect()
    }

    /// The library that holds what they share, and takes orders.
    pub(crate) fn core(&self) -> PathBuf {
        self.folder.join(self.core)
    }
}
