//! Where the ranks of one communicator meet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use eplb_device::raw::Progress;
use eplb_device::{DeviceError, Result};

use crate::error::{aborted, invalid};
use crate::gate::{Gate, Stop, Stopped};
use crate::memory::Use;

/// Bytes that one rank offers to others.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) address: usize,
    pub(crate) bytes: usize,
    #[expect(dead_code, reason = "owned, never read: dropping it is its use")]
    pub(crate) held: Use,
}

/// Where a posted send stands.
#[derive(Debug)]
pub(crate) enum Letter {
    /// Nobody has looked at it yet.
    Posted(Offer),
    /// The receiver copies.
    Copying,
    /// The receiver is done, well or badly.
    Delivered(Result<()>),
}

/// A sender, a receiver, and how many letters went between them before.
pub(crate) type LetterKey = (u32, u32, u64);

/// What all ranks call together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    AllGather { bytes: usize },
    Broadcast { bytes: usize, root: u32 },
    Barrier,
}

/// One call of all ranks.
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

/// The state of a communicator.
#[derive(Debug)]
pub(crate) struct HubState {
    pub(crate) size: u32,
    joined: Vec<bool>,
    /// Aborted or gone.
    given_up: Vec<bool>,
    aborted: Vec<bool>,
    /// Ends that are alive.
    present: u32,
    pub(crate) letters: HashMap<LetterKey, Letter>,
    pub(crate) meetings: HashMap<u64, Meeting>,
}

/// A communicator, as all its ranks share it.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Gate<HubState>>);

impl Hub {
    pub(crate) fn new(size: u32) -> Self {
        let ranks = size as usize;
        Self(Gate::new(HubState {
            size,
            joined: vec![false; ranks],
            given_up: vec![false; ranks],
            aborted: vec![false; ranks],
            present: 0,
            letters: HashMap::new(),
            meetings: HashMap::new(),
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
            let joined = &mut state.joined[rank as usize];
            if std::mem::replace(joined, true) {
                return Err(invalid("communicator", format!("rank {rank} has joined before")));
            }
            state.present += 1;
            Ok(())
        })
    }

    /// The end of `rank` goes; whether it was the last one.
    pub(crate) fn leave(&self, rank: u32) -> bool {
        self.0.change(|state| {
            state.given_up[rank as usize] = true;
            state.present -= 1;
            state.present == 0
        })
    }

    /// Whether all ranks have joined, as `rank` sees it.
    pub(crate) fn progress(&self, rank: u32) -> Progress {
        self.0.look(|state| {
            if state.given_up[rank as usize] {
                Progress::Failed(given_up("communicator"))
            } else if state.joined.iter().all(|joined| *joined) {
                Progress::Complete
            } else {
                Progress::Pending
            }
        })
    }

    /// Ends what `rank` waits for, now and later. The other ranks give up on their own.
    pub(crate) fn abort(&self, rank: u32) {
        self.0.change(|state| {
            state.given_up[rank as usize] = true;
            state.aborted[rank as usize] = true;
        });
    }

    /// The first rank that has aborted its end.
    pub(crate) fn who_aborted(&self) -> Option<u32> {
        self.0.look(|state| (0..state.size).find(|rank| state.aborted[*rank as usize]))
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
            if state.given_up[rank as usize] {
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
}

pub(crate) fn given_up(operation: &'static str) -> DeviceError {
    aborted(operation, "the communicator was aborted on this rank")
}
