//! Which logical expert each slot holds.

use std::sync::Arc;

use thiserror::Error;

use crate::{Epoch, ExpertId, LayerId, ModelShape, RoutingError, RoutingTable, SlotId, Topology};

/// The placement of one layer: the logical expert of every slot, how each expert's tokens divide over
/// its replicas, and its version.
///
/// Every logical expert has at least one slot on a live rank. Slots of dead ranks hold an id too, so
/// that slot numbers stay what they are, but count as no replica. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPlacement {
    experts: Arc<[ExpertId]>,
    /// By slot; `None` while all replicas of an expert take equal shares.
    shares: Option<Arc<[u16]>>,
    epoch: Epoch,
}

/// The placement of all layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    shape: ModelShape,
    layers: Vec<LayerPlacement>,
}

/// Why a table is no placement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// Not one table for each layer.
    #[error("tables for {found} layers, the model has {expected}")]
    Layers {
        /// Tables given.
        found: usize,
        /// Layers of the model.
        expected: usize,
    },
    /// Not one expert for each slot.
    #[error("{layer} names experts for {found} slots, the ranks hold {expected}")]
    Slots {
        /// The layer.
        layer: LayerId,
        /// Entries given.
        found: usize,
        /// Slots of the topology.
        expected: usize,
    },
    /// An id outside the model.
    #[error("{layer} {slot} holds {expert}, allowed is 0 to {}", experts - 1)]
    UnknownExpert {
        /// The layer.
        layer: LayerId,
        /// The slot.
        slot: SlotId,
        /// The id found.
        expert: ExpertId,
        /// Logical experts of the model.
        experts: usize,
    },
    /// An expert without a live replica; its tokens could go nowhere.
    #[error("{layer} places {expert} on no live rank; every expert needs at least one slot")]
    Unplaced {
        /// The layer.
        layer: LayerId,
        /// The expert.
        expert: ExpertId,
    },
    /// Fewer live slots than experts.
    #[error("{slots} live slots cannot hold {experts} experts; add slots or ranks")]
    TooFewSlots {
        /// Slots on live ranks.
        slots: usize,
        /// Logical experts of the model.
        experts: usize,
    },
}

impl LayerPlacement {
    /// The placement that puts `experts[slot]` on every slot. `layer` is for messages only.
    ///
    /// # Errors
    /// Another number of slots than the topology's, an unknown expert, or one without a live slot.
    pub fn new(
        layer: LayerId,
        experts: &[ExpertId],
        epoch: Epoch,
        shape: ModelShape,
        topology: &Topology,
    ) -> Result<Self, PlacementError> {
        if experts.len() != topology.slots() {
            let (found, expected) = (experts.len(), topology.slots());
            return Err(PlacementError::Slots { layer, found, expected });
        }
        let mut placed = vec![false; shape.experts()];
        for (index, &expert) in experts.iter().enumerate() {
            let slot = SlotId::from_index(index);
            match placed.get_mut(expert.index()) {
                Some(placed) => *placed |= topology.is_live_slot(slot),
                None => {
                    let experts = shape.experts();
                    return Err(PlacementError::UnknownExpert { layer, slot, expert, experts });
                }
            }
        }
        match placed.iter().position(|placed| !placed) {
            Some(expert) => {
                Err(PlacementError::Unplaced { layer, expert: ExpertId::from_index(expert) })
            }
            None => Ok(Self { experts: experts.into(), shares: None, epoch }),
        }
    }

    /// The same table with the share of its expert's tokens that each slot takes, in units of
    /// 1/[`SHARE_ONE`](crate::SHARE_ONE). Slots of dead ranks take 0, whatever is given for them.
    /// Shares that are just the even ones are not kept.
    ///
    /// # Errors
    /// Shares for another number of slots, or live shares of an expert that don't add up to
    /// [`SHARE_ONE`](crate::SHARE_ONE).
    pub fn with_shares(&self, shares: &[u16], topology: &Topology) -> Result<Self, RoutingError> {
        let routing = RoutingTable::with_shares(self, topology, shares)?;
        let even = routing == RoutingTable::even(self, topology);
        let mut by_slot = vec![0; shares.len()];
        for (slot, &share) in routing.slots().iter().zip(routing.shares()) {
            by_slot[slot.index()] = share;
        }
        let shares = (!even).then(|| by_slot.into());
        Ok(Self { experts: Arc::clone(&self.experts), shares, epoch: self.epoch })
    }

    /// The same table and version with even shares.
    pub fn with_even_shares(&self) -> Self {
        Self { shares: None, ..self.clone() }
    }

    /// The same placement as far as `topology`, whose ranks may have died since it was made, allows: with
    /// even shares where those given no longer add up.
    pub fn for_topology(&self, topology: &Topology) -> Self {
        let shares = self.shares.as_ref();
        shares
            .and_then(|shares| self.with_shares(shares, topology).ok())
            .unwrap_or_else(|| self.with_even_shares())
    }

    /// The shares given with [`LayerPlacement::with_shares`], by slot; `None` while they are even.
    pub fn shares(&self) -> Option<&[u16]> {
        self.shares.as_deref()
    }

    /// The logical expert of every slot.
    pub fn experts(&self) -> &[ExpertId] {
        &self.experts
    }

    /// The logical expert of one slot.
    pub fn expert_at(&self, slot: SlotId) -> ExpertId {
        self.experts[slot.index()]
    }

