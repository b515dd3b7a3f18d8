//! Frames over MPI: what the pump and the rest of a process share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Loss;
use crate::frame::Frame;
use crate::mailbox::Mailbox;
use crate::wire::Wire;

/// How long the last messages may take to go, when the group ends.
const ENDING: Duration = Duration::from_secs(5);

/// For the pump.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Bytes of a frame.
    Frame { to: u32, bytes: Vec<u8> },
    /// A message of the links.
    Carried { to: u32, bytes: Vec<u8> },
    /// Say from now on that this rank is there, and miss those that don't.
    Begin { silence: Duration },
    /// There is nothing else.
    End,
}

/// What the pump fills, and others read.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mailbox: Mailbox,
    carried: Mutex<Carried>,
    /// The pump has sent all that it could, and stays as it is until the process ends.
    is_parked: AtomicBool,
}

/// What has come over the links, and who is gone.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) messages: VecDeque<(u32, Vec<u8>)>,
    /// Every loss, in the order in which it was known.
    pub(super) losses: Vec<Loss>,
}

impl Shared {
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, carried: Mutex::default(), is_parked: AtomicBool::new(false) }
    }

    pub(super) fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pump does nothing any more.
    pub(super) fn park(&self) {
        self.is_parked.store(true, Ordering::Release);
    }

    /// A rank is gone.
    pub(super) fn lose(&self, rank: u32, why: &str) {
        self.mailbox.end(rank, why);
        let losses = &mut self.carried().losses;
        if losses.iter().all(|loss| loss.rank != rank) {
            losses.push(Loss { rank, why: why.to_owned() });
        }
    }
}

/// A member's end of the job.
#[derive(Debug)]
pub(super) struct MpiWire {
    shared: Arc<Shared>,
    orders: Sender<Outgoing>,
    pump: Option<JoinHandle<()>>,
    silence: Mutex<Duration>,
}

impl MpiWire {
    pub(super) fn new(shared: Arc<Shared>, orders: Sender<Outgoing>, pump: JoinHandle<()>) -> Self {
        Self { shared, orders, pump: Some(pump), silence: Mutex::new(Duration::ZERO) }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn orders(&self) -> Sender<Outgoing> {
        self.orders.clone()
    }

    pub(super) fn begin(&self, silence: Duration) {
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = silence;
        // Without a pump nobody is heard, which is noticed elsewhere.
        let _ = self.orders.send(Outgoing::Begin { silence });
    }
}

impl Wire for MpiWire {
    fn mailbox(&self) -> &Mailbox {
        &self.shared.mailbox
    }

    fn silence(&self) -> Duration {
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, to: u32, frame: &Frame) {
        if self.orders.send(Outgoing::Frame { to, bytes: frame.encode() }).is_err() {
            self.shared.lose(to, "this process's thread for MPI has ended");
        }
    }

    fn cut(&self, rank: u32, why: &str) {
        self.shared.mailbox.end(rank, why);
    }

    fn lost(&self, loss: &Loss) {
        self.shared.lose(loss.rank, &loss.why);
    }
}

impl Drop for MpiWire {
    fn drop(&mut self) {
        let Some(pump) = self.pump.take() else { return };
        let _ = self.orders.send(Outgoing::End);
        let until = Instant::now() + ENDING;
        // The pump of a process that has lost others may never end; it goes with the process.
        let has_ended = || pump.is_finished() || self.shared.is_parked.load(Ordering::Acquire);
        while !has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
