//! Communicators between ranks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::raw::{Link, Span, Task};
use crate::wait::wait_until;
use crate::{Device, DeviceError, Memory, Result, Stream, Wait};

/// One buffer of a round: the memory to send to a rank, or to receive from it.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The other rank, or the own one.
    pub peer: u32,
    /// The bytes.
    pub memory: Memory,
}

impl Transfer {
    /// `memory` to or from the rank `peer`.
    pub fn new(peer: u32, memory: &Memory) -> Self {
        Self { peer, memory: memory.clone() }
    }
}

/// One rank's end of a communicator.
///
/// Its work is work of the stream that it is queued on. All ranks queue the same calls in the same
/// order, over all communicators of a device: that is the callers' duty. Whether the other ranks
/// come is known to nobody; who waits for a stream has a deadline, and on expiry
/// [aborts](Self::abort). Clones are the same one, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Communicator {
    link: Arc<Link>,
    // Dropped last: the last handle of a device shuts it down.
    device: Device,
}

impl Communicator {
    pub(crate) fn new(device: Device, link: Arc<Link>) -> Self {
        Self { link, device }
    }

    /// The device it belongs to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The own rank.
    pub fn rank(&self) -> u32 {
        self.link.rank()
    }

    /// Number of ranks.
    pub fn size(&self) -> u32 {
        self.link.size()
    }

    /// Whether the engine lent it.
    pub fn is_borrowed(&self) -> bool {
        self.link.is_borrowed()
    }

    /// Device memory that the vendor's library keeps for it, in bytes, as far as it is known.
    pub fn reserved_bytes(&self) -> u64 {
        self.link.reserved_bytes()
    }

    /// Whether all ranks have joined, so that it can be used. Never waits.
    ///
    /// # Errors
    ///
    /// The failure of the creation.
    pub fn is_ready(&self) -> Result<bool> {
        self.link.is_ready()
    }

    /// Waits until it can be used.
    ///
    /// # Errors
    ///
    /// As [`is_ready`](Self::is_ready), or `TimedOut`.
    pub fn wait_ready(&self, wait: &mut dyn Wait) -> Result<()> {
        let result = wait_until("wait for a communicator", wait, || self.is_ready());
        result.map_err(|error| self.link.core().locate(error))
    }

    /// Queues one round of sends and receives, which progress together. No transfers: nothing
    /// happens, and no peer may have one with this rank in its same round.
    ///
    /// # Errors
    ///
    /// `InvalidUse`, and nothing is queued: not ready, a peer out of range, two buffers for one
    /// peer and direction, a send to the own rank without the same receive, another device's or
    /// imported memory, or a receive that overlaps another buffer.
    pub fn exchange(
        &self,
        sends: &[Transfer],
        receives: &[Transfer],
        stream: &Stream,
    ) -> Result<()> {
        if sends.is_empty() && receives.is_empty() {
            return Ok(());
        }
        self.check_use("exchange", stream)?;
        let sends = self.check_side("sends", sends, stream)?;
        let receives = self.check_side("receives", receives, stream)?;
        let own = self.rank();
        let own_bytes = [&sends, &receives].map(|side| {
            let buffer = side.iter().find(|(peer, _)| *peer == own);
            buffer.map(|(_, span)| span.bytes())
        });
        if own_bytes[0] != own_bytes[1] {
            return Err(stream.invalid(
                "exchange",
                format!(
                    "rank {own} sends {} bytes to itself and receives {}; both have to be equal",
                    own_bytes[0].unwrap_or(0),
                    own_bytes[1].unwrap_or(0)
                ),
            ));
        }
        let read = sends.iter().map(|(_, span)| (false, span));
        let written = receives.iter().map(|(_, span)| (true, span));
        stream.check_overlap("exchange", read.chain(written))?;
        stream.queue().enqueue(&Task::Exchange {
            link: &self.link,
            sends: &sends,
            receives: &receives,
        })
    }

