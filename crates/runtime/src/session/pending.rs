//! A session before it knows the other ranks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eplb_core::{ModelShape, Placement, RankId, Step, Topology};
use eplb_device::{Communicator, Device, DeviceError, Stream};
use eplb_executor::{
    ChangeFigures, Endpoint, Executor, ExecutorOptions, LoadCounters, WeightManifest,
};
use eplb_manager::Follower;

use super::{Figures, Session};
use crate::collection::Collection;
use crate::device_routing::DeviceRouting;
use crate::mover::Mover;
use crate::supply::Supply;
use crate::watchdog::Limits;
use crate::{Clock, CommitMode, Config, ConfigError, Error, ExecutorSection, VerifyMode};

/// Routing tables of one change that may be on their way to the device: there, and back, each twice.
const UPLOADS_OF_A_CHANGE: usize = 4;

/// What the engine lends to a session.
#[derive(Debug)]
pub struct Lent {
    /// The device that holds the weights.
    pub device: Device,
    /// The stream that forward passes run on; layers are switched between them.
    pub engine_stream: Stream,
    /// The weights: every tensor of every layer, slot after slot.
    pub weights: WeightManifest,
}

/// A session before it knows the other ranks.
#[derive(Debug)]
pub struct PendingSession {
    executor: Executor,
    follower: Follower,
    rank: RankId,
    topology: Topology,
    settings: ExecutorSection,
    counters: Option<LoadCounters>,
    has_device_routing: bool,
    layers_in_flight: usize,
    is_canary: bool,
    filled: ChangeFigures,
}

impl PendingSession {
    /// Registers the weights of `rank`, which hold `placement`, and reserves all memory that moving
    /// them will need.
    ///
    /// # Errors
    /// Weights that don't fit the model or the slots; a device that refuses a call.
    pub fn open(
        config: &Config,
        rank: RankId,
        shape: ModelShape,
        topology: &Topology,
        placement: &Placement,
        lent: Lent,
    ) -> Result<Self, Error> {
        Self::open_from(config, rank, shape, topology, placement, lent, &Supply::default())
    }

    /// As [`PendingSession::open`], with weights that come from a pool as far as `supply` says. Waits until
    /// they are there, at most as long as `pool.timeout` says.
    ///
    /// # Errors
    /// As [`PendingSession::open`]; there is no pool and slots to fill, or it can't be opened or read.
    pub fn open_from(
        config: &Config,
        rank: RankId,
        shape: ModelShape,
        topology: &Topology,
        placement: &Placement,
        lent: Lent,
        supply: &Supply,
    ) -> Result<Self, Error> {
        config.check()?;
        let Lent { device, engine_stream, weights } = lent;
        let layout = weights.layout(shape.experts());
        let options = ExecutorOptions {
            commit: match config.executor.commit {
                CommitMode::InPlace => eplb_executor::CommitMode::InPlace,
                CommitMode::Indirect => eplb_executor::CommitMode::Indirect,
            },
            spare_slots: config.executor.spare_slots,
            staged_slots: config.most_changed_slots(topology.slots_of(rank).len()),
            layers_in_flight: config.manager.layers_in_flight,
            is_capped: config.executor.bandwidth_cap > 0,
            transport: config.executor.transport,
            round_slots: config.executor.round_slots as usize,
        };
        let follower = Follower::new(rank, shape, topology.clone(), placement.clone())?;
        let executor =
            Executor::open(rank, shape, topology, options, &device, engine_stream, weights)?;
        let (executor, filled) =
            supply.provide(config, shape, topology, placement, layout, executor)?;
        let is_canary = config.executor.verify == VerifyMode::Canary;
        let settings = config.executor;
        let (topology, layers_in_flight) = (topology.clone(), config.manager.layers_in_flight);
        let (counters, has_device_routing) = (None, false);
        Ok(Self {
            executor,
            follower,
            rank,
            topology,
            settings,
            counters,
            has_device_routing,
            layers_in_flight,
            is_canary,
            filled,
        })
    }

    /// Lends the counters that the engine's kernels write, so that [`Session::collect`] reads the load
    /// and reports hold it. They are checked by [`PendingSession::connect`].
    #[must_use]
    pub fn with_counters(self, counters: LoadCounters) -> Self {
        Self { counters: Some(counters), ..self }
    }

    /// Keeps the routing tables on the device, too, for kernels that dispatch tokens; see
    /// [`Session::device_routing`].
    #[must_use]
    pub fn with_device_routing(self) -> Self {
        Self { has_device_routing: true, ..self }
    }

