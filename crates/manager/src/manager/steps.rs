//! Steps of the engine: what begins on them, and the header of each.

use eplb_core::{LayerPlacement, Step};

use super::Manager;
use crate::change::Change;
use crate::{Command, LayerPhase, StepHeader, Token, epochs_digest};

impl Manager {
    pub(super) fn begin_step(&mut self, step: Step, allow_changes: bool) {
        match self.last_header.as_ref() {
            Some(last) if step == last.step => {
                let again = Command::Header(last.clone());
                self.counters.steps_repeated += 1;
                self.push_header(again);
                return;
            }
            Some(last) if step < last.step => {
                self.counters.steps_out_of_order += 1;
                return;
            }
            _ => {}
        }
        self.counters.steps += 1;
        self.step = Some(step);
        // An interval counted in steps may end with this one.
        self.advance();
        self.begin_reverts(step);
        if allow_changes {
            self.begin_commits(step);
            self.begin_prepares(step);
        }
        let header = StepHeader {
            step,
            directives: self.changes.iter().map(Change::directive).collect(),
            epochs_digest: self.epochs_digest,
        };
        self.last_header = Some(header.clone());
        self.push_header(Command::Header(header));
    }

    /// A header that nobody fetched before the next step is of no use any more.
    fn push_header(&mut self, header: Command) {
        self.commands.retain(|command| !matches!(command, Command::Header(_)));
        self.commands.push_back(header);
    }

    fn begin_reverts(&mut self, step: Step) {
        let deadline = self.now.plus(self.config.revert_timeout);
        for index in 0..self.changes.len() {
            let change = &mut self.changes[index];
            if change.phase == LayerPhase::RevertDue {
                change.revert(step, deadline);
                let old = change.from.clone();
                self.switch(index, step, old);
            }
        }
    }

    fn begin_commits(&mut self, step: Step) {
        let deadline = self.now.plus(self.config.commit_timeout);
        for index in 0..self.changes.len() {
            let change = &mut self.changes[index];
            if change.phase == LayerPhase::Prepared {
                change.commit(step, deadline);
                let new = change.to.clone();
                self.switch(index, step, new);
            }
        }
    }

    fn switch(&mut self, change: usize, step: Step, placement: LayerPlacement) {
        let layer = self.changes[change].layer;
        self.histories[layer.index()].switch(step, placement.clone());
        self.placement.set_layer(layer, placement);
        self.epochs_digest = epochs_digest(&self.placement);
    }

    fn begin_prepares(&mut self, step: Step) {
        let deadline = self.now.plus(self.config.prepare_timeout);
        let mut in_flight = self.changes.iter().filter(|change| change.is_waited_for()).count();
        while in_flight < self.config.layers_in_flight {
            let Some(mut next) = self.round.as_mut().and_then(|round| round.queue.pop_front())
            else {
                return;
            };
            let Some(part) = next.parts.pop_front() else { continue };
            let token = self.next_token;
            self.next_token = Token(token.0 + 1);
            let from = self.placement.layer(next.layer).clone();
            let to = part.with_epoch(self.layers[next.layer.index()].new_epoch());
            let mut change = Change::new(token, (from, to), next, step, &self.topology);
            change.deadline = Some(deadline);
            self.changes.push(change);
            in_flight += 1;
        }
    }
}
