//! The follower: the manager's counterpart on every rank.

mod action;
mod error;
mod outstanding;
mod taking;

use std::collections::BTreeMap;

use eplb_core::{ModelShape, Placement, RankId, Step, Topology};

pub use action::Action;
pub use error::FollowerError;
use outstanding::{Outstanding, State};

use crate::manager::check_placement;
use crate::{
    LoadReport, ManagerError, RankReport, Reason, StepHeader, Timestamp, Token, TokenStatus,
    epochs_digest,
};

/// The state machine of one rank: headers in, actions for the executor out, reports back.
///
/// For each step: [`Follower::handle_header`], carry out the actions in order (a prepare may go on
/// beside the forward), give their results back, [`Follower::check_step`], run the forward, and send
/// [`Follower::report`].
#[derive(Clone, Debug)]
pub struct Follower {
    rank: RankId,
    shape: ModelShape,
    topology: Topology,
    placement: Placement,
    epochs_digest: u64,
    last_header: Option<StepHeader>,
    /// Changes that the last header named, by token.
    outstanding: BTreeMap<Token, Outstanding>,
    newest_token: Option<Token>,
}

impl Follower {
    /// The follower of `rank`, with `placement` live.
    ///
    /// # Errors
    /// A rank that takes no part, or a placement of another model or topology.
    pub fn new(
        rank: RankId,
        shape: ModelShape,
        topology: Topology,
        placement: Placement,
    ) -> Result<Self, ManagerError> {
        if !topology.contains(rank) || !topology.is_alive(rank) {
            return Err(ManagerError::OwnRank { rank, ranks: topology.ranks() });
        }
        check_placement(&placement, shape, &topology)?;
        Ok(Self {
            rank,
            shape,
            epochs_digest: epochs_digest(&placement),
            topology,
            placement,
            last_header: None,
            outstanding: BTreeMap::new(),
            newest_token: None,
        })
    }

    /// Takes the header of a step and says what the executor has to do for it, in order: releases and
    /// aborts, reverts, commits, prepares. The same header again asks for nothing, and
    /// is refused once a switch that it asked for has failed.
    ///
    /// # Errors
    /// The rank must not run the step. Nothing has changed: what the header asked for is asked for
    /// again with the next one.
    pub fn handle_header(&mut self, header: &StepHeader) -> Result<Vec<Action>, FollowerError> {
        let step = header.step;
        match &self.last_header {
            Some(last) if step < last.step => {
                return Err(FollowerError::StepWentBack { step, last: last.step });
            }
            Some(last) if step == last.step => {
                if last != header {
                    return Err(FollowerError::HeaderChanged { step });
                }
                // A switch that it asked for may have failed since.
                self.check_digest(header)?;
                return Ok(Vec::new());
            }
            _ => {}
        }
        // The usual step: nothing under way, nothing to copy.
        if header.directives.is_empty() && self.outstanding.is_empty() {
            self.check_digest(header)?;
            self.last_header = Some(header.clone());
            return Ok(Vec::new());
        }
        let mut next = self.clone();
        let actions = next.take(header)?;
        next.check_digest(header)?;
        next.last_header = Some(header.clone());
        *self = next;
        Ok(actions)
    }

    /// Whether the rank may run `step`, to be asked when the step's actions are done: its header was
    /// taken, and every switch it asked for succeeded.
    ///
    /// # Errors
    /// The rank must not run the step.
    pub fn check_step(&self, step: Step) -> Result<(), FollowerError> {
        match &self.last_header {
            Some(header) if header.step == step => {
                let is_pending = |change: &Outstanding| change.state.is_pending();
                match self.outstanding.iter().find(|(_, change)| is_pending(change)) {
                    Some((&token, _)) => Err(FollowerError::SwitchPending { step, token }),
                    None => self.check_digest(header),
                }
            }
            _ => Err(FollowerError::NoHeader { step }),
        }
    }

    fn check_digest(&self, header: &StepHeader) -> Result<(), FollowerError> {
        let (own, wanted) = (self.epochs_digest, header.epochs_digest);
        if own == wanted {
            return Ok(());
        }
        Err(FollowerError::EpochMismatch { step: header.step, own, wanted })
    }

    /// The executor is done with a prepare. Gives whether that was still of interest: `false` for a
    /// token that is over or already answered, and nothing has changed then.
    pub fn prepared(&mut self, token: Token, result: Result<(), String>) -> bool {
        let Some(change) = self.outstanding.get_mut(&token) else {
            return false;
        };
        if change.state != State::Preparing {
            return false;
        }
        change.state = match result {
            Ok(()) => State::Prepared,
            Err(reason) => State::Refused(Reason::new(reason)),
        };
        true
    }

    /// The executor is done with a commit. After a failure the rank is on the old placement, and does
    /// not run the step. Gives whether that was still of interest.
    pub fn committed(&mut self, token: Token, result: Result<(), String>) -> bool {
        let Some(change) = self.outstanding.get_mut(&token) else {
            return false;
        };
        let State::Committing(step) = change.state else {
            return false;
        };
        match result {
            Ok(()) => change.state = State::Committed(step),
            Err(reason) => {
                change.state = State::CommitFailed(Reason::new(reason));
                self.placement.set_layer(change.layer, change.from.clone());
                self.epochs_digest = epochs_digest(&self.placement);
            }
        }
        true
    }

    /// The executor is done with a revert. After a failure the rank is still on the new placement,
    /// runs no step, and tries again with each header. Gives whether that was still of interest.
    pub fn reverted(&mut self, token: Token, result: Result<(), String>) -> bool {
        let Some(change) = self.outstanding.get_mut(&token) else {
            return false;
        };
        if !matches!(change.state, State::Reverting(_)) {
            return false;
        }
        match result {
            Ok(()) => change.state = State::Reverted,
            Err(reason) => {
                change.state = State::RevertFailed(Reason::new(reason));
                self.placement.set_layer(change.layer, change.to.clone());
                self.epochs_digest = epochs_digest(&self.placement);
            }
        }
        true
    }

    /// The report after a step: the status of every change under way, and what the rank counted, in the
    /// order of the steps. A rank that could not run the step reports nevertheless. In spmd carriage the caller adds
    /// [`crate::Manager::plan_digest`].
    pub fn report(&self, step: Step, clock: Timestamp, loads: Vec<LoadReport>) -> RankReport {
        // What headers asked for was asked for before this report, whatever the caller counts.
        let step = self.last_header.as_ref().map_or(step, |header| step.max(header.step));
        let status = |(&token, change): (&Token, &Outstanding)| {
            Some(TokenStatus { token, status: change.state.status()? })
        };
        let statuses = self.outstanding.iter().filter_map(status).collect();
        RankReport { rank: self.rank, step, clock, loads, statuses, plan_digest: None }
    }

    /// The rank.
    pub fn rank(&self) -> RankId {
        self.rank
    }

    /// What this rank routes with.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }
}