    /// Lends a communicator of all live ranks, numbered in their order, for what can't, or must not, come
    /// through peer memory; made by the engine for nothing else, since ranks have to make all its calls in the same
    /// order. Without use with `executor.transport = "peer"`.
    ///
    /// # Errors
    /// A communicator of another device, size or rank; a device that refuses the memory of rounds; rounds that
    /// would take too long under `executor.bandwidth_cap`.
    pub fn with_communicator(self, communicator: Communicator) -> Result<Self, Error> {
        let executor = self.executor.with_communicator(communicator)?;
        Self { executor, ..self }.with_rounds()
    }

    /// The same with a communicator that [`PendingSession::connect`] creates. To be called on all ranks,
    /// before their endpoints are carried: that of the first live rank names the communicator.
    ///
    /// # Errors
    /// A device that has no communicators, or refuses a call; rounds that would take too long under
    /// `executor.bandwidth_cap`.
    pub fn with_own_communicator(self) -> Result<Self, Error> {
        let executor = self.executor.with_own_communicator()?;
        Self { executor, ..self }.with_rounds()
    }

    /// What the device said when this rank's weights were to be exported and it could not; then a
    /// communicator is needed.
    pub fn refusal(&self) -> Option<&DeviceError> {
        self.executor.refusal()
    }

    /// A rank that waits for its share of the bandwidth keeps others waiting.
    fn with_rounds(self) -> Result<Self, Error> {
        let ExecutorSection { bandwidth_cap, round_timeout, .. } = self.settings;
        let bytes = self.executor.round_bytes();
        let least = 2.0 * bytes as f64 / bandwidth_cap as f64;
        if bandwidth_cap > 0 && round_timeout < least {
            let allowed = format!(
                "at least {least:.3} with executor.bandwidth_cap = {bandwidth_cap} and rounds of {bytes} bytes"
            );
            let (key, value) = ("executor.round_timeout", round_timeout.to_string());
            return Err(ConfigError::Value { origin: None, key, value, allowed }.into());
        }
        Ok(self)
    }

    /// What the other ranks need to know of this one, as bytes that the engine carries to them.
    pub fn endpoint(&self) -> Vec<u8> {
        self.executor.endpoint().encode()
    }

    /// Connects to the other ranks: `endpoints[rank]` holds that rank's bytes, this rank's own and
    /// those of dead ranks are not looked at. `clock` is read for reports. Nothing is waited for: ranks join a
    /// communicator beside the engine's work ([`Session::wait_for_transports`]).
    ///
    /// # Errors
    /// Another rank's endpoint is missing, damaged, or registered other weights; load counters that
    /// don't fit; a device that refuses a call.
    pub fn connect(self, endpoints: &[Vec<u8>], clock: Arc<dyn Clock>) -> Result<Session, Error> {
        let mut decoded = Vec::new();
        for rank in self.topology.live_ranks().filter(|&rank| rank != self.rank) {
            if let Some(bytes) = endpoints.get(rank.index()) {
                decoded.push(Endpoint::decode(rank, bytes)?);
            }
        }
        let (migrator, switcher) = self.executor.connect(&decoded)?;
        let transports = migrator.transports().clone();
        let cap = Some(self.settings.bandwidth_cap).filter(|&cap| cap > 0);
        let limits = Limits {
            connect: Duration::from_secs_f64(self.settings.connect_timeout),
            round: Duration::from_secs_f64(self.settings.round_timeout),
        };
        let mover = Mover::start(migrator, cap, limits, self.rank)?;
        let placement = self.follower.placement();
        let shape = placement.shape();
        let routing = placement.layers().map(|layer| layer.routing(&self.topology));
        let routing: Vec<_> = routing.map(Arc::new).collect();
        let (device, stream) = (switcher.stream().device(), switcher.stream());
        let device_routing = if self.has_device_routing {
            let uploads = UPLOADS_OF_A_CHANGE * self.layers_in_flight;
            let (rank, topology) = (self.rank, &self.topology);
            let mut tables = DeviceRouting::reserve(device, shape, topology, rank, uploads)?;
            let buffers = |layer| switcher.buffers(layer).of_rank(rank, topology).to_vec();
            let of_layers = routing.iter().zip(shape.layer_ids());
            tables
                .publish_all(stream, of_layers.map(|(table, layer)| (&**table, buffers(layer))))?;
            Some(tables)
        } else {
            None
        };
        let slots = self.topology.slots_of(self.rank).len();
        let counters = self.counters;
        let collection = counters
            .map(|counters| Collection::open(counters, shape.layers(), slots, stream))
            .transpose()?;
        let loads = Vec::with_capacity(collection.as_ref().map_or(1, Collection::depth));
        Ok(Session {
            rank: self.rank,
            topology: self.topology,
            follower: self.follower,
            mover,
            switcher,
            clock,
            routing,
            device_routing,
            collection,
            loads,
            step: Step(0),
            runs: false,
            is_canary: self.is_canary,
            transports,
            open: BTreeMap::new(),
            figures: Figures { filled: self.filled, ..Figures::default() },
        })
    }
}
