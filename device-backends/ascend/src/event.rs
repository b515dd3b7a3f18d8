//! What events captured last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use eplb_device::raw::{EventHandle, Progress};

use crate::lock::lock;
use crate::stream::Lane;

/// A point of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) lane: Arc<Lane>,
    pub(crate) point: u64,
}

/// The latest captures of the events of an open device.
#[derive(Debug, Default)]
pub(crate) struct Captures(Mutex<HashMap<usize, Capture>>);

impl Captures {
    pub(crate) fn set(&self, event: EventHandle, capture: Capture) {
        lock(&self.0).insert(event.0, capture);
    }

    pub(crate) fn of(&self, event: EventHandle) -> Option<Capture> {
        lock(&self.0).get(&event.0).cloned()
    }

    /// Forgets an event, and lets `destroy` destroy it while no sweep asks it.
    pub(crate) fn remove<T>(&self, event: EventHandle, destroy: impl FnOnce() -> T) -> T {
        let mut captures = lock(&self.0);
        captures.remove(&event.0);
        destroy()
    }

    /// Notes which work of a stream is over, by all events that captured it.
    pub(crate) fn sweep(&self, lane: &Arc<Lane>, is_over: impl Fn(EventHandle) -> bool) {
        for (event, capture) in lock(&self.0).iter() {
            if Arc::ptr_eq(&capture.lane, lane) && is_over(EventHandle(*event)) {
                let _: Progress = capture.lane.ended(capture.point);
            }
        }
    }
}
