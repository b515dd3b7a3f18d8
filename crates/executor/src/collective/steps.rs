//! The steps of the collective transport: greeting, roll call, rounds.

use std::sync::Arc;

use eplb_device::Stream;

use super::CollectiveState;
use super::entry::{Entry, Standing};
use super::gathering::{Gathering, Setback};
use super::rounds::{RoundPlan, Terms};
use super::transport::{CollectiveTransport, State};
use super::verdict::Verdict;
use super::watch::{CollectiveWait, CollectiveWatch};
use crate::ExecutorError;
use crate::manifest::expert_bytes;
use crate::weights::Weights;

impl CollectiveTransport {
    /// One step; whether there may be another at once.
    pub(super) fn step(
        &mut self,
        weights: &Weights,
        copies: &Stream,
        allowance: &mut Option<i64>,
    ) -> Result<bool, Setback> {
        if self.watch.is_expired() {
            self.end_wait()?;
        }
        match self.state {
            State::Joining => self.join_group(),
            State::Greeting => self.greet(weights),
            State::Idle => self.call_next(weights),
            State::Calling => self.call(),
            State::Carrying { next, is_under_way: false } => {
                self.begin_round(next, weights, allowance)
            }
            State::Carrying { next, is_under_way: true } => self.end_round(next, weights, copies),
            State::Lost => Ok(false),
        }
    }

    fn join_group(&mut self) -> Result<bool, Setback> {
        let is_ready = self.watch.communicator().is_ready().map_err(Setback::Again)?;
        if is_ready {
            self.state = State::Greeting;
        }
        Ok(is_ready)
    }

    fn greet(&mut self, weights: &Weights) -> Result<bool, Setback> {
        let greeting = self.settings.greeting(&self.board.lock(), &self.group);
        let reserved = &mut self.reserved;
        let gathering = &mut reserved.greeting;
        let Some(said) = gather(gathering, &greeting, &self.watch, &reserved.stream)? else {
            return Ok(false);
        };
        self.end_wait()?;
        let mut transports = self.board.lock();
        let ranks = weights.topology.ranks();
        self.settings.take(&said, &mut transports, &self.group, ranks).map_err(Setback::Lost)?;
        transports.set_state(CollectiveState::Ready);
        if !transports.has_collective() {
            // No rounds will be made.
            self.reserved.rooms = None;
            let bytes = self.reserved.bytes() + self.watch.communicator().reserved_bytes();
            transports.set_reserved_bytes(bytes);
        }
        self.state = State::Idle;
        Ok(true)
    }

    /// Begins with the next change of the line; whether there was one.
    fn call_next(&mut self, weights: &Weights) -> Result<bool, Setback> {
        let Some(job) = self.line.front_mut() else { return Ok(false) };
        let rounds = job.rounds.get_or_insert_with(|| {
            let terms = Terms {
                layer: job.layer,
                epochs: job.epochs,
                expert_bytes: expert_bytes(weights.tensors(job.layer)),
                round_slots: self.settings.round_slots,
            };
            let transports = self.board.lock();
            let (rank, topology) = (weights.rank, &weights.topology);
            Arc::new(RoundPlan::new(&job.plan, &terms, rank, topology, &transports))
        });
        if rounds.is_empty {
            self.finish(Ok(()));
            return Ok(true);
        }
        // Others may have ended it meanwhile; a rank that needs none of its rounds goes on without.
        self.watch.communicator().check().map_err(Setback::Again)?;
        if job.is_unheeded && job.standing == Standing::Ready {
            job.standing = Standing::GivenUp;
        }
        self.watch.begin(CollectiveWait::RollCall);
        self.state = State::Calling;
        Ok(true)
    }

    fn call(&mut self) -> Result<bool, Setback> {
        let (own, _) = self.first()?;
        let reserved = &mut self.reserved;
        let gathering = &mut reserved.roll_call;
        let Some(said) = gather(gathering, &own.encode(), &self.watch, &reserved.stream)? else {
            return Ok(false);
        };
        self.end_wait()?;
        let mut entries = Vec::with_capacity(said.len());
        for (&member, words) in self.group.members().iter().zip(&said) {
            let unreadable = || Setback::Lost(format!("what {member} said cannot be read"));
            entries.push((member, Entry::decode(words).ok_or_else(unreadable)?));
        }
        let verdict = Verdict::of(&own, &entries);
        self.board.change(|transports| {
            let figures = transports.figures_mut();
            figures.roll_calls += 1;
            figures.refused += u64::from(verdict != Verdict::Carry);
        });
        match verdict {
            Verdict::Carry => self.state = State::Carrying { next: 0, is_under_way: false },
            Verdict::CallAgain => self.state = State::Idle,
            Verdict::Refused { rank, refusal } => {
                let layer = own.layer;
                self.finish(Err(ExecutorError::RollCall { layer, rank, refusal }));
            }
        }
        Ok(true)
    }

