//! The communicator of an intercepted backend.

use std::sync::Arc;

use super::intercept::{Intercept, Resource, acting, releasing};
use super::{
    Address, CommunicatorDriver, Copy, CopyKind, Driver, PeerBuffer, Progress, StreamHandle,
};
use crate::{DeviceError, Result};

#[derive(Debug)]
pub(super) struct InterceptedCommunicator {
    inner: Arc<dyn CommunicatorDriver>,
    /// Of the same device.
    driver: Arc<dyn Driver>,
    intercept: Arc<dyn Intercept>,
    borrowed: bool,
}

impl InterceptedCommunicator {
    pub(super) fn new(
        inner: Arc<dyn CommunicatorDriver>,
        driver: Arc<dyn Driver>,
        intercept: Arc<dyn Intercept>,
        borrowed: bool,
    ) -> Self {
        Self { inner, driver, intercept, borrowed }
    }
}

// In each method below the caller's promise, which is the same on both sides, is passed on.
//
// SAFETY: every call that is made is passed on unchanged to a communicator that keeps the contract.
unsafe impl CommunicatorDriver for InterceptedCommunicator {
    fn progress(&self) -> Result<Progress> {
        acting(&*self.intercept, "progress", || self.inner.progress())
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
        acting(&*self.intercept, "exchange", || {
            let spoiled = self.intercept.spoiled_receives(receives);
            // SAFETY: passed on.
            unsafe { self.inner.exchange(sends, receives, stream) }?;
            let within = |buffer: &PeerBuffer| Copy {
                destination: buffer.address,
                source: buffer.address,
                bytes: buffer.bytes,
                kind: CopyKind::Device,
            };
            let received: Vec<Copy> = receives.iter().map(within).collect();
            for copy in spoiled.into_iter().filter_map(|spoiled| spoiled.copy(&received)) {
                // SAFETY: both sides are one byte of a buffer of the caller's that the round writes, whose
                // promise covers it; the work is queued behind the round and before the caller's next call.
                unsafe { self.driver.copy(&[copy], stream) }?;
            }
            Ok(())
        })
    }

    unsafe fn all_gather(
        &self,
        send: Address,
        receive: Address,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        acting(&*self.intercept, "all_gather", || {
            // SAFETY: passed on.
            unsafe { self.inner.all_gather(send, receive, bytes, stream) }
        })
    }

    unsafe fn broadcast(
        &self,
        buffer: Address,
        bytes: usize,
        root: u32,
        stream: StreamHandle,
    ) -> Result<()> {
        acting(&*self.intercept, "broadcast", || {
            // SAFETY: passed on.
            unsafe { self.inner.broadcast(buffer, bytes, root, stream) }
        })
    }

    unsafe fn barrier(&self, stream: StreamHandle) -> Result<()> {
        acting(&*self.intercept, "barrier", || {
            // SAFETY: passed on.
            unsafe { self.inner.barrier(stream) }
        })
    }

    fn async_error(&self) -> Result<Option<DeviceError>> {
        acting(&*self.intercept, "async_error", || self.inner.async_error())
    }

    fn abort(&self) -> Result<()> {
        acting(&*self.intercept, "abort", || self.inner.abort())
    }

    unsafe fn destroy(&self) -> Result<()> {
        if self.borrowed {
            // SAFETY: passed on.
            return unsafe { self.inner.destroy() };
        }
        releasing(&*self.intercept, "destroy", Resource::Communicator, || {
            // SAFETY: passed on.
            unsafe { self.inner.destroy() }
        })
    }
}
