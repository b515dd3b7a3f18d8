//! Where the ranks of one communicator meet: those of this process, and the mail of those elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use eplb_device::raw::Progress;
use eplb_device::{DeviceError, Result};
use serde::{Deserialize, Serialize};

use crate::error::{aborted, invalid};
use crate::gate::{Gate, Stop, Stopped};
use crate::links::{Label, LetterName, Mail};
use crate::memory::Use;
use crate::peer::Nonce;

/// Bytes that one rank offers to others.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) address: usize,
    pub(crate) bytes: usize,
    /// Dropping it is its use.
    pub(crate) held: Use,
}

/// Where a posted send between ranks of this process stands.
#[derive(Debug)]
pub(crate) enum Posted {
    /// Nobody has looked at it yet.
    Offered(Offer, Label),
    /// The receiver copies.
    Copying,
    /// The receiver is done, well or badly.
    Delivered(Result<()>),
}

/// What all ranks call together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    AllGather { bytes: usize },
    Broadcast { bytes: usize, root: u32 },
    Barrier,
}

/// One call of all ranks, where all are in this process.
#[derive(Debug)]
pub(crate) struct Meeting {
    pub(crate) call: Call,
    pub(crate) offers: BTreeMap<u32, Option<Offer>>,
    /// Ranks that have all they came for.
    pub(crate) served: u32,
    /// Ranks that are copying.
    pub(crate) copying: u32,
    pub(crate) failure: Option<DeviceError>,
    /// Ranks that will not come back.
    pub(crate) left: u32,
}

/// Where a rank is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seat {
    /// Not known yet.
    #[default]
    Empty,
    Here,
    Elsewhere,
}

/// What is known of one rank.
#[derive(Debug, Default)]
struct RankState {
    seat: Seat,
    /// Aborted or gone.
    given_up: bool,
    aborted: bool,
    /// Why it can't join.
    failure: Option<DeviceError>,
    /// A connection on which it waits to join, which its giving up closes.
    joining: Option<TcpStream>,
}

/// The state of a communicator in this process.
#[derive(Debug)]
pub(crate) struct HubState {
    pub(crate) size: u32,
    ranks: Vec<RankState>,
    /// The process, on the given carrier, that ranks here wait for to join.
    joins_at: Option<u32>,
    /// Ends that are alive.
    present: u32,
    pub(crate) posted: HashMap<LetterName, Posted>,
    pub(crate) meetings: HashMap<u64, Meeting>,
    pub(crate) mail: Mail,
}

/// A communicator, as all its ranks in this process share it.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Gate<HubState>>);

impl HubState {
    pub(crate) fn is_elsewhere(&self, rank: u32) -> bool {
        self.ranks.get(rank as usize).is_some_and(|state| state.seat == Seat::Elsewhere)
    }

    pub(crate) fn is_all_here(&self) -> bool {
        self.ranks.iter().all(|state| state.seat == Seat::Here)
    }

    /// Whether a rank is here and has not given up.
    pub(crate) fn is_here(&self, rank: u32) -> bool {
        let state = self.ranks.get(rank as usize);
        state.is_some_and(|state| state.seat == Seat::Here && !state.given_up)
    }

    fn progress(&self, rank: u32) -> Progress {
        let own = &self.ranks[rank as usize];
        if own.given_up {
            return Progress::Failed(given_up("communicator"));
        }
        if let Some(error) = &own.failure {
            return Progress::Failed(error.clone());
        }
        let there = |(peer, state): (u32, &RankState)| match state.seat {
            Seat::Empty => false,
            Seat::Here => true,
            Seat::Elsewhere => self.mail.is_linked(rank, peer),
        };
        if (0..).zip(&self.ranks).all(there) { Progress::Complete } else { Progress::Pending }
    }
}

impl Hub {
    pub(crate) fn new(key: Nonce, size: u32) -> Self {
        Self(Gate::new(HubState {
            size,
            ranks: (0..size).map(|_| RankState::default()).collect(),
            joins_at: None,
            present: 0,
            posted: HashMap::new(),
            meetings: HashMap::new(),
            mail: Mail::new(key),
        }))
    }

    pub(crate) fn join(&self, rank: u32, size: u32) -> Result<()> {
        self.0.change(|state| {
            if state.size != size {
                return Err(invalid(
                    "communicator",
                    format!("{size} ranks; another rank gave {}", state.size),
                ));
            }
            let own = &mut state.ranks[rank as usize];
            if own.seat != Seat::Empty {
                return Err(invalid("communicator", format!("rank {rank} has joined before")));
            }
            own.seat = Seat::Here;
            state.present += 1;
            Ok(())
        })
    }

