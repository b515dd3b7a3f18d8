//! What a rank does with its slots before it knows the others: fill them, and hash them.

use std::sync::Arc;

use eplb_core::{LayerId, Placement, SlotId};
use eplb_device::{DeviceError, ErrorKind, Wait};

use crate::arrival::{Arrival, Supply};
use crate::checksums::Checksums;
use crate::executor::Verification;
use crate::inspector::{Inspection, Inspector};
use crate::pool::Loader;
use crate::{ChangeFigures, Endpoint, Executor, ExecutorError, ExpertPool, Verify};

impl Executor {
    /// The same executor with a pool of all experts, and pinned memory for two of them.
    ///
    /// # Errors
    /// A pool of another model, or a device that refuses the memory.
    pub fn with_pool(mut self, pool: Arc<dyn ExpertPool>) -> Result<Self, ExecutorError> {
        let device = self.transfers.device();
        self.loader = Some(Loader::reserve(pool, self.shape.experts(), &self.manifest, device)?);
        Ok(self)
    }

    /// Loads from the pool what `placement` puts into this rank's slots, and waits until it is there.
    /// Slots that hold it already, as `held` says, are left alone: after the death of a rank the
    /// placement before it, at a start nothing.
    ///
    /// # Errors
    /// There is no pool, it can't be read, the device refuses a call, or the deadline passed. The
    /// slots hold anything then.
    pub fn fill(
        &mut self,
        placement: &Placement,
        held: Option<&Placement>,
        wait: &mut dyn Wait,
    ) -> Result<ChangeFigures, ExecutorError> {
        let mut figures = ChangeFigures::default();
        for layer in self.shape.layer_ids() {
            for slot in self.topology.slots_of(self.rank).map(SlotId::from_index) {
                let expert = placement.layer(layer).expert_at(slot);
                if held.is_some_and(|held| held.layer(layer).expert_at(slot) == expert) {
                    continue;
                }
                let arrival = self.slot_of(layer, slot, placement)?;
                self.fill_slot(layer, &arrival, wait)?;
                let bytes = self.manifest.expert_bytes(layer) as u64;
                figures.count(Supply::Pool, bytes, self.rank, &self.topology);
            }
        }
        self.transfers.wait(wait)?;
        Ok(figures)
    }

    fn fill_slot(
        &mut self,
        layer: LayerId,
        arrival: &Arrival,
        wait: &mut dyn Wait,
    ) -> Result<(), ExecutorError> {
        let Arrival { slot, expert, tensors: rooms, .. } = arrival;
        let (slot, expert) = (*slot, *expert);
        let tensors = self.manifest.tensors(layer);
        let Some(loader) = &mut self.loader else {
            return Err(ExecutorError::NoSource { layer, slot, expert });
        };
        loop {
            if let Some(loaded) = loader.load(layer, expert, tensors, rooms, false)? {
                return Ok(self.transfers.copy(&loaded.uploads)?);
            }
            pause(wait, "fill slots from the pool")?;
        }
    }

    /// The same executor with checksums of all that its slots hold, which is `placement`; they go to
    /// the other ranks with the endpoint. Waits for the bytes, each of which is read once, through
    /// pinned memory for two experts. Nothing happens with [`Verify::Off`].
    ///
    /// # Errors
    /// Two slots that differ and should hold the same expert; a device that refuses a call; the
    /// deadline passed.
    pub fn verified(
        mut self,
        verify: Verify,
        placement: &Placement,
        wait: &mut dyn Wait,
    ) -> Result<Self, ExecutorError> {
        if verify == Verify::Off {
            return Ok(self);
        }
        let mut inspector = Inspector::reserve(&self.manifest, self.transfers.device())?;
        let mut checksums = Checksums::new(self.shape.layers(), self.shape.experts());
        for layer in self.shape.layer_ids() {
            let slots = self.topology.slots_of(self.rank).map(SlotId::from_index);
            let slots = slots.map(|slot| self.slot_of(layer, slot, placement));
            let mut inspection = Inspection::new(layer, slots.collect::<Result<_, _>>()?);
            let tensors = self.manifest.tensors(layer);
            while !inspection.is_over() {
                while inspector.queue(&mut inspection, tensors, &self.transfers)? {}
                match inspector.poll(&mut inspection, tensors)? {
                    Some((slot, found)) => {
                        checksums.take(layer, slot.expert, Some(self.rank), found, tensors)?;
                    }
                    None => pause(wait, "read slots for their checksums")?,
                }
            }
        }
        self.endpoint.checksums = Some(checksums.of_rank());
        self.verification = Some(Verification { inspector, checksums });
        Ok(self)
    }

    /// A slot of this rank at the start, when slot n is in buffer n.
    fn slot_of(
        &self,
        layer: LayerId,
        slot: SlotId,
        placement: &Placement,
    ) -> Result<Arrival, ExecutorError> {
        let buffer = slot.index() - self.topology.slots_of(self.rank).start;
        let tensors = self.manifest.tensors(layer).iter().map(|tensor| tensor.buffer(buffer));
        Ok(Arrival {
            slot,
            expert: placement.layer(layer).expert_at(slot),
            from: Supply::Slot(slot),
            tensors: tensors.collect::<Result<_, _>>()?,
        })
    }

    /// Takes in the checksums of another rank's endpoint, where bytes are verified.
    pub(crate) fn compare_checksums(&mut self, endpoint: &Endpoint) -> Result<(), ExecutorError> {
        let Some(verification) = &mut self.verification else { return Ok(()) };
        let rank = endpoint.rank();
        match &endpoint.checksums {
            Some(said) => verification.checksums.take_all(rank, said, &self.manifest),
            None => Err(ExecutorError::Endpoint {
                rank,
                reason: "it has no checksums; executor.verify must be the same on all ranks"
                    .to_owned(),
            }),
        }
    }
}

fn pause(wait: &mut dyn Wait, operation: &'static str) -> Result<(), ExecutorError> {
    wait.pause().map_err(|_| {
        let text = "the deadline of the wait has passed and the work is still pending";
        ExecutorError::Device(DeviceError::new(ErrorKind::TimedOut, operation, text))
    })
}
