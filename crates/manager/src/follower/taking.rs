//! Taking a header over. All of this works on a copy that is thrown away on an error.

use eplb_core::{Epoch, ExpertId, LayerId, LayerPlacement, Step, Topology};

use super::outstanding::{Outstanding, State};
use super::{Action, Follower, FollowerError};
use crate::{Directive, Reason, StepHeader, Token, epochs_digest};

/// Actions by kind, in the order in which they are handed out.
#[derive(Default)]
struct Actions {
    ends: Vec<Action>,
    reverts: Vec<Action>,
    commits: Vec<Action>,
    prepares: Vec<Action>,
}

/// What a prepare asks for.
struct Asked<'a> {
    from_epoch: Epoch,
    epoch: Epoch,
    experts: &'a [ExpertId],
    shares: Option<&'a [u16]>,
}

impl Asked<'_> {
    /// Whether it asks for what `known` already is.
    fn is_for(&self, known: &LayerPlacement, topology: &Topology) -> bool {
        let same_shares = || match self.shares {
            None => known.shares().is_none(),
            // The same routing can be written in several ways, and placements keep one of them.
            Some(shares) => {
                known.shares() == Some(shares)
                    || known.with_shares(shares, topology).as_ref() == Ok(known)
            }
        };
        self.epoch == known.epoch() && self.experts == known.experts() && same_shares()
    }
}

impl Follower {
    pub(super) fn take(&mut self, header: &StepHeader) -> Result<Vec<Action>, FollowerError> {
        self.check_names(header)?;
        let mut actions = Actions { ends: self.end_unnamed(header), ..Actions::default() };
        for directive in &header.directives {
            let (token, step) = (directive.token(), header.step);
            match directive {
                Directive::Prepare { layer, from_epoch, epoch, experts, shares, .. } => {
                    let shares = shares.as_deref();
                    let asked = Asked { from_epoch: *from_epoch, epoch: *epoch, experts, shares };
                    actions.prepares.extend(self.take_prepare(step, token, *layer, &asked)?);
                }
                Directive::Commit { layer, epoch, at_step, .. } => {
                    let known = self.known(step, token, *layer)?;
                    if known.to.epoch() != *epoch {
                        return Err(FollowerError::Contradiction { step, token });
                    }
                    actions.commits.extend(self.take_commit(step, token, *at_step)?);
                }
                Directive::Revert { layer, epoch, at_step, .. } => {
                    let known = self.known(step, token, *layer)?;
                    if known.from.epoch() != *epoch {
                        return Err(FollowerError::Contradiction { step, token });
                    }
                    if *at_step <= step {
                        actions.reverts.extend(self.take_revert(token));
                    }
                }
            }
        }
        self.epochs_digest = epochs_digest(&self.placement);
        let Actions { mut ends, reverts, commits, prepares } = actions;
        ends.extend(reverts.into_iter().chain(commits).chain(prepares));
        Ok(ends)
    }

    fn check_names(&self, header: &StepHeader) -> Result<(), FollowerError> {
        let step = header.step;
        let layers = self.shape.layers();
        let mut named = vec![false; layers];
        let mut before: Option<Token> = None;
        for directive in &header.directives {
            let (token, layer) = (directive.token(), directive.layer());
            let Some(named) = named.get_mut(layer.index()) else {
                return Err(FollowerError::UnknownLayer { step, layer, layers });
            };
            if std::mem::replace(named, true) || before.is_some_and(|before| before >= token) {
                return Err(FollowerError::NamedTwice { step, layer, token });
            }
            before = Some(token);
        }
        Ok(())
    }

    /// What the header no longer names is over.
    fn end_unnamed(&mut self, header: &StepHeader) -> Vec<Action> {
        let is_named =
            |token: &Token| header.directives.iter().any(|directive| directive.token() == *token);
        let mut ends = Vec::new();
        self.outstanding.retain(|token, change| {
            if is_named(token) {
                return true;
            }
            let (token, layer) = (*token, change.layer);
            if change.state.is_switched() {
                ends.push(Action::Release { token, layer });
            } else if change.handed_out {
                ends.push(Action::Abort { token, layer });
            }
            false
        });
        ends
    }

