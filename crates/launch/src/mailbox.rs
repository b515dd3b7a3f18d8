//! What has come from other members and was not taken yet, and who of them is gone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::frame::Frame;

/// What has come from each member that this one is connected with.
#[derive(Debug)]
pub(crate) struct Mailbox {
    peers: Mutex<BTreeMap<u32, Peer>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Peer {
    collective: VecDeque<(u64, Vec<u8>)>,
    direct: VecDeque<Vec<u8>>,
    heard: Instant,
    gone: Option<String>,
}

/// Why a message was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It will not come any more, for this reason.
    Gone(String),
    /// It has not come in time.
    Late,
}

impl Mailbox {
    pub(crate) fn new(peers: impl Iterator<Item = u32>) -> Self {
        let heard = Instant::now();
        let peer =
            || Peer { collective: VecDeque::new(), direct: VecDeque::new(), heard, gone: None };
        let peers = peers.map(|rank| (rank, peer())).collect();
        Self { peers: Mutex::new(peers), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a member sent.
    pub(crate) fn deliver(&self, from: u32, frame: Frame) {
        if let Some(peer) = self.lock().get_mut(&from) {
            peer.heard = Instant::now();
            match frame {
                Frame::Pulse => return,
                Frame::Collective(number, body) => peer.collective.push_back((number, body)),
                Frame::Direct(body) => peer.direct.push_back(body),
                Frame::Leave(why) => {
                    peer.gone.get_or_insert(why);
                }
            }
        }
        self.changed.notify_all();
    }

    /// Nothing will come from this member any more. What is said first is the reason.
    pub(crate) fn end(&self, of: u32, why: &str) {
        if let Some(peer) = self.lock().get_mut(&of) {
            peer.gone.get_or_insert_with(|| why.to_owned());
        }
        self.changed.notify_all();
    }

    /// Counts all members as heard of now.
    #[cfg(feature = "mpi")]
    pub(crate) fn hear_all(&self) {
        self.lock().values_mut().for_each(|peer| peer.heard = Instant::now());
    }

    /// Why a member is gone, if it is.
    pub(crate) fn gone(&self, rank: u32) -> Option<String> {
        self.lock().get(&rank).and_then(|peer| peer.gone.clone())
    }

    /// The members of which nothing was heard for so long, and that nobody said were gone.
    pub(crate) fn silent_for(&self, limit: Duration) -> Vec<u32> {
        let peers = self.lock();
        let silent = |peer: &Peer| peer.gone.is_none() && peer.heard.elapsed() > limit;
        peers.iter().filter(|(_, peer)| silent(peer)).map(|(&rank, _)| rank).collect()
    }

    /// A member's part of the collective `number`; parts of earlier ones are dropped.
    pub(crate) fn take_collective(
        &self,
        from: u32,
        number: u64,
        until: Instant,
    ) -> Result<Vec<u8>, Missing> {
        self.take(from, until, |peer| {
            while peer.collective.front().is_some_and(|&(of, _)| of < number) {
                peer.collective.pop_front();
            }
            let is_it = |&(of, _): &(u64, Vec<u8>)| of == number;
            peer.collective
                .front()
                .is_some_and(is_it)
                .then(|| peer.collective.pop_front())?
                .map(|(_, body)| body)
        })
    }

    /// The next message of a member for this one alone.
    pub(crate) fn take_direct(&self, from: u32, until: Instant) -> Result<Vec<u8>, Missing> {
        self.take(from, until, |peer| peer.direct.pop_front())
    }

    fn take(
        &self,
        from: u32,
        until: Instant,
        mut found: impl FnMut(&mut Peer) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Missing> {
        let mut peers = self.lock();
        loop {
            let peer = peers.get_mut(&from);
            let Some(peer) = peer else { return Err(Missing::Gone("unknown".to_owned())) };
            // What came before a member went still counts.
            if let Some(body) = found(peer) {
                return Ok(body);
            }
            if let Some(why) = &peer.gone {
                return Err(Missing::Gone(why.clone()));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Missing::Late);
            }
            let waited = self.changed.wait_timeout(peers, left);
            peers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
