//! What is made to fail, in one run each.

use std::collections::BTreeMap;

use crate::Line;
use crate::vendor::{Rule, rules_of};

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) function: String,
    pub(crate) code: i32,
    /// Which call fails, from 1.
    pub(crate) nth: u64,
}

impl Case {
    /// As a line of text.
    pub(crate) fn write(&self) -> String {
        format!("{} {} {}", self.function, self.code, self.nth)
    }

    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let function = words.next()?.to_owned();
        let (code, nth) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { function, code, nth })
    }

    /// The orders that make it.
    pub(crate) fn orders(&self, line: &Line) -> String {
        let Self { function, code, nth } = self;
        let own = format!("fail {function} {code} nth {nth}");
        let after = rules_of(line.vendor, function).find_map(|rule| match rule {
            Rule::After(order) => Some(order),
            _ => None,
        });
        after.map_or(own.clone(), |after| format!("{after}; {own}"))
    }
}

/// The functions of a line, each once.
pub(crate) fn functions(line: &Line) -> Vec<&'static str> {
    let symbols = line.vendor.symbols();
    let is_first = |index: usize| !symbols[..index].contains(&symbols[index]);
    let chosen = (0..symbols.len()).filter(|&index| is_first(index) != line.only_other_forms);
    chosen.map(|index| symbols[index]).collect()
}

/// All failures of a line, and what is wrong with the list of those that are never called. `calls` are
/// those of a run without failures; of each function the first one fails, and others up to so many.
pub(crate) fn of(
    line: &Line,
    calls: &BTreeMap<String, u64>,
    most: u64,
) -> (Vec<Case>, Vec<String>) {
    let (mut cases, mut wrong) = (Vec::new(), Vec::new());
    for function in functions(line) {
        let count = calls.get(function).copied().unwrap_or(0);
        let rules = || rules_of(line.vendor, function);
        let uncalled = rules().find_map(|rule| match rule {
            Rule::Uncalled(why) => Some(why),
            _ => None,
        });
        let is_after = rules().any(|rule| matches!(rule, Rule::After(_)));
        match (uncalled, count) {
            (Some(_), 0) => continue,
            (Some(why), _) => {
                wrong.push(format!("{function} is called, and is listed as never called: {why}"));
                continue;
            }
            (None, 0) if !is_after => {
                wrong.push(format!("{function} is never called, and is not listed as such"));
                continue;
            }
            (None, _) => {}
        }
        let last = if is_after { 1 } else { count };
        let apart = last.div_ceil(most);
        for code in line.vendor.codes(function) {
            let mut nth = 1;
            while nth <= last {
                cases.push(Case { function: function.to_owned(), code, nth });
                nth += apart;
            }
        }
    }
    let symbols = line.vendor.symbols();
    let listed = line.vendor.rules().iter().flat_map(|(functions, _)| *functions);
    for function in listed.filter(|function| !symbols.contains(function)) {
        wrong.push(format!("{function} is listed, and is in no table"));
    }
    (cases, wrong)
}
