//! The ranks of a command line: `--ranks`, `--slots` and `--nodes`.

use eplb::core::Topology;

use crate::failure::Failure;

/// Ranks that share `slots` equally, on `nodes` nodes.
pub(crate) fn topology(ranks: u32, slots: u32, nodes: u32) -> Result<Topology, Failure> {
    if ranks == 0 {
        return Err(Failure::new("--ranks 0 is not allowed; allowed: at least 1"));
    }
    if slots == 0 || !slots.is_multiple_of(ranks) {
        return Err(Failure::new(format!(
            "--slots {slots} is not allowed; allowed: a multiple of --ranks, which is {ranks}"
        )));
    }
    Topology::uniform(ranks, slots / ranks, nodes).map_err(|error| {
        Failure::new(format!("--ranks {ranks} --slots {slots} --nodes {nodes}: {error}"))
    })
}

/// Whether the slots hold every expert of `file`.
pub(crate) fn check_room(
    slots: u32,
    experts: usize,
    file: &std::path::Path,
) -> Result<(), Failure> {
    if slots as usize >= experts {
        return Ok(());
    }
    let file = file.display();
    Err(Failure::new(format!(
        "--slots {slots} is not allowed; allowed: at least {experts}, the experts of {file}"
    )))
}
