//! The thread that makes all calls of MPI.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::MatchedReceiveVec;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};

use super::wire::{Outgoing, Shared};
use crate::frame::{Frame, HEAD, Head};
use crate::mailbox::Mailbox;
use crate::star::LEADER;

/// Bytes of a piece, with its mark: below what common MPI libraries send at once, without asking the
/// receiver (4,096 over shared memory in Open MPI), so that a piece that is announced is there.
const PIECE: usize = 3_968;

/// Tags of the two kinds of messages.
const OF_FRAMES: i32 = 17;
const OF_LINKS: i32 = 18;

/// Marks at the beginning of a piece.
const MORE: u8 = 1;
const LAST: u8 = 0;

/// So often is said that a rank is there, within the time that makes it gone.
const PULSES: u32 = 4;

/// Naps while there is nothing to do.
const SHORTEST_NAP: Duration = Duration::from_micros(10);
const LONGEST_NAP: Duration = Duration::from_micros(100);

/// This process's place in the job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) rank: u32,
    pub(super) size: u32,
    pub(super) number_on_host: u32,
}

/// The state of the thread.
pub(super) struct Pump<'a> {
    job: Job,
    world: &'a SimpleCommunicator,
    todo: &'a Receiver<Outgoing>,
    shared: Arc<Shared>,
    /// Pieces of messages whose last one has not come, by sender and tag.
    parts: BTreeMap<(u32, i32), Vec<u8>>,
    silence: Option<Duration>,
    last_pulse: Instant,
    nap: Duration,
    /// No more orders come.
    is_over: bool,
}

type Started = Result<(Job, Arc<Shared>), String>;

