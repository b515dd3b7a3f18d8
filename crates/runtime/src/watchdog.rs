//! The deadlines of what a collective transport waits for.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use eplb_executor::{CollectiveWait, CollectiveWatch};

/// Ends waits for other ranks that take too long. A thread of its own: the one that moves weights may be inside a
/// call that waits for other ranks.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// `None` once the thread has been told to end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How long a wait may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until all ranks have joined the communicator.
    pub(crate) connect: Duration,
    /// Until all ranks have come to a roll call or a round, and until a round is over.
    pub(crate) round: Duration,
}

impl Limits {
    fn of(&self, wait: CollectiveWait) -> Duration {
        match wait {
            CollectiveWait::Connecting => self.connect,
            CollectiveWait::RollCall | CollectiveWait::Round => self.round,
        }
    }

    /// How often is looked: a wait may take that much longer.
    fn tick(&self) -> Duration {
        let least = self.connect.min(self.round);
        (least / 10).clamp(Duration::from_millis(1), Duration::from_millis(200))
    }
}

impl Watchdog {
    pub(crate) fn start(
        watch: CollectiveWatch,
        limits: Limits,
        name: String,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || Self::work(&watch, &limits, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    fn work(watch: &CollectiveWatch, limits: &Limits, stopped: &Receiver<()>) {
        let mut seen: Option<(u64, Instant)> = None;
        while stopped.recv_timeout(limits.tick()) == Err(RecvTimeoutError::Timeout) {
            seen = watch.waiting().map(|(number, wait)| {
                let known = seen.filter(|(known, _)| *known == number);
                let since = known.map_or_else(Instant::now, |(_, since)| since);
                let limit = limits.of(wait);
                if since.elapsed() >= limit {
                    watch.expire(number, limit.as_secs_f64());
                }
                (number, since)
            });
        }
    }
}

impl Drop for Watchdog {
    /// The thread looks for the end ten times in a deadline at least; only an abort of a communicator, which is
    /// bounded, takes longer.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
