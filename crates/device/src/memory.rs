//! Memory of a device.

use crate::raw::{Address, BlockKind, Span};
use crate::{Device, Result};

/// A range of device memory; clones are the same bytes.
///
/// It is freed, or given back to the engine, after the last clone, the last slice and the last
/// queued work that uses it are gone. The host never sees its bytes: they travel by copies.
#[derive(Clone, Debug)]
pub struct Memory {
    span: Span,
    // Dropped last: the last handle of a device shuts it down.
    device: Device,
}

impl Memory {
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

    /// Address of the first byte, as this device sees it.
    pub fn address(&self) -> Address {
        self.span.address()
    }

    /// Whether the engine lent it.
    pub fn is_borrowed(&self) -> bool {
        *self.span.block().kind() == BlockKind::BorrowedMemory
    }

    /// Whether it is imported from another rank.
    pub fn is_peer(&self) -> bool {
        matches!(self.span.block().kind(), BlockKind::Import(_))
    }

    /// A part of the range.
    ///
    /// # Errors
    ///
    /// `InvalidUse` for zero bytes, or bytes outside the range.
    pub fn slice(&self, offset: usize, bytes: usize) -> Result<Self> {
        let span = self.span.slice("slice memory", offset, bytes)?;
        Ok(Self::new(self.device.clone(), span))
    }

    /// Whether both have addresses in common. Two imports of the same bytes may have none.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.span.overlaps(&other.span)
    }
}
