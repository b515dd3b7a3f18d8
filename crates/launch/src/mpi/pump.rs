//! The thread that makes all calls of MPI.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::MatchedReceiveVec;
use mpi::request::{LocalScope, Request};
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

/// Pieces that are given to MPI until all of them have to be back.
const LENT: usize = 4_096;

/// How long the last pieces may take to go.
const ENDING: Duration = Duration::from_secs(2);

/// Naps while there is nothing to do: on a host with more processes than cores, one that looks more often
/// gets its next turn later.
const SHORTEST_NAP: Duration = Duration::from_micros(20);
const LONGEST_NAP: Duration = Duration::from_millis(1);

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
    /// Pieces that MPI was not given yet.
    waiting: VecDeque<Piece>,
    silence: Option<Duration>,
    last_pulse: Instant,
    nap: Duration,
    /// Since when no more orders come.
    over_since: Option<Instant>,
}

/// A piece of a message.
struct Piece {
    to: u32,
    tag: i32,
    bytes: Vec<u8>,
}

/// A piece that MPI was given, until it gives it back.
struct Lent<'piece, 'scope> {
    to: u32,
    request: Request<'piece, [u8], &'scope LocalScope<'piece>>,
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
            waiting: VecDeque::new(),
            silence: None,
            last_pulse: Instant::now(),
            nap: SHORTEST_NAP,
            over_since: None,
        };
        while !pump.is_done() {
            pump.serve();
        }
        if shared.carried().losses.is_empty() {
            drop(universe);
        } else {
            // Its end would wait for ranks that are gone.
            std::mem::forget(universe);
        }
    }

    /// Serves orders until MPI has been lent as many pieces as there are places for, and has given all of
    /// them back. It keeps those for processes that are gone, as long as these processes were there to
    /// fill its queues; then the next pieces are served in here, so that nobody waits for who is gone.
    fn serve(&mut self) {
        let places: Vec<OnceCell<Vec<u8>>> = (0..LENT).map(|_| OnceCell::new()).collect();
        let world = self.world;
        mpi::request::scope(|scope| {
            let mut free = places.iter();
            let mut lent: Vec<Lent<'_, '_>> = Vec::new();
            loop {
                self.receive();
                self.beat();
                self.take_order();
                while free.len() > 0
                    && let Some(Piece { to, tag, bytes }) = self.waiting.pop_front()
                {
                    if self.is_gone(to) {
                        continue;
                    }
                    let Some(place) = free.next() else { break };
                    let bytes: &[u8] = place.get_or_init(|| bytes);
                    let receiver = world.process_at_rank(to as i32);
                    let request = receiver.immediate_send_with_tag(scope, bytes, tag);
                    lent.push(Lent { to, request });
                }
                let still =
                    |Lent { to, request }| request.test().err().map(|request| Lent { to, request });
                lent = lent.into_iter().filter_map(still).collect();
                if self.is_done() {
                    self.part_with(lent);
                    return;
                }
                if free.len() == 0 {
                    if lent.is_empty() {
                        return;
                    }
                    self.serve();
                }
            }
        });
    }

    /// Waits for the last pieces. What MPI never gives back must not be let go of, so where ranks are gone
    /// this thread stays until the process ends.
    fn part_with(&self, mut lent: Vec<Lent<'_, '_>>) {
        let until = Instant::now() + ENDING;
        loop {
            let still =
                |Lent { to, request }| request.test().err().map(|request| Lent { to, request });
            lent = lent.into_iter().filter_map(still).collect();
            if lent.is_empty() {
                return;
            }
            if Instant::now() >= until || lent.iter().all(|lent| self.is_gone(lent.to)) {
                break;
            }
            std::thread::sleep(SHORTEST_NAP);
        }
        self.shared.park();
        loop {
            std::thread::park();
        }
    }

    /// Whether no more orders come, and MPI was given all that it is to send.
    fn is_done(&self) -> bool {
        let gave_up = |since: Instant| since.elapsed() > ENDING;
        self.over_since.is_some_and(|since| self.waiting.is_empty() || gave_up(since))
    }

    /// Takes the next order, or naps.
    fn take_order(&mut self) {
        if self.over_since.is_some() {
            return;
        }
        let nap = if self.nap > SHORTEST_NAP { self.nap } else { Duration::ZERO };
        match self.todo.recv_timeout(nap) {
            Ok(Outgoing::Frame { to, bytes }) => self.send(to, &bytes, OF_FRAMES),
            Ok(Outgoing::Carried { to, bytes }) => self.send(to, &bytes, OF_LINKS),
            Ok(Outgoing::Begin { silence }) => {
                self.silence = Some(silence);
                self.shared.mailbox.hear_all();
            }
            Ok(Outgoing::End) | Err(RecvTimeoutError::Disconnected) => {
                self.over_since = Some(Instant::now());
            }
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

    /// Cuts a message into pieces.
    fn send(&mut self, to: u32, message: &[u8], tag: i32) {
        if to >= self.job.size || to == self.job.rank {
            return;
        }
        let mut pieces = message.chunks(PIECE - 1).peekable();
        while let Some(piece) = pieces.next() {
            let mark = if pieces.peek().is_some() { MORE } else { LAST };
            let bytes = std::iter::once(mark).chain(piece.iter().copied()).collect();
            self.waiting.push_back(Piece { to, tag, bytes });
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
