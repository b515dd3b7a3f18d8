//! Events: points in the work of a stream.

use std::sync::{Arc, Mutex, Weak};

use crate::lock::lock;
use crate::raw::{OwnedEvent, Progress, Queue};
use crate::wait::wait_until;
use crate::{Device, Result, Wait};

/// A point in the work of a stream, set by [`Stream::record`](crate::Stream::record).
///
/// An event that was never recorded is complete. Recording again sets it anew; streams that were
/// told to wait before go on waiting for the earlier point.
#[derive(Debug)]
pub struct Event {
    event: OwnedEvent,
    recorded_on: Mutex<Option<Weak<Queue>>>,
    // Dropped last: the last handle of a device shuts it down.
    device: Device,
}

impl Event {
    pub(crate) fn new(device: Device, event: OwnedEvent) -> Self {
        Self { event, recorded_on: Mutex::new(None), device }
    }

    pub(crate) fn owned(&self) -> &OwnedEvent {
        &self.event
    }

    /// Records through `record`, and remembers the stream if that worked.
    pub(crate) fn record_on(
        &self,
        queue: &Arc<Queue>,
        record: impl FnOnce(&OwnedEvent) -> Result<()>,
    ) -> Result<()> {
        let mut recorded_on = lock(&self.recorded_on);
        record(&self.event)?;
        *recorded_on = Some(Arc::downgrade(queue));
        Ok(())
    }

    pub(crate) fn is_recorded(&self) -> bool {
        lock(&self.recorded_on).is_some()
    }

    /// The device it belongs to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the work before the event has ended. Never waits.
    ///
    /// # Errors
    ///
    /// The failure of that work, or of the stream: of a failed stream no event completes.
    pub fn is_complete(&self) -> Result<bool> {
        let Some(queue) = lock(&self.recorded_on).clone() else {
            return Ok(true);
        };
        let queue = queue.upgrade();
        match self.event.query()? {
            Progress::Failed(error) => Err(self.event.core().locate(error)),
            // Own streams stop at a failure, borrowed ones may go on and complete the event (R5).
            Progress::Complete => match queue.filter(|queue| queue.is_borrowed()) {
                Some(queue) => queue.failure().map_or(Ok(true), Err),
                None => Ok(true),
            },
            // The event of a failed stream may stay pending for ever (R5).
            Progress::Pending => match queue {
                Some(queue) => queue.failure().map_or(Ok(false), Err),
                None => Ok(false),
            },
        }
    }

    /// Waits, on the host, until the work before the event has ended.
    ///
    /// # Errors
    ///
    /// As [`is_complete`](Self::is_complete), or `TimedOut`.
    pub fn wait(&self, wait: &mut dyn Wait) -> Result<()> {
        let result = wait_until("wait for an event", wait, || self.is_complete());
        result.map_err(|error| self.event.core().locate(error))
    }
}
