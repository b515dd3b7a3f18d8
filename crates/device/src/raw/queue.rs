//! A stream together with the owners of everything that its queued work uses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::marker::{Mark, Marker};
use super::{
    Block, Copy, CopyKind, Link, OwnedEvent, PeerBuffer, Progress, Span, StreamHandle,
    StreamPriority,
};
use crate::core::Core;
use crate::lock::{lock, try_lock};
use crate::{DeviceError, ErrorKind, Result};

/// Work to be queued; validated by the safe layer.
pub(crate) enum Task<'a> {
    /// A batch of copies: destination, source, kind.
    Copy(&'a [(Span, Span, CopyKind)]),
    /// A fill.
    Fill(&'a Span, u8),
    /// A round of sends and receives.
    Exchange { link: &'a Arc<Link>, sends: &'a [(u32, Span)], receives: &'a [(u32, Span)] },
    /// Every rank's `send`, by rank, in `receive`.
    AllGather { link: &'a Arc<Link>, send: &'a Span, receive: &'a Span },
    /// The root's bytes in every rank's buffer.
    Broadcast { link: &'a Arc<Link>, buffer: &'a Span, root: u32 },
    /// All ranks' streams meet.
    Barrier { link: &'a Arc<Link> },
}

/// Fewer calls than these are let go of by whoever asks next: asking for them here would be a call of the
/// library for each call that queues work.
const FEW_ENTRIES: usize = 4;

/// What queued work keeps alive.
#[derive(Debug)]
enum Keep {
    #[expect(dead_code, reason = "owned, never read: dropping it is its use")]
    Block(Arc<Block>),
    #[expect(dead_code, reason = "owned, never read: dropping it is its use")]
    Link(Arc<Link>),
}

#[derive(Debug)]
struct Entry {
    marker: Arc<Marker>,
    #[expect(dead_code, reason = "owned, never read: dropping it is its use")]
    keep: Vec<Keep>,
}

#[derive(Debug, Default)]
struct Books {
    /// In the order of the queue.
    entries: VecDeque<Entry>,
}

/// A stream of ours or of the engine. Dropping it does nothing; the core destroys retired ones.
#[derive(Debug)]
pub(crate) struct Queue {
    core: Arc<Core>,
    handle: StreamHandle,
    borrowed: bool,
    books: Mutex<Books>,
    /// Set with the books locked, too. A lock of its own, since an abort has to get through while
    /// a call that queues work is stuck inside the library and holds the books.
    destroyed: Mutex<bool>,
}

impl Queue {
    pub(crate) fn create(core: &Arc<Core>, priority: StreamPriority) -> Result<Arc<Self>> {
        let handle = core.driver.create_stream(priority);
        let handle = handle.map_err(|error| core.locate(error))?;
        Ok(Self::own(core, handle, false))
    }

    /// # Safety
    ///
    /// The handle is a live stream of this device, until the queue has been retired and the device
    /// drained.
    pub(super) unsafe fn borrow(core: &Arc<Core>, handle: StreamHandle) -> Arc<Self> {
        Self::own(core, handle, true)
    }

    fn own(core: &Arc<Core>, handle: StreamHandle, borrowed: bool) -> Arc<Self> {
        let queue = Arc::new(Self {
            core: Arc::clone(core),
            handle,
            borrowed,
            books: Mutex::new(Books::default()),
            destroyed: Mutex::new(false),
        });
        core.register_queue(&queue);
        queue
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn handle(&self) -> StreamHandle {
        self.handle
    }

    pub(crate) fn is_borrowed(&self) -> bool {
        self.borrowed
    }

    /// Queues a task and keeps all that it names alive until it has ended.
    ///
    /// The owners are noted also when the call fails: some of the work may be queued (R7).
    pub(crate) fn enqueue(&self, task: &Task<'_>) -> Result<()> {
        let marker = Arc::new(Marker::new(&self.core)?);
        // Lock order: issue lock of the device, books of a stream, everything else.
        let _issue = task.is_collective().then(|| lock(&self.core.issue));
        let mut books = lock(&self.books);
        if books.entries.len() >= FEW_ENTRIES {
            release_ended(&mut books);
        }
        task.register_pinned(&marker);
        let queued = self.hand_over(task);
        // SAFETY: event and stream are alive: the marker owns the event, the caller the stream.
        let recorded =
            unsafe { self.core.driver.record_event(marker.event().handle(), self.handle) };
        if recorded.is_ok() {
            marker.set_recorded();
        }
        books.entries.push_back(Entry { marker, keep: task.owners() });
        queued.and(recorded).map_err(|error| self.core.locate(error))
    }

    fn hand_over(&self, task: &Task<'_>) -> Result<()> {
        match task {
            Task::Copy(copies) => {
                let copies: Vec<Copy> = copies
                    .iter()
                    .map(|(destination, source, kind)| Copy {
                        destination: destination.address(),
                        source: source.address(),
                        bytes: destination.bytes(),
                        kind: *kind,
                    })
                    .collect();
                // SAFETY: spans lie in live blocks of this device, of the sides that the kind says
                // and free of overlaps (checked above); `enqueue` makes this stream an owner of the
                // blocks until an event recorded after the work has completed.
                unsafe { self.core.driver.copy(&copies, self.handle) }
            }
            Task::Fill(span, value) => {
                // SAFETY: as for copies; the span is device memory.
                unsafe { self.core.driver.fill(span.address(), *value, span.bytes(), self.handle) }
            }
            Task::Exchange { link, sends, receives } => {
                let sends = buffers(sends);
                let receives = buffers(receives);
                // SAFETY: as for copies; the safe layer has checked the ranks, that there is one
                // buffer per peer and direction, and that the communicator is ready.
                unsafe { link.driver().exchange(&sends, &receives, self.handle) }
            }
            Task::AllGather { link, send, receive } => {
                // SAFETY: as for an exchange; `receive` holds `size` times the bytes of `send`.
                unsafe {
                    link.driver().all_gather(
                        send.address(),
                        receive.address(),
                        send.bytes(),
                        self.handle,
                    )
                }
            }
            Task::Broadcast { link, buffer, root } => {
                // SAFETY: as for an exchange.
                unsafe {
                    link.driver().broadcast(buffer.address(), buffer.bytes(), *root, self.handle)
                }
            }
            Task::Barrier { link } => {
                // SAFETY: the communicator is ready and the stream is alive.
                unsafe { link.driver().barrier(self.handle) }
            }
        }
    }

    pub(crate) fn record(&self, event: &OwnedEvent) -> Result<()> {
        let _books = lock(&self.books);
        // SAFETY: both are alive, owned by the caller, and of one device (checked above).
        let recorded = unsafe { self.core.driver.record_event(event.handle(), self.handle) };
        recorded.map_err(|error| self.core.locate(error))
    }

    pub(crate) fn wait_for(&self, event: &OwnedEvent) -> Result<()> {
        let _books = lock(&self.books);
        // SAFETY: as in `record`, and the event's owner has recorded it (checked above).
        let queued = unsafe { self.core.driver.wait_event(self.handle, event.handle()) };
        queued.map_err(|error| self.core.locate(error))
    }

    /// Asks the stream, and lets go of what is no longer used. For callers that hold a `Stream`.
    pub(crate) fn progress(&self) -> Result<Progress> {
        // While another thread queues work (which may block inside the library, R17) the answer
        // must not be taken for the work that it is just adding.
        let Some(mut books) = try_lock(&self.books) else {
            return self.ask();
        };
        self.settle(&mut books)
    }

    /// The stream's failure, if it can be found out at once; also for retired streams.
    pub(crate) fn failure(&self) -> Option<DeviceError> {
        let mut books = try_lock(&self.books)?;
        if *lock(&self.destroyed) {
            return None;
        }
        match self.settle(&mut books) {
            Ok(Progress::Failed(error)) | Err(error) => Some(error),
            Ok(Progress::Complete | Progress::Pending) => None,
        }
    }

    /// Lets go of what is no longer used; whether nothing is in use any more.
    pub(crate) fn tidy(&self) -> bool {
        let Some(mut books) = try_lock(&self.books) else {
            return false;
        };
        release_ended(&mut books);
        if !books.entries.is_empty() && !*lock(&self.destroyed) && blind(&books) {
            // No mark will tell, so the stream has to; errors show at its owner's next query.
            let _ = self.settle(&mut books);
        }
        books.entries.is_empty()
    }

    /// For a retired stream: destroys it if its work has ended. Borrowed ones are only let go of.
    pub(crate) fn finish(&self) -> Result<bool> {
        if self.borrowed {
            return Ok(self.tidy());
        }
        let Some(mut books) = try_lock(&self.books) else {
            return Ok(false);
        };
        match self.settle(&mut books) {
            Ok(Progress::Pending) => Ok(false),
            Err(error) => {
                self.core.note(error);
                Ok(false)
            }
            Ok(Progress::Complete | Progress::Failed(_)) => self.destroy().map(|()| true),
        }
    }

    /// For a retired stream of ours: gives its work up and destroys it; whether that was possible.
    pub(crate) fn force(&self) -> bool {
        if self.borrowed || self.abort().is_err() {
            return false;
        }
        let mut books = lock(&self.books);
        // An error cannot be told to anybody: the last handle of the device is being dropped.
        let _ = self.destroy();
        end_all(&mut books);
        true
    }

    pub(crate) fn abort(&self) -> Result<()> {
        let destroyed = lock(&self.destroyed);
        if *destroyed {
            return Ok(());
        }
        // SAFETY: the stream is ours (checked above) and is not destroyed while the lock is held.
        let aborted = unsafe { self.core.driver.abort_stream(self.handle) };
        aborted.map_err(|error| self.core.locate(error))
    }

    fn ask(&self) -> Result<Progress> {
        // SAFETY: the stream is alive: not destroyed, as the callers know.
        let progress = unsafe { self.core.driver.query_stream(self.handle) };
        match progress {
            Ok(Progress::Failed(error)) => Ok(Progress::Failed(self.core.locate(error))),
            Ok(other) => Ok(other),
            Err(error) => Err(self.core.locate(error)),
        }
    }

    fn settle(&self, books: &mut Books) -> Result<Progress> {
        let progress = match self.ask() {
            // Nothing runs any more on a lost device (R26).
            Err(error) if error.kind() == ErrorKind::Lost => Ok(Progress::Failed(error)),
            other => other,
        };
        match progress {
            Ok(Progress::Complete | Progress::Failed(_)) => end_all(books),
            Ok(Progress::Pending) | Err(_) => release_ended(books),
        }
        progress
    }

    /// For callers that hold the books.
    fn destroy(&self) -> Result<()> {
        let mut destroyed = lock(&self.destroyed);
        *destroyed = true;
        // SAFETY: ours, alive until now, retired (so nobody uses it), and its work is over or was
        // aborted.
        let result = unsafe { self.core.driver.destroy_stream(self.handle) };
        result.map_err(|error| self.core.locate(error))
    }
}

impl Task<'_> {
    fn is_collective(&self) -> bool {
        !matches!(self, Self::Copy(_) | Self::Fill(..))
    }

    fn register_pinned(&self, marker: &Arc<Marker>) {
        if let Self::Copy(copies) = self {
            for (destination, source, _) in *copies {
                destination.register_use(marker, true);
                source.register_use(marker, false);
            }
        }
    }

    fn owners(&self) -> Vec<Keep> {
        let block = |span: &Span| Keep::Block(Arc::clone(span.block()));
        match self {
            Self::Copy(copies) => copies
                .iter()
                .flat_map(|(destination, source, _)| [block(destination), block(source)])
                .collect(),
            Self::Fill(span, _) => vec![block(span)],
            Self::Exchange { link, sends, receives } => sends
                .iter()
                .chain(*receives)
                .map(|(_, span)| block(span))
                .chain([Keep::Link(Arc::clone(link))])
                .collect(),
            Self::AllGather { link, send, receive } => {
                vec![block(send), block(receive), Keep::Link(Arc::clone(link))]
            }
            Self::Broadcast { link, buffer, .. } => {
                vec![block(buffer), Keep::Link(Arc::clone(link))]
            }
            Self::Barrier { link } => vec![Keep::Link(Arc::clone(link))],
        }
    }
}

fn buffers(transfers: &[(u32, Span)]) -> Vec<PeerBuffer> {
    transfers
        .iter()
        .map(|(peer, span)| PeerBuffer {
            peer: *peer,
            address: span.address(),
            bytes: span.bytes(),
        })
        .collect()
}

/// Lets go of all entries up to the last one whose mark is known to be over.
fn release_ended(books: &mut Books) {
    let mut ended = 0;
    for (index, entry) in books.entries.iter().enumerate() {
        match entry.marker.poll() {
            Mark::Over => ended = index + 1,
            Mark::Blind => {}
            Mark::Pending => break,
        }
    }
    for entry in books.entries.drain(..ended) {
        entry.marker.set_over();
    }
}

fn end_all(books: &mut Books) {
    for entry in books.entries.drain(..) {
        entry.marker.set_over();
    }
}

/// Whether no entry has a mark that will ever tell.
fn blind(books: &Books) -> bool {
    books.entries.iter().all(|entry| entry.marker.poll() == Mark::Blind)
}
