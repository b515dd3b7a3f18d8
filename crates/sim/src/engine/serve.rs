//! The engine's master: hands steps to the ranks, and serves a whole trace.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use eplb::core::{
    ExpertLoad, LayerId, ModelShape, Placement, SlotId, Step, Topology, layer_balancedness,
};
use eplb::device::{Device, StreamPriority};
use eplb::{
    Carriage, CollectiveFigures, CommitMode, Config, Coordinator, CountForm, Lent, ManualClock,
    Note, PairTransport, PendingSession,
};

use super::digest::{self, Digest};
use super::exchange::Exchange;
use super::linking;
use super::meeting::Meeting;
use super::rank::{Rank, StepOrder, StepReply, Verified, Window};
use super::slot_weights::{Layout, SlotReader, load_weights};
use crate::{
    Devices, ExpertDimensions, RunError, RunSettings, Trace, expert_weights, initial_hidden_state,
    sample_tokens,
};

/// How long anything that is waited for in virtual time may take in real time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Steps in a row that ranks may refuse before the engine gives up.
const MOST_REFUSALS: u32 = 8;

/// What an engine serves, and with what.
#[derive(Debug)]
pub struct EngineSetup<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The engine's own settings.
    pub settings: &'a RunSettings,
    /// The windows to serve.
    pub trace: &'a Trace,
    /// The model.
    pub shape: ModelShape,
    /// The ranks.
    pub topology: &'a Topology,
    /// The placement to start with.
    pub placement: &'a Placement,
    /// The devices that the ranks are on.
    pub devices: Devices,
}

/// What became of serving a trace.
#[derive(Clone, Debug, Default)]
pub struct EngineOutcome {
    /// For each window the final hidden states of its sampled tokens.
    pub outputs: Vec<Vec<f32>>,
    /// For each window how its load lay on the ranks.
    pub windows: Vec<WindowFigures>,
    /// Rounds of the manager that moved something.
    pub rebalances: u64,
    /// Layers switched over to what was planned for them, in however many parts.
    pub layers_updated: u64,
    /// Slots whose expert came from another rank, over all ranks.
    pub slots_moved: u64,
    /// Bytes that came from other ranks, over all ranks.
    pub bytes_moved: u64,
    /// Of these slots and bytes, those that came by rounds of the communicator.
    pub by_rounds: (u64, u64),
    /// How each rank reaches each other one, receivers in order.
    pub transports: Vec<PairTransport>,
    /// What the collective transports of all ranks did.
    pub collective: CollectiveFigures,
    /// Why ranks lost the communicator, if any did: what the first of them said.
    pub lost: Option<String>,
    /// Slots compared with the expert that the placement names.
    pub slots_verified: u64,
    /// Of these, slots that held other bytes.
    pub mismatches: u64,
    /// Steps that ranks refused, and that were served again.
    pub steps_refused: u64,
    /// xxh3-128 of every epoch, routing table and slot's bytes of every rank, in the order of steps.
    pub digest: u128,
}

/// One window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowFigures {
    /// Mean balancedness of the layers under the placement at the start.
    pub before: f64,
    /// Mean balancedness of the layers under the placement in force.
    pub after: f64,
    /// Layers switched over at this window's step, also to a part of what was planned.
    pub layers_switched: u32,
}

