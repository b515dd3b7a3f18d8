//! Tests that need several crates at once; see the folder `tests` beside this file. There is nothing
//! to use here.

#![forbid(unsafe_code)]
