//! Streams: threads with queues.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use eplb_device::raw::Progress;
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::error::{aborted, invalid};
use crate::event::Capture;
use crate::gate::{Stop, lock};

/// Work of a stream; the stop ends its waits.
pub(crate) type Work = Box<dyn FnOnce(&Stop) -> Result<()> + Send>;

enum Task {
    Work(Work),
    Record(Capture),
}

#[derive(Default)]
struct State {
    queued: u64,
    finished: u64,
    /// Set once the failed task has ended; no later task starts.
    failure: Option<DeviceError>,
}

/// What caller and thread share.
#[derive(Default)]
struct Shared {
    stop: Stop,
    state: Mutex<State>,
}

/// One stream.
pub(crate) struct HostStream {
    device: u32,
    shared: Arc<Shared>,
    sender: Mutex<Option<Sender<Task>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl HostStream {
    pub(crate) fn start(device: u32) -> Result<Self> {
        let (sender, receiver) = unbounded();
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new()
            .name(format!("eplb-host-{device}"))
            .spawn({
                let shared = Arc::clone(&shared);
                move || run(&shared, &receiver)
            })
            .map_err(|error| {
                DeviceError::new(
                    ErrorKind::OutOfMemory,
                    "create_stream",
                    format!("the system gives no thread: {error}"),
                )
            })?;
        Ok(Self {
            device,
            shared,
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn device(&self) -> u32 {
        self.device
    }

    pub(crate) fn push(&self, operation: &'static str, work: Work) -> Result<()> {
        self.send(operation, Task::Work(work))
    }

    pub(crate) fn record(&self, capture: Capture) -> Result<()> {
        self.send("record_event", Task::Record(capture))
    }

    fn send(&self, operation: &'static str, task: Task) -> Result<()> {
        let sender = lock(&self.sender);
        let Some(sender) = &*sender else {
            return Err(invalid(operation, "the stream is being destroyed"));
        };
        lock(&self.shared.state).queued += 1;
        sender
            .send(task)
            .map_err(|_| DeviceError::new(ErrorKind::Lost, operation, "the stream's thread ended"))
    }

    pub(crate) fn progress(&self) -> Progress {
        let state = lock(&self.shared.state);
        // Also after a failure the rest is pending until the thread has dropped it, unstarted.
        if state.finished < state.queued {
            return Progress::Pending;
        }
        let failure = state.failure.clone();
        failure.map_or(Progress::Complete, Progress::Failed)
    }

    /// Gives up what is queued. The thread notes the failure once the running task has ended.
    pub(crate) fn abort(&self) -> Result<()> {
        self.shared.stop.stop();
        // An idle thread has to be woken to note it.
        self.push("abort_stream", Box::new(|_| Ok(())))
    }

    /// Ends the thread; waits for the running task. Work that is not over is given up, and reported.
    pub(crate) fn destroy(&self) -> Result<()> {
        let was_stopped = self.shared.stop.is_stopped();
        let was_pending = self.progress() == Progress::Pending;
        self.shared.stop.stop();
        drop(lock(&self.sender).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            let text = "the stream's thread panicked";
            return Err(DeviceError::new(ErrorKind::Failed, "destroy_stream", text));
        }
        if was_pending && !was_stopped {
            return Err(invalid(
                "destroy_stream",
                "the stream had work left, which was given up; wait for it or abort it first",
            ));
        }
        Ok(())
    }
}

/// The thread of a stream. It ends when the sender is dropped, and settles all records before.
fn run(shared: &Shared, receiver: &Receiver<Task>) {
    for task in receiver {
        let failure = lock(&shared.state).failure.clone();
        let result = match task {
            Task::Record(capture) => {
                let stopped = shared.stop.is_stopped();
                let failure = failure.or_else(|| stopped.then(stream_aborted));
                capture.settle(failure.as_ref());
                failure.map_or(Ok(()), Err)
            }
            Task::Work(work) if failure.is_some() || shared.stop.is_stopped() => {
                // Before it counts as finished: it holds the memory that it was to use.
                drop(work);
                Err(failure.unwrap_or_else(stream_aborted))
            }
            Task::Work(work) => work(&shared.stop),
        };
        let mut state = lock(&shared.state);
        state.finished += 1;
        if let Err(error) = result {
            state.failure.get_or_insert(error);
        }
    }
}

fn stream_aborted() -> DeviceError {
    aborted("abort_stream", "the stream was aborted")
}
