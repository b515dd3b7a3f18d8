//! What ci/update-bindings made of the headers.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "names are the vendor's, and names of codes say what they mean"
)]

mod eplb_acl;
mod eplb_acl_functions;
mod eplb_hccl;
mod eplb_hccl_functions;

pub use eplb_acl::*;
pub use eplb_acl_functions::AclRuntime;
pub use eplb_hccl::*;
pub use eplb_hccl_functions::Hccl;
