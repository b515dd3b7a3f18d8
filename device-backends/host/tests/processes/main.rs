//! Ranks of the host backend as real processes: memory of others, and communicators.
//!
//! A program of its own: it checks, and plays each of the other processes as well.

#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]
#![allow(clippy::print_stdout, reason = "a test program reports on its output")]

mod child;
mod peer_memory;
mod ranks;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    if let Ok(part) = std::env::var(child::PART) {
        let mut parts = peer_memory::PARTS.iter().chain(ranks::PARTS);
        let (_, play) = parts.find(|(name, _)| *name == part).unwrap();
        play();
        return ExitCode::SUCCESS;
    }
    let checks = peer_memory::CHECKS.iter().chain(ranks::CHECKS);
    // As the standard harness does, so that one check can be run alone.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, check) in checks {
        if wanted.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        let begun = Instant::now();
        let passed = std::panic::catch_unwind(check).is_ok();
        failed += u32::from(!passed);
        let outcome = if passed { "ok" } else { "FAILED" };
        println!("{name}: {outcome} in {:.2} s", begun.elapsed().as_secs_f64());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
