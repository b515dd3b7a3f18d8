//! The leader's door: who may come in, and who has to stay outside.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::handshake::{HELLO, Hello, Welcome};
use super::wire::TcpWire;
use super::{GroupOptions, Invitation, TcpGroup};
use crate::JoinError;
use crate::star::{LEADER, Star};

/// How long a connection may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// How long a welcome or a refusal may take to be written: it is shorter than any buffer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Connections that have not said yet who they are; more are closed at once.
const MOST_UNKNOWN: usize = 64;

/// Between two looks at the door.
const NAP: Duration = Duration::from_millis(2);

/// Rank 0 before the others have come.
#[derive(Debug)]
pub struct TcpLeader {
    options: GroupOptions,
    invitation: Invitation,
    door: Door,
}

impl TcpLeader {
    /// Listens at an address, `host:port` or `host` for any free port. It is the one that other ranks
    /// connect to, so with ranks on other hosts it has to be one that those reach.
    ///
    /// # Errors
    /// The address is not this host's, is taken, or is none that others could connect to.
    pub fn listen(address: &str, options: GroupOptions) -> Result<Self, JoinError> {
        let (host, door) = Door::open(address)?;
        let address = format!("{host}:{}", door.port(address)?);
        let invitation = Invitation::new(options.size, address)?;
        Ok(Self { options, invitation, door })
    }

    /// Listens where an invitation that all ranks know already says.
    pub(crate) fn listen_as(invitation: Invitation, silence: Duration) -> Result<Self, JoinError> {
        let (_, door) = Door::open(&invitation.address)?;
        Ok(Self { options: GroupOptions { size: invitation.size, silence }, invitation, door })
    }

    /// What the other ranks need to find this one.
    pub fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    /// Waits until all ranks have come, at most `limit`.
    ///
    /// # Errors
    /// Some did not come: their numbers. Those that had come are told so.
    pub fn wait(mut self, limit: Duration) -> Result<TcpGroup, JoinError> {
        let until = Instant::now() + limit;
        let mut joined = BTreeMap::new();
        while joined.len() + 1 < self.options.size as usize {
            self.door.look(&self.invitation, &mut joined);
            if Instant::now() >= until {
                return Err(self.give_up(joined, limit));
            }
            std::thread::sleep(NAP);
        }
        for stream in joined.values_mut() {
            // One that went just now is missed by the group's first operation.
            let _ = prepare(stream).and_then(|()| Welcome::Begin.write(stream));
        }
        let wire = TcpWire::start(LEADER, joined, self.options.silence, Some(self.door))?;
        Ok(TcpGroup(Star::new(LEADER, self.options.size, wire)))
    }

    fn give_up(&self, joined: BTreeMap<u32, TcpStream>, limit: Duration) -> JoinError {
        let ranks: Vec<_> =
            (1..self.options.size).filter(|rank| !joined.contains_key(rank)).collect();
        let missing = JoinError::Missing {
            ranks,
            seconds: limit.as_secs_f64(),
            strangers: self.door.strangers,
        };
        for mut stream in joined.into_values() {
            refuse(&mut stream, missing.to_string());
        }
        missing
    }
}

/// A listening socket, and those that have knocked.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    unknown: Vec<Unknown>,
    /// Connections closed because they spoke otherwise than a rank does, or not at all.
    strangers: u32,
}

/// A connection that has not said yet who it is.
#[derive(Debug)]
struct Unknown {
    stream: TcpStream,
    said: Vec<u8>,
    until: Instant,
}

impl Door {
    fn open(address: &str) -> Result<(&str, Self), JoinError> {
        let refuse = |problem: String| JoinError::Address { address: address.to_owned(), problem };
        let host = match address.rsplit_once(':') {
            Some((host, _)) if !host.ends_with(':') => host,
            _ => address,
        };
        let with_port =
            if host.len() == address.len() { format!("{address}:0") } else { address.to_owned() };
        let found = with_port.to_socket_addrs();
        let found: Vec<SocketAddr> = found.map_err(|error| refuse(error.to_string()))?.collect();
        if found.iter().any(|address| address.ip().is_unspecified()) {
            let problem = "other ranks connect to it: give the one by which they reach this host";
            return Err(refuse(problem.to_owned()));
        }
        let listener = TcpListener::bind(&found[..]).map_err(|error| {
            refuse(format!("cannot be listened at: {error}; is it this host's, and free?"))
        })?;
        listener.set_nonblocking(true).map_err(|error| refuse(error.to_string()))?;
        Ok((host, Self { listener, unknown: Vec::new(), strangers: 0 }))
    }

