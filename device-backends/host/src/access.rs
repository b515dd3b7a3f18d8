//! Who reads and writes which bytes at this moment.
//!
//! Safe code above can queue copies of the same bytes on two streams; on a device that gives some
//! mixture of both, here it would be a data race between threads. So whoever touches memory says
//! which bytes, and waits while somebody else is at them.

use std::sync::Arc;

use eplb_device::Result;

use crate::error::aborted;
use crate::gate::{Gate, Stop, Stopped};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    start: usize,
    end: usize,
    writes: bool,
}

impl Access {
    fn conflicts(self, other: Self) -> bool {
        (self.writes || other.writes) && self.start < other.end && other.start < self.end
    }
}

/// The accesses in progress, of all threads of a backend.
#[derive(Clone, Debug)]
pub(crate) struct AccessTable(Arc<Gate<Vec<Access>>>);

impl AccessTable {
    pub(crate) fn new() -> Self {
        Self(Gate::new(Vec::new()))
    }

    /// Copies once nobody else is at the bytes.
    ///
    /// # Safety
    ///
    /// Both ranges are valid, for reads and for writes, until the call returns, and apart.
    pub(crate) unsafe fn copy(
        &self,
        stop: &Stop,
        destination: usize,
        source: usize,
        bytes: usize,
    ) -> Result<()> {
        let accesses = [access(destination, bytes, true), access(source, bytes, false)];
        self.alone_at(stop, &accesses, || {
            // SAFETY: the caller's promise; threads that touch the same bytes are kept out.
            unsafe {
                std::ptr::copy_nonoverlapping(source as *const u8, destination as *mut u8, bytes);
            }
            Ok(())
        })
    }

    /// Fills once nobody else is at the bytes.
    ///
    /// # Safety
    ///
    /// The range is valid for writes until the call returns.
    pub(crate) unsafe fn fill(
        &self,
        stop: &Stop,
        destination: usize,
        value: u8,
        bytes: usize,
    ) -> Result<()> {
        self.alone_at(stop, &[access(destination, bytes, true)], || {
            // SAFETY: as in `copy`.
            unsafe { std::ptr::write_bytes(destination as *mut u8, value, bytes) };
            Ok(())
        })
    }

    /// Does what reads the bytes, once nobody writes them.
    pub(crate) fn reading<R>(
        &self,
        stop: &Stop,
        source: usize,
        bytes: usize,
        read: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.alone_at(stop, &[access(source, bytes, false)], read)
    }

    /// Does what writes the bytes, once nobody else is at them.
    pub(crate) fn writing<R>(
        &self,
        stop: &Stop,
        destination: usize,
        bytes: usize,
        write: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.alone_at(stop, &[access(destination, bytes, true)], write)
    }

    fn alone_at<R>(
        &self,
        stop: &Stop,
        accesses: &[Access],
        work: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.enter(stop, accesses)?;
        let result = work();
        self.leave(accesses);
        result
    }

    /// All accesses at once, so that nobody holds some while waiting for others.
    fn enter(&self, stop: &Stop, accesses: &[Access]) -> Result<()> {
        let entered = self.0.wait(stop, |active| {
            let free = active.iter().all(|other| accesses.iter().all(|own| !own.conflicts(*other)));
            free.then(|| active.extend_from_slice(accesses))
        });
        entered.map_err(|Stopped| aborted("copy", "the stream was aborted"))
    }

    fn leave(&self, accesses: &[Access]) {
        self.0.change(|active| {
            for own in accesses {
                if let Some(index) = active.iter().position(|other| other == own) {
                    active.swap_remove(index);
                }
            }
        });
    }
}

fn access(start: usize, bytes: usize, writes: bool) -> Access {
    Access { start, end: start + bytes, writes }
}