    fn known(
        &self,
        step: Step,
        token: Token,
        layer: LayerId,
    ) -> Result<&Outstanding, FollowerError> {
        match self.outstanding.get(&token) {
            None => Err(FollowerError::UnknownToken { step, token }),
            Some(known) if known.layer != layer => {
                Err(FollowerError::Contradiction { step, token })
            }
            Some(known) => Ok(known),
        }
    }

    fn take_prepare(
        &mut self,
        step: Step,
        token: Token,
        layer: LayerId,
        asked: &Asked<'_>,
    ) -> Result<Option<Action>, FollowerError> {
        if let Some(known) = self.outstanding.get(&token) {
            let is_before_commit =
                matches!(known.state, State::Preparing | State::Prepared | State::Refused(_));
            let is_same = known.layer == layer && asked.is_for(&known.to, &self.topology);
            return if is_same && is_before_commit {
                Ok(None)
            } else {
                Err(FollowerError::Contradiction { step, token })
            };
        }
        if self.newest_token.is_some_and(|newest| token <= newest) {
            return Err(FollowerError::UnknownToken { step, token });
        }
        let Asked { from_epoch, epoch, experts, shares } = *asked;
        let from = self.placement.layer(layer).clone();
        if epoch <= from.epoch() {
            let live = from.epoch();
            return Err(FollowerError::EpochWentBack { step, layer, epoch, live });
        }
        let mut to = LayerPlacement::new(layer, experts, epoch, self.shape, &self.topology)
            .map_err(|source| FollowerError::Table { step, source })?;
        if let Some(shares) = shares {
            to = to
                .with_shares(shares, &self.topology)
                .map_err(|source| FollowerError::Shares { step, layer, source })?;
        }
        self.newest_token = Some(token);
        let handed_out = from_epoch == from.epoch();
        let state = if handed_out {
            State::Preparing
        } else {
            let text = format!("{layer} is in {} here, not in {from_epoch}", from.epoch());
            State::Refused(Reason::new(text))
        };
        let action = handed_out.then(|| Action::Prepare {
            token,
            layer,
            from: from.clone(),
            to: to.clone(),
        });
        self.outstanding.insert(token, Outstanding { layer, from, to, state, handed_out });
        Ok(action)
    }

    fn take_commit(
        &mut self,
        step: Step,
        token: Token,
        at_step: Step,
    ) -> Result<Option<Action>, FollowerError> {
        let Some(change) = self.outstanding.get_mut(&token) else {
            return Err(FollowerError::UnknownToken { step, token });
        };
        match change.state {
            State::Prepared => {}
            // Done, or tried and failed: then the digest keeps the rank from running the step.
            State::Committing(_) | State::Committed(_) | State::CommitFailed(_) => return Ok(None),
            State::Preparing | State::Refused(_) => {
                return Err(FollowerError::NotPrepared { step, token });
            }
            State::Reverting(_) | State::Reverted | State::RevertFailed(_) => {
                return Err(FollowerError::Contradiction { step, token });
            }
        }
        if at_step > step {
            return Ok(None);
        }
        change.state = State::Committing(step);
        let (layer, placement) = (change.layer, change.to.clone());
        self.placement.set_layer(layer, placement.clone());
        Ok(Some(Action::Commit { token, layer, placement }))
    }

    fn take_revert(&mut self, token: Token) -> Option<Action> {
        let change = self.outstanding.get_mut(&token)?;
        if !change.state.is_switched() {
            // Never switched here, so the rank is where it has to be; or it is on its way there.
            if !matches!(change.state, State::Reverting(_)) {
                change.state = State::Reverted;
            }
            return None;
        }
        change.state = State::Reverting(change.state.status());
        let (layer, placement) = (change.layer, change.from.clone());
        self.placement.set_layer(layer, placement.clone());
        Some(Action::Revert { token, layer, placement })
    }
}