    fn port(&self, address: &str) -> Result<u16, JoinError> {
        let local = self.listener.local_addr();
        local.map(|local| local.port()).map_err(|error| JoinError::Address {
            address: address.to_owned(),
            problem: error.to_string(),
        })
    }

    /// Lets in the ranks of the invitation that have knocked and are not in yet.
    fn look(&mut self, invitation: &Invitation, joined: &mut BTreeMap<u32, TcpStream>) {
        let introduced = self.introductions();
        // A rank that has ended meanwhile may come again.
        joined.retain(|_, stream| is_open(stream));
        for (hello, mut stream) in introduced {
            match refusal(hello, invitation, joined) {
                None => {
                    joined.insert(hello.rank, stream);
                }
                Some(welcome) => say(&mut stream, &welcome),
            }
        }
    }

    /// Tells late ranks that the group has begun without them.
    pub(super) fn turn_away(&mut self) {
        for (_, mut stream) in self.introductions() {
            refuse(&mut stream, "the group is complete and has begun".to_owned());
        }
    }

    /// Those who have said since the last look who they are.
    fn introductions(&mut self) -> Vec<(Hello, TcpStream)> {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.unknown.len() == MOST_UNKNOWN || stream.set_nonblocking(true).is_err() {
                self.strangers += 1;
                continue;
            }
            let until = Instant::now() + INTRODUCTION;
            self.unknown.push(Unknown { stream, said: Vec::new(), until });
        }
        let mut introduced = Vec::new();
        for mut unknown in std::mem::take(&mut self.unknown) {
            match unknown.listen() {
                Some(Ok(hello)) => introduced.push((hello, unknown.stream)),
                Some(Err(())) => self.strangers += 1,
                None => self.unknown.push(unknown),
            }
        }
        introduced
    }
}

impl Unknown {
    /// Who it is, once it has said so; an error for strangers.
    fn listen(&mut self) -> Option<Result<Hello, ()>> {
        let mut bytes = [0; HELLO];
        let wanted = HELLO - self.said.len();
        match self.stream.read(&mut bytes[..wanted]) {
            Ok(0) => return Some(Err(())),
            Ok(count) => self.said.extend(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Some(Err(())),
        }
        match <&[u8; HELLO]>::try_from(&self.said[..]) {
            Ok(said) => Some(Hello::decode(said).ok_or(())),
            Err(_) if Instant::now() >= self.until => Some(Err(())),
            Err(_) => None,
        }
    }
}

/// Why a rank may not come in.
fn refusal(
    hello: Hello,
    invitation: &Invitation,
    joined: &BTreeMap<u32, TcpStream>,
) -> Option<Welcome> {
    let Hello { token, size, rank } = hello;
    let expected = invitation.size;
    if token != invitation.token {
        return Some(Welcome::OtherGroup);
    }
    let reason = if size != expected {
        format!("it wants a group of {size} ranks, and this one has {expected}")
    } else if rank == LEADER || rank >= size {
        format!("its number is {rank}; allowed: 1 to {}, and 0 leads", size - 1)
    } else if let Some(first) = joined.get(&rank) {
        let from = first.peer_addr().map(|address| format!(" from {address}")).unwrap_or_default();
        format!("rank {rank} has come already{from}: give each process a number of its own")
    } else {
        return None;
    };
    Some(Welcome::Refused(reason))
}

fn refuse(stream: &mut TcpStream, reason: String) {
    say(stream, &Welcome::Refused(reason));
}

fn say(stream: &mut TcpStream, welcome: &Welcome) {
    // One that has gone does not need to know.
    let _ = prepare(stream).and_then(|()| welcome.write(stream));
}

/// For writing with an end.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(FAREWELL))
}

/// Whether a rank that says nothing before the group begins is still there.
fn is_open(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
