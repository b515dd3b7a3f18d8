//! Memory of all devices of a backend: what is allocated, lent, exported, imported and in use.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use eplb_device::raw::{Address, MemoryInfo};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::error::invalid;
use crate::gate::lock;
use crate::imports::{Imports, Shared};

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
    exports: HashMap<u64, Shared>,
    imports: Imports,
    last_export: u64,
    used: HashMap<u32, u64>,
}

/// The memory of a backend.
#[derive(Debug)]
pub(crate) struct Memory {
    tables: Mutex<Tables>,
    bytes_per_device: u64,
    pub(crate) totals: Arc<Totals>,
}

/// What a task may do with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Memory of this device.
    Own(u32),
    /// Memory of this device, or imported by it.
    OwnOrImported(u32),
    /// Page-locked host memory.
    Pinned,
}

impl Memory {
    pub(crate) fn new(bytes_per_device: u64) -> Self {
        Self { tables: Mutex::default(), bytes_per_device, totals: Arc::default() }
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
        let tables = lock(&self.tables);
        let start = address.0;
        let place = match access {
            Access::Own(device) | Access::OwnOrImported(device) => Place::Device(device),
            Access::Pinned => Place::Pinned,
        };
        if let Some(block) = block_at(&tables, start)
            && block.place == place
            && contains(block.start, block.bytes, start, bytes)
        {
            return Ok(Use::by_work(block));
        }
        let lent =
            |lent: &Lent| lent.place == place && contains(lent.start, lent.bytes, start, bytes);
        if tables.lent.iter().any(lent) {
            return Ok(Use(None));
        }
        if let Access::OwnOrImported(device) = access
            && let Some(imported) = tables.imports.find(device, start, bytes)
        {
            return Ok(imported.block.and_by_work());
        }
        Err(invalid(
            operation,
            format!("{bytes} bytes at {start:#x} are not in live memory that {access:?} may use"),
        ))
    }

    pub(crate) fn export(&self, device: u32, base: Address, bytes: usize) -> Result<u64> {
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
        let export = tables.last_export;
        let block = block.as_ref().map_or(Use::none(), Use::by_sharing);
        let exported = Shared { export, start: base.0, bytes, block };
        tables.exports.insert(export, exported);
        Ok(export)
    }

    pub(crate) fn withdraw(&self, export: u64) -> Result<()> {
        let mut tables = lock(&self.tables);
        if tables.exports.remove(&export).is_none() {
            return Err(invalid("withdraw", "the export was withdrawn before"));
        }
        if tables.imports.is_imported(export) {
            return Err(invalid(
                "withdraw",
                "the memory is still imported; importers close before the exporter withdraws",
            ));
        }
        Ok(())
    }

    pub(crate) fn import(&self, device: u32, export: u64) -> Result<(Address, usize)> {
        let mut tables = lock(&self.tables);
        let Some(exported) = tables.exports.get(&export).cloned() else {
            return Err(invalid("import", "the export was withdrawn"));
        };
        let (start, bytes) = (exported.start, exported.bytes);
        tables.imports.add(device, exported);
        Ok((Address(start), bytes))
    }

    pub(crate) fn close(&self, device: u32, export: u64, address: Address) -> Result<()> {
        if lock(&self.tables).imports.remove(device, export, address.0) {
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

fn block_at(tables: &Tables, start: usize) -> Option<&Arc<Block>> {
    let (_, block) = tables.blocks.range(..=start).next_back()?;
    (start - block.start < block.bytes).then_some(block)
}

fn contains(outer: usize, outer_bytes: usize, start: usize, bytes: usize) -> bool {
    start >= outer && start - outer <= outer_bytes && bytes <= outer_bytes - (start - outer)
}
