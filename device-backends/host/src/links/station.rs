//! What a backend knows of communicators with ranks elsewhere: who may join, and how others are reached.

use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, Weak};

use eplb_device::{DeviceError, ErrorKind, Result};

use super::carried::Carried;
use super::carrier::CarrierError;
use super::connection::{Ends, write_message};
use super::door::Door;
use super::joining::{Joining, elsewhere};
use super::lobby::{Claimed, Lobby, Reply, Taken};
use super::message::{Envelope, Failure, Message, Place, Seat};
use super::name::CommunicatorName;
use super::way::Way;
use super::{Carrier, Links};
use crate::error::invalid;
use crate::gate::lock;
use crate::hub::Hub;
use crate::peer::Nonce;

/// One backend's part in communicators.
#[derive(Debug)]
pub(crate) struct Station {
    backend: Nonce,
    own: Weak<Self>,
    /// Whether other hosts are not to be reached anyway, so that a system without a network will do.
    stays_on_this_host: bool,
    means: Mutex<Means>,
    lobby: Mutex<Lobby>,
    /// Communicators with ranks here, by their keys.
    hubs: Mutex<HashMap<Nonce, Hub>>,
}

/// How other processes are reached; opened at first need.
#[derive(Debug)]
enum Means {
    Listener(IpAddr),
    Listening(Door),
    Carrier(Box<dyn Carrier>),
    Carried(Carried),
    Failed(String),
}

/// What is needed to reach others.
#[derive(Clone, Debug)]
enum Reach {
    Tcp(SocketAddr),
    Carried(Carried),
}

impl Station {
    pub(crate) fn new(backend: Nonce, links: Links) -> Arc<Self> {
        let stays_on_this_host = matches!(&links, Links::Tcp { address } if address.is_loopback());
        let means = match links {
            Links::Tcp { address } => Means::Listener(address),
            Links::Given(carrier) => Means::Carrier(carrier),
        };
        Arc::new_cyclic(|own| Self {
            backend,
            own: Weak::clone(own),
            stays_on_this_host,
            means: Mutex::new(means),
            lobby: Mutex::default(),
            hubs: Mutex::default(),
        })
    }

    /// Makes the name of a communicator whose ranks join here.
    pub(crate) fn name(&self) -> Result<CommunicatorName> {
        let place = match self.reach("communicator_id") {
            Ok(reach) => Some(reach.place()),
            // Threads of this process need none.
            Err(_) if self.stays_on_this_host => None,
            Err(error) => return Err(error),
        };
        let name = CommunicatorName { maker: self.backend, place, key: Nonce::new() };
        lock(&self.lobby).open(name.key);
        Ok(name)
    }

    /// A rank of this process joins.
    pub(crate) fn join(&self, name: &CommunicatorName, rank: u32, size: u32) -> Result<Hub> {
        let is_own = name.maker == self.backend;
        if is_own && !lock(&self.lobby).is_open(name.key) {
            let text = "the id was never made, or all its ranks have joined";
            return Err(invalid("communicator", text));
        }
        let reach = if is_own { None } else { Some(self.reach("communicator")?) };
        let hub = {
            let mut hubs = lock(&self.hubs);
            let hub = hubs.get(&name.key).cloned().unwrap_or_else(|| Hub::new(name.key, size));
            hub.join(rank, size)?;
            hubs.insert(name.key, hub.clone());
            hub
        };
        let begun = match reach {
            None => self.take_seat(name.key, rank, size),
            Some(reach) => self.go_and_join(name, &reach, &hub, rank, size),
        };
        match begun {
            Ok(()) => Ok(hub),
            Err(error) => {
                self.leave(name.key, rank, &hub);
                Err(error)
            }
        }
    }

    /// The end of a rank here goes; the last one takes the meeting place along.
    pub(crate) fn leave(&self, key: Nonce, rank: u32, hub: &Hub) {
        lock(&self.lobby).vacate_here(key, rank);
        let mut hubs = lock(&self.hubs);
        if hub.leave(rank) {
            hubs.remove(&key);
        }
    }

    /// The ranks of a communicator that have come while others are missing.
    #[cfg(test)]
    pub(crate) fn seats_taken(&self, key: Nonce) -> Vec<u32> {
        lock(&self.lobby).seats_taken(key)
    }

