//! Communicators: one rank's end.

use std::sync::{Arc, Mutex};

use eplb_device::raw::{
    Address, CommunicatorDriver, CommunicatorHandle, PeerBuffer, Progress, StreamHandle,
};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::backend::Shared;
use crate::collective::Collective;
use crate::error::invalid;
use crate::gate::lock;
use crate::hub::{Call, Hub, Offer, given_up};
use crate::memory::Access;
use crate::round::Round;
use crate::stream::HostStream;

/// How many calls went before, for each partner: the n-th send meets the n-th receive, on whatever
/// streams the two are.
#[derive(Debug)]
struct Sequences {
    sends: Vec<u64>,
    receives: Vec<u64>,
    meetings: u64,
}

/// One rank's end, shared by its owner and those who borrowed it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    shared: Arc<Shared>,
    device: u32,
    number: u64,
    handle: CommunicatorHandle,
    hub: Hub,
    rank: u32,
    size: u32,
    sequences: Mutex<Sequences>,
}

impl Endpoint {
    pub(crate) fn join(
        shared: &Arc<Shared>,
        device: u32,
        number: u64,
        rank: u32,
        size: u32,
    ) -> Result<Arc<Self>> {
        if rank >= size {
            return Err(invalid(
                "communicator",
                format!("rank {rank} of {size}; allowed are ranks below the size"),
            ));
        }
        let hub = shared.join(number, rank, size)?;
        let ranks = size as usize;
        let endpoint = Arc::new(Self {
            shared: Arc::clone(shared),
            device,
            number,
            handle: CommunicatorHandle(shared.next_handle()),
            hub,
            rank,
            size,
            sequences: Mutex::new(Sequences {
                sends: vec![0; ranks],
                receives: vec![0; ranks],
                meetings: 0,
            }),
        });
        lock(&shared.endpoints).insert(endpoint.handle.0, Arc::downgrade(&endpoint));
        Ok(endpoint)
    }