    /// What this rank says of the first change of the line, and the rounds of it.
    fn first(&self) -> Result<(Entry, Arc<RoundPlan>), Setback> {
        let job = self.line.front();
        let planned = job.and_then(|job| Some((job, job.rounds.as_ref()?)));
        let Some((job, rounds)) = planned else {
            return Err(Setback::Lost("there is no change to make rounds for".to_owned()));
        };
        let (token, layer, standing) = (job.token, job.layer, job.standing);
        Ok((Entry { token, layer, digest: rounds.digest, standing }, Arc::clone(rounds)))
    }

    fn begin_round(
        &mut self,
        next: usize,
        weights: &Weights,
        allowance: &mut Option<i64>,
    ) -> Result<bool, Setback> {
        let (Entry { layer, .. }, plan) = self.first()?;
        let Some(job) = self.line.front_mut() else { return Ok(false) };
        let Some(round) = plan.rounds.get(next) else {
            let failure = job.failure.take();
            self.finish(failure.map_or(Ok(()), Err));
            return Ok(true);
        };
        if allowance.is_some_and(|allowance| allowance <= 0) {
            return Ok(false);
        }
        let Some(rooms) = &self.reserved.rooms else {
            return Err(Setback::Lost("no memory was kept for rounds".to_owned()));
        };
        let stream = &self.reserved.stream;
        if job.is_heeded() {
            // The other ranks go on with the round, so this one does, too.
            job.failure = rooms.pack(round, layer, &job.buffers, weights, stream).err();
        }
        let transfers = rooms.transfers(round, layer, weights, &self.group);
        let [sends, receives] = transfers.map_err(|error| Setback::Lost(error.to_string()))?;
        self.watch.begin(CollectiveWait::Round);
        let queued = self.watch.communicator().exchange(&sends, &receives, stream);
        queued.map_err(Setback::Unknown)?;
        if let Some(allowance) = allowance {
            let moved: usize =
                sends.iter().chain(&receives).map(|transfer| transfer.memory.bytes()).sum();
            *allowance = allowance.saturating_sub(i64::try_from(moved).unwrap_or(i64::MAX));
        }
        self.state = State::Carrying { next, is_under_way: true };
        Ok(true)
    }

    fn end_round(
        &mut self,
        next: usize,
        weights: &Weights,
        copies: &Stream,
    ) -> Result<bool, Setback> {
        if !is_over(&self.watch, &self.reserved.stream)? {
            return Ok(false);
        }
        self.end_wait()?;
        let (Entry { layer, .. }, plan) = self.first()?;
        let rooms = self.reserved.rooms.as_ref();
        let parts = self.line.front_mut().zip(rooms).zip(plan.rounds.get(next));
        let Some(((job, rooms), round)) = parts else { return Ok(false) };
        if job.is_heeded() && !round.receives.is_empty() {
            let (stream, unpacked) = (&self.reserved.stream, &self.unpacked);
            let landing = |slot| job.landings.get(&slot).map(Vec::as_slice);
            let brought = rooms
                .unpack(round, layer, landing, weights, copies)
                .and_then(|()| Ok(copies.record(unpacked)?))
                // The next round's bytes come behind these.
                .and_then(|()| Ok(stream.wait_for(unpacked)?));
            job.failure = brought.err();
        }
        let sent = round.sends.len() as u64;
        let sent_bytes = sent * weights.manifest.expert_bytes(layer) as u64;
        self.board.change(|transports| {
            let figures = transports.figures_mut();
            figures.rounds += 1;
            figures.sent_slots += sent;
            figures.sent_bytes += sent_bytes;
        });
        self.state = State::Carrying { next: next + 1, is_under_way: false };
        Ok(true)
    }
}

/// Goes on with a gathering; what all ranks have said, once they have.
fn gather(
    gathering: &mut Gathering,
    own: &[u8],
    watch: &CollectiveWatch,
    stream: &Stream,
) -> Result<Option<Vec<Vec<u8>>>, Setback> {
    let said = gathering.advance(own, watch.communicator(), stream)?;
    if said.is_none() {
        watch.communicator().check().map_err(Setback::Again)?;
    }
    Ok(said)
}

/// Whether all work of a stream is done. While it is not, the library is asked for what it has noticed.
fn is_over(watch: &CollectiveWatch, stream: &Stream) -> Result<bool, Setback> {
    if stream.is_complete().map_err(Setback::Again)? {
        return Ok(true);
    }
    watch.communicator().check().map_err(Setback::Again)?;
    Ok(false)
}
