//! Finds a vendor's library at run time and fills a table of its functions, or says why not.
//!
//! What is common to the crates beside this one: [`load`] goes through the places where a library can
//! be, takes the first that has all required symbols, and keeps what it saw on the way. Which places
//! there are, and what is opened at each, is the vendor's [`Place`]. The macros [`table!`] and [`code!`]
//! are what `ci/update-bindings` writes functions and enumerations of C with.
#![allow(unsafe_code, reason = "libraries are opened, and their addresses taken for functions")]

mod code;
mod error;
mod file;
mod library;
mod load;
mod names;
mod place;
mod search;
mod table;

pub use error::{Attempt, LoadError};
pub use file::file_of;
pub use library::{Library, Visibility};
pub use load::{Loaded, load};
pub use names::LibraryNames;
pub use place::Place;
pub use search::Search;
pub use table::{Table, without};
