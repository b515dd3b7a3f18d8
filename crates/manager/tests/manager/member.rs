//! A rank: a follower, and an executor that keeps tables instead of weights.

use std::collections::BTreeMap;

use eplb_core::{ExpertLoad, LayerId, LayerPlacement, Placement, RankId, Step, Topology};
use eplb_manager::{Action, CountForm, Follower, LoadReport, Phase, StepHeader, Token};

use crate::network::{Chance, Faults};
use crate::rig::{counted, prefix_sums, shape};

/// One rank of the virtual cluster.
pub(crate) struct Member {
    pub(crate) follower: Follower,
    /// What the executor made live, as opposed to what the follower thinks.
    live: Placement,
    /// What the executor holds for each attempt: old table, new table.
    held: BTreeMap<Token, (LayerId, LayerPlacement, LayerPlacement)>,
    /// Prepares under way: when they end, and how.
    preparing: Vec<(Token, u64, Result<(), String>)>,
    /// Neither hears nor speaks before this step.
    pub(crate) silent_until: u64,
    pub(crate) last_header: Option<StepHeader>,
}

impl Member {
    pub(crate) fn new(rank: RankId, topology: &Topology, placement: &Placement) -> Self {
        let follower = Follower::new(rank, shape(), topology.clone(), placement.clone());
        Self {
            follower: follower.expect("a live rank"),
            live: placement.clone(),
            held: BTreeMap::new(),
            preparing: Vec::new(),
            silent_until: 0,
            last_header: None,
        }
    }

    /// Takes a header and does what it asks for. Gives whether the rank runs the step.
    pub(crate) fn begin(
        &mut self,
        header: &StepHeader,
        faults: &Faults,
        chance: &mut Chance,
    ) -> bool {
        let Ok(actions) = self.follower.handle_header(header) else {
            return false;
        };
        self.last_header = Some(header.clone());
        for action in actions {
            self.act(action, header.step, faults, chance);
        }
        let may_run = self.follower.check_step(header.step).is_ok();
        if may_run {
            assert_eq!(&self.live, self.follower.placement(), "the executor did what it was told");
        }
        may_run
    }

    fn act(&mut self, action: Action, step: Step, faults: &Faults, chance: &mut Chance) {
        let mut outcome = |percent| match chance.percent(percent) {
            true => Err("the device said no".to_owned()),
            false => Ok(()),
        };
        match action {
            Action::Prepare { token, layer, from, to } => {
                assert_eq!(&from, self.live.layer(layer));
                assert!(self.held.insert(token, (layer, from, to)).is_none());
                let result = outcome(faults.prepares_failed);
                let slow = chance.percent(faults.prepares_slow);
                let steps = if slow { chance.below(12) } else { chance.below(2) };
                self.preparing.push((token, step.0 + steps, result));
            }
            Action::Commit { token, layer, placement } => {
                let (held_layer, from, to) = &self.held[&token];
                assert_eq!((*held_layer, from, to), (layer, self.live.layer(layer), &placement));
                let result = outcome(faults.commits_failed);
                if result.is_ok() {
                    self.live.set_layer(layer, placement);
                }
                assert!(self.follower.committed(token, result));
            }
            Action::Revert { token, layer, placement } => {
                let (held_layer, from, to) = &self.held[&token];
                assert_eq!((*held_layer, from, to), (layer, &placement, self.live.layer(layer)));
                let result = outcome(faults.reverts_failed);
                if result.is_ok() {
                    self.live.set_layer(layer, placement);
                }
                assert!(self.follower.reverted(token, result));
            }
            Action::Release { token, layer } => {
                let (held_layer, _, to) = self.held.remove(&token).expect("held until now");
                assert_eq!((held_layer, &to), (layer, self.live.layer(layer)));
            }
            Action::Abort { token, layer } => {
                let (held_layer, from, _) = self.held.remove(&token).expect("held until now");
                assert_eq!((held_layer, &from), (layer, self.live.layer(layer)));
            }
        }
    }

    /// Gives results of prepares that end by this step back; some come after their end.
    pub(crate) fn finish_prepares(&mut self, step: u64) {
        let (ended, rest) = std::mem::take(&mut self.preparing)
            .into_iter()
            .partition::<Vec<_>, _>(|&(_, end, _)| end <= step);
        self.preparing = rest;
        for (token, _, result) in ended {
            self.follower.prepared(token, result);
        }
    }

    /// What it counted on a step that it ran.
    pub(crate) fn load(
        &self,
        step: u64,
        phase: Phase,
        load: &ExpertLoad,
        topology: &Topology,
    ) -> LoadReport {
        let rank = self.follower.rank();
        let mut counts = counted(&self.live, load, topology, rank);
        let form = if rank.0.is_multiple_of(2) {
            CountForm::Plain
        } else {
            counts = prefix_sums(&counts, topology.slots_of(rank).len());
            CountForm::PrefixSums
        };
        LoadReport { first_step: Step(step), last_step: Step(step), counts, form, phase }
    }

    /// Nothing is under way any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.held.is_empty() && self.preparing.is_empty()
    }
}