    /// The end of `rank` goes; whether it was the last one.
    pub(crate) fn leave(&self, rank: u32) -> bool {
        self.give_up(rank, |state| {
            state.mail.unlink(rank);
            state.present -= 1;
            state.present == 0
        })
    }

    /// Whether all ranks have joined, as `rank` sees it.
    pub(crate) fn progress(&self, rank: u32) -> Progress {
        self.0.look(|state| state.progress(rank))
    }

    /// Ends what `rank` waits for, now and later. The other ranks give up on their own.
    pub(crate) fn abort(&self, rank: u32) {
        self.give_up(rank, |state| state.ranks[rank as usize].aborted = true);
    }

    fn give_up<R>(&self, rank: u32, change: impl FnOnce(&mut HubState) -> R) -> R {
        self.0.change(|state| {
            let own = &mut state.ranks[rank as usize];
            own.given_up = true;
            if let Some(joining) = own.joining.take() {
                // It may be closed already.
                let _ = joining.shutdown(Shutdown::Both);
            }
            change(state)
        })
    }

    /// The first rank of this process that has aborted its end.
    pub(crate) fn who_aborted(&self) -> Option<u32> {
        self.0.look(|state| {
            let mut ranks = (0..).zip(&state.ranks);
            ranks.find(|(_, state)| state.aborted).map(|(rank, _)| rank)
        })
    }

    // --- joining ranks elsewhere

    /// A rank here waits on this connection, or on none any more; false if it has given up.
    pub(crate) fn join_on(&self, rank: u32, stream: Option<&TcpStream>) -> bool {
        self.0.look(|state| {
            let own = &mut state.ranks[rank as usize];
            own.joining = stream.and_then(|stream| stream.try_clone().ok());
            !own.given_up
        })
    }

    pub(crate) fn goes_on(&self, rank: u32) -> bool {
        self.0.look(|state| !state.ranks[rank as usize].given_up)
    }

    /// Ranks here join at this process of the carrier.
    pub(crate) fn join_at(&self, process: u32) {
        self.0.change(|state| state.joins_at = Some(process));
    }

    /// The creation has failed for a rank here.
    pub(crate) fn fail(&self, rank: u32, error: DeviceError) {
        self.0.change(|state| {
            if let Some(own) = state.ranks.get_mut(rank as usize) {
                own.failure.get_or_insert(error);
            }
        });
    }

    /// These ranks are elsewhere.
    pub(crate) fn seat_elsewhere(&self, ranks: impl Iterator<Item = u32>) {
        self.0.change(|state| {
            for rank in ranks {
                state.ranks[rank as usize].seat = Seat::Elsewhere;
            }
        });
    }

    /// A process that the carrier reached has gone, or all of them.
    pub(crate) fn lose_process(&self, lost: Option<u32>, error: &DeviceError) {
        self.0.change(|state| {
            state.mail.lose_process(lost, error.text());
            let joins_there =
                state.joins_at.is_some_and(|at| lost.is_none_or(|process| process == at));
            let waits = state.ranks.iter().any(|rank| rank.seat == Seat::Empty);
            if joins_there && waits {
                for rank in state.ranks.iter_mut().filter(|rank| rank.seat == Seat::Here) {
                    rank.failure.get_or_insert_with(|| error.clone());
                }
            }
        });
    }

    // --- work

    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut HubState) -> R) -> R {
        self.0.look(look)
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut HubState) -> R) -> R {
        self.0.change(change)
    }

    /// Waits, as work of `rank`, until `look` finds what it looks for or the rank gives up.
    pub(crate) fn wait<R>(
        &self,
        operation: &'static str,
        rank: u32,
        stop: &Stop,
        mut look: impl FnMut(&mut HubState) -> Option<R>,
    ) -> Result<R> {
        let found = self.0.wait(stop, |state| {
            if state.ranks[rank as usize].given_up {
                return Some(Err(given_up(operation)));
            }
            look(state).map(Ok)
        });
        match found {
            Ok(result) => {
                // `look` may have changed the state, too.
                self.0.change(|_| ());
                result
            }
            Err(Stopped) => Err(aborted(operation, "the stream was aborted")),
        }
    }

    /// Waits for another rank's copy in progress.
    pub(crate) fn wait_shortly<R>(&self, look: impl FnMut(&mut HubState) -> Option<R>) -> R {
        self.0.wait_shortly(look)
    }

    /// Waits until it is so, or the time has come.
    pub(crate) fn wait_until(&self, until: Instant, is_so: impl FnMut(&mut HubState) -> bool) {
        self.0.wait_until(until, is_so);
    }
}

pub(crate) fn given_up(operation: &'static str) -> DeviceError {
    aborted(operation, "the communicator was aborted on this rank")
}
