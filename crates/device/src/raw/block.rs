//! Ranges of memory that are freed after their last user, and the host's access to pinned ones.

use std::sync::{Arc, Mutex};

use super::marker::{Mark, Marker};
use super::{Address, AllocationKey, Driver};
use crate::core::{Core, Retired};
use crate::lock::lock;
use crate::{DeviceError, Result};

/// What a block is, and so how it is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Device memory that we allocated.
    Memory,
    /// Pinned memory that we allocated.
    Pinned,
    /// Device memory of the engine.
    BorrowedMemory,
    /// Pinned memory of the engine.
    BorrowedPinned,
    /// Memory of another process or device.
    Import(AllocationKey),
}

/// A use of a part of pinned memory by queued work.
#[derive(Debug)]
struct Use {
    offset: usize,
    end: usize,
    writes: bool,
    marker: Arc<Marker>,
}

/// One allocation, borrowed range or import. Given back, later, when the last owner drops it.
#[derive(Debug)]
pub(crate) struct Block {
    core: Arc<Core>,
    address: Address,
    bytes: usize,
    kind: BlockKind,
    export: Mutex<Option<AllocationKey>>,
    uses: Mutex<Vec<Use>>,
}

impl Block {
    fn own(core: &Arc<Core>, address: Address, bytes: usize, kind: BlockKind) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(core),
            address,
            bytes,
            kind,
            export: Mutex::new(None),
            uses: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn allocate(core: &Arc<Core>, bytes: usize) -> Result<Arc<Self>> {
        let address = core.driver.allocate(bytes);
        let address = address.map_err(|error| core.locate(error))?;
        Ok(Self::own(core, address, bytes, BlockKind::Memory))
    }

    pub(crate) fn allocate_pinned(core: &Arc<Core>, bytes: usize) -> Result<Arc<Self>> {
        let address = core.driver.allocate_pinned(bytes);
        let address = address.map_err(|error| core.locate(error))?;
        // SAFETY: R8: the range is `bytes` of writable host memory of this process, just handed out,
        // which nothing else knows yet.
        unsafe { std::ptr::write_bytes(address.0 as *mut u8, 0, bytes) };
        Ok(Self::own(core, address, bytes, BlockKind::Pinned))
    }

    /// # Safety
    ///
    /// As for [`Driver::borrow_memory`]; pinned memory is initialised.
    pub(super) unsafe fn borrow(
        core: &Arc<Core>,
        address: Address,
        bytes: usize,
        pinned: bool,
    ) -> Result<Arc<Self>> {
        // SAFETY: the caller's promise; the block returns the range before it ends.
        let noted = unsafe { core.driver.borrow_memory(address, bytes, pinned) };
        noted.map_err(|error| core.locate(error))?;
        let kind = if pinned { BlockKind::BorrowedPinned } else { BlockKind::BorrowedMemory };
        Ok(Self::own(core, address, bytes, kind))
    }

    pub(crate) fn import(core: &Arc<Core>, key: &AllocationKey) -> Result<Arc<Self>> {
        let imported = core.driver.import(key);
        let (address, bytes) = imported.map_err(|error| core.locate(error))?;
        let kind = BlockKind::Import(key.clone());
        Ok(Self::own(core, address, bytes, kind))
    }

    /// Exports the whole block; the key stays the same for the block's life.
    pub(crate) fn export(&self) -> Result<AllocationKey> {
        let mut export = lock(&self.export);
        if let Some(key) = &*export {
            return Ok(key.clone());
        }
        // SAFETY: the block is alive and was allocated or borrowed by this driver; it withdraws the
        // export when it is given back, before it is freed.
        let key = unsafe { self.core.driver.export(self.address, self.bytes) };
        let key = key.map_err(|error| self.core.locate(error))?;
        *export = Some(key.clone());
        Ok(key)
    }

    pub(crate) fn kind(&self) -> &BlockKind {
        &self.kind
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn is_pinned(&self) -> bool {
        matches!(self.kind, BlockKind::Pinned | BlockKind::BorrowedPinned)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.core.retire(Retired::Block(RetiredBlock {
            address: self.address,
            bytes: self.bytes,
            kind: self.kind.clone(),
            export: lock(&self.export).take(),
        }));
    }
}

/// A block that nobody owns any more, and so no queued work uses: streams are owners, too.
#[derive(Debug)]
pub(crate) struct RetiredBlock {
    address: Address,
    bytes: usize,
    kind: BlockKind,
    export: Option<AllocationKey>,
}

impl RetiredBlock {
    /// Gives the block back to `driver`, from which it came.
    pub(crate) fn give_back(self, driver: &dyn Driver) -> Result<()> {
        let withdrawn = self.export.map_or(Ok(()), |key| {
            // SAFETY: the key came from this driver and is withdrawn once, here.
            unsafe { driver.withdraw(&key) }
        });
        let given_back = match &self.kind {
            // SAFETY: allocated by this driver, and the last owner is gone: every stream that has
            // used the block owned it until an event after that use had completed.
            BlockKind::Memory => unsafe { driver.free(self.address) },
            // SAFETY: as above.
            BlockKind::Pinned => unsafe { driver.free_pinned(self.address) },
            // SAFETY: as above; noted by this driver with the same arguments.
            BlockKind::BorrowedMemory => unsafe {
                driver.return_memory(self.address, self.bytes, false)
            },
            // SAFETY: as above; noted by this driver with the same arguments.
            BlockKind::BorrowedPinned => unsafe {
                driver.return_memory(self.address, self.bytes, true)
            },
            // SAFETY: as above; imported by this driver with this key.
            BlockKind::Import(key) => unsafe { driver.close(key, self.address) },
        };
        withdrawn.and(given_back)
    }
}

/// A checked part of a block.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    block: Arc<Block>,
    offset: usize,
    bytes: usize,
}

