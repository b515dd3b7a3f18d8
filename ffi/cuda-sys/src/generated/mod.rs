//! What ci/update-bindings made of the headers.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "names are the vendor's, and names of codes say what they mean"
)]

mod eplb_cublas;
mod eplb_cublas_functions;
mod eplb_cuda_driver;
mod eplb_cuda_driver_functions;
mod eplb_cuda_runtime;
mod eplb_cuda_runtime_functions;
mod eplb_nccl;
mod eplb_nccl_functions;

pub use eplb_cublas::*;
pub use eplb_cublas_functions::Cublas;
pub use eplb_cuda_driver::*;
pub use eplb_cuda_driver_functions::CudaDriver;
pub use eplb_cuda_runtime::*;
pub use eplb_cuda_runtime_functions::CudaRuntime;
pub use eplb_nccl::*;
pub use eplb_nccl_functions::Nccl;