    fn reach(&self, operation: &'static str) -> Result<Reach> {
        let mut means = lock(&self.means);
        let opened = match std::mem::replace(&mut *means, Means::Failed(String::new())) {
            Means::Listener(address) => match Door::open(address, Weak::clone(&self.own)) {
                Ok(door) => Means::Listening(door),
                Err(error) => Means::Failed(format!("cannot listen at {address}: {error}")),
            },
            Means::Carrier(carrier) => match Carried::start(carrier, Weak::clone(&self.own)) {
                Ok(carried) => Means::Carried(carried),
                Err(error) => Means::Failed(format!("the carrier's thread: {error}")),
            },
            opened => opened,
        };
        *means = opened;
        match &*means {
            Means::Listening(door) => Ok(Reach::Tcp(door.address)),
            Means::Carried(carried) => Ok(Reach::Carried(carried.clone())),
            Means::Failed(text) => Err(DeviceError::new(ErrorKind::Failed, operation, text)),
            Means::Listener(_) | Means::Carrier(_) => Err(invalid(operation, "no links")),
        }
    }

    /// Where this backend is reached; none yet if it listens nowhere.
    fn seat(&self, reach: Option<&Reach>) -> Seat {
        Seat { backend: self.backend, place: reach.map(Reach::place) }
    }

    /// A rank here joins a communicator whose id was made here.
    fn take_seat(&self, key: Nonce, rank: u32, size: u32) -> Result<()> {
        // Was opened with the id, or could not be.
        let reach = self.reach("communicator").ok();
        let seat = self.seat(reach.as_ref());
        let claimed = lock(&self.lobby).claim(key, rank, size, seat, Reply::Here)?;
        if let Claimed::Full(all) = claimed {
            self.seat_all(key, &all);
        }
        Ok(())
    }

    /// A rank here joins a communicator whose id was made elsewhere.
    fn go_and_join(
        &self,
        name: &CommunicatorName,
        reach: &Reach,
        hub: &Hub,
        rank: u32,
        size: u32,
    ) -> Result<()> {
        let unsupported = |text: &str| {
            Err(DeviceError::new(ErrorKind::Unsupported, "communicator", text.to_owned()))
        };
        let joining = Joining { hub: hub.clone(), key: name.key, rank, size };
        let seat = self.seat(Some(reach));
        match (name.place, reach) {
            (Some(Place::Tcp(maker)), Reach::Tcp(_)) => joining.start(move |joining| {
                let seats = joining.gather(maker, seat)?;
                joining.link_to_ranks_before(&seats, seat.backend)
            }),
            (Some(Place::Carried(maker)), Reach::Carried(carried)) => {
                if maker >= carried.processes || maker == carried.process {
                    let text = format!("the id was made by process {maker}, which is none here");
                    return Err(invalid("communicator", text));
                }
                hub.join_at(maker);
                let place = reach.place();
                let message = Message::Join { size, backend: self.backend, place };
                let join = Envelope { key: name.key, from: rank, to: rank, message };
                carried.way(maker).send(&join);
                Ok(())
            }
            (None, _) => unsupported("the id was made where no other process could be let in"),
            _ => unsupported(
                "the id was made by a backend with other links; all ranks need TCP, or all the same carrier",
            ),
        }
    }

    /// All ranks have come: tells each where the others are.
    fn seat_all(&self, key: Nonce, all: &[Taken]) {
        let seats: Vec<Seat> = all.iter().map(|taken| taken.seat).collect();
        for (rank, taken) in (0..).zip(all) {
            let message = Message::Roster(seats.clone());
            let roster = Envelope { key, from: rank, to: rank, message };
            match &taken.reply {
                Reply::Here => {
                    let hub = lock(&self.hubs).get(&key).cloned();
                    if let Some(hub) = hub {
                        self.link(key, &hub, rank, &seats);
                    }
                }
                Reply::Stream(stream) => {
                    // Who can't be told has gone, and the others find no link to it.
                    let _ = stream
                        .try_clone()
                        .and_then(|mut stream| write_message(&mut stream, &roster));
                }
                Reply::Carried(process) => self.send_carried(*process, &roster),
            }
        }
    }