impl Span {
    /// The whole block.
    pub(crate) fn whole(block: Arc<Block>) -> Self {
        let bytes = block.bytes;
        Self { block, offset: 0, bytes }
    }

    pub(crate) fn slice(
        &self,
        operation: &'static str,
        offset: usize,
        bytes: usize,
    ) -> Result<Self> {
        let fits = offset.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        if bytes == 0 || !fits {
            return Err(self.block.core.locate(DeviceError::invalid(
                operation,
                format!(
                    "{bytes} bytes at offset {offset} of a range of {} bytes; \
                     allowed are one byte or more inside the range",
                    self.bytes
                ),
            )));
        }
        Ok(Self { block: Arc::clone(&self.block), offset: self.offset + offset, bytes })
    }

    pub(crate) fn address(&self) -> Address {
        Address(self.block.address.0 + self.offset)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn block(&self) -> &Arc<Block> {
        &self.block
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn end(&self) -> usize {
        self.address().0 + self.bytes
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.block.is_pinned() == other.block.is_pinned()
            && self.address().0 < other.end()
            && other.address().0 < self.end()
    }

    /// Notes that work behind `marker` is about to use this part of pinned memory.
    pub(super) fn register_use(&self, marker: &Arc<Marker>, writes: bool) {
        if !self.block.is_pinned() {
            return;
        }
        let mut uses = lock(&self.block.uses);
        uses.retain(|other| other.marker.poll() != Mark::Over);
        uses.push(Use {
            offset: self.offset,
            end: self.offset + self.bytes,
            writes,
            marker: Arc::clone(marker),
        });
    }

    /// Whether queued work that conflicts with the host's access is still running.
    fn in_use(&self, uses: &mut Vec<Use>, host_writes: bool) -> bool {
        uses.retain(|other| other.marker.poll() != Mark::Over);
        uses.iter().any(|other| {
            (host_writes || other.writes)
                && other.offset < self.offset + self.bytes
                && self.offset < other.end
        })
    }

    /// Whether no queued work reads or writes this part of pinned memory.
    pub(crate) fn is_idle(&self) -> bool {
        let mut uses = lock(&self.block.uses);
        !self.in_use(&mut uses, true)
    }

    /// Copies out of pinned memory. `into` is as long as the span, or it is an error.
    pub(crate) fn read(&self, into: &mut [u8]) -> Result<()> {
        let mut uses = lock(&self.block.uses);
        self.check_host_access("read pinned memory", into.len(), &mut uses, false)?;
        // SAFETY: the block is alive and is pinned host memory, initialised from the start, and the
        // span lies in it. No queued work writes the span: a task registers its use, under the lock
        // held here, before it is queued, and counts until its marker has completed. Other host
        // threads write only under the same lock. `into` is Rust's own memory, so it is apart.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.address().0 as *const u8,
                into.as_mut_ptr(),
                self.bytes,
            );
        }
        Ok(())
    }

    /// Copies into pinned memory. `from` is as long as the span, or it is an error.
    pub(crate) fn write(&self, from: &[u8]) -> Result<()> {
        let mut uses = lock(&self.block.uses);
        self.check_host_access("write pinned memory", from.len(), &mut uses, true)?;
        // SAFETY: as in `read`, and no queued work reads the span either.
        unsafe {
            std::ptr::copy_nonoverlapping(from.as_ptr(), self.address().0 as *mut u8, self.bytes);
        }
        Ok(())
    }

    fn check_host_access(
        &self,
        operation: &'static str,
        length: usize,
        uses: &mut Vec<Use>,
        host_writes: bool,
    ) -> Result<()> {
        let text = if length != self.bytes {
            format!("{length} bytes given for a range of {}", self.bytes)
        } else if self.in_use(uses, host_writes) {
            "queued work still uses the range; wait for an event recorded after it".to_owned()
        } else {
            return Ok(());
        };
        Err(self.block.core.locate(DeviceError::invalid(operation, text)))
    }
}
