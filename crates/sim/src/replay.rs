//! A trace replayed through policies: how well each plan fits the window after it, and what it moves.

use eplb::core::{
    Ensemble, EnsembleError, Estimator, ExpertLoad, LayerId, Placement, Topology,
    layer_balancedness,
};
use eplb::policy::{Budget, PlanRequest, Policy, PolicyError, plan};
use serde::Serialize;
use thiserror::Error;

use crate::Trace;

/// Why a replay ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// What the policy refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// What was known before belongs to another model.
    #[error("what was known before: {0}")]
    Known(#[from] EnsembleError),
}

/// How well a policy did on a trace; one entry of what `eplb simulate --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyScore {
    /// The policy.
    pub policy: String,
    /// Balancedness of each plan on the window that follows it: what serving gets.
    pub next: Score,
    /// Balancedness of each plan on the last window it saw.
    pub fit: Score,
    /// Slots whose rank did not hold their expert before, mean over the rebalances, all layers.
    pub sent_experts: f64,
    /// The same, summed over all rebalances.
    pub moved_slots: u64,
    /// Bytes of these.
    pub bytes_moved: u64,
    /// Milliseconds of a plan of all layers.
    pub plan_ms: Quantiles,
}

/// Balancedness over layers and windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The mean.
    pub mean: f64,
    /// The worst layer of any window.
    pub worst: f64,
}

/// Quantiles of a series of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// A trace and the ranks to replay it on.
pub struct Replay<'a> {
    /// The windows.
    pub trace: &'a Trace,
    /// The ranks.
    pub topology: &'a Topology,
    /// The placement before the first window.
    pub start: &'a Placement,
    /// What was known of the traffic before.
    pub known: &'a Ensemble,
    /// What policies plan from, instead of what each plans from by itself.
    pub estimator: Option<Estimator>,
    /// Bytes of one expert of one layer.
    pub expert_bytes: u64,
    /// Tells the time in milliseconds.
    pub stopwatch: &'a dyn Fn() -> f64,
}

impl std::fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("trace", &self.trace.name).finish_non_exhaustive()
    }
}

impl Replay<'_> {
    /// Replays the trace through `policy`: after each window but the last one a plan, from the
    /// placement that the plan before left.
    ///
    /// # Errors
    /// Whatever the policy refuses, and an ensemble of another model.
    pub fn score(
        &self,
        policy: &dyn Policy,
        progress: &mut dyn FnMut(usize),
    ) -> Result<PolicyScore, ReplayError> {
        let windows = &self.trace.windows;
        let estimator = self.estimator.unwrap_or(policy.estimator());
        let mut ensemble = self.known.clone();
        let layers: Vec<LayerId> = self.trace.shape.layer_ids().collect();
        let mut placement = self.start.clone();
        let (mut next, mut fit) = (Series::default(), Series::default());
        let (mut moved, mut milliseconds) = (0u64, Vec::new());
        for last in 0..windows.len().saturating_sub(1) {
            ensemble.push(windows[last].clone())?;
            let estimate = estimator.estimate(&ensemble);
            let request = PlanRequest {
                shape: self.trace.shape,
                topology: self.topology,
                windows: &estimate.windows,
                weights: &estimate.weights,
                present: Some(&placement),
                layers: &layers,
                budget: Budget::default(),
            };
            let started = (self.stopwatch)();
            let plans = plan(policy, &request)?;
            milliseconds.push((self.stopwatch)() - started);
            moved += plans.iter().filter_map(|plan| plan.moved_slots).sum::<usize>() as u64;
            for plan in plans {
                placement.set_layer(plan.layer, plan.placement);
            }
            fit.add(&windows[last], &placement, self.topology);
            next.add(&windows[last + 1], &placement, self.topology);
            progress(last + 1);
        }
        let rebalances = milliseconds.len().max(1) as f64;
        Ok(PolicyScore {
            policy: policy.name().to_owned(),
            next: next.score(),
            fit: fit.score(),
            sent_experts: moved as f64 / rebalances,
            moved_slots: moved,
            bytes_moved: moved.saturating_mul(self.expert_bytes),
            plan_ms: Quantiles::of(milliseconds),
        })
    }

    /// What `policy` reaches when it knows the window that comes: a bound for plans from the past.
    ///
    /// # Errors
    /// Whatever the policy refuses.
    pub fn oracle(&self, policy: &dyn Policy) -> Result<Score, PolicyError> {
        let layers: Vec<LayerId> = self.trace.shape.layer_ids().collect();
        let mut series = Series::default();
        for window in self.trace.windows.iter().skip(1) {
            let windows = std::slice::from_ref(window);
            let shape = self.trace.shape;
            let topology = self.topology;
            let request = PlanRequest {
                shape,
                topology,
                windows,
                present: None,
                layers: &layers,
                weights: &[],
                budget: Budget::default(),
            };
            for plan in plan(policy, &request)? {
                series.values.push(plan.balancedness_after);
            }
        }
        Ok(series.score())
    }

    /// What no placement exceeds while replicas share evenly: an expert can be on each live rank once,
    /// as long as there are slots for it beside the other experts.
    pub fn limit(&self) -> Score {
        let ranks = self.topology.live_ranks().count();
        let spare = self.topology.live_slots() + 1 - self.trace.shape.experts();
        let most = ranks.min(spare).max(1) as f64;
        let mut series = Series::default();
        for row in self.trace.windows.iter().skip(1).flat_map(ExpertLoad::rows) {
            let mean = row.iter().sum::<u64>() as f64 / ranks as f64;
            let hottest = row.iter().copied().max().unwrap_or(0) as f64 / most;
            series.values.push(if hottest > mean { mean / hottest } else { 1.0 });
        }
        series.score()
    }
}

#[derive(Debug, Default)]
struct Series {
    values: Vec<f64>,
}

impl Series {
    fn add(&mut self, load: &ExpertLoad, placement: &Placement, topology: &Topology) {
        for (row, layer) in load.rows().zip(placement.layers()) {
            self.values.push(layer_balancedness(row, &layer.routing(topology), topology));
        }
    }

    fn score(&self) -> Score {
        let count = self.values.len().max(1) as f64;
        let mean = self.values.iter().sum::<f64>() / count;
        Score { mean, worst: self.values.iter().copied().fold(1.0, f64::min) }
    }
}

impl Quantiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (share * values.len() as f64).ceil() as usize;
            values.get(index.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self { p50: at(0.5), p99: at(0.99) }
    }
}
