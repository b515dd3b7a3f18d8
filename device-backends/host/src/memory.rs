//! Memory of all devices of a backend: what is allocated, lent, exported, imported and in use.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use eplb_device::raw::{Address, MemoryInfo};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::error::invalid;
use crate::foreign::Foreign;
use crate::gate::lock;
use crate::imports::{Home, Imports, Shared};
use crate::peer::{ExportName, MemoryKey, Nonce};
use crate::process::ProcessIdentity;
use crate::ticket::{TicketNumber, Tickets};

/// Alignment of all allocations: a page, as vendors want it for exports.
pub(crate) const ALIGNMENT: usize = 4096;

/// Where memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the device with this ordinal.
    Device(u32),
    /// Page-locked host memory.
    Pinned,
}

/// One allocation; its bytes go when the last user has gone, whatever the tables say.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) start: usize,
    pub(crate) bytes: usize,
    pub(crate) place: Place,
    layout: Layout,
    /// Queued work that names it.
    uses: AtomicUsize,
    /// Exports and imports of it.
    shares: AtomicUsize,
    totals: Arc<Totals>,
}

/// Allocations that have not been given back to the system.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) blocks: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.totals.blocks.fetch_sub(1, Ordering::SeqCst);
        self.totals.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        // SAFETY: allocated with this layout in `allocate`, freed once, here; every task that
        // touches the bytes holds the block.
        unsafe { dealloc(self.start as *mut u8, self.layout) };
    }
}

/// A use of a block: keeps the bytes, and tells a premature free. Borrowed memory has no block.
#[derive(Debug)]
pub(crate) struct Use(Option<(Arc<Block>, Counter)>);

/// The counter of a block that a use is counted in.
type Counter = fn(&Block) -> &AtomicUsize;

impl Use {
    /// Of memory that is the engine's.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// By queued work.
    fn by_work(block: &Arc<Block>) -> Self {
        Self::counted(block, |block| &block.uses)
    }

    /// By an export or an import.
    fn by_sharing(block: &Arc<Block>) -> Self {
        Self::counted(block, |block| &block.shares)
    }

    fn counted(block: &Arc<Block>, counter: Counter) -> Self {
        counter(block).fetch_add(1, Ordering::SeqCst);
        Self(Some((Arc::clone(block), counter)))
    }

    /// Another use of the same memory, by queued work.
    fn and_by_work(&self) -> Self {
        self.0.as_ref().map_or(Self(None), |(block, _)| Self::by_work(block))
    }
}

