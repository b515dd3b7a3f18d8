//! How the libraries are called.

use eplb_loading::LibraryNames;

/// The CUDA runtime; both majors in use have all that is needed, the newer first.
pub(crate) const CUDA_RUNTIME: LibraryNames = LibraryNames::new(
    "CUDA runtime",
    "EPLB_CUDART",
    &["libcudart.so.13", "libcudart.so.12", "libcudart.so"],
);

/// The CUDA driver comes with the kernel's module and has kept one name.
pub(crate) const CUDA_DRIVER: LibraryNames =
    LibraryNames::new("CUDA driver", "EPLB_CUDA", &["libcuda.so.1"]);

/// NCCL has kept one major; the plain name exists only where its development files are.
pub(crate) const NCCL: LibraryNames =
    LibraryNames::new("NCCL", "EPLB_NCCL", &["libnccl.so.2", "libnccl.so"]);

/// cuBLAS, whose majors are CUDA's.
pub(crate) const CUBLAS: LibraryNames = LibraryNames::new(
    "cuBLAS",
    "EPLB_CUBLAS",
    &["libcublas.so.13", "libcublas.so.12", "libcublas.so"],
);
