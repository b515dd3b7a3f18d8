//! Each vendor's function that is bound fails once, with each of three codes that are typical for it,
//! under everything that a backend does: the failure has to come out as an error with the vendor's number
//! and words, leave nothing behind, and keep nothing from working afterwards.
//!
//! The functions are those of the tables, so that none that is bound later can be forgotten. What need
//! not be so stands in the vendors' lists, with the reason, and has to be true as well: a function that
//! is listed as never called must never be called.
//!
//! A program that runs itself again, with the emulated libraries: one process has a scenario run again
//! and again, and is ended when it takes too long.

#![allow(unsafe_code, reason = "a test plays the engine, which calls the vendor's library")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a test program reports on its output")]

mod ascend;
mod cases;
mod child;
mod cuda;
mod links;
mod parent;
mod scenario;
mod scene;
mod vendor;
mod verdict;

use std::process::ExitCode;

use vendor::Vendor;

/// What is run: a vendor in one form of its libraries.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) vendor: &'static dyn Vendor,
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// Whether only functions are run whose form differs from that of the line before.
    pub(crate) only_other_forms: bool,
}

pub(crate) const LINES: &[Line] = &[
    Line { name: "cuda", vendor: &cuda::Cuda, environment: &[], only_other_forms: false },
    Line {
        name: "cuda 12",
        vendor: &cuda::Cuda,
        environment: &[("EPLB_EMULATOR_CUDA_VERSION", "12090")],
        only_other_forms: true,
    },
    Line { name: "ascend", vendor: &ascend::Ascend, environment: &[], only_other_forms: false },
];

fn main() -> ExitCode {
    if let Some(role) = child::own_role() {
        child::play(&role);
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut passed = true;
    for line in LINES {
        passed &= parent::run(line, filter.as_deref());
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
