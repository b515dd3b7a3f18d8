//! A group around its leader: members speak with the leader, and it says what became of each operation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::frame::{Frame, Verdict};
use crate::mailbox::Missing;
use crate::wire::Wire;
use crate::{Group, GroupError, Loss};

/// The leader's number.
pub(crate) const LEADER: u32 = 0;

/// Bytes that all members of a collective give together, at most.
const MOST_GATHERED: usize = 1 << 30;

/// A group over any wire.
#[derive(Debug)]
pub(crate) struct Star<W: Wire> {
    rank: u32,
    size: u32,
    wire: W,
    /// Collectives done; held during one.
    done: Mutex<u64>,
    losses: Mutex<Vec<Loss>>,
    left: AtomicBool,
}

/// What members of a collective give, and get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AllGather,
    Gather,
    Broadcast,
}

impl<W: Wire> Star<W> {
    pub(crate) fn new(rank: u32, size: u32, wire: W) -> Self {
        let (done, losses, left) = (Mutex::new(0), Mutex::default(), AtomicBool::new(false));
        Self { rank, size, wire, done, losses, left }
    }

    /// One operation of all members.
    fn collect(&self, kind: Kind, own: &[u8], until: Instant) -> Result<Vec<Vec<u8>>, GroupError> {
        check_length(own.len())?;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if self.left.load(Ordering::Relaxed) {
            return Err(GroupError::Left);
        }
        *done += 1;
        if self.rank == LEADER {
            self.lead(kind, *done, own, until)
        } else {
            self.follow(kind, *done, own, until)
        }
    }

    fn lead(
        &self,
        kind: Kind,
        number: u64,
        own: &[u8],
        until: Instant,
    ) -> Result<Vec<Vec<u8>>, GroupError> {
        let begun = Instant::now();
        let mut parts = vec![Vec::new(); self.size as usize];
        parts[LEADER as usize] = own.to_vec();
        let mut lost = Vec::new();
        for rank in self.members() {
            let missing = match kind {
                Kind::Broadcast => self.wire.mailbox().gone(rank).map(Missing::Gone),
                _ => match self.wire.mailbox().take_collective(rank, number, until) {
                    Ok(part) => {
                        parts[rank as usize] = part;
                        None
                    }
                    Err(missing) => Some(missing),
                },
            };
            match missing {
                None => {}
                Some(Missing::Gone(why)) => lost.push(Loss { rank, why }),
                Some(Missing::Late) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    let why = format!("it gave no answer within {seconds:.1} s");
                    self.wire.send(rank, &Frame::Leave(format!("it gave this rank up: {why}")));
                    lost.push(Loss { rank, why });
                }
            }
        }
        for loss in &lost {
            self.wire.cut(loss.rank, &loss.why);
        }
        self.note(&lost);
        let bytes = parts.iter().map(Vec::len).sum();
        let verdict = match (lost.is_empty(), kind) {
            (false, _) => Verdict::Lost(lost.clone()),
            (true, _) if bytes > MOST_GATHERED => Verdict::TooLong(bytes),
            (true, Kind::AllGather) => Verdict::Parts(parts.clone()),
            (true, Kind::Broadcast) => Verdict::Parts(vec![own.to_vec()]),
            (true, Kind::Gather) => Verdict::Parts(Vec::new()),
        };
        let said = Frame::Collective(number, verdict.encode());
        for rank in self.members() {
            // Whoever goes just now is missed at the next operation, by all alike.
            self.wire.send(rank, &said);
        }
        match verdict {
            Verdict::Lost(losses) => Err(GroupError::Lost { losses }),
            Verdict::TooLong(bytes) => Err(GroupError::TooLong { bytes, most: MOST_GATHERED }),
            Verdict::Parts(parts) if kind == Kind::Broadcast => Ok(parts),
            Verdict::Parts(_) => Ok(parts),
        }
    }

    fn follow(
        &self,
        kind: Kind,
        number: u64,
        own: &[u8],
        until: Instant,
    ) -> Result<Vec<Vec<u8>>, GroupError> {
        if kind != Kind::Broadcast {
            self.wire.send(LEADER, &Frame::Collective(number, own.to_vec()));
        }
        // The leader waits for others as long, and then has to say so.
        let until = until + self.wire.silence();
        match self.wire.mailbox().take_collective(LEADER, number, until) {
            Ok(verdict) => match Verdict::decode(&verdict) {
                Some(Verdict::Parts(parts)) => Ok(parts),
                Some(Verdict::Lost(losses)) => {
                    self.note(&losses);
                    Err(GroupError::Lost { losses })
                }
                Some(Verdict::TooLong(bytes)) => {
                    Err(GroupError::TooLong { bytes, most: MOST_GATHERED })
                }
                None => Err(self.without_leader("it said what no leader says".to_owned())),
            },
            Err(Missing::Gone(why)) => Err(self.without_leader(why)),
            Err(Missing::Late) => Err(GroupError::Late { rank: LEADER }),
        }
    }

    fn without_leader(&self, why: String) -> GroupError {
        let loss = Loss { rank: LEADER, why };
        if !self.losses().iter().any(|known| known.rank == LEADER) {
            self.note(std::slice::from_ref(&loss));
        }
        GroupError::Lost { losses: vec![loss] }
    }

    fn note(&self, fresh: &[Loss]) {
        for loss in fresh {
            tracing::warn!(rank = self.rank, lost = loss.rank, why = loss.why, "a rank is gone");
            self.wire.lost(loss);
        }
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(fresh);
    }

    /// Those beside the leader that are not known to be gone.
    fn members(&self) -> Vec<u32> {
        let losses = self.losses();
        let is_there = |rank: &u32| losses.iter().all(|loss| loss.rank != *rank);
        (1..self.size).filter(is_there).collect()
    }

    fn check_way(&self, other: u32) -> Result<(), GroupError> {
        let is_there = other < self.size && other != self.rank;
        if is_there && (self.rank == LEADER || other == LEADER) {
            return Ok(());
        }
        Err(GroupError::NoWay { from: self.rank, to: other })
    }
}

