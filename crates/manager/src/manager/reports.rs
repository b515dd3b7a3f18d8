//! Reports of ranks: checked as a whole first, then taken over.

use eplb_core::RankId;

use super::Manager;
use crate::samples::check_counts;
use crate::{Carriage, LoadReport, Note, RankReport, ReportError};

impl Manager {
    pub(super) fn take_report(&mut self, sender: RankId, report: &RankReport) {
        if let Err(error) = self.check_report(sender, report) {
            self.counters.count_rejected(&error);
            self.note(Note::ReportRejected { sender, error });
            return;
        }
        self.counters.reports_accepted += 1;
        let rank = report.rank;
        self.ranks[rank.index()].reported = Some(report.step);
        let is_spmd = self.config.carriage != Carriage::Leader;
        if is_spmd && rank == self.lowest_live_rank() {
            self.pass_time(report.clock);
        }
        for load in &report.loads {
            self.ranks[rank.index()].load_reported = Some(load.last_step);
            self.take_load(rank, load);
        }
        self.take_statuses(report);
        if let Some(digest) = report.plan_digest {
            self.take_digest(rank, digest);
        }
    }

    fn check_report(&self, sender: RankId, report: &RankReport) -> Result<(), ReportError> {
        let (rank, step) = (report.rank, report.step);
        if sender != rank {
            return Err(ReportError::Forged { sender, claimed: rank });
        }
        if !self.topology.contains(rank) {
            return Err(ReportError::UnknownRank { rank, ranks: self.topology.ranks() });
        }
        if !self.topology.is_alive(rank) {
            return Err(ReportError::DeadRank { rank });
        }
        if self.step.is_none_or(|began| step > began) {
            return Err(ReportError::FromTheFuture { rank, step });
        }
        match self.ranks[rank.index()].reported {
            Some(last) if step == last => return Err(ReportError::Repeated { rank, step }),
            Some(last) if step < last => return Err(ReportError::Late { rank, step, last }),
            _ => {}
        }
        self.check_loads(report)?;
        self.check_statuses(report)
    }

    fn check_loads(&self, report: &RankReport) -> Result<(), ReportError> {
        let (rank, step) = (report.rank, report.step);
        let mut reported = self.ranks[rank.index()].load_reported;
        for load in &report.loads {
            let (first, last) = (load.first_step, load.last_step);
            let is_new = reported.is_none_or(|reported| first > reported);
            if !is_new || first > last || last > step {
                return Err(ReportError::LoadSteps { rank, first, last, step });
            }
            check_counts(rank, load, self.shape, &self.topology)?;
            reported = Some(last);
        }
        Ok(())
    }

    fn take_load(&mut self, rank: RankId, load: &LoadReport) {
        let (complete, dropped) = self.samples.add(rank, load, &self.histories, &self.topology);
        self.counters.samples_incomplete += dropped;
        let Some(sample) = complete else { return };
        if sample.is_empty() {
            // An idle step says nothing about the experts and would only thin the window.
            self.counters.samples_empty += 1;
        } else if !self.config.planned_phases.includes(sample.phase()) {
            self.counters.samples_of_other_phases += 1;
        } else {
            self.counters.samples_complete += 1;
            let added = self.windows.add(sample.layers());
            self.counters.layer_samples_uncredited += added.uncredited;
            self.counters.layer_samples_overflowing += added.overflowing;
            self.counters.windows_complete += u64::from(added.completed_window);
            self.fresh_windows |= added.completed_window;
        }
        self.samples.recycle(sample);
    }
}