/// Serves all windows of a trace in virtual time.
///
/// # Errors
/// A device fails, ranks disagree, or ranks refuse steps again and again.
pub fn serve(
    setup: &EngineSetup<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<EngineOutcome, RunError> {
    let clock = Arc::new(ManualClock::new());
    let sessions = open_ranks(setup, &clock)?;
    let transports = linking::connected(setup, &sessions)?;
    let coordinator = Coordinator::start(
        setup.config,
        setup.shape,
        setup.topology,
        setup.placement.clone(),
        Carriage::Leader,
        Arc::clone(&clock) as _,
    )?;
    std::thread::scope(|scope| {
        let (replies, answers) = unbounded();
        let mut orders = Vec::new();
        for rank in sessions {
            let (order, todo) = bounded(1);
            let replies = replies.clone();
            std::thread::Builder::new()
                .name(format!("rank-{}", rank.rank.0))
                .spawn_scoped(scope, move || rank.serve(&todo, &replies))?;
            orders.push(order);
        }
        drop(replies);
        let mut master = Master { setup, clock, coordinator, orders, answers, next_step: Step(0) };
        let outcome = master.serve(progress)?;
        Ok(EngineOutcome { transports, ..outcome })
    })
}

fn open_ranks(setup: &EngineSetup<'_>, clock: &Arc<ManualClock>) -> Result<Vec<Rank>, RunError> {
    let dimensions = setup.settings.dimensions()?;
    let seed = setup.settings.seed;
    let indirect = setup.config.executor.commit == CommitMode::Indirect;
    let spares = if indirect { setup.config.executor.spare_slots as usize } else { 0 };
    let mut devices = Vec::new();
    for rank in setup.topology.rank_ids() {
        devices.push(Device::open(setup.devices.backend(), setup.devices.of_rank(rank))?);
    }
    let has_communicator = linking::wants_communicator(setup, &devices)?;
    let mut pending = Vec::new();
    for (rank, device) in setup.topology.rank_ids().zip(devices) {
        let stream = device.stream(StreamPriority::High)?;
        let slots = setup.topology.slots_of(rank).len();
        let experts = |layer, slot| {
            let slot = setup.topology.slots_of(rank).start + slot;
            let expert = setup.placement.layer(layer).expert_at(SlotId::from_index(slot));
            expert_weights(layer, expert, dimensions, seed)
        };
        let layout = Layout { layers: setup.shape.layers(), slots, spares, dimensions };
        let weights = load_weights(&layout, &experts, &device, &stream)?;
        let reader = SlotReader::new(slots, dimensions, &device)?;
        let lent = Lent { device, engine_stream: stream, weights };
        let EngineSetup { config, shape, topology, placement, .. } = setup;
        let mut session = PendingSession::open(config, rank, *shape, topology, placement, lent)?;
        if has_communicator {
            session = session.with_own_communicator()?;
        }
        pending.push((rank, session, reader));
    }
    let endpoints: Vec<_> = pending.iter().map(|(_, session, _)| session.endpoint()).collect();
    let meeting = Arc::new(Meeting::new(pending.len()));
    let form = if setup.settings.prefix_sums { CountForm::PrefixSums } else { CountForm::Plain };
    pending
        .into_iter()
        .map(|(rank, session, reader)| {
            Ok(Rank {
                rank,
                topology: setup.topology.clone(),
                session: session.connect(&endpoints, Arc::clone(clock) as _)?,
                reader,
                dimensions,
                seed,
                form,
                meeting: Arc::clone(&meeting),
                checked: vec![None; setup.shape.layers()],
                digest: Digest::new(),
            })
        })
        .collect()
}

/// The engine's master process.
struct Master<'a> {
    setup: &'a EngineSetup<'a>,
    clock: Arc<ManualClock>,
    coordinator: Coordinator,
    orders: Vec<Sender<StepOrder>>,
    answers: Receiver<Result<StepReply, RunError>>,
    next_step: Step,
}

