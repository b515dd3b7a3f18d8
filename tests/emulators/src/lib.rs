//! The vendors' libraries, emulated over host memory: where they are, and what tests tell and ask them.
//!
//! They are strict about the rules in the vendors' manuals and show nothing of what real hardware does;
//! README.md beside this package says how they work, and what orders and reports there are.
#![allow(unsafe_code, reason = "the emulated libraries are C++, and are asked through C functions")]

mod control;
mod libraries;

pub use control::{Calls, Control, ControlError, Violation};
pub use libraries::{Emulated, Vendor, ascend, cuda};
