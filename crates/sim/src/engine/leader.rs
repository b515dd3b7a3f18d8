//! The leader: hands steps to the ranks, of which it is one, and serves a whole trace.

use std::sync::Arc;
use std::time::Duration;

use eplb::core::{ExpertLoad, LayerId, Placement, RankId, Step, layer_balancedness};
use eplb::{Carriage, Coordinator, ManualClock, Note};
use eplb_launch::GroupError;

use super::digest;
use super::interruption::Interruption;
use super::linking;
use super::membership::Membership;
use super::message::{Order, Reply, Verified, decode, encode};
use super::rank::Rank;
use super::serve::{EngineOutcome, EngineSetup, WindowFigures};
use super::windows::Windows;
use crate::RunError;

/// Steps in a row that ranks may refuse before the engine gives up.
const MOST_REFUSALS: u32 = 8;

/// Headers that ranks are given to go back to the old epoch when others are gone: one to learn of it, one
/// to confirm it, and as many for each of the ways in which that may take longer.
const MOST_SETTLING: u32 = 6;

/// The engine's master process, with the rank that lives in it.
#[derive(Debug)]
pub(super) struct Leader<'a, 'rank> {
    setup: &'a EngineSetup<'a>,
    windows: &'a Windows<'a>,
    membership: Membership<'a>,
    rank: &'rank mut Rank<'a>,
    clock: Arc<ManualClock>,
    coordinator: Coordinator,
    next_step: Step,
}

impl<'a, 'rank> Leader<'a, 'rank> {
    pub(super) fn start(
        setup: &'a EngineSetup<'a>,
        windows: &'a Windows<'a>,
        membership: Membership<'a>,
        rank: &'rank mut Rank<'a>,
    ) -> Result<Self, RunError> {
        let clock = rank.clock();
        let coordinator = Coordinator::start(
            setup.config,
            setup.shape,
            setup.topology,
            setup.placement.clone(),
            Carriage::Leader,
            Arc::clone(&clock) as _,
        )?;
        let next_step = Step(0);
        Ok(Self { setup, windows, membership, rank, clock, coordinator, next_step })
    }

