//! Calls that all ranks make together, where all are in this process.

use std::collections::BTreeMap;

use eplb_device::{DeviceError, Result};

use crate::access::AccessTable;
use crate::error::invalid;
use crate::gate::Stop;
use crate::hub::{Call, Hub, HubState, Meeting, Offer};

/// One rank's part of a call of all ranks.
pub(crate) struct Collective {
    pub(crate) hub: Hub,
    pub(crate) access: AccessTable,
    pub(crate) rank: u32,
    /// How many such calls the rank made before on this communicator.
    pub(crate) number: u64,
    pub(crate) call: Call,
    pub(crate) offer: Option<Offer>,
    /// Where the bytes of all ranks, or of the root, go.
    pub(crate) place: Option<Offer>,
}

impl Collective {
    pub(crate) fn run(self, stop: &Stop) -> Result<()> {
        let result = self.meet(stop);
        self.hub.change(|state| leave(state, self.number, self.rank, &result));
        // Others may still be reading what this rank offered.
        let number = self.number;
        self.hub.wait_shortly(|state| {
            let copying = state.meetings.get(&number).map_or(0, |meeting| meeting.copying);
            (copying == 0 || result.is_ok()).then_some(())
        });
        result
    }

    fn meet(&self, stop: &Stop) -> Result<()> {
        let operation = self.call.name();
        self.hub.change(|state| self.enter(state));
        let offers = self.hub.wait(operation, self.rank, stop, |state| {
            let size = state.size as usize;
            let meeting = state.meetings.get_mut(&self.number)?;
            if let Some(failure) = &meeting.failure {
                return Some(Err(failure.clone()));
            }
            if meeting.offers.len() < size {
                return None;
            }
            meeting.copying += 1;
            Some(Ok(meeting.offers.clone()))
        })??;
        let copied = self.copy(stop, &offers);
        // Before anybody may take this rank for done: these hold the other ranks' memory.
        drop(offers);
        self.hub.change(|state| {
            if let Some(meeting) = state.meetings.get_mut(&self.number) {
                meeting.copying -= 1;
                match &copied {
                    Ok(()) => meeting.served += 1,
                    Err(error) => {
                        meeting.failure.get_or_insert_with(|| error.clone());
                    }
                }
            }
        });
        copied?;
        self.hub.wait(operation, self.rank, stop, |state| {
            let size = state.size;
            let meeting = state.meetings.get(&self.number)?;
            if meeting.served == size {
                return Some(Ok(()));
            }
            meeting.failure.clone().map(Err)
        })?
    }

    fn enter(&self, state: &mut HubState) {
        let meeting = state.meetings.entry(self.number).or_insert_with(|| Meeting {
            call: self.call,
            offers: BTreeMap::new(),
            served: 0,
            copying: 0,
            failure: None,
            left: 0,
        });
        if meeting.call != self.call {
            let error = mismatch(self.rank, self.call, meeting.call);
            meeting.failure.get_or_insert(error);
        }
        meeting.offers.insert(self.rank, self.offer.clone());
    }

    fn copy(&self, stop: &Stop, offers: &BTreeMap<u32, Option<Offer>>) -> Result<()> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        for (rank, offer) in offers {
            let Some(offer) = offer else { continue };
            let destination = match self.call {
                Call::AllGather { bytes } => place.address + *rank as usize * bytes,
                Call::Broadcast { .. } | Call::Barrier => place.address,
            };
            if destination == offer.address {
                continue;
            }
            // SAFETY: the offers hold the other ranks' memory, this task holds its own; a rank that
            // leaves waits until nobody copies. The part of each rank lies in `place`, which has
            // room for all of them, and is apart from what is offered, as the safe layer checked.
            unsafe {
                self.access.copy(stop, destination, offer.address, offer.bytes)?;
            }
        }
        Ok(())
    }
}

/// A rank is done with a meeting; the last one closes it.
fn leave(state: &mut HubState, number: u64, rank: u32, result: &Result<()>) {
    let size = state.size;
    let Some(meeting) = state.meetings.get_mut(&number) else {
        return;
    };
    if let Err(error) = result {
        meeting.failure.get_or_insert_with(|| error.clone());
    }
    // It holds the rank's memory. All were served, or the failure keeps others from copying.
    meeting.offers.remove(&rank);
    meeting.left += 1;
    if meeting.left == size {
        state.meetings.remove(&number);
    }
}

impl Call {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AllGather { .. } => "all_gather",
            Self::Broadcast { .. } => "broadcast",
            Self::Barrier => "barrier",
        }
    }
}

fn mismatch(rank: u32, own: Call, other: Call) -> DeviceError {
    invalid(own.name(), format!("rank {rank} calls {own:?} where another rank calls {other:?}"))
}