impl Clone for Use {
    fn clone(&self) -> Self {
        self.0.as_ref().map_or(Self(None), |(block, counter)| Self::counted(block, *counter))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some((block, counter)) = &self.0 {
            counter(block).fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A range that the engine lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lent {
    start: usize,
    bytes: usize,
    place: Place,
}

#[derive(Debug, Default)]
struct Tables {
    blocks: BTreeMap<usize, Arc<Block>>,
    lent: Vec<Lent>,
    exports: HashMap<u64, (Shared, TicketNumber)>,
    tickets: Tickets,
    imports: Imports,
    last_export: u64,
    /// Bytes of addresses that were given to memory of other processes.
    foreign_bytes: usize,
    used: HashMap<u32, u64>,
}

/// The memory of a backend.
#[derive(Debug)]
pub(crate) struct Memory {
    backend: Nonce,
    tables: Mutex<Tables>,
    bytes_per_device: u64,
    pub(crate) totals: Arc<Totals>,
}

/// What a task may do with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Memory of this device.
    Own(u32),
    /// Page-locked host memory.
    Pinned,
}

/// One side of a copy.
#[derive(Debug)]
pub(crate) enum Side {
    /// Memory of this process.
    Here {
        address: usize,
        #[expect(dead_code, reason = "owned, never read: dropping it is its use")]
        held: Use,
    },
    /// Imported from another process, and how far into it.
    Elsewhere { foreign: Arc<Foreign>, offset: usize },
}

/// Where the addresses begin that name memory of other processes: far above all that a system gives to
/// programs, so that they are never taken for one's own.
const FOREIGN_ADDRESSES: u64 = 1 << 60;

impl Memory {
    pub(crate) fn new(backend: Nonce, bytes_per_device: u64) -> Self {
        Self { backend, tables: Mutex::default(), bytes_per_device, totals: Arc::default() }
    }

    pub(crate) fn info(&self, device: u32) -> MemoryInfo {
        let used = lock(&self.tables).used.get(&device).copied().unwrap_or(0);
        MemoryInfo {
            free: self.bytes_per_device.saturating_sub(used),
            total: self.bytes_per_device,
        }
    }

    pub(crate) fn allocate(
        &self,
        operation: &'static str,
        bytes: usize,
        place: Place,
    ) -> Result<Address> {
        let refused = |text: String| DeviceError::new(ErrorKind::OutOfMemory, operation, text);
        if bytes == 0 {
            return Err(invalid(operation, "zero bytes; allowed are one or more"));
        }
        let layout = Layout::from_size_align(bytes, ALIGNMENT)
            .map_err(|_| refused(format!("{bytes} bytes are more than an address space")))?;
        let mut tables = lock(&self.tables);
        if let Place::Device(device) = place {
            let used = tables.used.entry(device).or_default();
            let after = used.saturating_add(bytes as u64);
            if after > self.bytes_per_device {
                let free = self.bytes_per_device - *used;
                return Err(refused(format!("{bytes} bytes asked, {free} are free")));
            }
            *used = after;
        }
        // SAFETY: the size is not zero, as checked above.
        let start = unsafe { alloc_zeroed(layout) } as usize;
        if start == 0 {
            release_quota(&mut tables, place, bytes);
            return Err(refused(format!("the system has no {bytes} bytes left")));
        }
        self.totals.blocks.fetch_add(1, Ordering::SeqCst);
        self.totals.bytes.fetch_add(bytes, Ordering::SeqCst);
        let block = Block {
            start,
            bytes,
            place,
            layout,
            uses: AtomicUsize::new(0),
            shares: AtomicUsize::new(0),
            totals: Arc::clone(&self.totals),
        };
        tables.blocks.insert(start, Arc::new(block));
        Ok(Address(start))
    }

    /// Takes an allocation out of the tables. Memory that is still in use is kept until it is not,
    /// and the premature free is reported.
    pub(crate) fn free(
        &self,
        operation: &'static str,
        address: Address,
        place: Place,
    ) -> Result<()> {
        let mut tables = lock(&self.tables);
        let found = tables.blocks.get(&address.0);
        if found.is_none_or(|block| block.place != place) {
            return Err(invalid(
                operation,
                format!("no allocation of this device starts at {:#x}", address.0),
            ));
        }
        let Some(block) = tables.blocks.remove(&address.0) else {
            return Ok(());
        };
        release_quota(&mut tables, block.place, block.bytes);
        if block.shares.load(Ordering::SeqCst) > 0 {
            return Err(invalid(
                operation,
                "the memory is still exported or imported; it is kept until that ends",
            ));
        }
        if block.uses.load(Ordering::SeqCst) > 0 {
            return Err(invalid(
                operation,
                "queued work still uses the memory; it is kept until that ends",
            ));
        }
        Ok(())
    }

    pub(crate) fn lend(&self, address: Address, bytes: usize, place: Place) -> Result<()> {
        let mut tables = lock(&self.tables);
        let lent = Lent { start: address.0, bytes, place };
        let block = block_at(&tables, lent.start);
        if let Some(block) = block
            && (block.place != place || !contains(block.start, block.bytes, lent.start, bytes))
        {
            return Err(invalid(
                "borrow_memory",
                format!(
                    "{bytes} bytes at {:#x} are known as {:?} and not as {place:?}, or reach beyond \
                     their allocation",
                    lent.start, block.place
                ),
            ));
        }
        tables.lent.push(lent);
        Ok(())
    }

    pub(crate) fn end_lending(&self, address: Address, bytes: usize, place: Place) -> Result<()> {
        let mut tables = lock(&self.tables);
        let lent = Lent { start: address.0, bytes, place };
        match tables.lent.iter().position(|other| *other == lent) {
            Some(index) => {
                tables.lent.swap_remove(index);
                Ok(())
            }
            None => Err(invalid(
                "return_memory",
                format!("no {bytes} bytes at {:#x} are lent as {place:?}", lent.start),
            )),
        }
    }

    /// Finds the memory that a task is about to name, and holds it for the task.
    pub(crate) fn hold(
        &self,
        operation: &'static str,
        access: Access,
        address: Address,
        bytes: usize,
    ) -> Result<Use> {
        let found = find(&lock(&self.tables), access, address.0, bytes);
        found.ok_or_else(|| {
            invalid(
                operation,
                format!(
                    "{bytes} bytes at {:#x} are not in live memory that {access:?} may use",
                    address.0
                ),
            )
        })
    }

    /// As [`hold`](Self::hold), for memory of a device or imported by it.
    pub(crate) fn hold_shared(
        &self,
        operation: &'static str,
        device: u32,
        address: Address,
        bytes: usize,
    ) -> Result<Side> {
        let tables = lock(&self.tables);
        if let Some(held) = find(&tables, Access::Own(device), address.0, bytes) {
            return Ok(Side::Here { address: address.0, held });
        }
        let Some(imported) = tables.imports.find(device, address.0, bytes) else {
            return Err(invalid(
                operation,
                format!(
                    "{bytes} bytes at {:#x} are in no live memory of device {device} or imported by it",
                    address.0
                ),
            ));
        };
        Ok(match &imported.home {
            Home::Here(block) => Side::Here { address: address.0, held: block.and_by_work() },
            Home::Elsewhere(foreign) => {
                Side::Elsewhere { foreign: Arc::clone(foreign), offset: address.0 - imported.start }
            }
        })
    }

    pub(crate) fn export(&self, device: u32, base: Address, bytes: usize) -> Result<MemoryKey> {
        let mut tables = lock(&self.tables);
        let place = Place::Device(device);
        let block = block_at(&tables, base.0)
            .filter(|block| {
                block.place == place && contains(block.start, block.bytes, base.0, bytes)
            })
            .cloned();
        let is_lent = tables
            .lent
            .iter()
            .any(|lent| (lent.start, lent.bytes, lent.place) == (base.0, bytes, place));
        let is_whole = block.as_ref().is_some_and(|block| block.start == base.0);
        if !is_lent && !is_whole {
            return Err(invalid(
                "export",
                format!("no allocation of this device starts at {:#x}", base.0),
            ));
        }
        tables.last_export += 1;
        let name = ExportName { backend: self.backend, number: tables.last_export };
        let home = Home::Here(block.as_ref().map_or(Use::none(), Use::by_sharing));
        let ticket = tables.tickets.issue(self.backend.ticket(name.number));
        let exported = Shared { export: name, start: base.0, bytes, home };
        tables.exports.insert(name.number, (exported, ticket));
        Ok(MemoryKey {
            name,
            process: ProcessIdentity::own(),
            ticket: tables.tickets.address(ticket) as u64,
            start: base.0 as u64,
            bytes: bytes as u64,
        })
    }

    pub(crate) fn withdraw(&self, key: &MemoryKey) -> Result<()> {
        let mut tables = lock(&self.tables);
        if key.name.backend != self.backend {
            return Err(invalid("withdraw", "the export is another backend's"));
        }
        let Some((_exported, ticket)) = tables.exports.remove(&key.name.number) else {
            return Err(invalid("withdraw", "the export was withdrawn before"));
        };
        // Before anything lets the memory go.
        tables.tickets.tear(ticket);
        if tables.imports.is_imported(key.name) {
            return Err(invalid(
                "withdraw",
                "the memory is still imported; importers close before the exporter withdraws",
            ));
        }
        Ok(())
    }

    pub(crate) fn import(&self, device: u32, key: &MemoryKey) -> Result<(Address, usize)> {
        let is_own = key.name.backend == self.backend
            && key.process.is_none_or(|process| process.number == std::process::id());
        if !is_own {
            return self.import_from_elsewhere(device, key);
        }
        let mut tables = lock(&self.tables);
        let Some((exported, _)) = tables.exports.get(&key.name.number) else {
            return Err(invalid("import", "the export was withdrawn"));
        };
        let exported = exported.clone();
        let (start, bytes) = (exported.start, exported.bytes);
        tables.imports.add(device, exported);
        Ok((Address(start), bytes))
    }

    fn import_from_elsewhere(&self, device: u32, key: &MemoryKey) -> Result<(Address, usize)> {
        let foreign = Foreign::open(key)?;
        let too_large = || invalid("import", "the memory is larger than this process's addresses");
        let bytes = usize::try_from(key.bytes).map_err(|_| too_large())?;
        let first = usize::try_from(FOREIGN_ADDRESSES).map_err(|_| too_large())?;
        let mut tables = lock(&self.tables);
        let start = first.checked_add(tables.foreign_bytes).ok_or_else(too_large)?;
        let end =
            bytes.checked_next_multiple_of(ALIGNMENT).and_then(|size| start.checked_add(size));
        tables.foreign_bytes = end.ok_or_else(too_large)? - first;
        let home = Home::Elsewhere(Arc::new(foreign));
        tables.imports.add(device, Shared { export: key.name, start, bytes, home });
        Ok((Address(start), bytes))
    }

    pub(crate) fn close(&self, device: u32, key: &MemoryKey, address: Address) -> Result<()> {
        if lock(&self.tables).imports.remove(device, key.name, address.0) {
            Ok(())
        } else {
            Err(invalid("close", "the import was closed before"))
        }
    }
}

fn release_quota(tables: &mut Tables, place: Place, bytes: usize) {
    if let Place::Device(device) = place
        && let Some(used) = tables.used.get_mut(&device)
    {
        *used -= bytes as u64;
    }
}

/// Memory of this process, held for a task.
fn find(tables: &Tables, access: Access, start: usize, bytes: usize) -> Option<Use> {
    let place = match access {
        Access::Own(device) => Place::Device(device),
        Access::Pinned => Place::Pinned,
    };
    if let Some(block) = block_at(tables, start)
        && block.place == place
        && contains(block.start, block.bytes, start, bytes)
    {
        return Some(Use::by_work(block));
    }
    let lent = |lent: &Lent| lent.place == place && contains(lent.start, lent.bytes, start, bytes);
    tables.lent.iter().any(lent).then_some(Use(None))
}

fn block_at(tables: &Tables, start: usize) -> Option<&Arc<Block>> {
    let (_, block) = tables.blocks.range(..=start).next_back()?;
    (start - block.start < block.bytes).then_some(block)
}

fn contains(outer: usize, outer_bytes: usize, start: usize, bytes: usize) -> bool {
    start >= outer && start - outer <= outer_bytes && bytes <= outer_bytes - (start - outer)
}
