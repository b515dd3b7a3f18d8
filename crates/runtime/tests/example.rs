//! The example of the documentation runs, and is as short as the documentation says.

use std::process::Command;

/// What an example prints.
fn run(name: &str) -> String {
    // Cargo builds the examples of a package together with its tests.
    let test = std::env::current_exe().expect("a path of this test");
    let built = test.parent().and_then(|folder| folder.parent()).expect("a target folder");
    let example = built.join("examples").join(name);
    let output = Command::new(&example).output().unwrap_or_else(|error| {
        panic!("{}: {error}; run `cargo test -p eplb`, which builds it", example.display())
    });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    printed
}

fn balancedness(line: &str) -> f64 {
    let number = line.split("balancedness ").nth(1).and_then(|rest| rest.split(',').next());
    number.and_then(|number| number.parse().ok()).expect("a balancedness on each line")
}

#[test]
fn the_example_with_counters_on_the_device_balances_its_load() {
    let printed = run("counters");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 33);
    assert!(balancedness(lines[31]) > balancedness(lines[0]) + 0.1, "{printed}");
    let last: Vec<_> = lines[32].split_whitespace().collect();
    let reported: u64 = last[1].parse().expect("how many readings were reported");
    assert!((31..=32).contains(&reported), "{printed}");
    assert!(lines[32].ends_with(" 0 dropped"), "{printed}");
}

#[test]
fn the_example_engine_balances_its_load() {
    let printed = run("engine");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 32);
    assert!(balancedness(lines[31]) > balancedness(lines[0]) + 0.1, "{printed}");
    assert!(lines[31].ends_with("epoch 1"), "{printed}");
}

#[test]
fn the_example_engine_is_short() {
    let lines = include_str!("../examples/engine.rs").lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//") && !line.trim().is_empty());
    let code = code.count();
    assert!(code < 60, "an engine embeds the library in under 60 lines, these are {code}");
}