    /// Queues gathering every rank's `send`, by rank, in every rank's `receive`.
    ///
    /// # Errors
    ///
    /// `InvalidUse`, and nothing is queued: not ready, `receive` is not the number of ranks times
    /// as long as `send`, another device's or imported memory, or both overlap and `send` is not
    /// exactly the own rank's part of `receive`.
    pub fn all_gather(&self, send: &Memory, receive: &Memory, stream: &Stream) -> Result<()> {
        self.check_use("all_gather", stream)?;
        stream.check_local("all_gather", send)?;
        stream.check_local("all_gather", receive)?;
        let ranks = self.size() as usize;
        if send.bytes().checked_mul(ranks) != Some(receive.bytes()) {
            return Err(stream.invalid(
                "all_gather",
                format!(
                    "{} bytes to gather {} bytes of {ranks} ranks in; allowed is their product",
                    receive.bytes(),
                    send.bytes()
                ),
            ));
        }
        let own = receive.address().0 + self.rank() as usize * send.bytes();
        if send.address().0 != own {
            let ranges = [(false, send.span()), (true, receive.span())];
            stream.check_overlap("all_gather", ranges.into_iter())?;
        }
        stream.queue().enqueue(&Task::AllGather {
            link: &self.link,
            send: send.span(),
            receive: receive.span(),
        })
    }

    /// Queues copying the bytes of `root` into every rank's `buffer`.
    ///
    /// # Errors
    ///
    /// `InvalidUse`, and nothing is queued: not ready, a root out of range, another device's or
    /// imported memory.
    pub fn broadcast(&self, buffer: &Memory, root: u32, stream: &Stream) -> Result<()> {
        self.check_use("broadcast", stream)?;
        self.check_peer("broadcast", root, stream)?;
        stream.check_local("broadcast", buffer)?;
        stream.queue().enqueue(&Task::Broadcast { link: &self.link, buffer: buffer.span(), root })
    }

    /// Queues a barrier: work queued later on `stream` starts after all ranks' streams came here.
    ///
    /// # Errors
    ///
    /// `InvalidUse` if it is not ready.
    pub fn barrier(&self, stream: &Stream) -> Result<()> {
        self.check_use("barrier", stream)?;
        stream.queue().enqueue(&Task::Barrier { link: &self.link })
    }

    /// Asks for a failure that the vendor's library noticed by itself. None proves nothing: the
    /// streams that carry the work are asked, too.
    ///
    /// # Errors
    ///
    /// That failure.
    pub fn check(&self) -> Result<()> {
        self.link.async_error()?.map_or(Ok(()), Err)
    }

    /// Gives it up, from any thread, also while other calls are inside the vendor's library:
    /// creation and queued work end with errors. All ranks have to abort their own ends.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a communicator of the engine, or the library could not end it.
    pub fn abort(&self) -> Result<()> {
        if self.is_borrowed() {
            let core = self.link.core();
            return Err(core.locate(DeviceError::invalid(
                "abort",
                "the communicator is the engine's to abort",
            )));
        }
        self.link.abort()
    }

    fn check_use(&self, operation: &'static str, stream: &Stream) -> Result<()> {
        if !self.device.is_same(stream.device()) {
            return Err(stream.invalid(operation, "communicator and stream are of two devices"));
        }
        if !self.is_ready()? {
            return Err(stream.invalid(
                operation,
                "not all ranks have joined the communicator yet; wait until it is ready",
            ));
        }
        Ok(())
    }

    fn check_peer(&self, operation: &'static str, peer: u32, stream: &Stream) -> Result<()> {
        if peer < self.size() {
            return Ok(());
        }
        Err(stream.invalid(
            operation,
            format!("rank {peer} of {}; allowed are ranks below the size", self.size()),
        ))
    }

    /// The buffers of one direction, by peer.
    fn check_side(
        &self,
        side: &str,
        transfers: &[Transfer],
        stream: &Stream,
    ) -> Result<Vec<(u32, Span)>> {
        let mut buffers = BTreeMap::new();
        for transfer in transfers {
            self.check_peer("exchange", transfer.peer, stream)?;
            stream.check_local("exchange", &transfer.memory)?;
            let span = transfer.memory.span().clone();
            if buffers.insert(transfer.peer, span).is_some() {
                return Err(stream.invalid(
                    "exchange",
                    format!(
                        "two {side} with rank {}; a round has one buffer per rank and direction, \
                         so pack them or make two rounds",
                        transfer.peer
                    ),
                ));
            }
        }
        Ok(buffers.into_iter().collect())
    }
}
