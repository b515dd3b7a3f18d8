//! The example of the documentation runs, and is as short as the documentation says.

use std::process::Command;

#[test]
fn the_example_engine_balances_its_load() {
    // Cargo builds the examples of a package together with its tests.
    let test = std::env::current_exe().expect("a path of this test");
    let built = test.parent().and_then(|folder| folder.parent()).expect("a target folder");
    let example = built.join("examples").join("engine");
    let output = Command::new(&example).output().unwrap_or_else(|error| {
        panic!("{}: {error}; run `cargo test -p eplb`, which builds it", example.display())
    });
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let balancedness = |line: &str| -> f64 {
        let number = line.split("balancedness ").nth(1).and_then(|rest| rest.split(',').next());
        number.and_then(|number| number.parse().ok()).expect("a balancedness on each line")
    };
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
