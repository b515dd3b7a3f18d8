//! One open device.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use eplb_device::Result;
use eplb_device::raw::{
    Address, AllocationKey, CommunicatorDriver, CommunicatorHandle, CommunicatorId,
    CommunicatorOptions, Copy, CopyKind, DeviceInfo, Driver, EventHandle, MemoryInfo, Progress,
    StreamHandle, StreamPriority,
};

use crate::backend::Shared;
use crate::communicator::{Endpoint, HostCommunicator};
use crate::copy::HeldCopy;
use crate::error::{NAME, invalid, unknown};
use crate::event::Capture;
use crate::gate::lock;
use crate::kernel_copy;
use crate::links::CommunicatorName;
use crate::memory::{ALIGNMENT, Access, Place, Side};
use crate::peer::MemoryKey;
use crate::stream::HostStream;

/// One open device of the backend. Dropping it ends what was created through it.
#[derive(Debug)]
pub(crate) struct HostDriver {
    shared: Arc<Shared>,
    ordinal: u32,
    created: Mutex<Created>,
}

/// Resources that the driver has to end, should its user not have done so.
#[derive(Debug, Default)]
struct Created {
    streams: HashSet<usize>,
    events: HashSet<usize>,
    memory: HashSet<(usize, bool)>,
}

impl HostDriver {
    pub(crate) fn new(shared: &Arc<Shared>, ordinal: u32) -> Self {
        Self { shared: Arc::clone(shared), ordinal, created: Mutex::default() }
    }

    fn place(&self, pinned: bool) -> Place {
        if pinned { Place::Pinned } else { Place::Device(self.ordinal) }
    }

    fn stream(&self, operation: &'static str, handle: StreamHandle) -> Result<Arc<HostStream>> {
        self.shared.stream_of(operation, self.ordinal, handle)
    }

    fn hold_copy(&self, copy: &Copy) -> Result<HeldCopy> {
        let memory = &self.shared.memory;
        let (to, from) = (copy.destination, copy.source);
        if copy.kind == CopyKind::Peer {
            let destination = memory.hold_shared("copy", self.ordinal, to, copy.bytes)?;
            let source = memory.hold_shared("copy", self.ordinal, from, copy.bytes)?;
            return Ok(HeldCopy { destination, source, bytes: copy.bytes });
        }
        let own = Access::Own(self.ordinal);
        let [destination, source] = match copy.kind {
            CopyKind::Device => [own, own],
            CopyKind::Upload => [own, Access::Pinned],
            CopyKind::Download => [Access::Pinned, own],
            other => {
                return Err(invalid("copy", format!("{other:?} is not known here")));
            }
        };
        let hold = |access, address: Address| -> Result<Side> {
            let held = memory.hold("copy", access, address, copy.bytes)?;
            Ok(Side::Here { address: address.0, held })
        };
        let (destination, source) = (hold(destination, to)?, hold(source, from)?);
        Ok(HeldCopy { destination, source, bytes: copy.bytes })
    }

    fn allocate_at(&self, operation: &'static str, bytes: usize, pinned: bool) -> Result<Address> {
        let memory = &self.shared.memory;
        let address = memory.allocate(operation, bytes, self.place(pinned))?;
        lock(&self.created).memory.insert((address.0, pinned));
        Ok(address)
    }

    fn free_at(&self, operation: &'static str, address: Address, pinned: bool) -> Result<()> {
        if !lock(&self.created).memory.remove(&(address.0, pinned)) {
            return Err(unknown(operation, "allocation of this driver", address.0));
        }
        let memory = &self.shared.memory;
        memory.free(operation, address, self.place(pinned))
    }

    fn end_stream(&self, stream: StreamHandle) -> Result<()> {
        let ended = lock(&self.shared.streams).remove(&stream.0);
        ended.map_or_else(
            || Err(unknown("destroy_stream", "stream", stream.0)),
            |ended| ended.destroy(),
        )
    }
}

