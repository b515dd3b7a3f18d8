//! Which calls are hit, and by what.

use std::time::Duration;

use crate::{ErrorKind, VendorCode};

/// What single copies from and to imported memory are counted as.
pub(super) const PEER_COPY: &str = "peer_copy";
/// What single buffers that rounds receive are counted as.
pub(super) const RECEIVED: &str = "received";

/// Which calls a fault hits; numbers count from one, over all threads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAt {
    /// The call with this number, counted over all names.
    Call(u64),
    /// Every call from this number on, counted over all names.
    From(u64),
    /// The call with this number among those of this name (a method of the raw traits). Copies from and to
    /// imported memory, and buffers that rounds receive, are counted one by one too, under the names
    /// `peer_copy` and `received`, for [`FaultKind::Spoil`] alone.
    NthOf(&'static str, u64),
    /// Every call of this name.
    EveryOf(&'static str),
}

impl FaultAt {
    /// Whether it hits the call `name`, which is the `number`th of all and `nth` of its name.
    pub(super) fn hits(&self, name: &str, number: u64, nth: u64) -> bool {
        match *self {
            Self::Call(at) => number == at,
            Self::From(at) => number >= at,
            Self::NthOf(of, at) => of == name && nth == at,
            Self::EveryOf(of) => of == name,
        }
    }
}

/// What becomes of a call that is hit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// It fails and is not made. Calls that destroy are made all the same, as a resource counts as
    /// released when its destruction failed. [`ErrorKind::Lost`] promises that nothing runs any
    /// more and makes the safe layer let go of memory: order it for queries only when that is so.
    Error(ErrorKind, Option<VendorCode>),
    /// It is made and reports a failure nevertheless, as vendors do for half-queued work. Calls
    /// that create something are not made.
    LateError(ErrorKind, Option<VendorCode>),
    /// It is made after this time.
    Delay(Duration),
    /// A byte arrives wrong: the one with this number gets the value of its neighbour in the source.
    /// Of calls named `peer_copy` and `received` only, and without effect where both are the same.
    Spoil(usize),
}

/// One fault: which calls, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which calls.
    pub at: FaultAt,
    /// What becomes of them.
    pub what: FaultKind,
}

impl Fault {
    /// The call with this number, over all names, fails.
    pub fn error(number: u64, kind: ErrorKind) -> Self {
        Self { at: FaultAt::Call(number), what: FaultKind::Error(kind, None) }
    }

    /// The `nth` call named `name` fails.
    pub fn error_of(name: &'static str, nth: u64, kind: ErrorKind) -> Self {
        Self { at: FaultAt::NthOf(name, nth), what: FaultKind::Error(kind, None) }
    }

    /// A byte of the `nth` copy from or to imported memory arrives wrong.
    pub fn spoil(nth: u64, byte: usize) -> Self {
        Self { at: FaultAt::NthOf(PEER_COPY, nth), what: FaultKind::Spoil(byte) }
    }

    /// A byte of the `nth` buffer that a round receives arrives wrong.
    pub fn spoil_received(nth: u64, byte: usize) -> Self {
        Self { at: FaultAt::NthOf(RECEIVED, nth), what: FaultKind::Spoil(byte) }
    }
}
