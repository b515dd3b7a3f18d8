//! A small engine for the benchmark: all ranks in one process, stepped by one thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb::core::{Epoch, ModelShape, Placement, RankId, Step, Topology};
use eplb::device::{Backend, Device, StreamPriority};
use eplb::{
    Carriage, CommitMode, Config, Coordinator, Counters, Lent, LoadReport, Note, PendingSession,
    Session, SystemClock,
};

use super::calls::CallCounter;
use crate::arguments::{BenchStepArguments, CommitArgument};
use crate::bench::figures::nanoseconds;
use crate::bench::ground::{DeviceFacts, Polling, wait_for_stream};
use crate::bench::weights::RankWeights;
use crate::failure::Failure;

/// The ranks and their coordinator. Only the first rank's calls are timed.
pub(super) struct Engine {
    sessions: Vec<Session>,
    coordinator: Coordinator,
    topology: Topology,
    experts: u32,
    layers: u32,
    next: Step,
    /// Which load is counted: each number is another one.
    load: u32,
    header_bytes: usize,
    /// Bytes of a header that asks for nothing.
    idle_header_bytes: usize,
    epochs: Vec<Epoch>,
    pub(super) devices: Vec<Device>,
    pub(super) facts: Vec<DeviceFacts>,
    pub(super) memory: Reserved,
    polling: Polling,
    limit: Duration,
}

/// Memory of the first rank's device before and after sessions were opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved {
    pub(super) weights_bytes: u64,
    pub(super) free_before_bytes: u64,
    pub(super) free_after_bytes: u64,
}

/// What a step was to the first rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is asked for and nothing is under way.
    Idle,
    /// The change of a layer began with it.
    Begins,
    /// A layer's change is under way.
    Moves,
    /// A layer was switched over with it.
    Commits,
}

/// What a step took on the first rank.
#[derive(Clone, Debug)]
pub(super) struct Stepped {
    pub(super) kind: Kind,
    pub(super) begin_ns: u64,
    pub(super) end_ns: u64,
    /// Of the coordinator, for all ranks.
    pub(super) coordinator_ns: u64,
    /// Device calls of both, where they are counted.
    pub(super) calls: Vec<&'static str>,
}

impl Engine {
    pub(super) fn open(
        arguments: &BenchStepArguments,
        backend: &Arc<dyn Backend>,
        ordinals: &[u32],
        polling: Polling,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let BenchStepArguments { ranks, layers, slots, expert_bytes, .. } = *arguments;
        let config = config(arguments, limit);
        config.check().map_err(Failure::new)?;
        let experts = ranks * (slots - 1);
        let shape = ModelShape::new(layers, experts, 1).map_err(Failure::new)?;
        let topology = config.topology(experts).map_err(Failure::new)?;
        let placement = Placement::initial(shape, &topology).map_err(Failure::new)?;
        let clock = Arc::new(SystemClock::new());
        let spares = match arguments.commit {
            CommitArgument::InPlace => 0,
            CommitArgument::Indirect => config.executor.spare_slots as usize,
        };
        let (mut devices, mut facts, mut lent) = (vec![], vec![], vec![]);
        for rank in topology.rank_ids() {
            let ordinal = ordinals[rank.index() % ordinals.len()];
            let device = Device::open(backend, ordinal).map_err(Failure::new)?;
            let engine_stream = device.stream(StreamPriority::High).map_err(Failure::new)?;
            let buffers = slots as usize + spares;
            let weights =
                RankWeights::allocate(&device, &engine_stream, layers, buffers, expert_bytes)?;
            wait_for_stream(&engine_stream, &mut polling.pace(limit))?;
            facts.push(DeviceFacts::of(&device)?);
            let device_lent = device.clone();
            let weights = weights.manifest;
            lent.push(Lent { device: device_lent, engine_stream, weights });
            devices.push(device);
        }
        let free = || Ok::<_, Failure>(devices[0].memory_info().map_err(Failure::new)?.free);
        let free_before_bytes = free()?;
        let mut pending = Vec::new();
        for (rank, lent) in topology.rank_ids().zip(lent) {
            let session = PendingSession::open(&config, rank, shape, &topology, &placement, lent);
            pending.push(session.map_err(Failure::new)?);
        }
        let endpoints: Vec<_> = pending.iter().map(PendingSession::endpoint).collect();
        let sessions = pending
            .into_iter()
            .map(|session| session.connect(&endpoints, clock.clone()).map_err(Failure::new))
            .collect::<Result<Vec<_>, _>>()?;
        let weights_bytes = u64::from(layers) * (slots as usize + spares) as u64;
        let memory = Reserved {
            weights_bytes: weights_bytes * expert_bytes as u64,
            free_before_bytes,
            free_after_bytes: free()?,
        };
        let coordinator =
            Coordinator::start(&config, shape, &topology, placement, Carriage::Leader, clock)
                .map_err(Failure::new)?;
        let epochs = sessions[0].epochs();
        Ok(Self {
            sessions,
            coordinator,
            topology,
            experts,
            layers,
            next: Step(0),
            load: 0,
            header_bytes: 0,
            idle_header_bytes: usize::MAX,
            epochs,
            devices,
            facts,
            memory,
            polling,
            limit,
        })
    }

    /// From now on tokens go to other experts than before: the next plan changes every layer.
    pub(super) fn change_load(&mut self) {
        self.load += 1;
    }

