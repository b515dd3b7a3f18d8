//! The vendors' libraries, emulated.
