//! What the headers declare, as far as tests look at it.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::PathBuf;

/// The C headers, in the order in which they include each other.
pub(crate) fn paths() -> Vec<PathBuf> {
    let include = super::built::folder().join("include");
    let names =
        ["eplb.h", "eplb_coordinator.h", "eplb_device.h", "eplb_session.h", "eplb_message.h"];
    names.map(|name| include.join(name)).to_vec()
}

/// All headers without comments.
pub(crate) fn code() -> String {
    let mut code = String::new();
    for path in paths() {
        let text = std::fs::read_to_string(path).unwrap();
        for (index, part) in text.split("/*").enumerate() {
            let part = if index == 0 { part } else { part.split_once("*/").unwrap().1 };
            code.push_str(part);
        }
    }
    code
}

/// The names of the functions, in order.
pub(crate) fn functions() -> Vec<String> {
    let code = code();
    let mut names: Vec<String> = code
        .lines()
        .filter(|line| !line.starts_with([' ', '#']) && !line.starts_with("typedef"))
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("eplb_"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}
