//! The start of an executor: registration, connection, and the split into its halves.

use std::sync::Arc;

use eplb_core::{ModelShape, RankId, Topology};
use eplb_device::{Device, DeviceError, Stream, StreamPriority};

use crate::checksums::Checksums;
use crate::collective::{TransportBoard, Transports};
use crate::inspector::Inspector;
use crate::linking::{Links, Prospect};
use crate::pool::Loader;
use crate::staging::Lanes;
use crate::weights::Weights;
use crate::{Endpoint, ExecutorError, Migrator, Switcher, TransportChoice, WeightManifest};

/// How a layer is switched over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitMode {
    /// Stream-ordered copies from staging memory into the live slots: their addresses stay, as
    /// captured graphs need it. For each layer in flight, staging memory for twice the slots that a
    /// change may replace is reserved: for what comes, and for what it overwrites.
    InPlace,
    /// Weights arrive in spare slots and only the table of buffers is switched: nothing is copied on
    /// the engine's stream, nothing reserved.
    Indirect,
}

/// How an executor works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorOptions {
    /// How a layer is switched over.
    pub commit: CommitMode,
    /// Buffers of each rank and tensor beyond its slots; used by indirect commits.
    pub spare_slots: u32,
    /// Slots of this rank that one change may replace with commits in place.
    pub staged_slots: usize,
    /// Layers that may change at the same time.
    pub layers_in_flight: usize,
    /// Whether copies are queued only as [`Migrator::grant`] allows, so that what the engine moves
    /// itself keeps its share of the device.
    pub is_capped: bool,
    /// How experts come from other ranks; the same on all ranks.
    pub transport: TransportChoice,
    /// Slots that this rank sends in a round at most, and that it receives; the same on all ranks, at
    /// least 1. With a communicator, memory for twice as many is reserved.
    pub round_slots: usize,
}

/// One rank's executor before it knows the other ranks.
#[derive(Debug)]
pub struct Executor {
    pub(crate) rank: RankId,
    pub(crate) shape: ModelShape,
    pub(crate) topology: Topology,
    pub(crate) options: ExecutorOptions,
    pub(crate) manifest: WeightManifest,
    pub(crate) transfers: Stream,
    engine: Stream,
    lanes: Lanes,
    pub(crate) endpoint: Endpoint,
    pub(crate) loader: Option<Loader>,
    pub(crate) verification: Option<Verification>,
    /// What the device said when it could not export the weights.
    refusal: Option<DeviceError>,
    pub(crate) collective: Option<Prospect>,
}

/// What bytes are verified with, where they are.
#[derive(Debug)]
pub(crate) struct Verification {
    pub(crate) inspector: Inspector,
    pub(crate) checksums: Checksums,
}

impl Executor {
    /// Registers the weights of `rank`, checks them, and reserves all memory that will be needed.
    /// `engine` is the stream that forward passes run on. The weights must hold the placement's
    /// experts, slot n of the rank in buffer n.
    ///
    /// # Errors
    /// Weights that don't fit the model or the slots, or a device that refuses a call; out of memory
    /// comes here, at the start, and not later.
    pub fn open(
        rank: RankId,
        shape: ModelShape,
        topology: &Topology,
        options: ExecutorOptions,
        device: &Device,
        engine: Stream,
        manifest: WeightManifest,
    ) -> Result<Self, ExecutorError> {
        if !topology.contains(rank) {
            let reason = format!("it is not one of the {} ranks", topology.ranks());
            return Err(ExecutorError::Endpoint { rank, reason });
        }
        let slots = topology.slots_of(rank).len();
        let spares = match options.commit {
            CommitMode::InPlace => 0,
            CommitMode::Indirect => options.spare_slots as usize,
        };
        manifest.check(shape.layers(), slots + spares)?;
        let transfers = device.stream(StreamPriority::Low)?;
        let lanes = match options.commit {
            CommitMode::Indirect => Lanes::none(),
            CommitMode::InPlace => {
                let packed = manifest.packed_bytes();
                let staged = options.staged_slots.min(slots);
                Lanes::reserve(device, options.layers_in_flight, staged, packed)?
            }
        };
        let buffers = slots + spares;
        let (endpoint, refusal) =
            Endpoint::new(rank, buffers, &manifest, options.transport, device)?;
        let topology = topology.clone();
        Ok(Self {
            rank,
            shape,
            topology,
            options,
            manifest,
            transfers,
            engine,
            lanes,
            endpoint,
            loader: None,
            verification: None,
            refusal,
            collective: None,
        })
    }

    /// What the other ranks need to know of this one.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the device said when the weights were to be exported and it could not; then a communicator is
    /// needed, or [`Executor::connect`] fails. Only with [`TransportChoice::Auto`]: with
    /// [`TransportChoice::Peer`] it is an error of [`Executor::open`].
    pub fn refusal(&self) -> Option<&DeviceError> {
        self.refusal.as_ref()
    }

    /// Connects to all live ranks; `endpoints` holds one of each, in any order. With a pool the
    /// endpoints of ranks may be missing that this rank can't reach: what only they hold comes from the pool.
    /// Nothing waits for other ranks: a communicator is joined, and what each rank has chosen is exchanged, by the
    /// calls of the migrator.
    ///
    /// # Errors
    /// A live rank's endpoint is missing, registered other weights, is to be reached in another way, or can't be
    /// exported or imported and there is no communicator; with checksums, ranks that hold different bytes of
    /// an expert.
    pub fn connect(
        mut self,
        endpoints: &[Endpoint],
    ) -> Result<(Migrator, Switcher), ExecutorError> {
        let Links { peers, reach, details } = self.link(endpoints)?;
        let transports = Transports::new(self.rank, &self.topology, reach.clone(), details);
        let board = TransportBoard::new(transports);
        let collective = self.start_collective(endpoints, &board)?;
        let spares = vec![self.options.spare_slots; self.topology.ranks()];
        let weights = Weights::new(self.rank, self.topology, self.manifest, peers, reach);
        let weights = Arc::new(weights);
        let mode = self.options.commit;
        let lanes = self.lanes;
        let migrator =
            Migrator::new(Arc::clone(&weights), mode, spares, self.transfers, lanes.clone(), board);
        let migrator = migrator.supplied(self.loader, self.verification);
        let migrator = migrator.with_collective(collective);
        let migrator = if self.options.is_capped { migrator.capped() } else { migrator };
        Ok((migrator, Switcher::new(weights, self.engine, lanes)))
    }
}