    /// Another table with even shares, under this version. It places every expert of this one.
    pub(crate) fn with_table(&self, experts: &[ExpertId]) -> Self {
        Self { experts: experts.into(), shares: None, epoch: self.epoch }
    }

    /// The version of this placement.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The same table and shares under another version.
    pub fn with_epoch(&self, epoch: Epoch) -> Self {
        Self { epoch, ..self.clone() }
    }

    /// The live slots of one expert, in slot order.
    pub fn replicas<'a>(
        &'a self,
        expert: ExpertId,
        topology: &'a Topology,
    ) -> impl Iterator<Item = SlotId> + 'a {
        self.live_slots(topology).filter(move |&slot| self.expert_at(slot) == expert)
    }

    /// The slots on live ranks, in order.
    pub fn live_slots<'a>(&'a self, topology: &'a Topology) -> impl Iterator<Item = SlotId> + 'a {
        (0..self.experts.len()).map(SlotId::from_index).filter(|&slot| topology.is_live_slot(slot))
    }

    /// The routing table of this placement, for the topology that it was made for. When a rank has died
    /// since, the shares given no longer add up, and replicas share evenly.
    pub fn routing(&self, topology: &Topology) -> RoutingTable {
        let given = self.shares.as_ref();
        given
            .and_then(|shares| RoutingTable::with_shares(self, topology, shares).ok())
            .unwrap_or_else(|| RoutingTable::even(self, topology))
    }

    /// The routing table that gives every replica of an expert an equal share.
    pub fn even_routing(&self, topology: &Topology) -> RoutingTable {
        RoutingTable::even(self, topology)
    }
}

impl Placement {
    /// The placement made of one table for each layer (`physical_to_logical_map`), all in epoch 0.
    ///
    /// # Errors
    /// Another number of tables than layers, or a table that is no [`LayerPlacement`].
    pub fn new<Table: AsRef<[ExpertId]>>(
        tables: &[Table],
        shape: ModelShape,
        topology: &Topology,
    ) -> Result<Self, PlacementError> {
        if tables.len() != shape.layers() {
            let (found, expected) = (tables.len(), shape.layers());
            return Err(PlacementError::Layers { found, expected });
        }
        let layers = shape
            .layer_ids()
            .zip(tables)
            .map(|(layer, table)| {
                LayerPlacement::new(layer, table.as_ref(), Epoch(0), shape, topology)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { shape, layers })
    }

    /// The placement to start with when no load is known: every live rank holds a block of
    /// consecutive experts in proportion to its slots, and its redundant slots hold the experts that
    /// follow its block. So every redundant slot holds an expert of another rank, and is of use from
    /// the first step on (xLLM repeats the rank's own last expert there).
    ///
    /// # Errors
    /// Fewer live slots than experts.
    pub fn initial(shape: ModelShape, topology: &Topology) -> Result<Self, PlacementError> {
        let (experts, live_slots) = (shape.experts(), topology.live_slots());
        if live_slots < experts {
            return Err(PlacementError::TooFewSlots { slots: live_slots, experts });
        }
        let mut table = vec![ExpertId(0); topology.slots()];
        let mut slots_before = 0;
        for rank in topology.rank_ids() {
            let slots = topology.slots_of(rank);
            // A dead rank's slots are filled like the next live one's; what they hold counts for nothing.
            let first = slots_before * experts / live_slots;
            for (offset, slot) in slots.clone().enumerate() {
                table[slot] = ExpertId::from_index((first + offset) % experts);
            }
            if topology.is_alive(rank) {
                slots_before += slots.len();
            }
        }
        Self::new(&vec![table; shape.layers()], shape, topology)
    }

    /// The same placement for a group that more ranks have joined ([`Topology::grown_by`]): the slots of
    /// the ranks that were there keep their experts, those of the new ones name the experts from the
    /// first one on, none of which is there yet.
    ///
    /// # Errors
    /// Fewer slots than this placement has.
    pub fn grown_to(&self, topology: &Topology) -> Result<Self, PlacementError> {
        let experts = self.shape.experts();
        let layers = self.shape.layer_ids().zip(&self.layers).map(|(layer, placement)| {
            let held = placement.experts();
            if held.len() > topology.slots() {
                let (found, expected) = (held.len(), topology.slots());
                return Err(PlacementError::Slots { layer, found, expected });
            }
            let named =
                (0..topology.slots() - held.len()).map(|slot| ExpertId::from_index(slot % experts));
            let table: Vec<_> = held.iter().copied().chain(named).collect();
            LayerPlacement::new(layer, &table, placement.epoch(), self.shape, topology)
        });
        Ok(Self { shape: self.shape, layers: layers.collect::<Result<_, _>>()? })
    }

    /// The model this places.
    pub fn shape(&self) -> ModelShape {
        self.shape
    }

    /// One layer's placement.
    pub fn layer(&self, layer: LayerId) -> &LayerPlacement {
        &self.layers[layer.index()]
    }

    /// All layers' placements, in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &LayerPlacement> {
        self.layers.iter()
    }

    /// Replaces one layer's placement; it was checked against the same model and topology when made.
    pub fn set_layer(&mut self, layer: LayerId, placement: LayerPlacement) {
        self.layers[layer.index()] = placement;
    }
}
