//! Loading: from libraries that a C compiler makes here, with the layouts of CANN 8 and CANN 9.
#![allow(unsafe_code, reason = "functions of loaded libraries are called")]
#![allow(clippy::unwrap_used, reason = "a test that cannot make its libraries has failed")]

mod calls;
mod environment;
mod fake;
mod incomplete;
mod layouts;
