//! A change in the line of the collective transport.

use std::collections::BTreeMap;
use std::sync::Arc;

use eplb_core::{Epoch, LayerId, LayerPlacement, SlotId, TransferPlan};
use eplb_device::Memory;

use super::entry::Standing;
use super::rounds::RoundPlan;
use crate::arrival::Arrival;
use crate::{BufferTable, ExecutorError};

/// A change, for which the other ranks will call the roll if any of its slots travels by rounds.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) token: u64,
    pub(crate) layer: LayerId,
    pub(crate) plan: TransferPlan,
    /// The old epoch and the new one.
    pub(crate) epochs: (Epoch, Epoch),
    /// Where this rank's slots are, under the old placement.
    pub(crate) buffers: BufferTable,
    /// Where what comes by rounds belongs: for each slot its tensors.
    pub(crate) landings: BTreeMap<SlotId, Vec<Memory>>,
    pub(crate) standing: Standing,
    /// Nobody asks for its end any more: the others are not let down, and nothing is brought here.
    pub(crate) is_unheeded: bool,
    /// What went wrong here in the course of its rounds.
    pub(crate) failure: Option<ExecutorError>,
    /// Known once all ranks have said what they have chosen.
    pub(crate) rounds: Option<Arc<RoundPlan>>,
}

impl Job {
    /// A change from one placement to another, of which nothing comes by rounds as yet.
    pub(crate) fn new(
        token: u64,
        layer: LayerId,
        (from, to): (&LayerPlacement, &LayerPlacement),
        plan: TransferPlan,
        buffers: BufferTable,
    ) -> Self {
        Self {
            token,
            layer,
            plan,
            epochs: (from.epoch(), to.epoch()),
            buffers,
            landings: BTreeMap::new(),
            standing: Standing::Ready,
            is_unheeded: false,
            failure: None,
            rounds: None,
        }
    }

    /// Says what comes by rounds, and where to.
    pub(crate) fn expect(&mut self, sent: &[Arrival]) {
        self.landings =
            sent.iter().map(|arrival| (arrival.slot, arrival.tensors.clone())).collect();
    }

    /// The change does not take place here: that is said at its roll call.
    pub(crate) fn decline(&mut self, standing: Standing) {
        self.standing = standing;
        self.is_unheeded = true;
        self.landings.clear();
    }

    /// Whether this rank's bytes of it matter.
    pub(crate) fn is_heeded(&self) -> bool {
        !self.is_unheeded && self.failure.is_none()
    }
}
