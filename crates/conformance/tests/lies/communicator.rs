//! The communicators of a lying backend.

use std::sync::Arc;

use eplb::device::raw::{CommunicatorDriver, PeerBuffer, Progress};
use eplb::device::{Address, DeviceError, Result, StreamHandle};

use crate::liar::Lie;

#[derive(Debug)]
pub(crate) struct LyingCommunicator {
    pub(crate) inner: Arc<dyn CommunicatorDriver>,
    pub(crate) lie: Lie,
}

// In each method the caller's promise is passed on.
//
// SAFETY: as for the lying backend.
unsafe impl CommunicatorDriver for LyingCommunicator {
    fn progress(&self) -> Result<Progress> {
        self.inner.progress()
    }

    fn reserved_bytes(&self) -> u64 {
        self.inner.reserved_bytes()
    }

    unsafe fn exchange(
        &self,
        sends: &[PeerBuffer],
        receives: &[PeerBuffer],
        stream: StreamHandle,
    ) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.exchange(sends, receives, stream) }
    }

    unsafe fn all_gather(
        &self,
        send: Address,
        receive: Address,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.all_gather(send, receive, bytes, stream) }
    }

    unsafe fn broadcast(
        &self,
        buffer: Address,
        bytes: usize,
        root: u32,
        stream: StreamHandle,
    ) -> Result<()> {
        let root = if self.lie == Lie::FirstRootOnly { 0 } else { root };
        // SAFETY: passed on, from another root.
        unsafe { self.inner.broadcast(buffer, bytes, root, stream) }
    }

    unsafe fn barrier(&self, stream: StreamHandle) -> Result<()> {
        if self.lie == Lie::NoBarriers {
            return Ok(());
        }
        // SAFETY: passed on.
        unsafe { self.inner.barrier(stream) }
    }

    fn async_error(&self) -> Result<Option<DeviceError>> {
        self.inner.async_error()
    }

    fn abort(&self) -> Result<()> {
        if self.lie == Lie::NoAborts {
            return Ok(());
        }
        self.inner.abort()
    }

    unsafe fn destroy(&self) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.inner.destroy() }
    }
}
