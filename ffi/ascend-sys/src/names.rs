//! How the libraries are called.

use eplb_loading::LibraryNames;

/// CANN 9 has the runtime in a library of its own and keeps the old one beside it; up to CANN 8 there
/// is only the latter.
pub(crate) const ACL_RUNTIME: LibraryNames =
    LibraryNames::new("ACL runtime", "EPLB_ASCENDCL", &["libacl_rt.so", "libascendcl.so"]);

/// CANN 9 has communicators in a library beside that of the operators; up to CANN 8 all is in the
/// latter.
pub(crate) const HCCL: LibraryNames =
    LibraryNames::new("HCCL", "EPLB_HCCL", &["libhccl.so", "libhcomm.so"]);
