//! The acting side: one rank's part in the protocol, and its weights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eplb_core::{Epoch, ModelShape};
use eplb_core::{LayerId, Placement, RankId, RoutingTable, SlotId, Step, Topology};
use eplb_device::{Device, Memory, Stream, Wait};
use eplb_executor::{
    ChangeFigures, Endpoint, Executor, ExecutorError, ExecutorOptions, Switched, Switcher,
    WeightManifest,
};
use eplb_manager::{Action, Follower, LoadReport, PlanDigest, StepHeader, Token};

use crate::config::CommitMode;
use crate::mover::{Ended, Mover};
use crate::{Clock, Config, Error, Patience};

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
    /// Bytes per second that copies may take.
    cap: Option<u64>,
}

/// One rank's session: the engine calls [`Session::begin_step`] before and [`Session::end_step`]
/// after each forward pass, on the thread that queues it.
///
/// Weights move on a thread and a stream of their own. Between steps nothing is waited for.
#[derive(Debug)]
pub struct Session {
    rank: RankId,
    topology: Topology,
    follower: Follower,
    mover: Mover,
    switcher: Switcher,
    clock: Arc<dyn Clock>,
    routing: Vec<Arc<RoutingTable>>,
    step: Step,
    /// The changes that have been begun and are not over, by token.
    open: BTreeMap<u64, OpenChange>,
    figures: Figures,
}

#[derive(Clone, Copy, Debug)]
struct OpenChange {
    layer: LayerId,
    figures: ChangeFigures,
    /// The manager gave the change up; what still comes of it is dropped.
    over: bool,
    /// Its switch-over failed, and the old weights are not back yet.
    to_restore: bool,
}

/// What a session has done since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Layers switched over, for good.
    pub layers_committed: u64,
    /// Layers switched back, or given up before the switch.
    pub layers_undone: u64,
    /// What the committed layers moved on this rank.
    pub moved: ChangeFigures,
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
        config.check()?;
        let Lent { device, engine_stream, weights } = lent;
        let options = ExecutorOptions {
            commit: match config.executor.commit {
                CommitMode::InPlace => eplb_executor::CommitMode::InPlace,
                CommitMode::Indirect => eplb_executor::CommitMode::Indirect,
            },
            spare_slots: config.executor.spare_slots,
            staged_slots: config.most_changed_slots(topology.slots_of(rank).len()),
            layers_in_flight: config.manager.layers_in_flight,
            is_capped: config.executor.bandwidth_cap > 0,
        };
        let follower = Follower::new(rank, shape, topology.clone(), placement.clone())?;
        let executor =
            Executor::open(rank, shape, topology, options, &device, engine_stream, weights)?;
        let cap = Some(config.executor.bandwidth_cap).filter(|&cap| cap > 0);
        Ok(Self { executor, follower, rank, topology: topology.clone(), cap })
    }

    /// What the other ranks need to know of this one, as bytes that the engine carries to them.
    pub fn endpoint(&self) -> Vec<u8> {
        self.executor.endpoint().encode()
    }

    /// Connects to the other ranks: `endpoints[rank]` holds that rank's bytes, this rank's own and
    /// those of dead ranks are not looked at. `clock` is read for reports.
    ///
    /// # Errors
    /// Another rank's endpoint is missing, damaged, or registered other weights.
    pub fn connect(self, endpoints: &[Vec<u8>], clock: Arc<dyn Clock>) -> Result<Session, Error> {
        let mut decoded = Vec::new();
        for rank in self.topology.live_ranks().filter(|&rank| rank != self.rank) {
            if let Some(bytes) = endpoints.get(rank.index()) {
                decoded.push(Endpoint::decode(rank, bytes)?);
            }
        }
        let (migrator, switcher) = self.executor.connect(&decoded)?;
        let mover = Mover::start(migrator, self.cap, format!("eplb-mover-{}", self.rank.0))?;
        let placement = self.follower.placement();
        let routing = placement.layers().map(|layer| layer.routing(&self.topology));
        let routing = routing.map(Arc::new).collect();
        Ok(Session {
            rank: self.rank,
            topology: self.topology,
            follower: self.follower,
            mover,
            switcher,
            clock,
            routing,
            step: Step(0),
            open: BTreeMap::new(),
            figures: Figures::default(),
        })
    }
}