impl Master<'_> {
    fn serve(&mut self, progress: &mut dyn FnMut(usize)) -> Result<EngineOutcome, RunError> {
        let mut outcome = EngineOutcome::default();
        let EngineSetup { settings, trace, .. } = self.setup;
        let dimensions = settings.dimensions()?;
        for (index, load) in trace.windows.iter().enumerate() {
            let seed = settings.seed ^ index as u64;
            let tokens = sample_tokens(load, trace.top_k, settings.sample_tokens, seed)?;
            let window = Arc::new(Window { load: load.clone(), tokens });
            self.serve_window(index as u64, &window, dimensions, &mut outcome)?;
            progress(index + 1);
        }
        Ok(outcome)
    }

    fn serve_window(
        &mut self,
        index: u64,
        window: &Arc<Window>,
        dimensions: ExpertDimensions,
        outcome: &mut EngineOutcome,
    ) -> Result<(), RunError> {
        let settings = self.setup.settings;
        for _ in 0..MOST_REFUSALS {
            self.clock.advance(Duration::from_secs_f64(settings.seconds_per_window));
            let exchange = Exchange::new(settings.sample_tokens, self.setup.trace.top_k);
            for token in 0..settings.sample_tokens {
                let width = dimensions.hidden();
                let state = initial_hidden_state(token as u64, index, settings.seed, width);
                exchange.set_hidden(token, state);
            }
            let exchange = Arc::new(exchange);
            let replies = self.step(window, &exchange)?;
            if replies.iter().all(|reply| reply.ran) {
                let switched = self.take_notes(outcome);
                self.account(&replies, &window.load, switched, outcome);
                let outputs = (0..settings.sample_tokens).flat_map(|token| exchange.hidden(token));
                outcome.outputs.push(outputs.collect());
                return Ok(());
            }
            outcome.steps_refused += 1;
        }
        Err(RunError::Refused { window: index, times: MOST_REFUSALS })
    }

    fn step(
        &mut self,
        window: &Arc<Window>,
        exchange: &Arc<Exchange>,
    ) -> Result<Vec<StepReply>, RunError> {
        let step = self.next_step;
        self.next_step = step.next();
        let header: Arc<[u8]> = self.coordinator.begin_step(step, true)?.into();
        for order in &self.orders {
            let (window, exchange) = (Arc::clone(window), Arc::clone(exchange));
            let sent = StepOrder { step, header: Arc::clone(&header), window, exchange };
            // A rank that has ended has said why, or will be missed below.
            let _ = order.send(sent);
        }
        let mut replies = Vec::with_capacity(self.orders.len());
        let mut failure = None;
        for _ in 0..self.orders.len() {
            match self.answers.recv_timeout(2 * PATIENCE) {
                Ok(Ok(reply)) => replies.push(reply),
                // The first failure is the cause; what ranks say that were let go is not.
                Ok(Err(error)) if !matches!(error, RunError::Cancelled) => {
                    failure.get_or_insert(error);
                }
                Ok(Err(_)) => {}
                Err(_) => break,
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if replies.len() != self.orders.len() {
            return Err(RunError::SilentRanks { found: replies.len(), ranks: self.orders.len() });
        }
        replies.sort_by_key(|reply| reply.rank);
        for reply in &replies {
            if let Some(reason) = &reply.refused {
                tracing::warn!(rank = reply.rank.0, step = step.0, reason, "a step was refused");
            }
            self.coordinator.accept_report(reply.rank, &reply.report)?;
        }
        self.coordinator.settle(PATIENCE);
        let others = replies.iter().find(|reply| reply.epochs != replies[0].epochs);
        if let Some(other) = others.filter(|_| replies.iter().all(|reply| reply.ran)) {
            return Err(RunError::Epochs { rank: other.rank, step });
        }
        Ok(replies)
    }

    fn take_notes(&mut self, outcome: &mut EngineOutcome) -> u32 {
        let mut switched = 0;
        for note in self.coordinator.take_notes() {
            match note {
                Note::LayerCommitted { parts_left, .. } => {
                    switched += 1;
                    outcome.layers_updated += u64::from(parts_left == 0);
                }
                Note::RoundPlanned { moving, .. } if !moving.is_empty() => outcome.rebalances += 1,
                _ => {}
            }
        }
        switched
    }

    fn account(
        &self,
        replies: &[StepReply],
        load: &ExpertLoad,
        layers_switched: u32,
        outcome: &mut EngineOutcome,
    ) {
        let topology = self.setup.topology;
        let mean = |placement: &Placement| {
            let layers = placement.shape().layer_ids();
            let sum: f64 = layers
                .map(|layer: LayerId| {
                    let routing = placement.layer(layer).routing(topology);
                    layer_balancedness(load.layer(layer), &routing, topology)
                })
                .sum();
            sum / placement.shape().layers() as f64
        };
        let before = mean(self.setup.placement);
        // The ranks have counted with what they routed with; the coordinator knows the same tables.
        let after = mean(self.coordinator.placement());
        outcome.windows.push(WindowFigures { before, after, layers_switched });
        let moved = |reply: &StepReply| reply.figures.moved;
        outcome.slots_moved = replies.iter().map(|reply| moved(reply).received_slots).sum();
        outcome.bytes_moved = replies.iter().map(|reply| moved(reply).received_bytes).sum();
        outcome.by_rounds = (
            replies.iter().map(|reply| moved(reply).collective_slots).sum(),
            replies.iter().map(|reply| moved(reply).collective_bytes).sum(),
        );
        outcome.collective = linking::sum(replies.iter().map(|reply| reply.figures.collective));
        outcome.lost = replies.iter().find_map(|reply| reply.lost.clone());
        outcome.digest = digest::of_ranks(replies.iter().map(|reply| reply.digest));
        for Verified { slots, mismatches } in replies.iter().map(|reply| reply.verified) {
            outcome.slots_verified += slots;
            outcome.mismatches += mismatches;
        }
    }
}
