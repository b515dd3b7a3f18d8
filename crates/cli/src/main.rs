//! The binary `eplb`; see the library beside it.

use std::io::{stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    eplb_cli::main_with(std::env::args_os(), &mut stdout().lock(), &mut stderr())
}
