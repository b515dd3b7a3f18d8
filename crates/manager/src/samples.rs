//! Samples: the load of some steps, put together from all ranks' reports.

use std::collections::VecDeque;

use eplb_core::{ExpertLoad, LayerId, ModelShape, RankId, Step, Topology};

use crate::history::LayerHistory;
use crate::{CountForm, LoadReport, Phase, ReportError};

/// Samples that may wait for their last rank.
const SAMPLES_WAITING: usize = 64;

/// Puts the ranks' load reports together, credited to the logical experts that the slots held when the
/// tokens were counted. A sample counts only when every live rank gave its part: with a rank missing,
/// its experts would look cold.
#[derive(Debug)]
pub(crate) struct SampleAssembler {
    shape: ModelShape,
    live_ranks: usize,
    /// In order of arrival of their first part.
    waiting: VecDeque<Sample>,
    /// Memory of samples that are done with.
    spare: Vec<Sample>,
}

/// The load of all layers over some steps.
#[derive(Debug)]
pub(crate) struct Sample {
    steps: (Step, Step),
    reported: Vec<bool>,
    parts: usize,
    phase: Phase,
    /// Layers × logical experts.
    counts: Vec<u64>,
    layers: Vec<Credit>,
}

/// Whether a layer's counts are of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credit {
    /// Every count went to the right expert.
    Whole,
    /// The placement changed within the steps, or is no longer remembered.
    Divided,
    /// More tokens than can be.
    TooMany,
}

impl Sample {
    /// The counts of each layer and what they are worth.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (LayerId, &[u64], Credit)> {
        let experts = self.counts.len() / self.layers.len();
        let rows = self.counts.chunks_exact(experts).zip(&self.layers).enumerate();
        rows.map(|(index, (row, &credit))| (LayerId::from_index(index), row, credit))
    }

    /// What its steps did, as all ranks say.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether no layer saw a token.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.iter().all(|&count| count == 0)
    }
}

/// Checks the size and the counts of a load report, without changing anything.
pub(crate) fn check_counts(
    rank: RankId,
    load: &LoadReport,
    shape: ModelShape,
    topology: &Topology,
) -> Result<(), ReportError> {
    let slots = topology.slots_of(rank).len();
    let expected = shape.layers() * slots;
    if load.counts.len() != expected {
        let found = load.counts.len();
        return Err(ReportError::LoadLength { rank, found, expected });
    }
    for (layer, row) in shape.layer_ids().zip(load.counts.chunks_exact(slots)) {
        let total = match load.form {
            CountForm::Plain => row.iter().try_fold(0u64, |sum, &count| sum.checked_add(count)),
            CountForm::PrefixSums => row.is_sorted().then(|| row[slots - 1]),
        };
        if total.is_none_or(|total| total > ExpertLoad::MOST_TOKENS) {
            return Err(ReportError::LoadCounts { rank, layer });
        }
    }
    Ok(())
}

impl SampleAssembler {
    pub(crate) fn new(shape: ModelShape, topology: &Topology) -> Self {
        let live_ranks = topology.live_ranks().count();
        Self { shape, live_ranks, waiting: VecDeque::new(), spare: Vec::new() }
    }

    /// Adds one rank's part; the rank was not heard about these steps before and its counts passed
    /// [`check_counts`]. Gives the sample when this was its last part, and the number of older samples
    /// that can now never be complete and were dropped.
    pub(crate) fn add(
        &mut self,
        rank: RankId,
        load: &LoadReport,
        histories: &[LayerHistory],
        topology: &Topology,
    ) -> (Option<Sample>, u64) {
        let steps = (load.first_step, load.last_step);
        let mut dropped = 0;
        let found = self.waiting.iter().position(|sample| sample.steps == steps);
        let index = found.unwrap_or_else(|| {
            if self.waiting.len() == SAMPLES_WAITING {
                self.spare.extend(self.waiting.pop_front());
                dropped += 1;
            }
            let sample = self.blank(steps, topology.ranks());
            self.waiting.push_back(sample);
            self.waiting.len() - 1
        });
        let sample = &mut self.waiting[index];
        sample.credit(rank, load, histories, topology);
        if sample.parts < self.live_ranks {
            return (None, dropped);
        }
        let complete = self.waiting.remove(index);
        // Ranks report in order: who gave a part of this one gives none of an older one any more.
        let older = |sample: &Sample| sample.steps.0 <= steps.1;
        dropped += self.waiting.iter().filter(|sample| older(sample)).count() as u64;
        self.waiting.retain(|sample| !older(sample));
        (complete, dropped)
    }

    /// Takes a sample back whose counts were used; its memory serves the next.
    pub(crate) fn recycle(&mut self, sample: Sample) {
        if self.spare.is_empty() {
            self.spare.push(sample);
        }
    }

    fn blank(&mut self, steps: (Step, Step), ranks: usize) -> Sample {
        let mut sample = self.spare.pop().unwrap_or_else(|| Sample {
            steps,
            reported: Vec::new(),
            parts: 0,
            phase: Phase::Mixed,
            counts: Vec::new(),
            layers: Vec::new(),
        });
        let (layers, experts) = (self.shape.layers(), self.shape.experts());
        sample.steps = steps;
        sample.parts = 0;
        refill(&mut sample.reported, ranks, false);
        refill(&mut sample.counts, layers * experts, 0);
        refill(&mut sample.layers, layers, Credit::Whole);
        sample
    }
}

fn refill<T: Clone>(values: &mut Vec<T>, length: usize, value: T) {
    values.clear();
    values.resize(length, value);
}

impl Sample {
    fn credit(
        &mut self,
        rank: RankId,
        load: &LoadReport,
        histories: &[LayerHistory],
        topology: &Topology,
    ) {
        if std::mem::replace(&mut self.reported[rank.index()], true) {
            return;
        }
        self.phase = if self.parts == 0 { load.phase } else { self.phase.with(load.phase) };
        self.parts += 1;
        let slots = topology.slots_of(rank);
        let experts = self.counts.len() / self.layers.len();
        let rows = load.counts.chunks_exact(slots.len()).zip(self.counts.chunks_exact_mut(experts));
        for ((row, counts), (credit, history)) in rows.zip(self.layers.iter_mut().zip(histories)) {
            let Some(placement) = history.over(self.steps.0, self.steps.1) else {
                *credit = Credit::Divided;
                continue;
            };
            let mut before = 0;
            for (&number, expert) in row.iter().zip(&placement.experts()[slots.clone()]) {
                let tokens = match load.form {
                    CountForm::Plain => number,
                    CountForm::PrefixSums => number - before,
                };
                before = number;
                match counts[expert.index()].checked_add(tokens) {
                    Some(sum) => counts[expert.index()] = sum,
                    None => *credit = Credit::TooMany,
                }
            }
        }
    }
}
