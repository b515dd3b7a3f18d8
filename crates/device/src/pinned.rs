//! Page-locked memory of the host.

use crate::raw::{Address, Span};
use crate::{Device, Result};

/// A range of page-locked host memory, the host's side of every copy; clones are the same bytes.
///
/// Host accesses and queued work keep out of each other's way: [`read`](Self::read) and
/// [`write`](Self::write) are refused while queued work is in conflict with them, so that a caller
/// who forgets to wait gets an error and not half-written bytes.
#[derive(Clone, Debug)]
pub struct PinnedMemory {
    span: Span,
    // Dropped last: the last handle of a device shuts it down.
    device: Device,
}

impl PinnedMemory {
    pub(crate) fn new(device: Device, span: Span) -> Self {
        Self { span, device }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The device that reaches it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of the range; never zero.
    pub fn bytes(&self) -> usize {
        self.span.bytes()
    }

    /// Address of the first byte.
    pub fn address(&self) -> Address {
        self.span.address()
    }

    /// A part of the range.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for zero bytes, or bytes outside the range.
    pub fn slice(&self, offset: usize, bytes: usize) -> Result<Self> {
        let span = self.span.slice("slice pinned memory", offset, bytes)?;
        Ok(Self::new(self.device.clone(), span))
    }

    /// Copies the range to `into`.
    ///
    /// # Errors
    ///
    /// `InvalidUse` if the lengths differ, or while queued work writes the range.
    pub fn read(&self, into: &mut [u8]) -> Result<()> {
        self.span.read(into)
    }

    /// Copies `from` to the range.
    ///
    /// # Errors
    ///
    /// `InvalidUse` if the lengths differ, or while queued work reads or writes the range.
    pub fn write(&self, from: &[u8]) -> Result<()> {
        self.span.write(from)
    }

    /// The bytes of the range.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.bytes()];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether no queued work reads or writes the range, as far as its marks tell. After a failure
    /// of a stream the answer changes with the next query of that stream.
    pub fn is_idle(&self) -> bool {
        self.span.is_idle()
    }
}
