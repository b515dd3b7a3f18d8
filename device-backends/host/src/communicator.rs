//! Communicators: one rank's end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eplb_device::raw::{
    Address, CommunicatorDriver, CommunicatorHandle, CommunicatorOptions, PeerBuffer, Progress,
    StreamHandle,
};
use eplb_device::{DeviceError, Result};

use crate::backend::Shared;
use crate::collective::Collective;
use crate::error::{aborted, invalid};
use crate::gate::lock;
use crate::hub::{Call, Hub, Offer, given_up};
use crate::links::{Channel, CommunicatorName, Label, Letter, LetterName, Message};
use crate::memory::{Access, Use};
use crate::peer::Nonce;
use crate::round::Round;
use crate::stream::HostStream;

/// Bytes that may be on their way to a rank from other processes, unless its options say otherwise.
const BUFFER_BYTES: u64 = 8 << 20;

/// What each other process's rank gets of them at least.
const LEAST_WINDOW: u64 = 64 << 10;

/// How long a rank that leaves waits for the others to have heard all that it sent.
const FAREWELL: Duration = Duration::from_secs(1);

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
    key: Nonce,
    handle: CommunicatorHandle,
    hub: Hub,
    rank: u32,
    size: u32,
    buffer_bytes: u64,
    sequences: Mutex<Sequences>,
}

impl Endpoint {
    pub(crate) fn join(
        shared: &Arc<Shared>,
        device: u32,
        name: &CommunicatorName,
        (rank, size): (u32, u32),
        options: CommunicatorOptions,
    ) -> Result<Arc<Self>> {
        if rank >= size {
            return Err(invalid(
                "communicator",
                format!("rank {rank} of {size}; allowed are ranks below the size"),
            ));
        }
        let hub = shared.station.join(name, rank, size)?;
        let ranks = size as usize;
        let endpoint = Arc::new(Self {
            shared: Arc::clone(shared),
            device,
            key: name.key,
            handle: CommunicatorHandle(shared.next_handle()),
            hub,
            rank,
            size,
            buffer_bytes: options.buffer_bytes.unwrap_or(BUFFER_BYTES),
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

    pub(crate) fn key(&self) -> Nonce {
        self.key
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

    /// What may be on its way from each rank of another process.
    fn window(&self) -> u64 {
        let elsewhere = self.ranks_elsewhere();
        (self.buffer_bytes / elsewhere.max(1)).max(LEAST_WINDOW)
    }

    fn ranks_elsewhere(&self) -> u64 {
        self.hub
            .look(|state| (0..self.size).filter(|rank| state.is_elsewhere(*rank)).count() as u64)
    }

    fn round(&self, label: Label) -> Round {
        Round {
            hub: self.hub.clone(),
            access: self.shared.access.clone(),
            rank: self.rank,
            label,
            window: self.window(),
            sends: Vec::new(),
            receives: Vec::new(),
        }
    }

    /// Queues a call of all ranks: `offer` is what others get, `place` is where it goes.
    fn meet(
        &self,
        call: Call,
        offer: Option<Offer>,
        place: Option<Offer>,
        stream: &HostStream,
    ) -> Result<()> {
        let mut sequences = lock(&self.sequences);
        let number = sequences.meetings;
        if self.hub.look(|state| state.is_all_here()) {
            let collective = Collective {
                hub: self.hub.clone(),
                access: self.shared.access.clone(),
                rank: self.rank,
                number,
                call,
                offer,
                place,
            };
            stream.push(call.name(), Box::new(move |stop| collective.run(stop)))?;
        } else {
            let round = self.call_as_round(call, number, offer.as_ref(), place.as_ref());
            stream.push(call.name(), Box::new(move |stop| round.run(stop)))?;
        }
        sequences.meetings += 1;
        Ok(())
    }

    /// A call of all ranks as letters between each two of them, empty ones where no bytes go: so each
    /// rank notices if another one calls something else.
    fn call_as_round(
        &self,
        call: Call,
        sequence: u64,
        offer: Option<&Offer>,
        place: Option<&Offer>,
    ) -> Round {
        let letter = Letter { channel: Channel::Calls, sequence };
        let name = |from, to| LetterName { from, to, letter };
        let empty = || Offer { address: 0, bytes: 0, held: Use::none() };
        let mut round = self.round(Label::Call(call));
        let gathers = matches!(call, Call::AllGather { .. });
        for peer in (0..self.size).filter(|peer| *peer != self.rank || gathers) {
            let sent = offer.cloned().unwrap_or_else(empty);
            let comes = match (call, place) {
                (Call::AllGather { bytes }, Some(place)) => {
                    let address = place.address + peer as usize * bytes;
                    Offer { address, bytes, held: place.held.clone() }
                }
                (Call::Broadcast { root, .. }, Some(place)) if root == peer => place.clone(),
                _ => empty(),
            };
            round.sends.push((name(self.rank, peer), sent));
            round.receives.push((name(peer, self.rank), comes));
        }
        round
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let has_aborted = matches!(self.hub.progress(self.rank), Progress::Failed(_));
        self.hub.change(|state| state.mail.tell_all(self.rank, &Message::Bye));
        if !has_aborted {
            // Otherwise the end of the process could take along what others wait for.
            let until = Instant::now() + FAREWELL;
            self.hub.wait_until(until, |state| state.mail.farewell_was_seen(self.rank));
        }
        // Work of this end that is still queued (against the contract) must not wait for ever.
        self.shared.station.leave(self.key, self.rank, &self.hub);
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
        self.endpoint.window() * self.endpoint.ranks_elsewhere()
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
        let name = |from, to, sequence| {
            let letter = Letter { channel: Channel::Rounds, sequence };
            LetterName { from, to, letter }
        };
        let mut round = end.round(Label::Round);
        for (peer, offer) in sends {
            let before = sequences.sends[peer as usize];
            round.sends.push((name(end.rank, peer, before), offer));
        }
        for (peer, offer) in receives {
            let before = sequences.receives[peer as usize];
            round.receives.push((name(peer, end.rank, before), offer));
        }
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
        let elsewhere = end.hub.look(|state| state.mail.trouble(end.rank));
        Ok(elsewhere.or_else(|| {
            end.hub.who_aborted().map(|rank| {
                let text = format!("rank {rank} has aborted its end of the communicator");
                aborted("async_error", text)
            })
        }))
    }

    fn abort(&self) -> Result<()> {
        if self.borrowed {
            return Err(invalid("abort", "the communicator is borrowed"));
        }
        let end = &*self.endpoint;
        end.hub.change(|state| state.mail.tell_all(end.rank, &Message::Aborted));
        end.hub.abort(end.rank);
        Ok(())
    }

    unsafe fn destroy(&self) -> Result<()> {
        // Leaving is what the drop of the last holder does; there is nothing else to release.
        Ok(())
    }
}
