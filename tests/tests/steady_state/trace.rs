//! What `strace` has written of the steps.

use std::collections::BTreeMap;

/// The names of files that are looked for at the beginning and at the end: a mark in the trace.
pub(crate) const MARKS: [&str; 2] = ["/eplb-steps-begin", "/eplb-steps-end"];

/// Leaves a mark.
pub(crate) fn mark(name: &str) {
    assert!(std::fs::metadata(name).is_err(), "there is no such file");
}

/// System calls between the marks, by name.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Of the thread that made the marks.
    pub(crate) stepping: BTreeMap<String, usize>,
    /// Of all other threads.
    pub(crate) beside: BTreeMap<String, usize>,
}

impl Trace {
    /// Lines are `THREAD NAME(ARGUMENTS) = RESULT`; of a call that another thread's interrupts, the first
    /// part has the name.
    pub(crate) fn read(text: &str) -> Self {
        let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let find = |name| lines.iter().position(|(_, call)| call.contains(name));
        let [begin, end] = MARKS.map(|name| find(name).expect("the mark is in the trace"));
        let (thread, _) = lines[begin];
        let mut trace = Self::default();
        for (other, call) in &lines[begin + 1..end] {
            // The second part of an interrupted call has no name.
            let call = call.trim_start();
            let Some((name, _)) = call.split_once('(').filter(|_| !call.starts_with('<')) else {
                continue;
            };
            let calls = if *other == thread { &mut trace.stepping } else { &mut trace.beside };
            *calls.entry(name.to_owned()).or_default() += 1;
        }
        trace
    }
}
