//! The backend: its devices, and what they share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use eplb_device::raw::{
    Backend, CommunicatorHandle, CommunicatorId, ContextHandle, Driver, StreamHandle,
};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::access::AccessTable;
use crate::communicator::Endpoint;
use crate::driver::HostDriver;
use crate::error::{NAME, invalid, unknown};
use crate::event::Capture;
use crate::gate::{Gate, Stopped, lock};
use crate::links::{CommunicatorName, Links, Station};
use crate::memory::Memory;
use crate::peer::Nonce;
use crate::stream::HostStream;

/// Memory of each device, unless it is given: enough for every test, and never reserved.
const BYTES_PER_DEVICE: u64 = 64 << 30;

/// Host memory as devices; several devices and ranks in one process, and ranks in other processes.
///
/// Beyond the contract of a backend it has what tests need: streams can be [held](Self::hold) or
/// made to [fail](Self::fail), and what is alive can be counted.
#[derive(Debug)]
pub struct HostBackend {
    shared: Arc<Shared>,
}

/// What all devices of a backend share.
pub(crate) struct Shared {
    pub(crate) devices: u32,
    pub(crate) memory: Memory,
    pub(crate) access: AccessTable,
    pub(crate) streams: Mutex<HashMap<usize, Arc<HostStream>>>,
    /// By handle: the device, and the latest record.
    pub(crate) events: Mutex<HashMap<usize, (u32, Option<Capture>)>>,
    pub(crate) endpoints: Mutex<HashMap<usize, Weak<Endpoint>>>,
    pub(crate) station: Arc<Station>,
    last_handle: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("devices", &self.devices).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn next_handle(&self) -> usize {
        self.last_handle.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn stream(
        &self,
        operation: &'static str,
        handle: StreamHandle,
    ) -> Result<Arc<HostStream>> {
        let stream = lock(&self.streams).get(&handle.0).cloned();
        stream.ok_or_else(|| unknown(operation, "stream", handle.0))
    }

    pub(crate) fn stream_of(
        &self,
        operation: &'static str,
        device: u32,
        handle: StreamHandle,
    ) -> Result<Arc<HostStream>> {
        let stream = self.stream(operation, handle)?;
        if stream.device() == device {
            return Ok(stream);
        }
        Err(invalid(operation, format!("the stream is of device {}", stream.device())))
    }
}

impl HostBackend {
    /// A backend with `devices` devices.
    pub fn new(devices: u32) -> Arc<Self> {
        Self::with_memory(devices, BYTES_PER_DEVICE)
    }

    /// A backend with `devices` devices of `bytes_per_device` bytes of memory each: allocating more
    /// is `OutOfMemory`.
    pub fn with_memory(devices: u32, bytes_per_device: u64) -> Arc<Self> {
        Self::with(devices, bytes_per_device, Links::default())
    }

    /// A backend with `devices` devices, whose communicators reach other processes as `links` says. The
    /// others listen on the loopback interface of this host from the first id or joining on.
    pub fn with_links(devices: u32, links: Links) -> Arc<Self> {
        Self::with(devices, BYTES_PER_DEVICE, links)
    }

    fn with(devices: u32, bytes_per_device: u64, links: Links) -> Arc<Self> {
        let nonce = Nonce::new();
        Arc::new(Self {
            shared: Arc::new(Shared {
                devices,
                memory: Memory::new(nonce, bytes_per_device),
                access: AccessTable::new(),
                streams: Mutex::default(),
                events: Mutex::default(),
                endpoints: Mutex::default(),
                station: Station::new(nonce, links),
                last_handle: AtomicUsize::new(0),
            }),
        })
    }

    /// The context of a device, as an engine would hand it in.
    pub fn context(&self, ordinal: u32) -> ContextHandle {
        ContextHandle(ordinal as usize + 1)
    }

    /// Queues a task that keeps the stream busy until the result is released or dropped, or the
    /// stream is aborted.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a stream that is not alive.
    pub fn hold(&self, stream: StreamHandle) -> Result<Hold> {
        let gate = Gate::new(false);
        let stream = self.shared.stream("hold", stream)?;
        let work = {
            let gate = Arc::clone(&gate);
            Box::new(move |stop: &_| {
                let released = gate.wait(stop, |released| released.then_some(()));
                released.map_err(|Stopped| crate::error::aborted("hold", "the stream was aborted"))
            })
        };
        stream.push("hold", work)?;
        Ok(Hold { gate })
    }

    /// Queues a task that fails, so that the stream fails.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for a stream that is not alive.
    pub fn fail(&self, stream: StreamHandle, text: &str) -> Result<()> {
        let error = DeviceError::new(ErrorKind::Failed, "fail", text);
        let stream = self.shared.stream("fail", stream)?;
        stream.push("fail", Box::new(move |_| Err(error)))
    }

    /// The handle of a rank's end of a communicator, as an engine would hand it in.
    pub fn communicator_handle(
        &self,
        id: &CommunicatorId,
        rank: u32,
    ) -> Option<CommunicatorHandle> {
        let key = CommunicatorName::read("communicator", id).ok()?.key;
        let endpoints = lock(&self.shared.endpoints);
        let mut alive = endpoints.values().filter_map(Weak::upgrade);
        let found = alive.find(|end| (end.key(), end.rank()) == (key, rank));
        drop(alive);
        drop(endpoints);
        found.map(|end| end.handle())
    }

    /// Allocations, of devices and pinned, whose bytes have not been given back to the system.
    pub fn live_allocations(&self) -> usize {
        self.shared.memory.totals.blocks.load(Ordering::SeqCst)
    }

    /// The bytes of these allocations.
    pub fn allocated_bytes(&self) -> u64 {
        self.shared.memory.totals.bytes.load(Ordering::SeqCst) as u64
    }

    /// Streams, and so threads, that are alive.
    pub fn live_streams(&self) -> usize {
        lock(&self.shared.streams).len()
    }
}

/// Keeps a stream busy; see [`HostBackend::hold`].
#[derive(Debug)]
pub struct Hold {
    gate: Arc<Gate<bool>>,
}

impl Hold {
    /// Lets the stream go on; so does dropping.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.change(|released| *released = true);
    }
}

// SAFETY: the drivers keep the contract, as said there.
unsafe impl Backend for HostBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn devices(&self) -> Result<u32> {
        Ok(self.shared.devices)
    }

    fn open(&self, ordinal: u32) -> Result<Arc<dyn Driver>> {
        if ordinal >= self.shared.devices {
            return Err(invalid("open", format!("device {ordinal} of {}", self.shared.devices)));
        }
        Ok(Arc::new(HostDriver::new(&self.shared, ordinal)))
    }

    unsafe fn adopt(&self, ordinal: u32, context: ContextHandle) -> Result<Arc<dyn Driver>> {
        if context != self.context(ordinal) {
            return Err(invalid("adopt", "the context is not this device's"));
        }
        self.open(ordinal)
    }
}
