//! Joining by TCP: a rank finds the backend that made the id, and then the ranks before it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread::Builder;
use std::time::{Duration, Instant};

use eplb_device::{DeviceError, ErrorKind, Result};

use super::connection::{Ends, read_message, write_message};
use super::message::{Envelope, Message, Place, Seat};
use crate::error::{aborted, invalid};
use crate::hub::Hub;
use crate::peer::Nonce;

/// How long one attempt to connect may take, so that giving up is noticed.
const ATTEMPT: Duration = Duration::from_secs(1);

/// How long a process may be out of reach; the caller's deadline is usually earlier.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(30);

/// How long a rank may take to answer another one's first message.
const ANSWER: Duration = Duration::from_secs(10);

/// A rank here that is joining.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) hub: Hub,
    pub(crate) key: Nonce,
    pub(crate) rank: u32,
    pub(crate) size: u32,
}

/// Whether a failed attempt may be made again.
enum Attempt {
    Again(String),
    Over(DeviceError),
}

impl Joining {
    /// Does it on a thread of its own; a failure is that of the rank's creation.
    pub(crate) fn start(
        self,
        join: impl FnOnce(&Self) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let thread = move || {
            if let Err(error) = join(&self) {
                self.hub.fail(self.rank, error);
            }
        };
        let started = Builder::new().name("eplb-host-join".to_owned()).spawn(thread);
        started.map(drop).map_err(|error| {
            let text = format!("the system gives no thread: {error}");
            DeviceError::new(ErrorKind::OutOfMemory, "communicator", text)
        })
    }

    /// Joins at the backend that made the id, and waits there until all ranks have come.
    pub(crate) fn gather(&self, maker: SocketAddr, own: Seat) -> Result<Vec<Seat>> {
        let place = own.place.ok_or_else(|| invalid("communicator", "nothing listens here"))?;
        let join = Message::Join { size: self.size, backend: own.backend, place };
        self.attempt("the process that made the id", maker, || {
            let mut stream = self.connect(maker, self.rank, join.clone())?;
            let answer = read_message(&mut stream, || self.hub.goes_on(self.rank));
            match self.expect(answer)? {
                Message::Roster(seats) if seats.len() == self.size as usize => Ok(seats),
                _ => Err(Attempt::Over(strange(maker))),
            }
        })
    }

    /// Makes the links to those ranks elsewhere that come before this one; the others make theirs.
    pub(crate) fn link_to_ranks_before(&self, seats: &[Seat], own: Nonce) -> Result<()> {
        self.hub.seat_elsewhere(elsewhere(seats, own).map(|(peer, _)| peer));
        for (peer, place) in elsewhere(seats, own).filter(|(peer, _)| *peer < self.rank) {
            let Some(Place::Tcp(address)) = place else {
                return Err(invalid("communicator", format!("rank {peer} is not reached by TCP")));
            };
            let stream = self.link(peer, address)?;
            let ends = Ends { hub: self.hub.clone(), key: self.key, own: self.rank, peer };
            ends.serve(stream).map_err(|error| {
                DeviceError::new(ErrorKind::Failed, "communicator", error.to_string())
            })?;
        }
        Ok(())
    }

    fn link(&self, peer: u32, address: SocketAddr) -> Result<TcpStream> {
        self.attempt(&format!("rank {peer}"), address, || {
            let mut stream = self.connect(address, peer, Message::Hello)?;
            let until = Instant::now() + ANSWER;
            let answer =
                read_message(&mut stream, || self.hub.goes_on(self.rank) && Instant::now() < until);
            match self.expect(answer)? {
                Message::Welcome => Ok(stream),
                _ => Err(Attempt::Over(strange(address))),
            }
        })
    }

    fn attempt<T>(
        &self,
        whom: &str,
        address: SocketAddr,
        mut once: impl FnMut() -> std::result::Result<T, Attempt>,
    ) -> Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            let result = once();
            if !self.hub.goes_on(self.rank) {
                return Err(aborted("communicator", "the rank has given up"));
            }
            match result {
                Ok(found) => {
                    self.hub.join_on(self.rank, None);
                    return Ok(found);
                }
                Err(Attempt::Over(error)) => return Err(error),
                Err(Attempt::Again(text)) if Instant::now() >= until => {
                    let text = format!("{whom} is not to be reached at {address}: {text}");
                    return Err(DeviceError::new(ErrorKind::TimedOut, "communicator", text));
                }
                Err(Attempt::Again(_)) => std::thread::sleep(PAUSE),
            }
        }
    }

    fn connect(
        &self,
        address: SocketAddr,
        to: u32,
        message: Message,
    ) -> std::result::Result<TcpStream, Attempt> {
        let again = |error: io::Error| Attempt::Again(error.to_string());
        let mut stream =
            TcpStream::connect_timeout(&address, ATTEMPT).map_err(|error| match error.kind() {
                // Whoever gave the address has listened there: it has gone.
                io::ErrorKind::ConnectionRefused => Attempt::Over(DeviceError::new(
                    ErrorKind::Failed,
                    "communicator",
                    format!("nobody listens at {address} any more: the process there has ended"),
                )),
                _ => again(error),
            })?;
        if !self.hub.join_on(self.rank, Some(&stream)) {
            return Err(Attempt::Again("the rank has given up".to_owned()));
        }
        let envelope = Envelope { key: self.key, from: self.rank, to, message };
        write_message(&mut stream, &envelope).map_err(again)?;
        Ok(stream)
    }

    fn expect(&self, answer: io::Result<Envelope>) -> std::result::Result<Message, Attempt> {
        let answer = answer.map_err(|error| Attempt::Again(error.to_string()))?;
        match answer.message {
            Message::Refused(why) => Err(Attempt::Over(why.of("communicator"))),
            message if answer.key == self.key => Ok(message),
            _ => Err(Attempt::Again("it answered for another communicator".to_owned())),
        }
    }
}

/// The ranks elsewhere, and where they are.
pub(crate) fn elsewhere(seats: &[Seat], own: Nonce) -> impl Iterator<Item = (u32, Option<Place>)> {
    let seats = (0..).zip(seats);
    seats.filter(move |(_, seat)| seat.backend != own).map(|(rank, seat)| (rank, seat.place))
}

fn strange(address: SocketAddr) -> DeviceError {
    let text = format!("the answer from {address} is not that of a rank of this version");
    DeviceError::new(ErrorKind::Failed, "communicator", text)
}