impl Drop for HostDriver {
    fn drop(&mut self) {
        // Errors would repeat what the user of the driver did wrong; nobody is left to be told.
        let created = std::mem::take(&mut *lock(&self.created));
        for stream in created.streams {
            let _ = self.end_stream(StreamHandle(stream));
        }
        for event in created.events {
            lock(&self.shared.events).remove(&event);
        }
        for (address, pinned) in created.memory {
            let place = self.place(pinned);
            let _ = self.shared.memory.free("drop", Address(address), place);
        }
    }
}

// SAFETY: tasks hold the memory that they name until they have ended, and no task starts after a
// failure; handles are looked up in tables, so that dead ones are errors; memory leaves the tables
// when it is freed, and its bytes go when the last task that holds it has ended.
unsafe impl Driver for HostDriver {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: NAME.to_owned(),
            name: "host memory".to_owned(),
            software: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            ordinal: self.ordinal,
            alignment: ALIGNMENT,
            peer_memory: true,
            communicators: true,
            stream_abort: true,
            ranks_share_device: true,
        }
    }

    fn memory_info(&self) -> Result<MemoryInfo> {
        Ok(self.shared.memory.info(self.ordinal))
    }

    fn create_stream(&self, _priority: StreamPriority) -> Result<StreamHandle> {
        let stream = HostStream::start(self.ordinal)?;
        let handle = self.shared.next_handle();
        lock(&self.shared.streams).insert(handle, Arc::new(stream));
        lock(&self.created).streams.insert(handle);
        Ok(StreamHandle(handle))
    }

    unsafe fn destroy_stream(&self, stream: StreamHandle) -> Result<()> {
        if !lock(&self.created).streams.remove(&stream.0) {
            return Err(unknown("destroy_stream", "stream of this driver", stream.0));
        }
        self.end_stream(stream)
    }

    unsafe fn query_stream(&self, stream: StreamHandle) -> Result<Progress> {
        Ok(self.stream("query_stream", stream)?.progress())
    }

    unsafe fn abort_stream(&self, stream: StreamHandle) -> Result<()> {
        if !lock(&self.created).streams.contains(&stream.0) {
            return Err(unknown("abort_stream", "stream of this driver", stream.0));
        }
        self.stream("abort_stream", stream)?.abort()
    }

    fn create_event(&self) -> Result<EventHandle> {
        let handle = self.shared.next_handle();
        lock(&self.shared.events).insert(handle, (self.ordinal, None));
        lock(&self.created).events.insert(handle);
        Ok(EventHandle(handle))
    }

    unsafe fn destroy_event(&self, event: EventHandle) -> Result<()> {
        if !lock(&self.created).events.remove(&event.0) {
            return Err(unknown("destroy_event", "event of this driver", event.0));
        }
        lock(&self.shared.events).remove(&event.0);
        Ok(())
    }

    unsafe fn record_event(&self, event: EventHandle, stream: StreamHandle) -> Result<()> {
        let stream = self.stream("record_event", stream)?;
        let capture = Capture::new();
        let mut events = lock(&self.shared.events);
        match events.get_mut(&event.0) {
            Some((device, latest)) if *device == self.ordinal => {
                stream.record(capture.clone())?;
                *latest = Some(capture);
                Ok(())
            }
            Some(_) => Err(invalid("record_event", "the event is another device's")),
            None => Err(unknown("record_event", "event", event.0)),
        }
    }

    unsafe fn wait_event(&self, stream: StreamHandle, event: EventHandle) -> Result<()> {
        let stream = self.stream("wait_event", stream)?;
        let latest = match lock(&self.shared.events).get(&event.0) {
            Some((device, latest)) if *device == self.ordinal => latest.clone(),
            Some(_) => return Err(invalid("wait_event", "the event is another device's")),
            None => return Err(unknown("wait_event", "event", event.0)),
        };
        latest.map_or(Ok(()), |capture| {
            stream.push("wait_event", Box::new(move |stop| capture.wait(stop)))
        })
    }

    unsafe fn query_event(&self, event: EventHandle) -> Result<Progress> {
        match lock(&self.shared.events).get(&event.0) {
            Some((_, latest)) => Ok(latest.as_ref().map_or(Progress::Complete, Capture::progress)),
            None => Err(unknown("query_event", "event", event.0)),
        }
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        self.allocate_at("allocate", bytes, false)
    }

    unsafe fn free(&self, address: Address) -> Result<()> {
        self.free_at("free", address, false)
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<Address> {
        self.allocate_at("allocate_pinned", bytes, true)
    }

    unsafe fn free_pinned(&self, address: Address) -> Result<()> {
        self.free_at("free_pinned", address, true)
    }

    unsafe fn borrow_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        let place = self.place(pinned);
        self.shared.memory.lend(address, bytes, place)
    }

    unsafe fn return_memory(&self, address: Address, bytes: usize, pinned: bool) -> Result<()> {
        let place = self.place(pinned);
        self.shared.memory.end_lending(address, bytes, place)
    }

    unsafe fn copy(&self, copies: &[Copy], stream: StreamHandle) -> Result<()> {
        let stream = self.stream("copy", stream)?;
        let held: Result<Vec<HeldCopy>> = copies.iter().map(|copy| self.hold_copy(copy)).collect();
        let held = held?;
        let access = self.shared.access.clone();
        let work = move |stop: &_| held.iter().try_for_each(|copy| copy.run(&access, stop));
        stream.push("copy", Box::new(work))
    }

    unsafe fn fill(
        &self,
        destination: Address,
        value: u8,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        let stream = self.stream("fill", stream)?;
        let own = Access::Own(self.ordinal);
        let held = self.shared.memory.hold("fill", own, destination, bytes)?;
        let access = self.shared.access.clone();
        let work = move |stop: &_| {
            // SAFETY: as for copies.
            let filled = unsafe { access.fill(stop, destination.0, value, bytes) };
            drop(held);
            filled
        };
        stream.push("fill", Box::new(work))
    }

    unsafe fn export(&self, base: Address, bytes: usize) -> Result<AllocationKey> {
        kernel_copy::allow_readers();
        let key = self.shared.memory.export(self.ordinal, base, bytes)?;
        Ok(key.write())
    }

    unsafe fn withdraw(&self, key: &AllocationKey) -> Result<()> {
        self.shared.memory.withdraw(&MemoryKey::read("withdraw", key)?)
    }

    fn import(&self, key: &AllocationKey) -> Result<(Address, usize)> {
        self.shared.memory.import(self.ordinal, &MemoryKey::read("import", key)?)
    }

    unsafe fn close(&self, key: &AllocationKey, address: Address) -> Result<()> {
        self.shared.memory.close(self.ordinal, &MemoryKey::read("close", key)?, address)
    }

    fn communicator_id(&self) -> Result<CommunicatorId> {
        self.shared.station.name()?.write()
    }

    fn communicator(
        &self,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        let name = CommunicatorName::read("communicator", id)?;
        let endpoint = Endpoint::join(&self.shared, self.ordinal, &name, (rank, size), options)?;
        Ok(Arc::new(HostCommunicator::new(endpoint, false)))
    }

    unsafe fn borrow_communicator(
        &self,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Arc<dyn CommunicatorDriver>> {
        let endpoint = lock(&self.shared.endpoints).get(&handle.0).cloned();
        let Some(endpoint) = endpoint.and_then(|endpoint| endpoint.upgrade()) else {
            return Err(unknown("borrow_communicator", "communicator", handle.0));
        };
        let known = (endpoint.device(), endpoint.rank(), endpoint.size());
        if known != (self.ordinal, rank, size) {
            return Err(invalid(
                "borrow_communicator",
                format!("the communicator has device, rank and size {known:?}"),
            ));
        }
        Ok(Arc::new(HostCommunicator::new(endpoint, true)))
    }
}
