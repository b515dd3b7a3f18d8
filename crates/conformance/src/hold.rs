//! Keeping a stream busy, on any device with communicators.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eplb::device::{Communicator, CommunicatorOptions, Device, Stream, StreamPriority};

use crate::scope::{Place, Trouble};

/// How long a dropped hold waits for its other rank's barrier before it gives that up.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A stream waits in a barrier whose other rank comes when it is released: nothing here depends on
/// how fast a device is.
#[derive(Debug)]
pub(crate) struct Hold {
    end: Communicator,
    // Dropped before the device that it is of.
    other_end: Communicator,
    other_stream: Stream,
    other_device: Device,
    released: AtomicBool,
    place: Place,
}

impl Hold {
    /// Holds `stream` from what is queued next.
    pub(crate) fn new(stream: &Stream, place: &Place) -> Result<Self, Trouble> {
        let device = stream.device();
        let own = device.info().ordinal;
        let other = if device.info().ranks_share_device {
            own
        } else {
            let others = place.devices.iter().copied().find(|ordinal| *ordinal != own);
            others.ok_or_else(|| "a hold needs a second device".to_owned())?
        };
        let other_device = Device::open(place.backend(), other)?;
        let other_stream = other_device.stream(StreamPriority::Normal)?;
        let id = device.communicator_id()?;
        let options = CommunicatorOptions::default();
        let end = device.communicator(&id, 0, 2, options)?;
        let other_end = other_device.communicator(&id, 1, 2, options)?;
        end.wait_ready(&mut place.patience(None))?;
        other_end.wait_ready(&mut place.patience(None))?;
        let hold = Self {
            end,
            other_end,
            other_stream,
            other_device,
            released: AtomicBool::new(false),
            place: place.clone(),
        };
        hold.set_up_links(stream)?;
        hold.end.barrier(stream)?;
        Ok(hold)
    }

    /// The first barrier may wait inside the library for the other rank (R17); later ones may not.
    fn set_up_links(&self, stream: &Stream) -> Result<(), Trouble> {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.other_end.barrier(&self.other_stream));
            let own = self.end.barrier(stream);
            let other = other.join().unwrap_or(Ok(()));
            own.and(other)
        })?;
        stream.wait(&mut self.place.patience(None))?;
        self.other_stream.wait(&mut self.place.patience(None))?;
        Ok(())
    }

    /// Lets the stream go on; a second time changes nothing.
    pub(crate) fn release(&self) -> Result<(), Trouble> {
        if self.released.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.other_end.barrier(&self.other_stream)?;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Nobody is left to be told; what cannot end shows in the case's drain.
        let _ = self.release();
        if self.other_stream.wait(&mut self.place.patience(Some(LAST_WAIT))).is_err() {
            let _ = self.other_device.abort();
        }
        self.other_device.collect();
    }
}
