//! A communicator that is released after its last user.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    CommunicatorDriver, CommunicatorHandle, CommunicatorId, CommunicatorOptions, Progress,
};
use crate::core::{Core, Retired};
use crate::{DeviceError, Result};

/// One rank's end of a communicator, with its owners counted; streams with its work are owners.
#[derive(Debug)]
pub(crate) struct Link {
    core: Arc<Core>,
    driver: Arc<dyn CommunicatorDriver>,
    rank: u32,
    size: u32,
    borrowed: bool,
    ready: AtomicBool,
}

impl Link {
    pub(crate) fn create(
        core: &Arc<Core>,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Arc<Self>> {
        let driver = core.driver.communicator(id, rank, size, options);
        let driver = driver.map_err(|error| core.locate(error))?;
        Ok(Self::own(core, driver, rank, size, false))
    }

    /// # Safety
    ///
    /// As for [`Driver::borrow_communicator`](super::Driver::borrow_communicator).
    pub(super) unsafe fn borrow(
        core: &Arc<Core>,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Arc<Self>> {
        // SAFETY: the caller's promise.
        let driver = unsafe { core.driver.borrow_communicator(handle, rank, size) };
        let driver = driver.map_err(|error| core.locate(error))?;
        Ok(Self::own(core, driver, rank, size, true))
    }

    fn own(
        core: &Arc<Core>,
        driver: Arc<dyn CommunicatorDriver>,
        rank: u32,
        size: u32,
        borrowed: bool,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            core: Arc::clone(core),
            driver,
            rank,
            size,
            borrowed,
            ready: AtomicBool::new(false),
        });
        core.register_link(&link);
        link
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn rank(&self) -> u32 {
        self.rank
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn is_borrowed(&self) -> bool {
        self.borrowed
    }

    pub(super) fn driver(&self) -> &dyn CommunicatorDriver {
        &*self.driver
    }

    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.driver.reserved_bytes()
    }

    pub(crate) fn is_ready(&self) -> Result<bool> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(true);
        }
        match self.driver.progress() {
            Ok(Progress::Complete) => {
                self.ready.store(true, Ordering::Release);
                Ok(true)
            }
            Ok(Progress::Pending) => Ok(false),
            Ok(Progress::Failed(error)) | Err(error) => Err(self.core.locate(error)),
        }
    }

    pub(crate) fn async_error(&self) -> Result<Option<DeviceError>> {
        self.driver
            .async_error()
            .map(|found| found.map(|error| self.core.locate(error)))
            .map_err(|error| self.core.locate(error))
    }

    pub(crate) fn abort(&self) -> Result<()> {
        self.driver.abort().map_err(|error| self.core.locate(error))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.core.retire(Retired::Link(RetiredLink {
            driver: Arc::clone(&self.driver),
            ready: self.borrowed || self.ready.load(Ordering::Acquire),
        }));
    }
}

/// A communicator that nobody owns any more, and so no queued work uses.
#[derive(Debug)]
pub(crate) struct RetiredLink {
    driver: Arc<dyn CommunicatorDriver>,
    ready: bool,
}

impl RetiredLink {
    pub(crate) fn give_back(self) -> Result<()> {
        // One whose creation may still be under way would make `destroy` wait for the other ranks.
        let aborted = if self.ready { Ok(()) } else { self.driver.abort() };
        // SAFETY: streams own the communicators of their queued work until it has ended, so none is
        // pending; this was the last owner.
        let destroyed = unsafe { self.driver.destroy() };
        aborted.and(destroyed)
    }
}