    /// One step of all ranks; `forward` queues a rank's forward pass, between the two calls.
    pub(super) fn step(
        &mut self,
        with_load: bool,
        counter: Option<&CallCounter>,
        mut forward: impl FnMut(RankId, &Session) -> Result<(), Failure>,
    ) -> Result<Stepped, Failure> {
        let step = self.next;
        self.next = step.next();
        let begun = Instant::now();
        let header = self.coordinator.begin_step(step, true).map_err(Failure::new)?;
        let mut stepped = Stepped::new(nanoseconds(begun.elapsed()));
        for rank in self.topology.rank_ids() {
            let counter = counter.filter(|_| rank == RankId(0));
            let session = &mut self.sessions[rank.index()];
            let (begun_calls, begin_ns, began) =
                observed(counter, || session.begin_step(&header).map_err(Failure::new));
            began?;
            forward(rank, session)?;
            let load = with_load.then(|| self.count(rank, step));
            let session = &mut self.sessions[rank.index()];
            let (end_calls, end_ns, report) = observed(counter, || session.end_step(load, None));
            if rank == RankId(0) {
                (stepped.begin_ns, stepped.end_ns) = (begin_ns, end_ns);
                stepped.calls = [begun_calls, end_calls].concat();
            }
            let begun = Instant::now();
            self.coordinator.accept_report(rank, &report).map_err(Failure::new)?;
            stepped.coordinator_ns += nanoseconds(begun.elapsed());
        }
        stepped.kind = self.kind(header.len());
        self.check()?;
        Ok(stepped)
    }

    /// What the first rank counted: all layers have the same load, each turned a little further.
    fn count(&self, rank: RankId, step: Step) -> LoadReport {
        let session = &self.sessions[rank.index()];
        let layers = (0..self.layers).flat_map(|layer| {
            let load: Vec<u64> = (0..self.experts)
                .map(|expert| {
                    let turned = expert + layer + self.load * (self.experts / 2 + 1);
                    100_000 / u64::from(1 + turned % self.experts)
                })
                .collect();
            let routing = session.routing(eplb::core::LayerId(layer));
            routing.slot_loads(&load, &self.topology)[self.topology.slots_of(rank)].to_vec()
        });
        LoadReport::of_step(step, layers.collect())
    }

    /// What the step that has just been run was: a header grows by what it newly asks for, and a layer
    /// that is switched over has another epoch.
    fn kind(&mut self, header_bytes: usize) -> Kind {
        self.idle_header_bytes = self.idle_header_bytes.min(header_bytes);
        let before = std::mem::replace(&mut self.header_bytes, header_bytes);
        let epochs = self.sessions[0].epochs();
        let committed = epochs != self.epochs;
        self.epochs = epochs;
        match header_bytes {
            _ if committed => Kind::Commits,
            now if now == self.idle_header_bytes => Kind::Idle,
            now if now > before => Kind::Begins,
            _ => Kind::Moves,
        }
    }

    /// A round that was given up is the end of the benchmark.
    fn check(&mut self) -> Result<(), Failure> {
        for note in self.coordinator.take_notes() {
            match note {
                Note::RoundAborted { reason, .. } => {
                    return Err(Failure::new(format!("the rebalance was given up: {reason}")));
                }
                Note::LayerRefused { layer, rank, reason, .. } => {
                    return Err(Failure::new(format!("{rank} refused {layer}: {reason}")));
                }
                Note::CommitFailed { layer, rank, reason, .. } => {
                    let text = format!("{rank} could not switch {layer} over: {reason}");
                    return Err(Failure::new(text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn counters(&self) -> Counters {
        self.coordinator.counters()
    }

    /// Bytes that all ranks have received so far.
    pub(super) fn received_bytes(&self) -> u64 {
        self.sessions.iter().map(|session| session.figures().moved.received_bytes).sum()
    }

    /// Ends all ranks and frees everything.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        for session in &mut self.sessions {
            session.settle(self.limit).map_err(Failure::new)?;
        }
        drop((self.coordinator, self.sessions));
        // Importers let go first.
        for _ in 0..2 {
            for device in &self.devices {
                device.drain(&mut self.polling.pace(self.limit)).map_err(Failure::new)?;
            }
        }
        Ok(())
    }
}

impl Stepped {
    fn new(coordinator_ns: u64) -> Self {
        Self { kind: Kind::Idle, begin_ns: 0, end_ns: 0, coordinator_ns, calls: Vec::new() }
    }
}

/// The device calls of `call`, its time, and what it gave.
fn observed<T>(
    counter: Option<&CallCounter>,
    call: impl FnOnce() -> T,
) -> (Vec<&'static str>, u64, T) {
    // Calls before are not this one's.
    counter.map(CallCounter::take);
    let begun = Instant::now();
    let given = call();
    let elapsed = nanoseconds(begun.elapsed());
    (counter.map(CallCounter::take).unwrap_or_default(), elapsed, given)
}

/// A rebalance begins with the first step on which the load is another, and changes whatever gains.
fn config(arguments: &BenchStepArguments, limit: Duration) -> Config {
    let mut config = Config { enable_eplb: true, ep_size: arguments.ranks, ..Config::default() };
    config.policy.name = "deepseek".to_owned();
    config.manager.update_interval_steps = 1;
    config.manager.window_samples = 1;
    config.manager.windows_kept = 1;
    config.manager.representative_windows = 0;
    config.manager.layers_in_flight = arguments.in_flight;
    let seconds = limit.as_secs_f64();
    for timeout in [
        &mut config.manager.plan_timeout,
        &mut config.manager.prepare_timeout,
        &mut config.manager.commit_timeout,
        &mut config.manager.revert_timeout,
    ] {
        *timeout = seconds;
    }
    config.executor.commit = match arguments.commit {
        CommitArgument::InPlace => CommitMode::InPlace,
        CommitArgument::Indirect => CommitMode::Indirect,
    };
    config.executor.staged_slots = arguments.staged_slots.unwrap_or(arguments.slots);
    config.executor.spare_slots = arguments.slots;
    config.executor.bandwidth_cap = arguments.bandwidth_cap;
    config
}
