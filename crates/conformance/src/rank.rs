//! One rank of a case, from its first step to the last thing given back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use eplb::device::FaultyBackend;

use crate::board::Message;
use crate::case::Case;
use crate::number::Names;
use crate::perform::perform;
use crate::scope::{Place, Scope};

/// How long a failed case may take to give back what it can.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// Does a case as one of its ranks, with each of its parameters. A failure, a panic included, is also
/// told to the other ranks.
pub(crate) fn run_rank(case: &Case, place: &Place) -> Result<(), String> {
    let caught = catch_unwind(AssertUnwindSafe(|| with_each(case, place)));
    let result = caught.unwrap_or_else(|panic| Err(format!("it panicked: {}", said(&*panic))));
    if let Err(text) = &result {
        tell_failure(place, text);
    }
    result
}

fn with_each(case: &Case, place: &Place) -> Result<(), String> {
    if case.each.is_empty() {
        return attempt(case, place.clone());
    }
    for (index, parameters) in case.each.iter().enumerate() {
        let mut place = place.clone();
        place.names.extend(parameters.clone());
        place.run = format!("{index}/");
        place.prefix.clone_from(&place.run);
        attempt(case, place).map_err(|text| format!("with {}: {text}", written(parameters)))?;
    }
    Ok(())
}

fn attempt(case: &Case, place: Place) -> Result<(), String> {
    let mut scope = Scope::open(place.clone())?;
    match perform(&mut scope, &case.steps) {
        Ok(()) => scope.end(),
        Err(text) => {
            // Before anything is given back: the others wait meanwhile.
            tell_failure(&place, &text);
            place.faults.clear();
            scope.abandon(GIVING_BACK);
            Err(text)
        }
    }
}

fn tell_failure(place: &Place, text: &str) {
    if place.board.failure().is_none() {
        place.board.tell(Message::Failed { rank: place.rank, text: text.to_owned() });
    }
}

fn written(parameters: &Names) -> String {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    pairs.join(", ")
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing is known of it")
}

/// Whether everything that was created has been given back.
pub(crate) fn check_leaks(faults: &FaultyBackend) -> Result<(), String> {
    let live = faults.live();
    if live.is_zero() {
        return Ok(());
    }
    Err(format!("it leaks: after the case there are still {live:?}"))
}