    /// Begins to link a rank here with those elsewhere.
    fn link(&self, key: Nonce, hub: &Hub, rank: u32, seats: &[Seat]) {
        hub.seat_elsewhere(elsewhere(seats, self.backend).map(|(peer, _)| peer));
        let Ok(reach) = self.reach("communicator") else { return };
        match reach {
            Reach::Carried(carried) => hub.change(|state| {
                for (peer, place) in elsewhere(seats, self.backend) {
                    if let Some(Place::Carried(process)) = place {
                        state.mail.add_link(rank, peer, carried.way(process));
                    }
                }
            }),
            Reach::Tcp(_) => {
                let backend = self.backend;
                if !elsewhere(seats, backend).any(|(peer, _)| peer < rank) {
                    return;
                }
                let size = u32::try_from(seats.len()).unwrap_or(u32::MAX);
                let joining = Joining { hub: hub.clone(), key, rank, size };
                let seats = seats.to_vec();
                let started =
                    joining.start(move |joining| joining.link_to_ranks_before(&seats, backend));
                if let Err(error) = started {
                    hub.fail(rank, error);
                }
            }
        }
    }

    // --- who comes by TCP

    /// Whether a communicator with this key is open here.
    pub(crate) fn knows(&self, key: Nonce) -> bool {
        lock(&self.lobby).is_open(key) || lock(&self.hubs).contains_key(&key)
    }

    /// Takes in who has shown the key of a communicator. Gives a claim where a rank waits for others to
    /// come: it is [over](Self::vacate) when its connection ends.
    pub(crate) fn welcome(&self, envelope: Envelope, mut stream: TcpStream) -> Option<Guest> {
        let Envelope { key, from, to, message } = envelope;
        let result = match message {
            Message::Join { size, backend, place } => {
                self.seat_guest(key, from, size, Seat { backend, place: Some(place) }, &stream)
            }
            Message::Hello => self.link_guest(key, from, to, &stream).map(|()| None),
            _ => return None,
        };
        match result {
            Ok(claim) => claim.map(|claim| Guest { key, claim, stream }),
            Err(error) => {
                let message = Message::Refused(Failure::from(&error));
                let refusal = Envelope { key, from: to, to: from, message };
                // Who does not listen does without.
                let _ = write_message(&mut stream, &refusal);
                None
            }
        }
    }

    pub(crate) fn vacate(&self, key: Nonce, claim: u64) {
        lock(&self.lobby).vacate(key, claim);
    }

    fn seat_guest(
        &self,
        key: Nonce,
        rank: u32,
        size: u32,
        seat: Seat,
        stream: &TcpStream,
    ) -> Result<Option<u64>> {
        let refused = |text: String| invalid("communicator", text);
        if !matches!(seat.place, Some(Place::Tcp(address)) if may_be_reached(address, stream)) {
            return Err(refused(format!(
                "rank {rank} comes from another host and listens where others do not reach it; give \
                 its backend links with an address of its host"
            )));
        }
        let reply = stream.try_clone().map_err(|error| refused(error.to_string()))?;
        let claimed = lock(&self.lobby).claim(key, rank, size, seat, Reply::Stream(reply))?;
        Ok(match claimed {
            Claimed::Seated(claim) => Some(claim),
            Claimed::Full(all) => {
                self.seat_all(key, &all);
                None
            }
        })
    }

    /// A rank after one of this process makes its link.
    fn link_guest(&self, key: Nonce, peer: u32, own: u32, stream: &TcpStream) -> Result<()> {
        let refused = |text: String| invalid("communicator", text);
        let hub = lock(&self.hubs).get(&key).cloned();
        let hub = hub.ok_or_else(|| refused("the communicator is over".to_owned()))?;
        hub.change(|state| {
            let fits =
                own < peer && peer < state.size && state.is_here(own) && !state.is_here(peer);
            if !fits {
                return Err(refused(format!("rank {own} takes no link from rank {peer} here")));
            }
            let text = format!("rank {peer} has a link to rank {own} already");
            if state.mail.reserve(own, peer) { Ok(()) } else { Err(refused(text)) }
        })?;
        let served = stream.try_clone().and_then(|mut stream| {
            let message = Message::Welcome;
            write_message(&mut stream, &Envelope { key, from: own, to: peer, message })?;
            Ends { hub: hub.clone(), key, own, peer }.serve(stream)
        });
        served.map_err(|error| {
            hub.change(|state| state.mail.release(own, peer));
            refused(error.to_string())
        })
    }

