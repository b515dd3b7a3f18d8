//! Runs a command whose CUDA or Ascend libraries are the emulated ones: `emulated cuda COMMAND...`.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use eplb_emulators::Vendor;

/// Why nothing was run. Its debug form is what the user reads.
struct Refusal(String);

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn main() -> Result<(), Refusal> {
    let mut arguments = std::env::args_os().skip(1);
    let vendor = arguments.next().and_then(|name| Vendor::named(name.to_str()?));
    let (Some(vendor), Some(program)) = (vendor, arguments.next()) else {
        return Err(Refusal("usage: emulated cuda|ascend COMMAND [ARGUMENT]...".to_owned()));
    };
    let environment = vendor.libraries().environment();
    if let Some(path) = environment.values().find(|path| !path.exists()) {
        let path = path.display();
        return Err(Refusal(format!("the emulated library {path} was not built")));
    }
    // Only comes back if the command cannot be run.
    let error = Command::new(&program).args(arguments).envs(environment).exec();
    Err(Refusal(format!("{}: {error}", program.to_string_lossy())))
}
