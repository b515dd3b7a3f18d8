//! The moving half of an executor.

use std::sync::Arc;

use eplb_core::{LayerId, LayerPlacement, SlotChange, SlotId, TransferPlan};
use eplb_device::{Event, MemoryCopy, Stream};

use crate::arrival::{Arrival, Supply};
use crate::collective::{CollectiveTransport, Job, Standing, TransportBoard};
use crate::executor::{CommitMode, Verification};
use crate::inspector::Inspection;
use crate::pool::Loader;
use crate::staging::Lanes;
use crate::weights::Weights;
use crate::{CollectiveWatch, ExecutorError, Landing, PreparedChange, TooFewSpares};

/// Brings the weights of new placements to this rank, on a stream of its own. Belongs to one thread.
///
/// Bytes are pulled: this rank's copy engine reads the memory of other ranks. So ranks need not agree
/// on an order of calls, and a slow rank holds up nobody but those who wait for it. Between ranks where that
/// can't be, or must not, they travel by rounds of a communicator, to which all ranks have to
/// come; a clock that keeps the deadline of these waits belongs to [`Migrator::collective_watch`].
///
/// A capped migrator queues copies only as [`Migrator::grant`] allows; what has been granted is used by
/// [`Migrator::begin`] and [`Migrator::poll`].
///
/// What comes from a pool is read by the calls of this type, one expert a call at most; what is verified
/// is hashed by them, likewise.
#[derive(Debug)]
pub struct Migrator {
    weights: Arc<Weights>,
    mode: CommitMode,
    spares: Vec<u32>,
    stream: Stream,
    lanes: Lanes,
    /// Bytes that may be queued; below zero after a copy that was larger than what was left. `None`
    /// without a cap.
    allowance: Option<i64>,
    loader: Option<Loader>,
    verification: Option<Verification>,
    board: TransportBoard,
    collective: Option<CollectiveTransport>,
    /// In the order in which they began.
    running: Vec<Running>,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Running {
    change: PreparedChange,
    /// Copies that are not queued yet, the next one last.
    pending: Vec<MemoryCopy>,
    /// What comes from the pool and is not queued yet, the next one last.
    loads: Vec<Arrival>,
    /// Whether its rounds are not over.
    awaits_rounds: bool,
    /// Whether the stream waits for what may still read the memory that the copies write.
    is_ordered: bool,
    /// Recorded behind the last copy.
    arrived: Option<Event>,
    /// What has to be compared with checksums once it has arrived.
    inspection: Option<Inspection>,
}

/// A layer whose live slots are compared with the checksums of its experts.
#[derive(Debug)]
struct Check {
    token: u64,
    inspection: Inspection,
}

impl Migrator {
    pub(crate) fn new(
        weights: Arc<Weights>,
        mode: CommitMode,
        spares: Vec<u32>,
        stream: Stream,
        lanes: Lanes,
        board: TransportBoard,
    ) -> Self {
        Self {
            weights,
            mode,
            spares,
            stream,
            lanes,
            allowance: None,
            loader: None,
            verification: None,
            board,
            collective: None,
            running: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// The same migrator with what loads from a pool and what verifies.
    pub(crate) fn supplied(
        self,
        loader: Option<Loader>,
        verification: Option<Verification>,
    ) -> Self {
        Self { loader, verification, ..self }
    }

    /// The same migrator with what makes rounds.
    pub(crate) fn with_collective(self, collective: Option<CollectiveTransport>) -> Self {
        Self { collective, ..self }
    }

    /// The same migrator, which queues nothing before it is granted bytes.
    pub(crate) fn capped(self) -> Self {
        Self { allowance: Some(0), ..self }
    }

    /// Lets a capped migrator queue so many bytes more. What is not used is kept, up to `most`: after a
    /// pause, copies must not come all at once.
    pub fn grant(&mut self, bytes: u64, most: u64) {
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.saturating_add(signed(bytes)).min(signed(most));
        }
    }

    /// Which transport each pair of ranks uses; what is read there changes as the collective transport gets on.
    pub fn transports(&self) -> &TransportBoard {
        &self.board
    }

    /// What the collective transport waits for, if there is one, for whoever keeps its deadlines.
    pub fn collective_watch(&self) -> Option<&CollectiveWatch> {
        self.collective.as_ref().map(CollectiveTransport::watch)
    }

    /// Starts to bring what `layer` needs to go from `from` to `to`. The end comes out of
    /// [`Migrator::poll`]. With a communicator, all ranks have to begin the same changes, in the rising order of
    /// their tokens; a rank that begins one of them in vain, or gives it up, tells the others.
    ///
    /// # Errors
    /// The device refused a call, memory was reserved for fewer changes at a time, an expert is on no
    /// rank that is connected and there is no pool, or it would have to come by rounds and the collective
    /// transport is lost. Nothing of the change is left then.
    pub fn begin(
        &mut self,
        token: u64,
        layer: LayerId,
        from: &LayerPlacement,
        to: &LayerPlacement,
    ) -> Result<(), ExecutorError> {
        let plan = TransferPlan::new(from, to, &self.weights.topology);
        let buffers = self.weights.buffers(layer);
        let begun = self.start(token, layer, from, to, &plan);
        if let Some(collective) = &mut self.collective {
            let mut job = Job::new(token, layer, (from, to), plan, buffers);
            match &begun {
                Ok(sent) => job.expect(sent),
                Err(_) => job.decline(Standing::Failed),
            }
            collective.join(job);
        }
        begun.map(|_| ())
    }

    /// Starts a change; gives what comes to it by rounds.
    fn start(
        &mut self,
        token: u64,
        layer: LayerId,
        from: &LayerPlacement,
        to: &LayerPlacement,
        plan: &TransferPlan,
    ) -> Result<Vec<Arrival>, ExecutorError> {
        let (change, landings) = match self.mode {
            CommitMode::InPlace => {
                let changes = plan.changes(self.weights.rank).len();
                let lane = self.lanes.take(layer, changes)?;
                let weights = &self.weights;
                let change =
                    PreparedChange::in_place(token, layer, to.epoch(), plan, weights, lane);
                (change, Vec::new())
            }
            CommitMode::Indirect => {
                let before = self.weights.buffers(layer);
                let (after, mut landings) = before
                    .after(plan, &self.weights.topology, &self.spares)
                    .map_err(|TooFewSpares { rank, needed, spares }| {
                        ExecutorError::TooFewSpares { layer, rank, needed, spares }
                    })?;
                let weights = &self.weights;
                let change =
                    PreparedChange::indirect(token, layer, to.epoch(), plan, weights, after);
                (change, landings.swap_remove(self.weights.rank.index()))
            }
        };
        let (mut running, sent) = match self.arrange(change, from, plan, &landings) {
            Ok(arranged) => arranged,
            Err((change, error)) => {
                self.give_up(*change);
                return Err(error);
            }
        };
        // Those that began before come first.
        let is_next = self.running.iter().all(Running::is_queued);
        let queued = if is_next { self.queue(&mut running) } else { Ok(()) };
        match queued {
            Ok(()) => {
                self.running.push(running);
                Ok(sent)
            }
            Err(error) => {
                self.give_up(running.change);
                Err(error)
            }
        }
    }

    /// Finds where everything comes from; gives also what comes by rounds.
    fn arrange(
        &self,
        mut change: PreparedChange,
        from: &LayerPlacement,
        plan: &TransferPlan,
        landings: &[Landing],
    ) -> Result<(Running, Vec<Arrival>), (Box<PreparedChange>, ExecutorError)> {
        let weights = &self.weights;
        let loss = self.collective.as_ref().and_then(CollectiveTransport::loss);
        let supply = |changed: &SlotChange| match loss {
            None => weights.supply(changed.source),
            Some(_) => weights.supply_without_rounds(changed, from),
        };
        let arrivals = match change.arrivals(plan, landings, weights, &supply) {
            Ok(arrivals) => arrivals,
            Err(error) => return Err((Box::new(change), error)),
        };
        let layer = change.layer;
        let from_pool = |arrival: &&Arrival| arrival.from == Supply::Pool;
        let loads: Vec<_> = arrivals.iter().rev().filter(from_pool).cloned().collect();
        if let (Some(load), None) = (loads.last(), &self.loader) {
            let Arrival { slot, expert, .. } = *load;
            let error = match loss {
                Some(reason) => ExecutorError::CollectiveLost { reason },
                None => ExecutorError::NoSource { layer, slot, expert },
            };
            return Err((Box::new(change), error));
        }
        let bytes = weights.manifest.expert_bytes(layer) as u64;
        for arrival in &arrivals {
            change.figures.count(arrival.from, bytes, weights.rank, &weights.topology);
        }
        let pending = match change.arrival_copies(&arrivals, weights) {
            Ok(copies) => copies.into_iter().rev().collect(),
            Err(error) => return Err((Box::new(change), error)),
        };
        let is_sent = |arrival: &&Arrival| matches!(arrival.from, Supply::Sent(_));
        let sent = arrivals.iter().filter(is_sent).cloned().collect();
        let inspection = self.verification.is_some().then(|| Inspection::new(layer, arrivals));
        let awaits_rounds = self.collective.is_some();
        let (is_ordered, arrived) = (false, None);
        let running =
            Running { change, pending, loads, awaits_rounds, is_ordered, arrived, inspection };
        Ok((running, sent))
    }

    /// Queues what is allowed of a change's copies, and at most one expert of the pool.
    fn queue(&mut self, running: &mut Running) -> Result<(), ExecutorError> {
        if !running.is_ordered {
            if let Some(switched) = self.weights.last_switch(running.change.layer) {
                // Spare buffers may still be read by forward passes from before the last switch.
                self.stream.wait_for(&switched)?;
            }
            running.is_ordered = true;
        }
        let copies = self.take_allowed(&mut running.pending);
        if !copies.is_empty() {
            self.stream.copy(&copies)?;
        }
        if running.pending.is_empty() {
            self.load_one(running)?;
        }
        if running.is_queued() && !running.awaits_rounds {
            let arrived = self.stream.device().event()?;
            self.stream.record(&arrived)?;
            running.arrived = Some(arrived);
        }
        Ok(())
    }

    fn load_one(&mut self, running: &mut Running) -> Result<(), ExecutorError> {
        let Some((load, loader)) = running.loads.last().zip(self.loader.as_mut()) else {
            return Ok(());
        };
        if self.allowance.is_some_and(|allowance| allowance <= 0) {
            return Ok(());
        }
        let layer = running.change.layer;
        let tensors = self.weights.tensors(layer);
        let is_verified = self.verification.is_some();
        let loaded = loader.load(layer, load.expert, tensors, &load.tensors, is_verified)?;
        let Some(loaded) = loaded else { return Ok(()) };
        if let Some(verification) = &mut self.verification {
            match verification.checksums.of(layer, load.expert) {
                Some(known) => self.weights.compare(layer, load, &loaded.checksums, known)?,
                None => {
                    let (expert, found) = (load.expert, loaded.checksums);
                    verification.checksums.take(layer, expert, None, found, tensors)?;
                }
            }
        }
        self.stream.copy(&loaded.uploads)?;
        self.spend(loaded.uploads.iter().map(MemoryCopy::bytes).sum());
        running.loads.pop();
        Ok(())
    }

    fn spend(&mut self, bytes: usize) {
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// A copy goes whole as long as anything is left of the allowance, which may owe for it then.
    fn take_allowed(&mut self, pending: &mut Vec<MemoryCopy>) -> Vec<MemoryCopy> {
        let Some(allowance) = &mut self.allowance else {
            return pending.drain(..).rev().collect();
        };
        let mut taken = Vec::new();
        while *allowance > 0 {
            let Some(copy) = pending.pop() else { break };
            let bytes = i64::try_from(copy.bytes()).unwrap_or(i64::MAX);
            *allowance = allowance.saturating_sub(bytes);
            taken.push(copy);
        }
        taken
    }

    /// The changes that have ended since the last call: their weights are here, or what failed.
    pub fn poll(&mut self) -> Vec<(u64, Result<PreparedChange, ExecutorError>)> {
        let mut ended = Vec::new();
        let mut is_blocked = false;
        if let Some(collective) = &mut self.collective {
            collective.poll(&self.weights, &self.stream, &mut self.allowance);
        }
        for mut running in std::mem::take(&mut self.running) {
            let token = running.change.token;
            match self.advance(&mut running, is_blocked) {
                Ok(false) => {
                    is_blocked |= !running.is_queued();
                    self.running.push(running);
                }
                Ok(true) => ended.push((token, Ok(running.change))),
                Err(error) => {
                    self.give_up(running.change);
                    ended.push((token, Err(error)));
                }
            }
        }
        ended
    }

    /// Whether all of a change has arrived, and is what it should be where that is verified.
    fn advance(&mut self, running: &mut Running, is_blocked: bool) -> Result<bool, ExecutorError> {
        if let Some(collective) = self.collective.as_mut().filter(|_| running.awaits_rounds)
            && let Some(outcome) = collective.take_ended(running.change.token)
        {
            outcome?;
            running.awaits_rounds = false;
        }
        if running.arrived.is_none() && !is_blocked {
            self.queue(running)?;
        }
        match &running.arrived {
            Some(arrived) if arrived.is_complete()? => {}
            _ => return Ok(false),
        }
        let Some(inspection) = &mut running.inspection else { return Ok(true) };
        if self.inspect(inspection)? {
            running.change.figures.verified_slots += 1;
        }
        Ok(inspection.is_over())
    }

    /// Goes on with an inspection: downloads what there is room for, and hashes one slot. Whether one
    /// was hashed; it was right then.
    fn inspect(&mut self, inspection: &mut Inspection) -> Result<bool, ExecutorError> {
        let Some(mut verification) = self.verification.take() else { return Ok(false) };
        let hashed = self.inspect_with(&mut verification, inspection);
        self.verification = Some(verification);
        hashed
    }

    fn inspect_with(
        &mut self,
        Verification { inspector, checksums }: &mut Verification,
        inspection: &mut Inspection,
    ) -> Result<bool, ExecutorError> {
        let weights = Arc::clone(&self.weights);
        let layer = inspection.layer;
        let tensors = weights.tensors(layer);
        while let Some(bytes) = inspection.next_bytes() {
            let is_allowed = self.allowance.is_none_or(|allowance| allowance > 0);
            if !is_allowed || !inspector.queue(inspection, tensors, &self.stream)? {
                break;
            }
            self.spend(bytes);
        }
        let Some((slot, found)) = inspector.poll(inspection, tensors)? else { return Ok(false) };
        let expert = slot.expert;
        if checksums.of(layer, expert).is_none() {
            // Its last replica died before this rank could learn of it, and another rank has brought it
            // back since.
            let Some(loader) = &mut self.loader else {
                return Err(ExecutorError::NoChecksum { layer, expert });
            };
            let of_pool = loader.checksums(layer, expert, tensors)?;
            checksums.take(layer, expert, None, of_pool, tensors)?;
        }
        if let Some(known) = checksums.of(layer, expert) {
            weights.compare(layer, &slot, &found, known)?;
        }
        Ok(true)
    }

    /// Starts to compare all live slots of this rank in `layer` with the checksums of the experts that
    /// `placement` puts there, and that each has a buffer of its own. For a layer whose commit of
    /// `token` has ended and which does not change meanwhile; the end comes out of
    /// [`Migrator::poll_checks`].
    ///
    /// # Errors
    /// Two slots in one buffer; an executor that verifies nothing; a call that the device refused.
    pub fn begin_check(
        &mut self,
        token: u64,
        layer: LayerId,
        placement: &LayerPlacement,
    ) -> Result<(), ExecutorError> {
        if self.verification.is_none() {
            let (operation, needed, state) = ("a check", "with checksums", "without checksums");
            return Err(ExecutorError::WrongState { token, operation, needed, state });
        }
        let weights = &self.weights;
        let buffers = weights.buffers(layer);
        weights.check_map(layer, &buffers, self.spares[weights.rank.index()])?;
        let slots = weights.topology.slots_of(weights.rank).map(SlotId::from_index);
        let slots = slots.map(|slot| {
            let tensors = 0..weights.tensors(layer).len();
            let tensors = tensors.map(|tensor| weights.slot(layer, tensor, slot, &buffers));
            let expert = placement.expert_at(slot);
            let tensors = tensors.collect::<Result<_, _>>()?;
            Ok(Arrival { slot, expert, from: Supply::Slot(slot), tensors })
        });
        let slots = slots.collect::<Result<_, ExecutorError>>()?;
        if let Some(switched) = weights.last_switch(layer) {
            self.stream.wait_for(&switched)?;
        }
        self.checks.push(Check { token, inspection: Inspection::new(layer, slots) });
        Ok(())
    }

    /// The checks that have ended since the last call: all was right, or what was not.
    pub fn poll_checks(&mut self) -> Vec<(u64, Result<(), ExecutorError>)> {
        let mut ended = Vec::new();
        for mut check in std::mem::take(&mut self.checks) {
            match self.inspect(&mut check.inspection) {
                Ok(_) if !check.inspection.is_over() => self.checks.push(check),
                Ok(_) => ended.push((check.token, Ok(()))),
                Err(error) => ended.push((check.token, Err(error))),
            }
        }
        ended
    }

    /// Gives up a check. Returns whether there was one.
    pub fn abort_check(&mut self, token: u64) -> bool {
        let before = self.checks.len();
        self.checks.retain(|check| check.token != token);
        self.checks.len() < before
    }

    /// Gives up a change that is still running. Copies that are queued end by themselves; what they write
    /// is used by nobody. Returns whether there was one.
    pub fn abort(&mut self, token: u64) -> bool {
        match self.running.iter().position(|running| running.change.token == token) {
            Some(index) => {
                let running = self.running.remove(index);
                self.give_up(running.change);
                true
            }
            None => false,
        }
    }

    /// Whether nothing of ours is under way, the rounds of given up changes included.
    pub fn is_idle(&self) -> bool {
        let has_rounds = self.collective.as_ref().is_some_and(|collective| !collective.is_idle());
        self.running.is_empty() && self.checks.is_empty() && !has_rounds
    }

    /// Gives back what a change that came to nothing held, at once, though copies into its lane may
    /// still be queued: whatever uses the lane next is queued behind them, on the same stream.
    fn give_up(&mut self, change: PreparedChange) {
        if let Some(collective) = &mut self.collective {
            collective.withdraw(change.token);
        }
        self.lanes.give_back(change.lane);
    }
}

impl Running {
    /// Whether all has been queued that does not come by rounds.
    fn is_queued(&self) -> bool {
        self.pending.is_empty() && self.loads.is_empty()
    }
}
