//! Whether a run came out as it has to.

use std::collections::BTreeMap;

use eplb_emulators::Violation;

use crate::Line;
use crate::cases::Case;
use crate::scene::{Outcome, Told};
use crate::vendor::{Rule, rules_of};

/// What is alive, by kind.
pub(crate) type Live = BTreeMap<String, u64>;

/// All that a run has shown.
pub(crate) struct Shown {
    pub(crate) outcome: Outcome,
    pub(crate) violations: Vec<Violation>,
    pub(crate) before: Live,
    pub(crate) after: Live,
}

/// What is alive beyond what was before.
pub(crate) fn left(before: &Live, after: &Live) -> Live {
    let more = |(kind, count): (&String, &u64)| {
        let known = before.get(kind).copied().unwrap_or(0);
        (*count > known).then(|| (kind.clone(), count - known))
    };
    after.iter().filter_map(more).collect()
}

/// What is wrong with a run in which nothing was made to fail.
pub(crate) fn of_a_clean_run(shown: &Shown) -> Vec<String> {
    let told = shown.outcome.told.iter();
    let mut wrong: Vec<String> =
        told.map(|told| format!("{}: {}", told.piece, told.error)).collect();
    wrong.extend(shown.outcome.problems.iter().cloned());
    wrong.extend(of_violations(shown));
    let left = left(&shown.before, &shown.after);
    if !left.is_empty() {
        wrong.push(format!("left: {left:?}"));
    }
    wrong
}

/// What a case has left, beyond what it may leave.
pub(crate) fn left_wrongly(line: &Line, case: &Case, before: &Live, after: &Live) -> Live {
    let allowed: Vec<&str> = rules_of(line.vendor, &case.function)
        .filter_map(|rule| match rule {
            Rule::Leaves(kinds) => Some(kinds),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    let mut left = left(before, after);
    left.retain(|kind, count| {
        let is_one = *count == 1 || kind == "bytes";
        !(is_one && allowed.contains(&kind.as_str()))
    });
    left
}

/// What is wrong with a run in which the case failed, or what kind of right it is.
pub(crate) fn of_a_failure(line: &Line, case: &Case, shown: &Shown) -> (Vec<String>, Telling) {
    let rules: Vec<Rule> = rules_of(line.vendor, &case.function).collect();
    let mut wrong = shown.outcome.problems.clone();
    let is_excused = |rule: &str| {
        rules.iter().any(|excuse| match excuse {
            Rule::Excuses(code, excused) => *code == case.code && excused.contains(&rule),
            _ => false,
        })
    };
    let violations = shown.violations.iter().filter(|found| !is_excused(&found.rule));
    wrong.extend(violations.map(|found| format!("{}: {}", found.rule, found.sentence)));
    let left = left_wrongly(line, case, &shown.before, &shown.after);
    if !left.is_empty() {
        wrong.push(format!("left: {left:?}"));
    }
    let telling = telling_of(line, case, &rules, &shown.outcome);
    if let Telling::Wrong(text) = &telling {
        wrong.push(text.clone());
    }
    (wrong, telling)
}

/// How a failure came out.
pub(crate) enum Telling {
    /// As an error.
    Told,
    /// Not at all, which is as it should be for this reason.
    Tolerated(&'static str),
    Wrong(String),
}

fn of_violations(shown: &Shown) -> Vec<String> {
    let violations = shown.violations.iter();
    violations.map(|found| format!("{}: {}", found.rule, found.sentence)).collect()
}

/// Somebody has to be told, with the vendor's number and words, unless it is no failure.
fn telling_of(line: &Line, case: &Case, rules: &[Rule], outcome: &Outcome) -> Telling {
    let told = &outcome.told;
    let after = rules.iter().find_map(|rule| match rule {
        Rule::After(order) => Some(*order),
        _ => None,
    });
    if let Some(order) = after {
        // Without the words that could not be had, and with the number all the same.
        let code = order.split(' ').nth(2).and_then(|code| code.parse().ok());
        let is_told = told.iter().any(|told| code.is_some_and(|code| has_number(told, code)));
        if is_told {
            return Telling::Told;
        }
        return Telling::Wrong(format!("nobody was told of \"{order}\""));
    }
    let tolerated = rules.iter().find_map(|rule| match rule {
        Rule::Tolerated(why) => Some(*why),
        Rule::ToleratedCode(code, why) => (*code == case.code).then_some(*why),
        Rule::ToleratedIn(pieces, why) => {
            outcome.failed_in.is_some_and(|piece| pieces.contains(&piece)).then_some(*why)
        }
        Rule::ToleratedLater(why) => (case.nth > 1).then_some(*why),
        Rule::Uncalled(_) | Rule::After(_) | Rule::Leaves(..) | Rule::Excuses(..) => None,
    });
    let of_it: Vec<&Told> = told.iter().filter(|told| has_number(told, case.code)).collect();
    if of_it.is_empty() {
        let others: Vec<String> =
            told.iter().map(|told| format!("{}: {}", told.piece, told.error)).collect();
        let wrong = || {
            Telling::Wrong(format!(
                "nobody was told, in {:?}; told was {others:?}",
                outcome.failed_in.unwrap_or("no piece")
            ))
        };
        return tolerated.map_or_else(wrong, Telling::Tolerated);
    }
    let name = line.vendor.code_name(&case.function, case.code).unwrap_or("(no name)");
    let has_words = |told: &&Told| {
        let text = told.error.text();
        text.contains(name) && text.contains("emulated")
    };
    if of_it.iter().any(has_words) {
        return Telling::Told;
    }
    let texts: Vec<String> = of_it.iter().map(|told| told.error.to_string()).collect();
    Telling::Wrong(format!("the vendor's words are missing in {texts:?}"))
}

fn has_number(told: &Told, code: i32) -> bool {
    told.error.code().is_some_and(|found| found.0 == i64::from(code))
        || told.error.text().contains(&format!("(code {code})"))
}
