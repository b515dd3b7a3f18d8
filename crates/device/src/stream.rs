//! Streams: queues of work on a device.

use std::sync::Arc;

use crate::copies::{find_overlap, is_peer};
use crate::core::Retired;
use crate::raw::{Progress, Queue, Span, StreamHandle, Task};
use crate::wait::wait_until;
use crate::{Device, DeviceError, Event, Memory, MemoryCopy, PinnedMemory, Result, Wait};

/// A queue of work on a device: its work runs in order, and beside other streams' work.
///
/// A stream owns all memory that its queued work uses until that work has ended. Calls that queue
/// work return at once. When such a call fails with an error of the device (any kind but
/// `InvalidUse` of this layer), some or all of its work may be queued nevertheless.
///
/// Clones are the same stream. Dropping the last one neither waits nor gives its work up: the device
/// destroys the stream once it is idle.
#[derive(Clone, Debug)]
pub struct Stream {
    held: Arc<Held>,
    // Dropped last: the last handle of a device shuts it down.
    device: Device,
}

/// What the clones of a stream hold; the last of them retires the queue.
#[derive(Debug)]
struct Held {
    queue: Arc<Queue>,
}

impl Stream {
    pub(crate) fn new(device: Device, queue: Arc<Queue>) -> Self {
        Self { held: Arc::new(Held { queue }), device }
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.held.queue
    }

    /// The device it belongs to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The vendor's stream.
    pub fn handle(&self) -> StreamHandle {
        self.held.queue.handle()
    }

    /// Whether the engine lent it.
    pub fn is_borrowed(&self) -> bool {
        self.held.queue.is_borrowed()
    }

    /// Queues copies as one batch, which has no order inside. No copies: nothing happens.
    ///
    /// # Errors
    ///
    /// `InvalidUse`, and nothing is queued: both sides of a copy differ in length, a range is
    /// another device's, a destination has bytes in common with another range of the batch, or
    /// imported memory is copied from or to anything but memory of this device.
    pub fn copy(&self, copies: &[MemoryCopy]) -> Result<()> {
        if copies.is_empty() {
            return Ok(());
        }
        let mut checked = Vec::with_capacity(copies.len());
        for (index, copy) in copies.iter().enumerate() {
            for span in copy.spans() {
                self.check_device("copy", span)?;
            }
            let copy = copy.check().map_err(|text| {
                self.invalid("copy", format!("copy {index} of {}: {text}", copies.len()))
            })?;
            checked.push(copy);
        }
        let ranges = copies.iter().flat_map(|copy| {
            let [destination, source] = copy.spans();
            [(true, destination), (false, source)]
        });
        self.check_overlap("copy", ranges)?;
        self.held.queue.enqueue(&Task::Copy(&checked))
    }

    /// Queues one copy from the host to the device.
    ///
    /// # Errors
    ///
    /// As [`copy`](Self::copy).
    pub fn upload(&self, destination: &Memory, source: &PinnedMemory) -> Result<()> {
        self.copy(&[MemoryCopy::upload(destination, source)])
    }

    /// Queues one copy from the device to the host.
    ///
    /// # Errors
    ///
    /// As [`copy`](Self::copy).
    pub fn download(&self, destination: &PinnedMemory, source: &Memory) -> Result<()> {
        self.copy(&[MemoryCopy::download(destination, source)])
    }

    /// Queues writing `value` to every byte.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for another device's or imported memory.
    pub fn fill(&self, destination: &Memory, value: u8) -> Result<()> {
        self.check_local("fill", destination)?;
        self.held.queue.enqueue(&Task::Fill(destination.span(), value))
    }

    /// Sets `event` to the work queued so far.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for another device's event.
    pub fn record(&self, event: &Event) -> Result<()> {
        self.check_event("record", event)?;
        event.record_on(&self.held.queue, |owned| self.held.queue.record(owned))
    }

    /// Makes work queued later wait, on the device, for the point that `event` is set to now.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for another device's event.
    pub fn wait_for(&self, event: &Event) -> Result<()> {
        self.check_event("wait_for", event)?;
        if !event.is_recorded() {
            return Ok(());
        }
        self.held.queue.wait_for(event.owned())
    }

    /// Whether all queued work is done. Never waits.
    ///
    /// # Errors
    ///
    /// The failure of the stream, which stays.
    pub fn is_complete(&self) -> Result<bool> {
        match self.held.queue.progress()? {
            Progress::Complete => Ok(true),
            Progress::Pending => Ok(false),
            Progress::Failed(error) => Err(error),
        }
    }

    /// Waits, on the host, until all queued work is done.
    ///
    /// # Errors
    ///
    /// As [`is_complete`](Self::is_complete), or `TimedOut`.
    pub fn wait(&self, wait: &mut dyn Wait) -> Result<()> {
        let result = wait_until("wait for a stream", wait, || self.is_complete());
        result.map_err(|error| self.locate(error))
    }

    /// Gives up all queued work; the stream has failed after that.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a stream of the engine; `Unsupported`.
    pub fn abort(&self) -> Result<()> {
        if self.is_borrowed() {
            return Err(self.invalid("abort_stream", "the stream is the engine's to abort"));
        }
        self.held.queue.abort()
    }

    fn locate(&self, error: DeviceError) -> DeviceError {
        self.held.queue.core().locate(error)
    }

    pub(crate) fn invalid(&self, operation: &'static str, text: impl Into<String>) -> DeviceError {
        self.locate(DeviceError::invalid(operation, text))
    }

    /// The memory has to be of this device itself.
    pub(crate) fn check_local(&self, operation: &'static str, memory: &Memory) -> Result<()> {
        self.check_device(operation, memory.span())?;
        if is_peer(memory.span()) {
            return Err(self.invalid(
                operation,
                "the memory is imported; allowed is memory of the own device",
            ));
        }
        Ok(())
    }

    fn check_device(&self, operation: &'static str, span: &Span) -> Result<()> {
        if Arc::ptr_eq(span.block().core(), self.held.queue.core()) {
            return Ok(());
        }
        Err(self.invalid(operation, "a range is another device's; import it on this device first"))
    }

    fn check_event(&self, operation: &'static str, event: &Event) -> Result<()> {
        if self.device.is_same(event.device()) {
            return Ok(());
        }
        Err(self.invalid(operation, "the event is another device's"))
    }

    pub(crate) fn check_overlap<'a>(
        &self,
        operation: &'static str,
        ranges: impl Iterator<Item = (bool, &'a Span)>,
    ) -> Result<()> {
        let Some((first, second)) = find_overlap(ranges) else {
            return Ok(());
        };
        Err(self.invalid(
            operation,
            format!(
                "the ranges at {first:#x} and {second:#x} overlap and one of them is written; \
                 split the work into calls that can run one after the other"
            ),
        ))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let core = self.queue.core();
        core.retire(Retired::Queue(Arc::clone(&self.queue)));
    }
}
