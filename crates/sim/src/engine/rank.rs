//! One rank of the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};
use eplb::core::{Epoch, ExpertLoad, LayerId, RankId, SlotId, Step, Topology};
use eplb::{CollectiveState, CountForm, Figures, LoadReport, Session};
use ndarray::{Array2, ArrayViewMut1};

use super::digest::Digest;
use super::exchange::Exchange;
use super::meeting::Meeting;
use super::serve::PATIENCE;
use super::slot_weights::SlotReader;
use crate::{
    ExpertBytes, ExpertDimensions, ExpertWeights, RunError, SplitMix64, TokenSample,
    expert_weights, normalise,
};

/// A step as the engine hands it to every rank.
#[derive(Clone, Debug)]
pub(crate) struct StepOrder {
    pub(crate) step: Step,
    pub(crate) header: Arc<[u8]>,
    pub(crate) window: Arc<Window>,
    pub(crate) exchange: Arc<Exchange>,
}

/// A window of the trace: all its load, and the sample of tokens that is computed.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) load: ExpertLoad,
    pub(crate) tokens: TokenSample,
}

/// What a rank answers.
#[derive(Debug)]
pub(crate) struct StepReply {
    pub(crate) rank: RankId,
    pub(crate) report: Vec<u8>,
    /// Why the rank could not run the step; then no rank ran it.
    pub(crate) refused: Option<String>,
    pub(crate) ran: bool,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) figures: Figures,
    /// Why the rank has lost the communicator, if it has.
    pub(crate) lost: Option<String>,
    pub(crate) verified: Verified,
    /// Of all that the rank routed with and held since the start.
    pub(crate) digest: u128,
}

/// Slots whose bytes were compared with the expert that the placement names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) slots: u64,
    pub(crate) mismatches: u64,
}

/// What a rank thread owns.
#[derive(Debug)]
pub(crate) struct Rank {
    pub(crate) rank: RankId,
    pub(crate) topology: Topology,
    pub(crate) session: Session,
    pub(crate) reader: SlotReader,
    pub(crate) dimensions: ExpertDimensions,
    pub(crate) seed: u64,
    pub(crate) form: CountForm,
    pub(crate) meeting: Arc<Meeting>,
    /// The epochs whose bytes have been verified.
    pub(crate) checked: Vec<Option<Epoch>>,
    pub(crate) digest: Digest,
}

impl Rank {
    /// Serves steps until the engine hangs up. An error ends the rank and lets the others go too.
    pub(crate) fn serve(
        mut self,
        orders: &Receiver<StepOrder>,
        replies: &Sender<Result<StepReply, RunError>>,
    ) {
        for order in orders {
            let reply = self.step(&order);
            let failed = reply.is_err();
            if failed {
                self.meeting.cancel();
            }
            if replies.send(reply).is_err() || failed {
                return;
            }
        }
    }

    fn step(&mut self, order: &StepOrder) -> Result<StepReply, RunError> {
        let refused = self.session.begin_step(&order.header).err().map(|error| error.to_string());
        // An engine's ranks run a step together or not at all: the others would wait in dispatch.
        let ran = self.meeting.vote(refused.is_none())?;
        let mut verified = Verified::default();
        let mut load = None;
        if ran {
            verified = self.verify(order.step)?;
            self.forward(order)?;
            load = Some(self.count(order));
        }
        self.session.settle(PATIENCE)?;
        let report = self.session.end_step(load, None);
        let epochs = self.session.epochs();
        let figures = self.session.figures();
        let lost = match self.session.transports().collective() {
            CollectiveState::Lost(reason) => Some(reason.clone()),
            _ => None,
        };
        let (rank, digest) = (self.rank, self.digest.value());
        Ok(StepReply { rank, report, refused, ran, epochs, figures, lost, verified, digest })
    }

    fn slots(&self) -> Vec<SlotId> {
        self.topology.slots_of(self.rank).map(SlotId::from_index).collect()
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
            let (dimensions, seed) = (self.dimensions, self.seed);
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

    fn forward(&self, order: &StepOrder) -> Result<(), RunError> {
        let exchange = &order.exchange;
        for index in 0..self.checked.len() {
            let layer = LayerId::from_index(index);
            self.compute(layer, &order.window.tokens, exchange)?;
            self.meeting.wait()?;
            self.combine(layer, &order.window.tokens, exchange)?;
            self.meeting.wait()?;
        }
        Ok(())
    }

    /// The feed-forward of this rank's experts for the tokens that are routed to them.
    fn compute(
        &self,
        layer: LayerId,
        tokens: &TokenSample,
        exchange: &Exchange,
    ) -> Result<(), RunError> {
        let routing = self.session.routing(layer);
        let tokens = tokens.layer(layer);
        let own = self.topology.slots_of(self.rank);
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
                row.assign(&ndarray::aview1(&exchange.hidden(token)));
                normalise(row);
            }
            let outputs = weights.feed_forward(inputs.view())?;
            for (row, &(token, choice)) in outputs.rows().into_iter().zip(work) {
                exchange.put(token, choice, row.to_vec())?;
            }
        }
        Ok(())
    }

    /// Adds up what the experts gave for the tokens that live on this rank, in top-k order.
    fn combine(
        &self,
        layer: LayerId,
        tokens: &TokenSample,
        exchange: &Exchange,
    ) -> Result<(), RunError> {
        let tokens = tokens.layer(layer);
        for token in (self.rank.index()..tokens.tokens()).step_by(self.topology.ranks()) {
            let mut state = exchange.hidden(token);
            for (choice, &gate) in tokens.gate_weights(token).iter().enumerate() {
                let result = exchange.take(token, choice)?;
                for (value, result) in state.iter_mut().zip(result) {
                    *value += gate * result;
                }
            }
            normalise(ArrayViewMut1::from(&mut state[..]));
            exchange.set_hidden(token, state);
        }
        Ok(())
    }

    /// The tokens of the whole window that went to each slot of this rank, as its device would have
    /// counted them.
    fn count(&self, order: &StepOrder) -> LoadReport {
        let own = self.topology.slots_of(self.rank);
        let mut counts = Vec::with_capacity(self.checked.len() * own.len());
        for (index, row) in order.window.load.rows().enumerate() {
            let routing = self.session.routing(LayerId::from_index(index));
            let slots = &routing.slot_loads(row, &self.topology)[own.clone()];
            let mut sum = 0;
            counts.extend(slots.iter().map(|&tokens| match self.form {
                CountForm::Plain => tokens,
                CountForm::PrefixSums => {
                    sum += tokens;
                    sum
                }
            }));
        }
        LoadReport { form: self.form, ..LoadReport::of_step(order.step, counts) }
    }
}
