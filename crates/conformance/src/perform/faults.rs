//! Steps that make calls fail, and that count.

use eplb::device::{ErrorKind, Fault, FaultAt, FaultKind};

use crate::number::Number;
use crate::scope::{Scope, Trouble};
use crate::step::Resource;

/// The calls that a case may make fail.
const CALLS: &[&str] = &[
    "allocate",
    "allocate_pinned",
    "close",
    "communicator",
    "copy",
    "create_event",
    "create_stream",
    "destroy",
    "destroy_stream",
    "export",
    "fill",
    "free",
    "free_pinned",
    "import",
    "open",
    "query_event",
    "query_stream",
    "record_event",
    "return_memory",
    "wait_event",
    "withdraw",
];

pub(super) fn fault(
    scope: &Scope,
    call: &str,
    nth: Option<&Number>,
    kind: ErrorKind,
    late: bool,
) -> Result<(), Trouble> {
    let known = CALLS.iter().copied().find(|known| *known == call);
    let call = known.ok_or_else(|| format!("the case is wrong: there is no call {call:?}"))?;
    let faults = &scope.place.faults;
    let nth: u64 = scope.number_or(nth, 1)?;
    let what = if late { FaultKind::LateError(kind, None) } else { FaultKind::Error(kind, None) };
    faults.inject(Fault { at: FaultAt::NthOf(call, faults.count_of(call) + nth), what });
    Ok(())
}

pub(super) fn was_met(scope: &Scope, call: &str) -> Result<(), Trouble> {
    let faults = &scope.place.faults;
    if faults.count_of(call) > 0 && faults.fired() > 0 {
        return Ok(());
    }
    Err(format!("no call of {call} met the fault").into())
}

pub(super) fn live(scope: &Scope, resource: Resource, is: &Number) -> Result<(), Trouble> {
    let live = scope.place.faults.live();
    let found = match resource {
        Resource::Streams => live.streams,
        Resource::Memory => live.memory,
        Resource::Pinned => live.pinned,
        Resource::Exports => live.exports,
        Resource::Imports => live.imports,
        Resource::Communicators => live.communicators,
        Resource::Borrowed => live.borrowed,
    };
    let expected: u64 = scope.number(is)?;
    if found == expected {
        return Ok(());
    }
    Err(format!("{found} are alive where {expected} should be").into())
}
