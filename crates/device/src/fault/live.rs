//! Counts of what a backend has handed out and not got back.

use crate::raw::Resource;

/// Resources that are alive, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// Streams of ours.
    pub streams: u64,
    /// Events, those kept for reuse included.
    pub events: u64,
    /// Allocations of device memory.
    pub memory: u64,
    /// Allocations of pinned memory.
    pub pinned: u64,
    /// Ranges of the engine's.
    pub borrowed: u64,
    /// Exports.
    pub exports: u64,
    /// Imports.
    pub imports: u64,
    /// Communicators of ours.
    pub communicators: u64,
}

impl Live {
    /// Whether nothing is left.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn count(&mut self, resource: Resource) -> &mut u64 {
        match resource {
            Resource::Stream => &mut self.streams,
            Resource::Event => &mut self.events,
            Resource::Memory => &mut self.memory,
            Resource::Pinned => &mut self.pinned,
            Resource::Borrowed => &mut self.borrowed,
            Resource::Export => &mut self.exports,
            Resource::Import => &mut self.imports,
            Resource::Communicator => &mut self.communicators,
        }
    }
}
