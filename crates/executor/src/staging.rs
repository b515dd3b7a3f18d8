//! Memory that incoming weights wait in, reserved once at the start.

use std::sync::{Arc, Mutex, PoisonError};

use eplb_core::LayerId;
use eplb_device::{Device, Memory};

use crate::ExecutorError;

/// Room for one layer's change on this rank: incoming experts, and the bytes that they overwrite,
/// each as packed experts one after the other.
#[derive(Debug)]
pub(crate) struct Lane {
    incoming: Memory,
    saved: Memory,
    packed_bytes: usize,
    slots: usize,
}

/// The lanes of a rank: as many as layers may be in flight. Taken by the migrator, given back by
/// whoever ends the change. The lock is held for a push or a pop.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    free: Arc<Mutex<Vec<Lane>>>,
    count: usize,
}

impl Lane {
    /// Room for tensor bytes of the `index`th incoming expert.
    pub(crate) fn incoming(
        &self,
        index: usize,
        offset: usize,
        bytes: usize,
    ) -> Result<Memory, ExecutorError> {
        Ok(self.incoming.slice(index * self.packed_bytes + offset, bytes)?)
    }

    /// Room for what the `index`th incoming expert overwrites.
    pub(crate) fn saved(
        &self,
        index: usize,
        offset: usize,
        bytes: usize,
    ) -> Result<Memory, ExecutorError> {
        Ok(self.saved.slice(index * self.packed_bytes + offset, bytes)?)
    }
}

impl Lanes {
    /// Reserves `count` lanes for `slots` experts of `packed_bytes` each.
    pub(crate) fn reserve(
        device: &Device,
        count: usize,
        slots: usize,
        packed_bytes: usize,
    ) -> Result<Self, ExecutorError> {
        let mut free = Vec::with_capacity(count);
        for _ in 0..count {
            free.push(Lane {
                incoming: device.allocate(slots * packed_bytes)?,
                saved: device.allocate(slots * packed_bytes)?,
                packed_bytes,
                slots,
            });
        }
        Ok(Self { free: Arc::new(Mutex::new(free)), count })
    }

    /// No lanes: indirect commits need none.
    pub(crate) fn none() -> Self {
        Self { free: Arc::default(), count: 0 }
    }

    /// A lane for a change of so many slots.
    pub(crate) fn take(&self, layer: LayerId, slots: usize) -> Result<Lane, ExecutorError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = free.pop().ok_or(ExecutorError::NoLane { layer, lanes: self.count })?;
        if slots <= lane.slots {
            return Ok(lane);
        }
        let staged = lane.slots;
        free.push(lane);
        Err(ExecutorError::LaneTooSmall { layer, needed: slots, staged })
    }

    pub(crate) fn give_back(&self, lane: Option<Lane>) {
        if let Some(lane) = lane {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        }
    }
}
