//! The programs of the documentation do the whole cycle, are short, and stand in the documentation.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod built;

use std::path::PathBuf;

/// What a program of the documentation prints.
const PRINTED: &str = "1 layer committed, 6 slots verified\n";

fn example(name: &str) -> PathBuf {
    built::folder().join("examples").join(name)
}

#[test]
fn the_program_in_c_does_the_whole_cycle() {
    assert_eq!(built::run(&built::program(&[example("cycle.c")], "cycle-c"), &[]), PRINTED);
}

#[test]
fn the_program_in_cpp_does_the_whole_cycle() {
    let program = built::program(&[example("cycle.cpp")], "cycle-cpp");
    assert_eq!(built::run(&program, &["host"]), PRINTED);
}

#[test]
fn the_example_engine_balances_its_load_and_computes_what_one_device_would() {
    let folder = example("engine");
    let sources = ["main.cpp", "rank.cpp"].map(|name| folder.join(name));
    let printed = built::run(&built::program(&sources, "engine"), &["host", "4"]);
    let lines: Vec<&str> = printed.lines().collect();
    let balancedness = |line: &str| -> f64 {
        let (_, number) = line.rsplit_once("balancedness ").unwrap();
        number.parse().unwrap()
    };
    assert_eq!(lines.len(), 5, "{printed}");
    // The experts that are hot change in the middle of the run.
    assert!(balancedness(lines[1]) > balancedness(lines[0]) + 0.1, "{printed}");
    assert!(balancedness(lines[3]) > balancedness(lines[2]) + 0.05, "{printed}");
    assert!(lines[4].ends_with("all outputs as on one device"), "{printed}");
}

#[test]
fn the_header_is_c99_and_cpp17_by_itself() {
    let folder = built::folder().join("include");
    for (compiler, standard, header) in [
        ("cc", "-std=c99", "eplb.h"),
        ("cc", "-std=c17", "eplb.h"),
        ("c++", "-std=c++17", "eplb.h"),
        ("c++", "-std=c++17", "eplb.hpp"),
        ("c++", "-std=c++20", "eplb.hpp"),
    ] {
        let language = if compiler == "cc" { "c" } else { "c++" };
        let checked = std::process::Command::new(compiler)
            .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x"])
            .args([language, "-include"])
            .arg(folder.join(header))
            .arg("/dev/null")
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn the_programs_are_short_and_stand_in_the_documentation() {
    let documentation = built::folder().join("../../docs/embedding.md");
    let documentation = std::fs::read_to_string(documentation).unwrap();
    for name in ["cycle.c", "cycle.cpp"] {
        let text = std::fs::read_to_string(example(name)).unwrap();
        assert!(text.lines().count() < 80, "{name} has {} lines", text.lines().count());
        assert!(documentation.contains(text.trim_end()), "docs/embedding.md does not quote {name}");
    }
}
