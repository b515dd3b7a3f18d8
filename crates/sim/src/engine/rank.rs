//! One rank of the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use eplb::core::{Epoch, LayerId, RankId, SlotId, Step};
use eplb::device::{Device, StreamPriority};
use eplb::{
    CollectiveState, CommitMode, CountForm, Figures, Lent, LoadReport, ManualClock, PairTransport,
    Patience, PendingSession, Session, WeightManifest,
};
use ndarray::Array2;

use super::digest::Digest;
use super::dispatch::{Results, combine};
use super::interruption::Interruption;
use super::linking;
use super::membership::Membership;
use super::message::{Moved, Order, Reply, Verified, decode, encode};
use super::serve::{EngineSetup, PATIENCE};
use super::slot_weights::{Layout, SlotReader, load_weights};
use super::windows::{Window, Windows};
use crate::{
    ExpertBytes, ExpertDimensions, ExpertWeights, RunError, SplitMix64, expert_weights,
    initial_hidden_state, normalise,
};

/// What a rank owns, and what it has of its group.
#[derive(Debug)]
pub(super) struct Rank<'a> {
    setup: &'a EngineSetup<'a>,
    windows: &'a Windows<'a>,
    membership: Membership<'a>,
    rank: RankId,
    clock: Arc<ManualClock>,
    session: Session,
    reader: SlotReader,
    dimensions: ExpertDimensions,
    /// The epochs whose bytes have been verified.
    checked: Vec<Option<Epoch>>,
    digest: Digest,
    /// The hidden states of a window's sampled tokens, the same on all ranks.
    hidden: Vec<Vec<f32>>,
    /// Why work of the last step is still under way.
    unsettled: Option<eplb::Error>,
    /// Other ranks read them, so they outlive what those have of them.
    weights: WeightManifest,
    // Dropped last.
    device: Device,
}

impl<'a> Rank<'a> {
    /// Opens the rank's device, loads its weights, and connects it to the others.
    pub(super) fn open(
        setup: &'a EngineSetup<'a>,
        windows: &'a Windows<'a>,
        membership: Membership<'a>,
    ) -> Result<Self, RunError> {
        let EngineSetup { config, shape, topology, placement, settings, .. } = *setup;
        let rank = RankId(membership.group.rank());
        let dimensions = settings.dimensions()?;
        let indirect = config.executor.commit == CommitMode::Indirect;
        let spares = if indirect { config.executor.spare_slots as usize } else { 0 };
        let device = Device::open(setup.devices.backend(), setup.devices.of_rank(rank))?;
        let stream = device.stream(StreamPriority::High)?;
        let first = topology.slots_of(rank).start;
        let experts = |layer, slot| {
            let expert = placement.layer(layer).expert_at(SlotId::from_index(first + slot));
            expert_weights(layer, expert, dimensions, settings.seed)
        };
        let slots = topology.slots_of(rank).len();
        let layout = Layout { layers: shape.layers(), slots, spares, dimensions };
        let weights = load_weights(&layout, &experts, &device, &stream)?;
        let reader = SlotReader::new(slots, dimensions, &device)?;
        let lent = Lent { device: device.clone(), engine_stream: stream, weights: weights.clone() };
        let mut pending = PendingSession::open(config, rank, shape, topology, placement, lent)?;
        if linking::wants_communicator(setup, &membership, &device)? {
            pending = pending.with_own_communicator()?;
        }
        let endpoints = membership.all_gather(&pending.endpoint())?;
        let clock = Arc::new(ManualClock::new());
        let session = pending.connect(&endpoints, Arc::clone(&clock) as _)?;
        linking::join(setup, &membership, &session)?;
        Ok(Self {
            setup,
            windows,
            membership,
            rank,
            clock,
            session,
            reader,
            dimensions,
            checked: vec![None; shape.layers()],
            digest: Digest::new(),
            hidden: Vec::new(),
            unsettled: None,
            weights,
            device,
        })
    }

