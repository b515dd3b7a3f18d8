//! Events that are ours, their pool, and the marks that tell when queued work has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::{Driver, EventHandle, Progress};
use crate::core::Core;
use crate::lock::lock;
use crate::{ErrorKind, Result};

/// Events kept for reuse; a stream in use needs one per call that is still running.
const POOLED_EVENTS: usize = 64;

/// Events of a device that are in nobody's hands.
#[derive(Debug)]
pub(crate) struct EventPool {
    driver: Arc<dyn Driver>,
    idle: Mutex<Vec<EventHandle>>,
}

impl EventPool {
    pub(crate) fn new(driver: Arc<dyn Driver>) -> Self {
        Self { driver, idle: Mutex::new(Vec::new()) }
    }

    fn take(&self) -> Result<EventHandle> {
        let pooled = lock(&self.idle).pop();
        pooled.map_or_else(|| self.driver.create_event(), Ok)
    }

    fn put(&self, event: EventHandle) -> Result<()> {
        let mut idle = lock(&self.idle);
        if idle.len() < POOLED_EVENTS {
            idle.push(event);
            return Ok(());
        }
        drop(idle);
        // SAFETY: the event came from `create_event` of this driver and its owner gave it up; R11
        // lets an event go while its record or waits are pending, on any thread.
        unsafe { self.driver.destroy_event(event) }
    }

    /// Destroys all idle events; gives the first error.
    pub(crate) fn empty(&self) -> Result<()> {
        let idle = std::mem::take(&mut *lock(&self.idle));
        let mut result = Ok(());
        for event in idle {
            // SAFETY: as in `put`.
            result = result.and(unsafe { self.driver.destroy_event(event) });
        }
        result
    }
}

/// One event, back to the pool when dropped.
#[derive(Debug)]
pub(crate) struct OwnedEvent {
    core: Arc<Core>,
    handle: EventHandle,
}

impl OwnedEvent {
    pub(crate) fn new(core: &Arc<Core>) -> Result<Self> {
        let handle = core.events.take().map_err(|error| core.locate(error))?;
        Ok(Self { core: Arc::clone(core), handle })
    }

    pub(super) fn handle(&self) -> EventHandle {
        self.handle
    }

    /// Only after a record of the present owner: pooled events carry records of earlier owners.
    pub(crate) fn query(&self) -> Result<Progress> {
        // SAFETY: the event is alive, since `self` owns it.
        let progress = unsafe { self.core.driver.query_event(self.handle) };
        progress.map_err(|error| self.core.locate(error))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for OwnedEvent {
    fn drop(&mut self) {
        if let Err(error) = self.core.events.put(self.handle) {
            self.core.note(error);
        }
    }
}

/// The point in a stream after which one call's memory is no longer in use.
#[derive(Debug)]
pub(crate) struct Marker {
    event: OwnedEvent,
    recorded: AtomicBool,
    over: AtomicBool,
}

/// What a marker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The work before it has ended.
    Over,
    /// The work may be running.
    Pending,
    /// It was not recorded; only a later mark or the stream tells.
    Blind,
}

impl Marker {
    pub(super) fn new(core: &Arc<Core>) -> Result<Self> {
        Ok(Self {
            event: OwnedEvent::new(core)?,
            recorded: AtomicBool::new(false),
            over: AtomicBool::new(false),
        })
    }

    pub(super) fn event(&self) -> &OwnedEvent {
        &self.event
    }

    pub(super) fn set_recorded(&self) {
        self.recorded.store(true, Ordering::Release);
    }

    pub(super) fn set_over(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn poll(&self) -> Mark {
        if self.over.load(Ordering::Acquire) {
            return Mark::Over;
        }
        if !self.recorded.load(Ordering::Acquire) {
            return Mark::Blind;
        }
        match self.event.query() {
            // A failure ends the work as completion does (R5); the stream's queries report it.
            Ok(Progress::Complete | Progress::Failed(_)) => {}
            Err(error) if error.kind() == ErrorKind::Lost => {}
            Ok(Progress::Pending) | Err(_) => return Mark::Pending,
        }
        self.set_over();
        Mark::Over
    }
}
