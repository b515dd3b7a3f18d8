//! Where the ranks of a communicator gather until all are there: at the backend that made its id.

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, TcpStream};

use eplb_device::Result;

use super::message::Seat;
use crate::error::invalid;
use crate::peer::Nonce;

/// The most ranks of a communicator: a roster of them fits a message.
pub(crate) const MOST_RANKS: u32 = 1_024;

/// The communicators of which not all ranks have come yet.
#[derive(Debug, Default)]
pub(crate) struct Lobby {
    rooms: HashMap<Nonce, Room>,
    last_claim: u64,
}

#[derive(Debug, Default)]
struct Room {
    size: Option<u32>,
    taken: BTreeMap<u32, Taken>,
}

/// A rank that has come.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) seat: Seat,
    pub(crate) reply: Reply,
    claim: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Ends the wait of who is there, and of the thread that attends to it here.
        if let Reply::Stream(stream) = &self.reply {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Where a rank waits for the roster.
#[derive(Debug)]
pub(crate) enum Reply {
    /// In this process.
    Here,
    /// At the other end of a connection.
    Stream(TcpStream),
    /// In a process that the carrier reaches.
    Carried(u32),
}

/// What became of a claim.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// The rank has its seat, under this number; others are still to come.
    Seated(u64),
    /// It was the last one: these are all ranks, in order.
    Full(Vec<Taken>),
}

impl Lobby {
    pub(crate) fn open(&mut self, key: Nonce) {
        self.rooms.insert(key, Room::default());
    }

    pub(crate) fn is_open(&self, key: Nonce) -> bool {
        self.rooms.contains_key(&key)
    }

    #[cfg(test)]
    pub(crate) fn seats_taken(&self, key: Nonce) -> Vec<u32> {
        self.rooms.get(&key).map_or(Vec::new(), |room| room.taken.keys().copied().collect())
    }

    /// A rank comes. Whoever came first for a rank keeps its seat.
    pub(crate) fn claim(
        &mut self,
        key: Nonce,
        rank: u32,
        size: u32,
        seat: Seat,
        reply: Reply,
    ) -> Result<Claimed> {
        let refused = |text: String| Err(invalid("communicator", text));
        let Some(room) = self.rooms.get_mut(&key) else {
            return refused("the id was never made here, or all its ranks have joined".to_owned());
        };
        if size > MOST_RANKS {
            return refused(format!("{size} ranks; allowed are at most {MOST_RANKS}"));
        }
        if rank >= size {
            return refused(format!("rank {rank} of {size}; allowed are ranks below the size"));
        }
        if let Some(known) = room.size
            && known != size
        {
            return refused(format!("{size} ranks; another rank gave {known}"));
        }
        if room.taken.contains_key(&rank) {
            return refused(format!("rank {rank} has joined before"));
        }
        room.size = Some(size);
        self.last_claim += 1;
        room.taken.insert(rank, Taken { seat, reply, claim: self.last_claim });
        if room.taken.len() < size as usize {
            return Ok(Claimed::Seated(self.last_claim));
        }
        let room = self.rooms.remove(&key).unwrap_or_default();
        Ok(Claimed::Full(room.taken.into_values().collect()))
    }

    /// A rank goes before all have come; its seat is free again.
    pub(crate) fn vacate(&mut self, key: Nonce, claim: u64) {
        self.vacate_where(|room, taken| room == key && taken.claim == claim);
    }

    /// The rank of this process goes.
    pub(crate) fn vacate_here(&mut self, key: Nonce, rank: u32) {
        if let Some(room) = self.rooms.get_mut(&key)
            && matches!(room.taken.get(&rank), Some(Taken { reply: Reply::Here, .. }))
        {
            room.taken.remove(&rank);
            room.forget_size();
        }
    }

    /// A process that the carrier reached has gone.
    pub(crate) fn vacate_process(&mut self, process: Option<u32>) {
        self.vacate_where(|_, taken| match taken.reply {
            Reply::Carried(number) => process.is_none_or(|process| process == number),
            Reply::Here | Reply::Stream(_) => false,
        });
    }

    fn vacate_where(&mut self, goes: impl Fn(Nonce, &Taken) -> bool) {
        for (key, room) in &mut self.rooms {
            room.taken.retain(|_, taken| !goes(*key, taken));
            room.forget_size();
        }
    }
}

impl Room {
    fn forget_size(&mut self) {
        if self.taken.is_empty() {
            self.size = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(lobby: &mut Lobby, key: Nonce, rank: u32, size: u32) -> Result<Claimed> {
        let seat = Seat { backend: Nonce(u128::from(rank)), place: None };
        lobby.claim(key, rank, size, seat, Reply::Carried(rank))
    }

    fn seated(claimed: Result<Claimed>) -> u64 {
        match claimed {
            Ok(Claimed::Seated(claim)) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_rank_gets_all_in_order() {
        let (mut lobby, key) = (Lobby::default(), Nonce::new());
        lobby.open(key);
        seated(claim(&mut lobby, key, 2, 3));
        seated(claim(&mut lobby, key, 0, 3));
        let Ok(Claimed::Full(all)) = claim(&mut lobby, key, 1, 3) else { panic!("not full") };
        let backends: Vec<u128> = all.iter().map(|taken| taken.seat.backend.0).collect();
        assert_eq!(backends, [0, 1, 2]);
        assert!(!lobby.is_open(key));
        assert!(claim(&mut lobby, key, 1, 3).is_err(), "an id is used once");
    }

    #[test]
    fn wrong_claims_are_refused_and_change_nothing() {
        let (mut lobby, key) = (Lobby::default(), Nonce::new());
        lobby.open(key);
        seated(claim(&mut lobby, key, 0, 2));
        for (key, rank, size, part) in [
            (Nonce::new(), 1, 2, "never made here"),
            (key, 0, 2, "has joined before"),
            (key, 1, 3, "another rank gave 2"),
            (key, 2, 2, "below the size"),
            (key, 1, u32::MAX, "at most"),
        ] {
            let error = claim(&mut lobby, key, rank, size).unwrap_err();
            assert!(error.text().contains(part), "{error}");
        }
        assert!(matches!(claim(&mut lobby, key, 1, 2), Ok(Claimed::Full(_))));
    }

    #[test]
    fn a_seat_is_free_again_once_its_rank_has_gone_and_no_other_one_is() {
        let (mut lobby, key) = (Lobby::default(), Nonce::new());
        lobby.open(key);
        let first = seated(claim(&mut lobby, key, 0, 3));
        lobby.vacate(key, first);
        let again = seated(claim(&mut lobby, key, 0, 2));
        lobby.vacate(key, first);
        assert!(claim(&mut lobby, key, 0, 2).is_err(), "the claim that went is over");
        lobby.vacate_process(Some(0));
        lobby.vacate(key, again);
        seated(claim(&mut lobby, key, 0, 2));
        lobby.vacate_process(None);
        seated(claim(&mut lobby, key, 0, 4));
    }
}