impl<W: Wire> Group for Star<W> {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn size(&self) -> u32 {
        self.size
    }

    fn losses(&self) -> Vec<Loss> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn all_gather(&self, own: &[u8], until: Instant) -> Result<Vec<Vec<u8>>, GroupError> {
        self.collect(Kind::AllGather, own, until)
    }

    fn gather(&self, own: &[u8], until: Instant) -> Result<Vec<Vec<u8>>, GroupError> {
        self.collect(Kind::Gather, own, until)
    }

    fn broadcast(&self, message: &[u8], until: Instant) -> Result<Vec<u8>, GroupError> {
        let mut parts = self.collect(Kind::Broadcast, message, until)?;
        parts.pop().ok_or_else(|| self.without_leader("it gave nothing to all".to_owned()))
    }

    fn send(&self, to: u32, message: &[u8]) -> Result<(), GroupError> {
        check_length(message.len())?;
        self.check_way(to)?;
        self.wire.send(to, &Frame::Direct(message.to_vec()));
        match self.wire.mailbox().gone(to) {
            None => Ok(()),
            Some(why) => Err(GroupError::Lost { losses: vec![Loss { rank: to, why }] }),
        }
    }

    fn receive(&self, from: u32, until: Instant) -> Result<Vec<u8>, GroupError> {
        self.check_way(from)?;
        match self.wire.mailbox().take_direct(from, until) {
            Ok(message) => Ok(message),
            Err(Missing::Late) => Err(GroupError::Late { rank: from }),
            Err(Missing::Gone(why)) => {
                Err(GroupError::Lost { losses: vec![Loss { rank: from, why }] })
            }
        }
    }

    fn leave(&self, why: &str) {
        if self.left.swap(true, Ordering::Relaxed) {
            return;
        }
        let others = if self.rank == LEADER { self.members() } else { vec![LEADER] };
        for rank in others {
            self.wire.send(rank, &Frame::Leave(why.to_owned()));
            self.wire.cut(rank, "this rank has left");
        }
    }
}

impl<W: Wire> Drop for Star<W> {
    fn drop(&mut self) {
        self.leave("it has left");
    }
}

fn check_length(bytes: usize) -> Result<(), GroupError> {
    let most = <dyn Group>::MOST_BYTES;
    if bytes <= most { Ok(()) } else { Err(GroupError::TooLong { bytes, most }) }
}
