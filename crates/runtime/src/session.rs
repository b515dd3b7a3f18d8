//! The acting side: one rank's part in the protocol, and its weights.

mod canary;
mod pending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eplb_core::{
    Epoch, LayerId, LayerPlacement, Placement, RankId, RoutingTable, SlotId, Step, Topology,
};
use eplb_device::{DeviceError, Memory, Stream, Wait};
use eplb_executor::{
    ChangeFigures, CollectiveFigures, CollectiveState, ExecutorError, LoadFigures, Switched,
    Switcher, TransportBoard, Transports,
};
use eplb_manager::{Action, Follower, LoadReport, Phase, PlanDigest, StepHeader, Token};

use crate::collection::Collection;
use crate::device_routing::{DeviceRouting, RoutingLayout};
use crate::mover::{Ended, Mover, Outcome};
use crate::{Clock, Error, Patience};
pub use pending::{Lent, PendingSession};

/// One rank's session: the engine calls [`Session::begin_step`] before and [`Session::end_step`]
/// after each forward pass, on the thread that queues it.
///
/// Weights move on a thread and a stream of their own. Between steps nothing is waited for.
///
/// A step in which no layer changes makes no call of the device without load counters. With them
/// ([`PendingSession::with_counters`]) it queues one copy and two event records, with
/// [`eplb_executor::CounterLife::Cleared`] one fill and one record more, and queries events; it
/// allocates nothing of the device.
#[derive(Debug)]
pub struct Session {
    rank: RankId,
    topology: Topology,
    follower: Follower,
    mover: Mover,
    switcher: Switcher,
    clock: Arc<dyn Clock>,
    routing: Vec<Arc<RoutingTable>>,
    device_routing: Option<DeviceRouting>,
    collection: Option<Collection>,
    /// Memory of the loads of a report.
    loads: Vec<LoadReport>,
    step: Step,
    /// Whether the step that has begun may be run on this rank.
    runs: bool,
    /// Whether all slots of a layer are checked after a switch-over.
    is_canary: bool,
    transports: TransportBoard,
    /// The changes that have been begun and are not over, by token.
    open: BTreeMap<u64, OpenChange>,
    figures: Figures,
}