    pub(crate) fn device(&self) -> u32 {
        self.device
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn handle(&self) -> CommunicatorHandle {
        self.handle
    }

    pub(crate) fn rank(&self) -> u32 {
        self.rank
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// The stream, once it is known that the call can be made.
    fn stream(&self, operation: &'static str, stream: StreamHandle) -> Result<Arc<HostStream>> {
        match self.hub.progress(self.rank) {
            Progress::Complete => self.shared.stream_of(operation, self.device, stream),
            Progress::Failed(_) => Err(given_up(operation)),
            Progress::Pending => Err(invalid(operation, "not all ranks have joined yet")),
        }
    }

    fn offer(&self, operation: &'static str, address: Address, bytes: usize) -> Result<Offer> {
        let access = Access::Own(self.device);
        let held = self.shared.memory.hold(operation, access, address, bytes)?;
        Ok(Offer { address: address.0, bytes, held })
    }

    fn meet(
        &self,
        call: Call,
        offer: Option<Offer>,
        place: Option<Offer>,
        stream: &HostStream,
    ) -> Result<()> {
        let mut sequences = lock(&self.sequences);
        let collective = Collective {
            hub: self.hub.clone(),
            access: self.shared.access.clone(),
            rank: self.rank,
            number: sequences.meetings,
            call,
            offer,
            place,
        };
        stream.push(call.name(), Box::new(move |stop| collective.run(stop)))?;
        sequences.meetings += 1;
        Ok(())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Work of this end that is still queued (against the contract) must not wait for ever.
        self.shared.leave(self.number, self.rank, &self.hub);
        lock(&self.shared.endpoints).remove(&self.handle.0);
    }
}

/// A rank's end as its owner, or a borrower, sees it.
#[derive(Debug)]
pub(crate) struct HostCommunicator {
    endpoint: Arc<Endpoint>,
    borrowed: bool,
}

impl HostCommunicator {
    pub(crate) fn new(endpoint: Arc<Endpoint>, borrowed: bool) -> Self {
        Self { endpoint, borrowed }
    }
}

// SAFETY: queued work holds the memory that it names (`Offer::held`), and a rank's work ends only
// after no other rank copies from it any more; ends are checked for being alive by the tables.
unsafe impl CommunicatorDriver for HostCommunicator {
    fn progress(&self) -> Result<Progress> {
        Ok(self.endpoint.hub.progress(self.endpoint.rank))
    }

    fn reserved_bytes(&self) -> u64 {
        0
    }

    unsafe fn exchange(
        &self,
        sends: &[PeerBuffer],
        receives: &[PeerBuffer],
        stream: StreamHandle,
    ) -> Result<()> {
        let end = &*self.endpoint;
        let stream = end.stream("exchange", stream)?;
        let hold = |buffers: &[PeerBuffer]| -> Result<Vec<(u32, Offer)>> {
            buffers
                .iter()
                .map(|buffer| {
                    let offer = end.offer("exchange", buffer.address, buffer.bytes)?;
                    Ok((buffer.peer, offer))
                })
                .collect()
        };
        let (sends, receives) = (hold(sends)?, hold(receives)?);
        let mut sequences = lock(&end.sequences);
        let sent: Vec<u32> = sends.iter().map(|(peer, _)| *peer).collect();
        let received: Vec<u32> = receives.iter().map(|(peer, _)| *peer).collect();
        let round = Round {
            hub: end.hub.clone(),
            access: end.shared.access.clone(),
            rank: end.rank,
            sends: sends
                .into_iter()
                .map(|(peer, offer)| {
                    let before = sequences.sends[peer as usize];
                    ((end.rank, peer, before), offer)
                })
                .collect(),
            receives: receives
                .into_iter()
                .map(|(peer, offer)| {
                    let before = sequences.receives[peer as usize];
                    ((peer, end.rank, before), offer)
                })
                .collect(),
        };
        stream.push("exchange", Box::new(move |stop| round.run(stop)))?;
        for peer in sent {
            sequences.sends[peer as usize] += 1;
        }
        for peer in received {
            sequences.receives[peer as usize] += 1;
        }
        Ok(())
    }

    unsafe fn all_gather(
        &self,
        send: Address,
        receive: Address,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        let end = &*self.endpoint;
        let stream = end.stream("all_gather", stream)?;
        let offer = end.offer("all_gather", send, bytes)?;
        let place = end.offer("all_gather", receive, bytes * end.size as usize)?;
        let call = Call::AllGather { bytes };
        end.meet(call, Some(offer), Some(place), &stream)
    }

    unsafe fn broadcast(
        &self,
        buffer: Address,
        bytes: usize,
        root: u32,
        stream: StreamHandle,
    ) -> Result<()> {
        let end = &*self.endpoint;
        let stream = end.stream("broadcast", stream)?;
        let buffer = end.offer("broadcast", buffer, bytes)?;
        let call = Call::Broadcast { bytes, root };
        if end.rank == root {
            end.meet(call, Some(buffer), None, &stream)
        } else {
            end.meet(call, None, Some(buffer), &stream)
        }
    }

    unsafe fn barrier(&self, stream: StreamHandle) -> Result<()> {
        let stream = self.endpoint.stream("barrier", stream)?;
        self.endpoint.meet(Call::Barrier, None, None, &stream)
    }

    fn async_error(&self) -> Result<Option<DeviceError>> {
        let end = &*self.endpoint;
        Ok(end.hub.who_aborted().map(|rank| {
            let text = format!("rank {rank} has aborted its end of the communicator");
            DeviceError::new(ErrorKind::Aborted, "async_error", text)
        }))
    }

    fn abort(&self) -> Result<()> {
        if self.borrowed {
            return Err(invalid("abort", "the communicator is borrowed"));
        }
        self.endpoint.hub.abort(self.endpoint.rank);
        Ok(())
    }

    unsafe fn destroy(&self) -> Result<()> {
        // Leaving is what the drop of the last holder does; there is nothing else to release.
        Ok(())
    }
}