    /// The clock that the rank's reports are dated by.
    pub(super) fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.clock)
    }

    /// How all ranks reach each other, for the leader; all of them ask.
    pub(super) fn gather_pairs(&self) -> Result<Vec<PairTransport>, RunError> {
        linking::gather_pairs(&self.membership, &self.session)
    }

    /// The final hidden states of the last window's tokens.
    pub(super) fn outputs(&self) -> Vec<f32> {
        self.hidden.concat()
    }

    /// Follows orders until there are no more. Gives what the leader says of ranks that were lost.
    pub(super) fn follow(&mut self) -> Result<Option<Interruption>, RunError> {
        loop {
            match self.follow_one() {
                Ok(None) => {}
                Ok(Some(interruption)) => return Ok(interruption),
                // Without the leader there is no header, and nobody to say what all agreed on.
                Err(error) if self.setup.confirms_losses && error.leaves_a_group() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Follows one order; gives something with the last.
    fn follow_one(&mut self) -> Result<Option<Option<Interruption>>, RunError> {
        let order = self.membership.broadcast(&[])?;
        let order: Order = decode(RankId(0), &order)?;
        match self.obey(&order)? {
            Some(reply) => {
                self.membership.gather(&encode(&reply)?)?;
                self.check_settled()?;
                Ok(None)
            }
            None => match order {
                Order::End { interruption } => Ok(Some(interruption)),
                _ => Ok(None),
            },
        }
    }

    /// Whether all work of the last step has ended. Asked after the others have replied: who is gone may
    /// be why it has not.
    pub(super) fn check_settled(&mut self) -> Result<(), RunError> {
        self.unsettled.take().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Does what an order says; gives nothing at the end.
    pub(super) fn obey(&mut self, order: &Order) -> Result<Option<Reply>, RunError> {
        match order {
            Order::Step { step, header, window, passed } => {
                self.clock.advance(*passed);
                let window = self.windows.window(*window)?;
                match self.step(*step, header, &window) {
                    Err(error) if error.leaves_a_group() => {
                        // What is under way ends here as far as it can; the others do the same.
                        self.settle_session();
                        self.session.end_step(None, None);
                        Err(error)
                    }
                    reply => reply.map(Some),
                }
            }
            Order::Settle { step, header, passed } => {
                self.clock.advance(*passed);
                self.settle(*step, header).map(Some)
            }
            Order::End { .. } => Ok(None),
        }
    }

    fn step(&mut self, step: Step, header: &[u8], window: &Window) -> Result<Reply, RunError> {
        let refused = self.session.begin_step(header).err().map(|error| error.to_string());
        // An engine's ranks run a step together or not at all: the others would wait in dispatch.
        let ran = self.membership.vote(refused.is_none())?;
        let mut verified = Verified::default();
        let mut load = None;
        if ran {
            verified = self.verify(step)?;
            self.forward(window)?;
            load = Some(self.count(step, window));
        }
        self.settle_session();
        Ok(self.reply(load, refused, ran, verified))
    }

    /// Takes a header so that what was under way ends, and verifies what the rank holds now.
    fn settle(&mut self, step: Step, header: &[u8]) -> Result<Reply, RunError> {
        let refused = self.session.begin_step(header).err().map(|error| error.to_string());
        self.settle_session();
        let refused = refused.or(self.unsettled.take().map(|error| error.to_string()));
        self.checked.fill(None);
        let verified = self.verify(step)?;
        Ok(self.reply(None, refused, false, verified))
    }

    fn settle_session(&mut self) {
        let limit = self.membership.patience_of_others();
        self.unsettled = self.session.settle(limit).err();
    }

    fn reply(
        &mut self,
        load: Option<LoadReport>,
        refused: Option<String>,
        ran: bool,
        verified: Verified,
    ) -> Reply {
        let report = self.session.end_step(load, None);
        let epochs = self.session.epochs().iter().map(|epoch| epoch.0).collect();
        let Figures { moved, collective, .. } = self.session.figures();
        let by_rounds = Moved { slots: moved.collective_slots, bytes: moved.collective_bytes };
        let moved = Moved { slots: moved.received_slots, bytes: moved.received_bytes };
        let lost = match self.session.transports().collective() {
            CollectiveState::Lost(reason) => Some(reason.clone()),
            _ => None,
        };
        let digest = self.digest.value();
        Reply { report, refused, ran, epochs, moved, by_rounds, collective, lost, verified, digest }
    }

    fn slots(&self) -> Vec<SlotId> {
        self.setup.topology.slots_of(self.rank).map(SlotId::from_index).collect()
    }

    /// Verifies the layers that have been switched since the last step, and all at the first.
    fn verify(&mut self, step: Step) -> Result<Verified, RunError> {
        let mut verified = Verified::default();
        let slots = self.slots();
        for index in 0..self.checked.len() {
            let layer = LayerId::from_index(index);
            let epoch = self.session.routing(layer).epoch();
            if self.checked[index] == Some(epoch) {
                continue;
            }
            let (dimensions, seed) = (self.dimensions, self.setup.settings.seed);
            verified.slots += slots.len() as u64;
            let read = self.reader.read(&self.session, layer, &slots)?;
            let placement = self.session.placement().layer(layer);
            let differs = |(bytes, &slot): (&ExpertBytes, &SlotId)| {
                *bytes != expert_weights(layer, placement.expert_at(slot), dimensions, seed)
            };
            verified.mismatches +=
                read.iter().zip(&slots).filter(|&pair| differs(pair)).count() as u64;
            self.digest.add_layer(step, layer, self.session.routing(layer), &read);
            self.checked[index] = Some(epoch);
        }
        Ok(verified)
    }

    fn forward(&mut self, window: &Window) -> Result<(), RunError> {
        let (width, settings) = (self.dimensions.hidden(), self.setup.settings);
        let state = |token| initial_hidden_state(token, window.index, settings.seed, width);
        self.hidden = (0..settings.sample_tokens as u64).map(state).collect();
        for index in 0..self.checked.len() {
            let layer = LayerId::from_index(index);
            let own = self.compute(layer, window)?;
            let all = self.membership.all_gather(own.as_bytes())?;
            combine(&all, window.tokens.layer(layer), &mut self.hidden)?;
        }
        Ok(())
    }

    /// The feed-forward of this rank's experts for the tokens that are routed to them.
    fn compute(&self, layer: LayerId, window: &Window) -> Result<Results, RunError> {
        let routing = self.session.routing(layer);
        let tokens = window.tokens.layer(layer);
        let own = self.setup.topology.slots_of(self.rank);
        let mut by_slot = BTreeMap::<SlotId, Vec<(usize, usize)>>::new();
        for token in 0..tokens.tokens() {
            let key =
                SplitMix64::for_coordinates(layer.0.into(), &[token as u64]).next_u64() as u16;
            for (choice, &expert) in tokens.experts(token).iter().enumerate() {
                let slot = routing.slot_for(expert, key);
                if own.contains(&slot.index()) {
                    by_slot.entry(slot).or_default().push((token, choice));
                }
            }
        }
        let slots: Vec<_> = by_slot.keys().copied().collect();
        let experts = self.reader.read(&self.session, layer, &slots)?;
        let mut results = Results::new();
        for (bytes, work) in experts.iter().zip(by_slot.values()) {
            let weights = ExpertWeights::from_bytes(
                self.dimensions,
                &bytes.gate_up,
                &bytes.down,
                &bytes.scale,
            )?;
            let width = self.dimensions.hidden();
            let mut inputs = Array2::zeros((work.len(), width));
            for (mut row, &(token, _)) in inputs.rows_mut().into_iter().zip(work) {
                row.assign(&ndarray::aview1(&self.hidden[token]));
                normalise(row);
            }
            let outputs = weights.feed_forward(inputs.view())?;
            for (row, &(token, choice)) in outputs.rows().into_iter().zip(work) {
                results.add(token, choice, row);
            }
        }
        Ok(results)
    }

    /// The tokens of the whole window that went to each slot of this rank, as its device would have
    /// counted them.
    fn count(&self, step: Step, window: &Window) -> LoadReport {
        let topology = self.setup.topology;
        let form = match self.setup.settings.prefix_sums {
            true => CountForm::PrefixSums,
            false => CountForm::Plain,
        };
        let own = topology.slots_of(self.rank);
        let mut counts = Vec::with_capacity(self.checked.len() * own.len());
        for (index, row) in window.load.rows().enumerate() {
            let routing = self.session.routing(LayerId::from_index(index));
            let slots = &routing.slot_loads(row, topology)[own.clone()];
            let mut sum = 0;
            counts.extend(slots.iter().map(|&tokens| match form {
                CountForm::Plain => tokens,
                CountForm::PrefixSums => {
                    sum += tokens;
                    sum
                }
            }));
        }
        LoadReport { form, ..LoadReport::of_step(step, counts) }
    }

    /// Lets go of the other ranks' memory, and frees the own once all have done so.
    pub(super) fn close(self) -> Result<(), RunError> {
        let Self { session, reader, membership, weights, device, .. } = self;
        drop((session, reader));
        device.drain(&mut Patience::new(PATIENCE))?;
        // Who is gone now has let go as well.
        let _ = membership.all_gather(&[]);
        drop(weights);
        device.drain(&mut Patience::new(PATIENCE))?;
        Ok(())
    }
}
