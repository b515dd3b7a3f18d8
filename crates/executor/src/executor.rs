//! The start of an executor: registration, connection, and the split into its halves.

use std::sync::Arc;

use eplb_core::{ModelShape, RankId, Topology};
use eplb_device::{Device, Stream, StreamPriority};

use crate::checksums::Checksums;
use crate::inspector::Inspector;
use crate::pool::Loader;
use crate::staging::Lanes;
use crate::weights::Weights;
use crate::{Endpoint, ExecutorError, Migrator, Switcher, WeightManifest};

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
}

/// One rank's executor before it knows the other ranks.
#[derive(Debug)]
pub struct Executor {
    pub(crate) rank: RankId,
    pub(crate) shape: ModelShape,
    pub(crate) topology: Topology,
    options: ExecutorOptions,
    pub(crate) manifest: WeightManifest,
    pub(crate) transfers: Stream,
    engine: Stream,
    lanes: Lanes,
    pub(crate) endpoint: Endpoint,
    pub(crate) loader: Option<Loader>,
    pub(crate) verification: Option<Verification>,
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
        let endpoint = Endpoint::new(rank, slots + spares, &manifest, device)?;
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
        })
    }

    /// What the other ranks need to know of this one.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Connects to all live ranks; `endpoints` holds one of each, in any order. With a pool the
    /// endpoints of ranks may be missing that this rank can't reach: what only they hold comes from the pool.
    ///
    /// # Errors
    /// A live rank's endpoint is missing, registered other weights, or can't be imported; with
    /// checksums, ranks that hold different bytes of an expert.
    pub fn connect(
        mut self,
        endpoints: &[Endpoint],
    ) -> Result<(Migrator, Switcher), ExecutorError> {
        let mut peers = Vec::with_capacity(self.topology.ranks());
        for rank in self.topology.rank_ids() {
            if rank == self.rank || !self.topology.is_alive(rank) {
                peers.push(None);
                continue;
            }
            let endpoint = endpoints.iter().find(|endpoint| endpoint.rank() == rank);
            if endpoint.is_none() && self.loader.is_some() {
                peers.push(None);
                continue;
            }
            let endpoint = endpoint.ok_or_else(|| ExecutorError::Endpoint {
                rank,
                reason: "it is missing; every live rank's is needed".to_owned(),
            })?;
            self.compare_checksums(endpoint)?;
            peers.push(Some(endpoint.import(&self.manifest, self.transfers.device())?));
        }
        let spares = vec![self.options.spare_slots; self.topology.ranks()];
        let weights = Arc::new(Weights::new(self.rank, self.topology, self.manifest, peers));
        let mode = self.options.commit;
        let lanes = self.lanes;
        let migrator =
            Migrator::new(Arc::clone(&weights), mode, spares, self.transfers, lanes.clone());
        let migrator = migrator.supplied(self.loader, self.verification);
        let migrator = if self.options.is_capped { migrator.capped() } else { migrator };
        Ok((migrator, Switcher::new(weights, self.engine, lanes)))
    }
}