impl Pump<'_> {
    /// Starts MPI, tells so, and serves orders until the last.
    pub(super) fn run(todo: &Receiver<Outgoing>, tell: &Sender<Started>) {
        let universe = match start() {
            Ok(universe) => universe,
            Err(problem) => {
                // Nobody listens where starting took too long.
                let _ = tell.send(Err(problem));
                return;
            }
        };
        let world = universe.world();
        let number_on_host = world.split_shared(world.rank()).rank();
        let job = Job {
            rank: world.rank() as u32,
            size: world.size() as u32,
            number_on_host: number_on_host as u32,
        };
        let peers = if job.rank == LEADER { 1..job.size } else { LEADER..LEADER + 1 };
        let shared = Arc::new(Shared::new(Mailbox::new(peers)));
        let _ = tell.send(Ok((job, Arc::clone(&shared))));
        let mut pump = Pump {
            job,
            world: &world,
            todo,
            shared: Arc::clone(&shared),
            parts: BTreeMap::new(),
            silence: None,
            last_pulse: Instant::now(),
            nap: SHORTEST_NAP,
            is_over: false,
        };
        while !pump.is_over {
            pump.turn();
        }
        if shared.carried().losses.is_empty() {
            drop(universe);
        } else {
            // Its end would wait for ranks that are gone.
            std::mem::forget(universe);
        }
    }

    /// Does what there is to do, or naps.
    fn turn(&mut self) {
        self.receive();
        self.beat();
        let nap = if self.nap > SHORTEST_NAP { self.nap } else { Duration::ZERO };
        match self.todo.recv_timeout(nap) {
            Ok(Outgoing::Frame { to, bytes }) => self.send(to, &bytes, OF_FRAMES),
            Ok(Outgoing::Carried { to, bytes }) => self.send(to, &bytes, OF_LINKS),
            Ok(Outgoing::Begin { silence }) => {
                self.silence = Some(silence);
                self.shared.mailbox.hear_all();
            }
            Ok(Outgoing::End) | Err(RecvTimeoutError::Disconnected) => self.is_over = true,
            Err(RecvTimeoutError::Timeout) => {
                self.nap = (self.nap * 2).min(LONGEST_NAP);
                return;
            }
        }
        self.nap = SHORTEST_NAP;
    }

    /// Takes all that has come.
    fn receive(&mut self) {
        for tag in [OF_FRAMES, OF_LINKS] {
            while let Some(found) = self.world.any_process().immediate_matched_probe_with_tag(tag) {
                let (piece, status) = found.matched_receive_vec::<u8>();
                self.nap = SHORTEST_NAP;
                let from = status.source_rank() as u32;
                let Some((mark, piece)) = piece.split_first() else { continue };
                let parts = self.parts.entry((from, tag)).or_default();
                parts.extend_from_slice(piece);
                if *mark == LAST {
                    let message = std::mem::take(parts);
                    self.take(from, tag, message);
                }
            }
        }
    }

    fn take(&self, from: u32, tag: i32, message: Vec<u8>) {
        if tag == OF_LINKS {
            self.shared.carried().messages.push_back((from, message));
            return;
        }
        let frame = message.split_first_chunk::<HEAD>().and_then(|(head, body)| {
            let head = Head::decode(*head).filter(|head| head.bytes == body.len())?;
            Frame::decode(head, body.to_vec())
        });
        match frame {
            Some(frame) => self.shared.mailbox.deliver(from, frame),
            None => self.shared.lose(from, "it sent what no rank sends"),
        }
    }

    /// Says that this rank is there, and notices who is not.
    fn beat(&mut self) {
        let Some(silence) = self.silence else { return };
        if self.last_pulse.elapsed() < silence / PULSES {
            return;
        }
        self.last_pulse = Instant::now();
        for rank in self.shared.mailbox.silent_for(silence) {
            let seconds = silence.as_secs_f64();
            self.shared.lose(rank, &format!("nothing was heard of it for {seconds} s"));
        }
        let peers = if self.job.rank == LEADER { 1..self.job.size } else { LEADER..LEADER + 1 };
        let doubtful = self.shared.mailbox.silent_for(silence / 2);
        for rank in peers.filter(|rank| !doubtful.contains(rank)) {
            self.send(rank, &Frame::Pulse.encode(), OF_FRAMES);
        }
    }

    fn send(&mut self, to: u32, message: &[u8], tag: i32) {
        if to >= self.job.size || to == self.job.rank {
            return;
        }
        let mut pieces = message.chunks(PIECE - 1).peekable();
        while let Some(piece) = pieces.next() {
            if self.is_gone(to) {
                return;
            }
            let mark = if pieces.peek().is_some() { MORE } else { LAST };
            let piece: Vec<u8> = std::iter::once(mark).chain(piece.iter().copied()).collect();
            self.send_piece(to, &piece, tag);
        }
    }

    /// Sends a piece. Where MPI does not take it, since its queues to a process that is gone are full, what
    /// else there is to do is done in here: MPI wants the piece back before it may be let go of.
    fn send_piece(&mut self, to: u32, piece: &[u8], tag: i32) {
        let world = self.world;
        mpi::request::scope(|scope| {
            let receiver = world.process_at_rank(to as i32);
            let mut request = receiver.immediate_send_with_tag(scope, piece, tag);
            loop {
                request = match request.test() {
                    Ok(_) => return,
                    Err(request) => request,
                };
                if self.is_gone(to) {
                    self.turn();
                    // A process that has lost others ends without MPI, and this thread with it.
                    if self.is_over {
                        std::thread::park();
                    }
                } else {
                    self.receive();
                    std::thread::sleep(SHORTEST_NAP);
                }
                self.miss();
            }
        });
    }

    /// Notices who is gone, without a word to anybody.
    fn miss(&self) {
        let Some(silence) = self.silence else { return };
        for rank in self.shared.mailbox.silent_for(silence) {
            let seconds = silence.as_secs_f64();
            self.shared.lose(rank, &format!("nothing was heard of it for {seconds} s"));
        }
    }

    fn is_gone(&self, rank: u32) -> bool {
        self.shared.carried().losses.iter().any(|loss| loss.rank == rank)
    }
}

fn start() -> Result<Universe, String> {
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
        return Err("it was started in this process before".to_owned());
    };
    if threading < Threading::Serialized {
        return Err("it allows no calls from another thread than the first".to_owned());
    }
    Ok(universe)
}