    // --- what the carrier brings

    pub(crate) fn receive_carried(&self, process: u32, message: Vec<u8>) {
        // What is no message is nobody's.
        let Ok((envelope, payload)) = Envelope::read(message) else { return };
        let Envelope { key, from, to, message } = envelope;
        let hub = lock(&self.hubs).get(&key).cloned();
        match (message, hub) {
            (Message::Join { size, backend, .. }, _) => {
                let seat = Seat { backend, place: Some(Place::Carried(process)) };
                let reply = Reply::Carried(process);
                let claimed = lock(&self.lobby).claim(key, from, size, seat, reply);
                match claimed {
                    Ok(Claimed::Seated(_)) => {}
                    Ok(Claimed::Full(all)) => self.seat_all(key, &all),
                    Err(error) => {
                        let message = Message::Refused(Failure::from(&error));
                        self.send_carried(process, &Envelope { key, from, to: from, message });
                    }
                }
            }
            (Message::Roster(seats), Some(hub))
                if hub.look(|state| state.is_here(to) && state.size as usize == seats.len()) =>
            {
                self.link(key, &hub, to, &seats);
            }
            (Message::Refused(why), Some(hub)) => hub.fail(to, why.of("communicator")),
            (message, Some(hub)) if hub.change(|state| state.is_here(to)) => hub.change(|state| {
                if state.mail.receive(to, from, message, payload).is_err() {
                    state.mail.lose(to, from, "it has sent a message out of turn");
                }
            }),
            // Of a rank that has gone from here already.
            (Message::Bye, _) => {
                let seen = Envelope { key, from: to, to: from, message: Message::Seen };
                self.send_carried(process, &seen);
            }
            _ => {}
        }
    }

    /// A process has gone, or the carrier with all of them.
    pub(crate) fn lose_carried(&self, error: &CarrierError) {
        if error.process.is_none() {
            *lock(&self.means) = Means::Failed(error.text.clone());
        }
        lock(&self.lobby).vacate_process(error.process);
        let hubs: Vec<Hub> = lock(&self.hubs).values().cloned().collect();
        let failure = DeviceError::new(ErrorKind::Failed, "communicator", error.text.clone());
        for hub in hubs {
            hub.lose_process(error.process, &failure);
        }
    }

    fn send_carried(&self, process: u32, envelope: &Envelope) {
        if let Means::Carried(carried) = &*lock(&self.means) {
            carried.way(process).send(envelope);
        }
    }
}

impl Reach {
    fn place(&self) -> Place {
        match self {
            Self::Tcp(address) => Place::Tcp(*address),
            Self::Carried(carried) => Place::Carried(carried.process),
        }
    }
}

impl Carried {
    fn way(&self, process: u32) -> Way {
        Way::Carried { process, carrier: self.outbox.clone() }
    }
}

/// A rank that waits for the others at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Guest {
    key: Nonce,
    claim: u64,
    stream: TcpStream,
}

impl Guest {
    /// Waits until the connection ends, which it does with the claim at the latest.
    pub(crate) fn attend(mut self, station: &Weak<Station>) {
        let waiting = self.stream.set_read_timeout(None);
        if waiting.is_ok() {
            // A guest has nothing more to say.
            let _ = self.stream.read(&mut [0]);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(station) = station.upgrade() {
            station.vacate(self.key, self.claim);
        }
    }
}

/// Whether others reach a rank where it says that it listens: a loopback address is only this host's.
fn may_be_reached(address: SocketAddr, stream: &TcpStream) -> bool {
    let same_host = match (stream.peer_addr(), stream.local_addr()) {
        (Ok(peer), Ok(local)) => peer.ip().is_loopback() || peer.ip() == local.ip(),
        _ => false,
    };
    same_host || !address.ip().is_loopback()
}
