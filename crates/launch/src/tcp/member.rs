//! How a rank comes to its leader.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::handshake::{Hello, Welcome};
use super::wire::TcpWire;
use super::{Invitation, TcpGroup};
use crate::JoinError;
use crate::star::{LEADER, Star};

/// How long one try to connect may take.
const CONNECTING: Duration = Duration::from_secs(2);

/// Between two tries.
const NAP: Duration = Duration::from_millis(20);

/// The leader answers late when it waits for others, and has to say so itself when that is over.
const GRACE: Duration = Duration::from_secs(2);

/// How a try to join ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It may succeed later: there is no leader yet.
    Again(String),
    /// It won't.
    Over(JoinError),
}

impl TcpGroup {
    /// Joins the group of an invitation as `rank`, which is not 0: that is the leader. Waits for the
    /// leader and all other ranks, at most `limit`.
    ///
    /// # Errors
    /// There is no leader, or it refuses this rank and says why.
    pub fn join(
        invitation: &Invitation,
        rank: u32,
        silence: Duration,
        limit: Duration,
    ) -> Result<Self, JoinError> {
        let until = Instant::now() + limit;
        loop {
            let last = match Self::try_join(invitation, rank, silence, until) {
                Ok(group) => return Ok(group),
                Err(Attempt::Over(error)) => return Err(error),
                Err(Attempt::Again(last)) => last,
            };
            if Instant::now() >= until {
                let (place, seconds) = (invitation.address.clone(), limit.as_secs_f64());
                return Err(JoinError::NoLeader { place, seconds, last });
            }
            std::thread::sleep(NAP);
        }
    }

    pub(crate) fn try_join(
        invitation: &Invitation,
        rank: u32,
        silence: Duration,
        until: Instant,
    ) -> Result<Self, Attempt> {
        let Invitation { token, size, ref address } = *invitation;
        if rank >= size {
            return Err(Attempt::Over(JoinError::Rank { rank, size }));
        }
        let system = |error: std::io::Error| Attempt::Again(error.to_string());
        let mut stream = connect(address).map_err(system)?;
        stream.set_write_timeout(Some(CONNECTING)).map_err(system)?;
        stream.write_all(&Hello { token, size, rank }.encode()).map_err(system)?;
        let left = until.saturating_duration_since(Instant::now()) + GRACE;
        stream.set_read_timeout(Some(left)).map_err(system)?;
        match Welcome::read(&mut stream).map_err(system)? {
            Welcome::Begin => {}
            Welcome::OtherGroup => {
                return Err(Attempt::Again("the leader there is another group's".to_owned()));
            }
            Welcome::Refused(reason) => {
                let address = address.clone();
                return Err(Attempt::Over(JoinError::Refused { address, reason }));
            }
        }
        let leader = BTreeMap::from([(LEADER, stream)]);
        let wire = TcpWire::start(rank, leader, silence, None).map_err(Attempt::Over)?;
        Ok(Self(Star::new(rank, size, wire)))
    }
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = None;
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("the name has no address")))
}
