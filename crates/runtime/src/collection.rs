//! A session's load: from the collector to reports.

use eplb_core::Step;
use eplb_device::Stream;
use eplb_executor::{Collector, LoadCounters, LoadError, LoadFigures};
use eplb_manager::{CountForm, LoadReport, Phase};

/// The counters that an engine lent, and what they said.
#[derive(Debug)]
pub(crate) struct Collection {
    collector: Collector<Phase>,
    /// The last reading was lost; that is told once, not with each step.
    is_losing: bool,
}

impl Collection {
    pub(crate) fn open(
        counters: LoadCounters,
        layers: usize,
        slots: usize,
        stream: &Stream,
    ) -> Result<Self, LoadError> {
        let collector = Collector::open(counters, layers, slots, Phase::with, stream)?;
        Ok(Self { collector, is_losing: false })
    }

    /// Queues a reading. What had to be taken to make room for it is added to `loads`.
    pub(crate) fn collect(
        &mut self,
        stream: &Stream,
        step: Step,
        phase: Phase,
        loads: &mut Vec<LoadReport>,
    ) -> Result<(), LoadError> {
        if self.collector.is_full() {
            self.take_arrived(loads);
        }
        self.collector.collect(stream, step, phase)
    }

    /// Adds what has arrived to `loads`, in the order of steps.
    pub(crate) fn take_arrived(&mut self, loads: &mut Vec<LoadReport>) {
        while let Some(arrived) = self.collector.poll() {
            match arrived {
                Ok(load) => {
                    self.is_losing = false;
                    loads.push(LoadReport {
                        first_step: load.first_step,
                        last_step: load.last_step,
                        counts: load.counts,
                        form: CountForm::Plain,
                        phase: load.kind,
                    });
                }
                Err(error) if self.is_losing => tracing::debug!(%error, "load was lost again"),
                Err(error) => {
                    self.is_losing = true;
                    tracing::warn!(%error, "load was lost");
                }
            }
        }
    }

    /// Takes the memory of reported loads back.
    pub(crate) fn recycle(&mut self, loads: &mut Vec<LoadReport>) {
        for load in loads.drain(..) {
            self.collector.recycle(load.counts);
        }
    }

    /// Samples that a report may hold.
    pub(crate) fn depth(&self) -> usize {
        self.collector.depth()
    }

    pub(crate) fn figures(&self) -> LoadFigures {
        self.collector.figures()
    }
}