impl Session {
    /// Begins a step with the header that the coordinator made for it. Layers whose new weights are
    /// on all ranks are switched here, on the engine's stream.
    ///
    /// # Errors
    /// The step must not be run on this rank: the header is damaged, this rank missed a switch, or a
    /// switch failed. The old epoch stands in each case. The engine goes on with the next step, and
    /// still sends this rank's report.
    pub fn begin_step(&mut self, header: &[u8]) -> Result<(), Error> {
        let header = StepHeader::decode(header).map_err(Error::Header)?;
        self.take_news();
        self.restore()?;
        let actions = self.follower.handle_header(&header)?;
        self.step = header.step;
        let mut failure = None;
        for action in actions {
            if let Err(error) = self.act(action) {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The routing table of a layer for the step that has begun: the replicas of each expert, and the
    /// share of its tokens that each takes. A change of the layer may change shares alone; then the
    /// epoch rises, and all slots keep their bytes.
    pub fn routing(&self, layer: LayerId) -> &Arc<RoutingTable> {
        &self.routing[layer.index()]
    }

    /// The memory of each tensor of one of this rank's slots, in the order of registration, as the
    /// step that has begun reads it.
    ///
    /// # Errors
    /// A slot of a rank that is not connected.
    pub fn slot(&self, layer: LayerId, slot: SlotId) -> Result<Vec<Memory>, Error> {
        Ok(self.switcher.slot(layer, slot)?)
    }

    /// Which of its buffers holds each of this rank's slots, for kernels that index buffers. Changes
    /// only with indirect commits.
    pub fn slot_buffers(&self, layer: LayerId) -> Vec<u32> {
        self.switcher.buffers(layer).of_rank(self.rank, &self.topology).to_vec()
    }

    /// The placement that this rank routes with.
    pub fn placement(&self) -> &Placement {
        self.follower.placement()
    }

    /// Ends a step: the report for the coordinator, as bytes to carry. `load` holds what this rank
    /// counted, if it counted, and the phase of the step where the engine keeps prefill and decode apart
    /// ([`LoadReport::in_phase`]); `plan` the digest of the rank's own coordinator, in spmd.
    pub fn end_step(&mut self, load: Option<LoadReport>, plan: Option<PlanDigest>) -> Vec<u8> {
        self.take_news();
        let mut report = self.follower.report(self.step, self.clock.now(), load);
        report.plan_digest = plan;
        report.encode()
    }

    /// Waits until nothing moves and no switch is under way on the device, at most `limit`. For
    /// replays in virtual time, whose steps take no time of their own, and before a shutdown; a
    /// serving engine never needs it.
    ///
    /// # Errors
    /// Something is still under way.
    pub fn settle(&mut self, limit: Duration) -> Result<(), Error> {
        let mut patience = Patience::new(limit);
        loop {
            while let Some(ended) = self.mover.poll() {
                self.take_moved(ended);
            }
            self.take_switched();
            if self.mover.is_idle() && !self.switcher.is_switching() {
                return Ok(());
            }
            if patience.pause().is_err() {
                return Err(Error::Unsettled { seconds: limit.as_secs_f64() });
            }
        }
    }

    /// The stream that forward passes run on.
    pub fn engine_stream(&self) -> &Stream {
        self.switcher.stream()
    }

    /// What has been done since the session began.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    fn act(&mut self, action: Action) -> Result<(), Error> {
        match action {
            Action::Prepare { token, layer, from, to } => {
                let figures = ChangeFigures::default();
                let change = OpenChange { layer, figures, over: false, to_restore: false };
                self.open.insert(token.0, change);
                if !self.mover.begin(token.0, layer, from, to) {
                    self.open.remove(&token.0);
                    self.follower.prepared(token, Err("the mover's thread has ended".to_owned()));
                }
            }
            Action::Commit { token, layer, placement } => {
                let step = self.step;
                if let Err(source) = self.switcher.commit(token.0) {
                    self.follower.committed(token, Err(source.to_string()));
                    if let (ExecutorError::Broken { .. }, Some(change)) =
                        (&source, self.open.get_mut(&token.0))
                    {
                        change.to_restore = true;
                    }
                    return Err(Error::CommitFailed { step, layer, source });
                }
                self.route(layer, &placement);
            }
            Action::Revert { token, layer, placement } => {
                let undone = self.revert(token);
                self.route(layer, &placement);
                undone?;
            }
            Action::Release { token, .. } => {
                if let Some(change) = self.open.remove(&token.0) {
                    self.figures.layers_committed += 1;
                    self.figures.moved.changed_slots += change.figures.changed_slots;
                    self.figures.moved.received_slots += change.figures.received_slots;
                    self.figures.moved.received_bytes += change.figures.received_bytes;
                }
                self.switcher.release(token.0);
            }
            Action::Abort { token, .. } => {
                self.figures.layers_undone += 1;
                if self.switcher.holds(token.0) {
                    self.open.remove(&token.0);
                    self.switcher.release(token.0);
                } else if let Some(change) = self.open.get_mut(&token.0) {
                    // Still moving: what comes of it is dropped when it comes.
                    change.over = true;
                    self.mover.abort(token.0);
                }
            }
        }
        Ok(())
    }

    fn revert(&mut self, token: Token) -> Result<(), Error> {
        if !self.switcher.holds(token.0) {
            // Never prepared here: the old weights are live as they are.
            self.follower.reverted(token, Ok(()));
            return Ok(());
        }
        self.switcher.revert(token.0).map_err(|error| {
            self.follower.reverted(token, Err(error.to_string()));
            error.into()
        })
    }

    fn route(&mut self, layer: LayerId, placement: &eplb_core::LayerPlacement) {
        self.routing[layer.index()] = Arc::new(placement.routing(&self.topology));
    }

    fn take_news(&mut self) {
        while let Some(ended) = self.mover.poll() {
            self.take_moved(ended);
        }
        self.take_switched();
    }

    fn take_moved(&mut self, ended: Ended) {
        let token = ended.token;
        match ended.outcome {
            Ok(change) => {
                let figures = change.figures();
                self.switcher.accept(change);
                match self.open.get_mut(&token) {
                    Some(open) if !open.over => {
                        open.figures = figures;
                        self.follower.prepared(Token(token), Ok(()));
                    }
                    _ => {
                        self.open.remove(&token);
                        self.switcher.release(token);
                    }
                }
            }
            Err(reason) => {
                tracing::warn!(rank = self.rank.0, token, reason, "a change was not prepared");
                if self.open.remove(&token).is_some_and(|open| !open.over) {
                    self.follower.prepared(Token(token), Err(reason));
                }
            }
        }
    }

    fn take_switched(&mut self) {
        for news in self.switcher.poll() {
            match news {
                Switched::Committed(token) => {
                    self.follower.committed(Token(token), Ok(()));
                }
                Switched::Reverted(token) => {
                    self.follower.reverted(Token(token), Ok(()));
                }
                Switched::Failed(token, error) => {
                    tracing::error!(rank = self.rank.0, token, %error, "a switch-over failed");
                    self.follower.committed(Token(token), Err(error.to_string()));
                    if let Some(change) = self.open.get_mut(&token) {
                        change.to_restore = true;
                    }
                }
            }
        }
    }

    /// Brings back the old weights of switch-overs that failed on the device after they were queued.
    /// Until that succeeds this rank runs no step.
    fn restore(&mut self) -> Result<(), Error> {
        let failed = self.open.iter().filter(|(_, change)| change.to_restore);
        let failed: Vec<_> = failed.map(|(&token, change)| (token, change.layer)).collect();
        for (token, layer) in failed {
            self.switcher.revert(token)?;
            let placement = self.follower.placement().layer(layer).clone();
            self.route(layer, &placement);
            if let Some(change) = self.open.get_mut(&token) {
                change.to_restore = false;
            }
        }
        Ok(())
    }

    /// The epoch that each layer routes with, for checks that all ranks agree.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.routing.iter().map(|table| table.epoch()).collect()
    }
}
