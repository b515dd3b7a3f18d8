//! A few bytes of every rank, gathered on every rank.

use eplb_device::{Communicator, Device, DeviceError, Memory, PinnedMemory, Stream};

use crate::ExecutorError;

/// An all-gather of few bytes, with its memory. One at a time.
#[derive(Debug)]
pub(crate) struct Gathering {
    own: PinnedMemory,
    all: PinnedMemory,
    send: Memory,
    receive: Memory,
    stage: Stage,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Upload,
    Gather,
    Download,
    Arrive,
}

/// Why a gathering did not get on.
#[derive(Debug)]
pub(crate) enum Setback {
    /// Nothing is wrong with the order of calls: it may be tried again.
    Again(DeviceError),
    /// The call that other ranks have to match may be queued or not.
    Unknown(DeviceError),
    /// It can't go on, for another reason.
    Lost(String),
}

impl Gathering {
    /// Memory for `bytes` of each of `members` ranks.
    pub(crate) fn reserve(
        device: &Device,
        bytes: usize,
        members: usize,
    ) -> Result<Self, ExecutorError> {
        Ok(Self {
            own: device.allocate_pinned(bytes)?,
            all: device.allocate_pinned(bytes * members)?,
            send: device.allocate(bytes)?,
            receive: device.allocate(bytes * members)?,
            stage: Stage::Upload,
        })
    }

    /// Device memory of it.
    pub(crate) fn bytes(&self) -> usize {
        self.send.bytes() + self.receive.bytes()
    }

    /// Goes on with gathering `own`, which has to be the same until it is done, on a stream that has no
    /// other work meanwhile: by rank, what each has said, once all have.
    pub(crate) fn advance(
        &mut self,
        own: &[u8],
        communicator: &Communicator,
        stream: &Stream,
    ) -> Result<Option<Vec<Vec<u8>>>, Setback> {
        if self.stage == Stage::Upload {
            // What is left of an upload that failed may be over only by the stream's own word.
            if !self.own.is_idle() && !stream.is_complete().map_err(Setback::Again)? {
                return Ok(None);
            }
            let uploaded = self.own.write(own).and_then(|()| stream.upload(&self.send, &self.own));
            uploaded.map_err(Setback::Again)?;
            self.stage = Stage::Gather;
        }
        if self.stage == Stage::Gather {
            let queued = communicator.all_gather(&self.send, &self.receive, stream);
            queued.map_err(Setback::Unknown)?;
            self.stage = Stage::Download;
        }
        if self.stage == Stage::Download {
            stream.download(&self.all, &self.receive).map_err(Setback::Again)?;
            self.stage = Stage::Arrive;
        }
        if !stream.is_complete().map_err(Setback::Again)? {
            return Ok(None);
        }
        let all = self.all.to_vec().map_err(Setback::Again)?;
        self.stage = Stage::Upload;
        Ok(Some(all.chunks_exact(own.len()).map(<[u8]>::to_vec).collect()))
    }
}