#[derive(Clone, Debug)]
struct OpenChange {
    layer: LayerId,
    figures: ChangeFigures,
    /// The manager gave the change up; what still comes of it is dropped.
    over: bool,
    /// Its switch-over failed, and the old weights are not back yet.
    to_restore: bool,
    /// What its slots must hold, until they are checked for it.
    to_check: Option<LayerPlacement>,
    /// They are being checked.
    is_checked: bool,
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
    /// What was loaded from the pool when the session was opened.
    pub filled: ChangeFigures,
    /// What became of the readings of load counters.
    pub load: LoadFigures,
    /// What the collective transport has done, and whether it was lost.
    pub collective: CollectiveFigures,
    /// Loads that the engine gave though it lent counters; they were left out.
    pub loads_ignored: u64,
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
        self.runs = false;
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
        self.runs = failure.is_none();
        failure.map_or(Ok(()), Err)
    }

    /// Reads the load counters, if the step that has begun is one whose counters are read; `phase` is
    /// what the step does. To be called once for each forward pass, when it has been queued; nothing is
    /// waited for, and what the device has counted is in a report some steps later.
    ///
    /// # Errors
    /// No counters were lent, the step must not be run or was collected already: nothing is done. Or a
    /// call of the device failed: load of this step is lost, and nothing else; the step may go on.
    pub fn collect(&mut self, phase: Phase) -> Result<(), Error> {
        let collection = self.collection.as_mut().ok_or(Error::NoCounters)?;
        if !self.runs {
            return Err(Error::NotRunning { step: self.step });
        }
        let stream = self.switcher.stream();
        Ok(collection.collect(stream, self.step, phase, &mut self.loads)?)
    }

    /// The routing table of a layer for the step that has begun: the replicas of each expert, and the
    /// share of its tokens that each takes. A change of the layer may change shares alone; then the
    /// epoch rises, and all slots keep their bytes.
    pub fn routing(&self, layer: LayerId) -> &Arc<RoutingTable> {
        &self.routing[layer.index()]
    }

    /// The routing table of a layer in device memory, laid out as [`RoutingLayout`] says, if
    /// [`PendingSession::with_device_routing`] asked for it. Its address stays for the session's life,
    /// as captured graphs need it, and what is queued on the engine's stream finds the table of the
    /// step that has begun: it changes on that stream, behind a switch's copies of weights. Kernels of
    /// other streams have to be ordered with it by the engine.
    pub fn device_routing(&self, layer: LayerId) -> Option<&Memory> {
        self.device_routing.as_ref().map(|tables| tables.memory(layer))
    }

    /// Where the parts of such a table lie.
    pub fn device_routing_layout(&self) -> Option<RoutingLayout> {
        self.device_routing.as_ref().map(DeviceRouting::layout)
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
    /// ([`LoadReport::in_phase`]); with load counters it is left out, since they say it
    /// ([`Session::collect`]). `plan` is the digest of the rank's own coordinator, in spmd.
    pub fn end_step(&mut self, load: Option<LoadReport>, plan: Option<PlanDigest>) -> Vec<u8> {
        let mut report = Vec::new();
        self.end_step_into(load, plan, &mut report);
        report
    }

    /// The same, written over what `report` held: with memory that is used for each step's report, a
    /// step allocates nothing for it.
    pub fn end_step_into(
        &mut self,
        load: Option<LoadReport>,
        plan: Option<PlanDigest>,
        report: &mut Vec<u8>,
    ) {
        self.take_news();
        let mut loads = std::mem::take(&mut self.loads);
        match &mut self.collection {
            Some(collection) => {
                self.figures.loads_ignored += u64::from(load.is_some());
                collection.take_arrived(&mut loads);
            }
            None => loads.extend(load),
        }
        let mut says = self.follower.report(self.step, self.clock.now(), loads);
        says.plan_digest = plan;
        says.encode_into(report);
        self.loads = says.loads;
        match &mut self.collection {
            Some(collection) => collection.recycle(&mut self.loads),
            None => self.loads.clear(),
        }
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
            self.take_news();
            let has_tables = self.device_routing.as_ref().is_none_or(DeviceRouting::is_idle);
            if self.mover.is_idle() && !self.switcher.is_switching() && has_tables {
                return Ok(());
            }
            if patience.pause().is_err() {
                return Err(Error::Unsettled { seconds: limit.as_secs_f64() });
            }
        }
    }

    /// The step of the last header that could be taken.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The stream that forward passes run on.
    pub fn engine_stream(&self) -> &Stream {
        self.switcher.stream()
    }

    /// Which transport each pair of ranks uses, and why, as far as it is known: what other ranks receive by is
    /// once all have joined the communicator. It says, too, how that stands.
    pub fn transports(&self) -> Transports {
        self.transports.read()
    }

    /// Waits until all ranks have joined the communicator, if there is one, at most `limit`. For engines that
    /// would rather not start without; moves wait for it by themselves.
    ///
    /// # Errors
    /// The communicator can't be used, or not all have joined in time.
    pub fn wait_for_transports(&self, limit: Duration) -> Result<Transports, Error> {
        let mut patience = Patience::new(limit);
        loop {
            let transports = self.transports();
            match transports.collective() {
                CollectiveState::Connecting => {}
                CollectiveState::Lost(reason) => {
                    return Err(ExecutorError::CollectiveLost { reason: reason.clone() }.into());
                }
                CollectiveState::Absent | CollectiveState::Ready => return Ok(transports),
            }
            if patience.pause().is_err() {
                return Err(Error::Unsettled { seconds: limit.as_secs_f64() });
            }
        }
    }

    /// What has been done since the session began.
    pub fn figures(&self) -> Figures {
        let load = self.collection.as_ref().map(Collection::figures).unwrap_or_default();
        let collective = self.transports.read().figures();
        Figures { load, collective, ..self.figures }
    }

    fn act(&mut self, action: Action) -> Result<(), Error> {
        match action {
            Action::Prepare { token, layer, from, to } => {
                let figures = ChangeFigures::default();
                let change = OpenChange {
                    layer,
                    figures,
                    over: false,
                    to_restore: false,
                    to_check: None,
                    is_checked: false,
                };
                self.open.insert(token.0, change);
                if !self.mover.begin(token.0, layer, from, to) {
                    self.open.remove(&token.0);
                    self.follower.prepared(token, Err("the mover's thread has ended".to_owned()));
                }
            }
            Action::Commit { token, layer, placement } => {
                let step = self.step;
                if let Some(change) = self.open.get_mut(&token.0).filter(|_| self.is_canary) {
                    change.to_check = Some(placement.clone());
                }
                if let Err(source) = self.switcher.commit(token.0) {
                    self.follower.committed(token, Err(source.to_string()));
                    if let (ExecutorError::Broken { .. }, Some(change)) =
                        (&source, self.open.get_mut(&token.0))
                    {
                        change.to_restore = true;
                    }
                    return Err(Error::CommitFailed { step, layer, source });
                }
                if let Err(source) = self.route(layer, &placement) {
                    // The weights are switched, the table on the device is not: both go back.
                    self.follower.committed(token, Err(source.to_string()));
                    if let Some(change) = self.open.get_mut(&token.0) {
                        change.to_restore = true;
                    }
                    return Err(Error::CommitFailed { step, layer, source: source.into() });
                }
            }
            Action::Revert { token, layer, placement } => {
                self.drop_check(token.0);
                let undone = self.revert(token);
                let routed = self.route(layer, &placement);
                if let Err(error) = &routed {
                    self.follower.reverted(token, Err(error.to_string()));
                }
                undone?;
                routed?;
            }
            Action::Release { token, .. } => {
                if let Some(change) = self.open.remove(&token.0) {
                    self.figures.layers_committed += 1;
                    self.figures.moved.add(&change.figures);
                }
                self.switcher.release(token.0);
            }
            Action::Abort { token, .. } => {
                self.figures.layers_undone += 1;
                self.drop_check(token.0);
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

    fn route(&mut self, layer: LayerId, placement: &LayerPlacement) -> Result<(), DeviceError> {
        let table = placement.routing(&self.topology);
        self.publish(layer, &table)?;
        self.routing[layer.index()] = Arc::new(table);
        Ok(())
    }

    /// Brings a layer's table to the device, if tables are kept there.
    fn publish(&mut self, layer: LayerId, table: &RoutingTable) -> Result<(), DeviceError> {
        let Some(tables) = &mut self.device_routing else { return Ok(()) };
        let buffers = self.switcher.buffers(layer);
        let buffers = buffers.of_rank(self.rank, &self.topology);
        tables.publish(self.switcher.stream(), layer, table, buffers)
    }

    fn take_news(&mut self) {
        while let Some(ended) = self.mover.poll() {
            self.take_moved(ended);
        }
        self.take_switched();
        if let Some(tables) = &mut self.device_routing {
            tables.poll();
        }
    }

    fn take_moved(&mut self, ended: Ended) {
        let token = ended.token;
        let outcome = match ended.outcome {
            Outcome::Moved(outcome) => outcome,
            Outcome::Checked(outcome) => return self.take_checked(token, outcome),
        };
        match outcome {
            Ok(change) => {
                let figures = change.figures();
                self.switcher.accept(*change);
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
                Switched::Committed(token) => self.take_committed(token),
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
            self.drop_check(token);
            self.switcher.revert(token)?;
            let placement = self.follower.placement().layer(layer).clone();
            self.route(layer, &placement)?;
            if let Some(change) = self.open.get_mut(&token) {
                change.to_restore = false;
            }
        }
        // Tables that did not reach the device: without them kernels would route by older ones.
        while let Some(layer) = self.device_routing.as_ref().and_then(DeviceRouting::unknown) {
            let table = Arc::clone(&self.routing[layer.index()]);
            self.publish(layer, &table)?;
        }
        Ok(())
    }

    /// The epoch that each layer routes with, for checks that all ranks agree.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.routing.iter().map(|table| table.epoch()).collect()
    }
}