    pub(super) fn serve(
        &mut self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<EngineOutcome, RunError> {
        let mut outcome = EngineOutcome::default();
        for index in 0..self.setup.trace.windows.len() as u64 {
            match self.serve_window(index, &mut outcome) {
                Err(error) if self.setup.confirms_losses && error.leaves_a_group() => {
                    outcome.interruption = Some(self.confirm_the_old_epoch(index)?);
                    break;
                }
                served => served?,
            }
            progress(index as usize + 1);
        }
        let interruption = outcome.interruption.clone();
        match self.membership.broadcast(&encode(&Order::End { interruption })?) {
            // Who is gone now has done all that there was to do.
            Ok(_) | Err(GroupError::Lost { .. }) => Ok(outcome),
            Err(error) => Err(error.into()),
        }
    }

    fn serve_window(&mut self, index: u64, outcome: &mut EngineOutcome) -> Result<(), RunError> {
        let window = self.windows.window(index)?;
        let passed = Duration::from_secs_f64(self.setup.settings.seconds_per_window);
        for _ in 0..MOST_REFUSALS {
            let replies = self.step(index, passed)?;
            if replies.iter().all(|reply| reply.ran) {
                let switched = self.take_notes(outcome);
                self.account(&replies, &window.load, switched, outcome);
                outcome.outputs.push(self.rank.outputs());
                return Ok(());
            }
            outcome.steps_refused += 1;
        }
        Err(RunError::Refused { window: index, times: MOST_REFUSALS })
    }

    fn begin_step(
        &mut self,
        passed: Duration,
        allow_changes: bool,
    ) -> Result<(Step, Vec<u8>), RunError> {
        let step = self.next_step;
        self.next_step = step.next();
        self.clock.advance(passed);
        Ok((step, self.coordinator.begin_step(step, allow_changes)?))
    }

    /// One step of all ranks; their replies in the order of ranks.
    fn step(&mut self, window: u64, passed: Duration) -> Result<Vec<Reply>, RunError> {
        let (step, header) = self.begin_step(passed, true)?;
        let order = Order::Step { step, header, window, passed };
        let replies = self.command(&order)?;
        let replies: Vec<_> = replies.into_iter().flatten().collect();
        for (rank, reply) in (0..).zip(&replies) {
            if let Some(reason) = &reply.refused {
                tracing::warn!(rank, step = step.0, reason, "a step was refused");
            }
            self.coordinator.accept_report(RankId(rank), &reply.report)?;
        }
        self.coordinator.settle(self.membership.patience_of_others());
        let other = replies.iter().position(|reply| reply.epochs != replies[0].epochs);
        if let Some(other) = other.filter(|_| replies.iter().all(|reply| reply.ran)) {
            return Err(RunError::Epochs { rank: RankId::from_index(other), step });
        }
        Ok(replies)
    }

    /// Gives an order to all ranks, and takes their replies; nothing from ranks that are gone.
    fn command(&mut self, order: &Order) -> Result<Vec<Option<Reply>>, RunError> {
        self.membership.broadcast(&encode(order)?)?;
        let own = match self.rank.obey(&without_time(order))? {
            Some(reply) => encode(&reply)?,
            None => Vec::new(),
        };
        let replies = self.membership.gather(&own)?;
        self.rank.check_settled()?;
        let reply = |(rank, bytes): (u32, &Vec<u8>)| match bytes.is_empty() {
            true => Ok(None),
            false => decode(RankId(rank), bytes).map(Some),
        };
        (0..).zip(&replies).map(reply).collect()
    }

    /// Ranks are gone: leads the others to the epochs that all had agreed on, and has them say so. Changes
    /// under way run into their deadlines, which in virtual time takes none.
    fn confirm_the_old_epoch(&mut self, window: u64) -> Result<Interruption, RunError> {
        let mut confirmed = None;
        for _ in 0..MOST_SETTLING {
            let passed = self.longest_wait();
            let (step, header) = self.begin_step(passed, false)?;
            let replies = match self.command(&Order::Settle { step, header, passed }) {
                // One more is gone: the others still have to go back.
                Err(error) if error.leaves_a_group() => continue,
                replies => replies?,
            };
            for (rank, reply) in (0..).zip(&replies) {
                if let Some(reply) = reply {
                    self.coordinator.accept_report(RankId(rank), &reply.report)?;
                }
            }
            let agreed = self.agreed_epochs();
            let in_agreement = |reply: &Reply| reply.refused.is_none() && reply.epochs == agreed;
            // With the first header ranks may only have learned that they are to go back.
            let is_first = confirmed.is_none();
            let all = replies.iter().flatten().all(in_agreement);
            confirmed = Some((all, replies));
            if all && !is_first {
                break;
            }
        }
        let (old_epoch_confirmed, replies) = confirmed.unwrap_or_default();
        let verified = |value: fn(&Verified) -> u64| {
            replies.iter().flatten().map(|reply| value(&reply.verified)).sum()
        };
        let losses = self.membership.group.losses();
        Ok(Interruption {
            enable_eplb: self.setup.config.enable_eplb,
            window,
            ranks_left: self.membership.group.size() as usize - losses.len(),
            lost: losses.into_iter().map(Into::into).collect(),
            old_epoch_confirmed,
            epochs: self.agreed_epochs(),
            slots_verified: verified(|verified| verified.slots),
            mismatches: verified(|verified| verified.mismatches),
        })
    }

    /// Longer than anything that the manager waits for.
    fn longest_wait(&self) -> Duration {
        let manager = &self.setup.config.manager;
        let waits = [
            manager.plan_timeout,
            manager.prepare_timeout,
            manager.commit_timeout,
            manager.revert_timeout,
        ];
        Duration::from_secs_f64(waits.into_iter().fold(1.0, f64::max) + 1.0)
    }

    fn agreed_epochs(&self) -> Vec<u64> {
        self.coordinator.placement().layers().map(|layer| layer.epoch().0).collect()
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
        replies: &[Reply],
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
        outcome.slots_moved = replies.iter().map(|reply| reply.moved.slots).sum();
        outcome.bytes_moved = replies.iter().map(|reply| reply.moved.bytes).sum();
        outcome.by_rounds = (
            replies.iter().map(|reply| reply.by_rounds.slots).sum(),
            replies.iter().map(|reply| reply.by_rounds.bytes).sum(),
        );
        outcome.collective = linking::sum(replies.iter().map(|reply| reply.collective));
        outcome.lost = replies.iter().find_map(|reply| reply.lost.clone());
        outcome.digest = digest::of_ranks(replies.iter().map(|reply| reply.digest));
        for Verified { slots, mismatches } in replies.iter().map(|reply| reply.verified) {
            outcome.slots_verified += slots;
            outcome.mismatches += mismatches;
        }
    }
}

/// The order for the leader's own rank, whose clock has been set forward already.
fn without_time(order: &Order) -> Order {
    let mut order = order.clone();
    if let Order::Step { passed, .. } | Order::Settle { passed, .. } = &mut order {
        *passed = Duration::ZERO;
    }
    order
}
