//! The wrapper around a backend.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::plan::{PEER_COPY, RECEIVED};
use super::{Fault, FaultKind, Live};
use crate::lock::lock;
use crate::raw::{
    Backend, Copy, CopyKind, Intercept, InterceptedBackend, PeerBuffer, Resource, Spoiled, Verdict,
};
use crate::{DeviceError, ErrorKind, VendorCode};

/// How a delay is spent: the caller brings the clock.
pub type DelayCall = Arc<dyn Fn(Duration) + Send + Sync>;

/// Makes chosen calls of a backend fail or linger, logs all calls, and counts what is alive.
///
/// Clones share faults, log and counts.
#[derive(Clone)]
pub struct FaultyBackend {
    shared: Arc<Shared>,
    backend: Arc<dyn Backend>,
}

struct Shared {
    delay: Option<DelayCall>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    calls: Vec<&'static str>,
    counts: HashMap<&'static str, u64>,
    fired: u64,
    live: Live,
}

impl FaultyBackend {
    /// Wraps `inner`. Delays are errors, for want of a clock.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self::build(inner, None)
    }

    /// Wraps `inner`; `delay` spends the time of delays.
    pub fn with_delay(inner: Arc<dyn Backend>, delay: DelayCall) -> Self {
        Self::build(inner, Some(delay))
    }

    fn build(inner: Arc<dyn Backend>, delay: Option<DelayCall>) -> Self {
        let shared = Arc::new(Shared { delay, state: Mutex::new(State::default()) });
        let intercept: Arc<dyn Intercept> = shared.clone();
        let backend = Arc::new(InterceptedBackend::new(inner, intercept));
        Self { shared, backend }
    }

    /// The backend to open devices of.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Adds a fault; of several that hit one call, the first one counts.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.state).faults.push(fault);
    }

    /// Removes all faults; log and counts go on.
    pub fn clear(&self) {
        lock(&self.shared.state).faults.clear();
    }

    /// The names of all calls so far, in their order.
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.shared.state).calls.clone()
    }

    /// How many calls there were so far: the next one has this number plus one.
    pub fn call_count(&self) -> u64 {
        lock(&self.shared.state).calls.len() as u64
    }

    /// How many calls of this name there were so far.
    pub fn count_of(&self, name: &str) -> u64 {
        let state = lock(&self.shared.state);
        state.counts.get(name).copied().unwrap_or(0)
    }

    /// How many calls were hit by a fault.
    pub fn fired(&self) -> u64 {
        lock(&self.shared.state).fired
    }

    /// What is alive now.
    pub fn live(&self) -> Live {
        lock(&self.shared.state).live
    }
}

impl fmt::Debug for FaultyBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(formatter)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        formatter
            .debug_struct("FaultyBackend")
            .field("faults", &state.faults)
            .field("calls", &state.calls.len())
            .field("live", &state.live)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Counts single transfers under `name`; those whose bytes are to arrive wrong.
    fn count_spoiled(
        &self,
        name: &'static str,
        indexes: impl Iterator<Item = usize>,
    ) -> Vec<Spoiled> {
        let mut state = lock(&self.state);
        let number = state.calls.len() as u64;
        let mut spoiled = Vec::new();
        for index in indexes {
            let nth = state.counts.entry(name).or_default();
            *nth += 1;
            let nth = *nth;
            let hit = state.faults.iter().find_map(|fault| match fault.what {
                FaultKind::Spoil(byte) if fault.at.hits(name, number, nth) => Some(byte),
                _ => None,
            });
            if let Some(byte) = hit {
                state.fired += 1;
                spoiled.push(Spoiled { copy: index, byte });
            }
        }
        spoiled
    }
}

impl Intercept for Shared {
    fn before(&self, call: &'static str) -> Verdict {
        let mut state = lock(&self.state);
        state.calls.push(call);
        let number = state.calls.len() as u64;
        let nth = state.counts.entry(call).or_default();
        *nth += 1;
        let nth = *nth;
        let spoils = |fault: &&Fault| matches!(fault.what, FaultKind::Spoil(_));
        let mut faults = state.faults.iter().filter(|fault| !spoils(fault));
        let hit = faults.find(|fault| fault.at.hits(call, number, nth));
        let Some(what) = hit.map(|fault| fault.what.clone()) else {
            return Verdict::Make;
        };
        state.fired += 1;
        drop(state);
        match what {
            FaultKind::Error(kind, code) => Verdict::Refuse(injected(call, number, kind, code)),
            FaultKind::LateError(kind, code) => {
                Verdict::Misreport(injected(call, number, kind, code))
            }
            FaultKind::Delay(time) => match &self.delay {
                Some(delay) => {
                    delay(time);
                    Verdict::Make
                }
                None => Verdict::Refuse(DeviceError::new(
                    ErrorKind::Unsupported,
                    call,
                    "a delay was ordered of a wrapper that has none; make it with `with_delay`",
                )),
            },
            FaultKind::Spoil(_) => Verdict::Make,
        }
    }

    fn spoiled(&self, copies: &[Copy]) -> Vec<Spoiled> {
        let is_peer = |(_, copy): &(usize, &Copy)| copy.kind == CopyKind::Peer;
        let peers = copies.iter().enumerate().filter(is_peer);
        self.count_spoiled(PEER_COPY, peers.map(|(index, _)| index))
    }

    fn spoiled_receives(&self, receives: &[PeerBuffer]) -> Vec<Spoiled> {
        self.count_spoiled(RECEIVED, 0..receives.len())
    }

    fn created(&self, resource: Resource) {
        *lock(&self.state).live.count(resource) += 1;
    }

    fn released(&self, resource: Resource) {
        let mut state = lock(&self.state);
        let count = state.live.count(resource);
        *count = count.saturating_sub(1);
    }
}

fn injected(
    call: &'static str,
    number: u64,
    kind: ErrorKind,
    code: Option<VendorCode>,
) -> DeviceError {
    let error = DeviceError::new(kind, call, format!("injected into call {number}"));
    match code {
        Some(code) => error.with_code(code),
        None => error,
    }
}
