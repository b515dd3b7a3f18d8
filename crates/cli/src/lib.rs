//! The command line `eplb`: runs a trace through a small engine with and without balancing, plans
//! placements from load files, makes profiles, and replays traces through policies,
//! says which devices can be used, and tests backends. All printing of the project lives here.
//!
//! Results go to standard output, as text for people or as one JSON object. Errors are one line on
//! standard error and exit status 2; status 1 says that a run ended and its verification failed, or
//! that a case of the conformance suite did; status 3 that ranks of a run were lost, and the others went
//! back to the old epoch.

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod chart;
mod conformance;
mod doctor;
mod estimator;
mod failure;
mod numbers;
mod output;
mod page;
mod plan;
mod profile;
mod progress;
mod run;
mod run_config;
mod run_text;
mod simulate;
mod topology;
mod window_range;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;

/// Runs the command that `args` (with the program's name first) ask for.
pub fn main_with(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            // Help and version. Nobody is left to tell when standard output is gone.
            let _ = write!(out, "{error}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return Failure::of_arguments(&error).report(err),
    };
    start_tracing();
    let done = match &arguments.command {
        Some(Command::Plan(arguments)) => plan::plan(arguments, out),
        Some(Command::Profile(arguments)) => profile::profile(arguments, out),
        Some(Command::Simulate(arguments)) => simulate::simulate(arguments, out),
        Some(Command::Doctor(arguments)) => doctor::doctor(arguments, out),
        Some(Command::Conformance(arguments)) => conformance::conformance(arguments, out),
        Some(Command::ConformanceRank(arguments)) => conformance::conformance_rank(arguments, out),
        Some(Command::Bench { command }) => bench::bench(command, out),
        Some(Command::Run(arguments)) => run::run(arguments, out),
        None => run::run(&arguments.run, out),
    };
    match done {
        Ok(status) => status,
        Err(failure) => failure.report(err),
    }
}

/// Events of the library go to standard error when `RUST_LOG` asks for them.
fn start_tracing() {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // A second start in one process keeps the first.
        let _ = subscriber.try_init();
    }
}
