//! Policies timed side by side on a trace, and scored on what they planned.

use eplb::core::{
    Ensemble, EnsembleSettings, Estimate, ExpertLoad, LayerId, LayerPlacement, Placement, Topology,
    layer_balancedness,
};
use eplb::policy::{Budget, LayerPlan, PlanRequest, Policy, PolicyError, plan};
use serde::Serialize;

use crate::{ReplayError, Score, Trace};

/// How fast and how good a policy was; one entry of what `eplb bench plan --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchScore {
    /// The policy.
    pub policy: String,
    /// Balancedness of each plan on the last window it saw.
    pub fit: Score,
    /// Balancedness of each plan on the window that follows it.
    pub next: Score,
    /// Slots whose rank did not hold their expert before, mean over the rebalances, all layers.
    pub sent_experts: f64,
    /// Milliseconds of a plan of all layers, for each number of threads.
    pub plan_ms: Vec<PlanTime>,
    /// Milliseconds of [`Contender::tables`], likewise; empty without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables_ms: Vec<PlanTime>,
}

/// How long plans took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PlanTime {
    /// Threads that planned.
    pub threads: usize,
    /// The median, in milliseconds.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The fastest.
    pub min: f64,
    /// The median over that of a plan by the first policy, with as many threads.
    pub ratio: f64,
}

/// What is timed.
#[derive(Clone, Copy)]
pub struct Contender<'a> {
    /// Plans with all that belongs to it: requests are checked, slots kept, gains told.
    pub policy: &'a dyn Policy,
    /// The bare function below the policy, where there is one: it makes the tables of all layers from
    /// the last window, and no more, as the functions do that other engines plan with.
    pub tables: Option<&'a MakeTables>,
}

/// Makes tables and drops them, on the workers that it is called on.
pub type MakeTables = dyn Fn(&ExpertLoad, &Topology) -> Result<(), PolicyError> + Sync;

impl std::fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contender").field("policy", &self.policy.name()).finish_non_exhaustive()
    }
}

/// Threads to plan on.
#[derive(Clone, Copy)]
pub struct Workers<'a> {
    /// How many.
    pub threads: usize,
    /// Runs work on them.
    pub run: &'a dyn Fn(&mut (dyn FnMut() + Send)),
}

impl std::fmt::Debug for Workers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// A trace, the ranks to replay it on, and how to take the time.
///
/// Every policy plans after each window but the last one, from the placement that its own plan before
/// left. Policies take turns call by call, so that whatever else the machine does hits all alike.
pub struct Bench<'a> {
    /// The windows, at least two.
    pub trace: &'a Trace,
    /// The ranks.
    pub topology: &'a Topology,
    /// The placement before the first window.
    pub start: &'a Placement,
    /// Each plan is made on each of these.
    pub workers: &'a [Workers<'a>],
    /// How often each plan is made.
    pub repeat: usize,
    /// Tells the time in milliseconds.
    pub stopwatch: &'a (dyn Fn() -> f64 + Sync),
}

impl std::fmt::Debug for Bench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("trace", &self.trace.name).finish_non_exhaustive()
    }
}

impl Bench<'_> {
    /// Replays the trace; one score for each contender. `progress` hears of each plan: whose it was,
    /// and how many there were.
    ///
    /// # Errors
    /// Whatever a policy refuses.
    pub fn run(
        &self,
        contenders: &[Contender<'_>],
        progress: &mut dyn FnMut(&'static str, usize),
    ) -> Result<Vec<BenchScore>, ReplayError> {
        let layers: Vec<LayerId> = self.trace.shape.layer_ids().collect();
        let mut runners: Vec<_> =
            contenders.iter().map(|&contender| Runner::new(contender, self)).collect();
        let mut ensemble = Ensemble::new(self.trace.shape, EnsembleSettings::default())?;
        let mut done = 0;
        for windows in self.trace.windows.windows(2) {
            ensemble.push(windows[0].clone())?;
            let estimates: Vec<Estimate> = contenders
                .iter()
                .map(|contender| contender.policy.estimator().estimate(&ensemble))
                .collect();
            for round in 0..self.repeat.max(1) {
                for (index, workers) in self.workers.iter().enumerate() {
                    for (runner, estimate) in runners.iter_mut().zip(&estimates) {
                        let plans = self.time_plan(runner, index, workers, estimate, &layers)?;
                        self.time_tables(runner, index, workers, &windows[0])?;
                        // The same request gives the same plans, so those of one round will do.
                        if round == 0 && index == 0 {
                            runner.planned = plans;
                        }
                        done += 1;
                        progress(runner.contender.policy.name(), done);
                    }
                }
            }
            for runner in &mut runners {
                runner.take(windows, self.topology);
            }
        }
        let mut scores: Vec<_> =
            runners.into_iter().map(|runner| runner.score(self.workers)).collect();
        let firsts: Vec<f64> =
            scores.iter().take(1).flat_map(|first| &first.plan_ms).map(|time| time.p50).collect();
        for times in scores.iter_mut().flat_map(|score| [&mut score.plan_ms, &mut score.tables_ms])
        {
            for (time, first) in times.iter_mut().zip(&firsts) {
                time.ratio = if *first > 0.0 { time.p50 / first } else { 1.0 };
            }
        }
        Ok(scores)
    }

    fn time_plan(
        &self,
        runner: &mut Runner<'_>,
        index: usize,
        workers: &Workers<'_>,
        estimate: &Estimate,
        layers: &[LayerId],
    ) -> Result<Vec<LayerPlan>, PolicyError> {
        let policy = runner.contender.policy;
        let request = PlanRequest {
            shape: self.trace.shape,
            topology: self.topology,
            windows: &estimate.windows,
            weights: &estimate.weights,
            present: Some(&runner.placement),
            layers,
            budget: Budget::default(),
        };
        let (plans, milliseconds) = self.timed(workers, &|| plan(policy, &request));
        runner.plan_ms[index].push(milliseconds);
        plans
    }

    fn time_tables(
        &self,
        runner: &mut Runner<'_>,
        index: usize,
        workers: &Workers<'_>,
        window: &ExpertLoad,
    ) -> Result<(), PolicyError> {
        let Some(tables) = runner.contender.tables else { return Ok(()) };
        let (made, milliseconds) = self.timed(workers, &|| tables(window, self.topology));
        runner.tables_ms[index].push(milliseconds);
        made
    }

    /// The result of `work`, and how long it took. The time is taken on the workers, so that their
    /// waking does not count.
    fn timed<Outcome: Default + Send>(
        &self,
        workers: &Workers<'_>,
        work: &(dyn Fn() -> Result<Outcome, PolicyError> + Sync),
    ) -> (Result<Outcome, PolicyError>, f64) {
        let stopwatch = self.stopwatch;
        let mut done = (Ok(Outcome::default()), 0.0);
        (workers.run)(&mut || {
            let started = stopwatch();
            let result = work();
            done = (result, stopwatch() - started);
        });
        done
    }
}

/// A contender on its way through a trace.
struct Runner<'a> {
    contender: Contender<'a>,
    placement: Placement,
    /// What is to become of `placement`.
    planned: Vec<LayerPlan>,
    fit: Vec<f64>,
    next: Vec<f64>,
    sent: usize,
    rebalances: usize,
    /// By workers.
    plan_ms: Vec<Vec<f64>>,
    tables_ms: Vec<Vec<f64>>,
}

impl<'a> Runner<'a> {
    fn new(contender: Contender<'a>, bench: &Bench<'_>) -> Self {
        let none = vec![Vec::new(); bench.workers.len()];
        Self {
            contender,
            placement: bench.start.clone(),
            planned: Vec::new(),
            fit: Vec::new(),
            next: Vec::new(),
            sent: 0,
            rebalances: 0,
            plan_ms: none.clone(),
            tables_ms: none,
        }
    }

    /// Puts what is planned in place, and judges it by the window that it saw last and the one that
    /// follows.
    fn take(&mut self, windows: &[ExpertLoad], topology: &Topology) {
        for plan in self.planned.drain(..) {
            self.sent += plan.moved_slots.unwrap_or(0);
            self.placement.set_layer(plan.layer, plan.placement);
        }
        self.rebalances += 1;
        for (window, series) in windows.iter().zip([&mut self.fit, &mut self.next]) {
            let layers = window.rows().zip(self.placement.layers());
            series.extend(layers.map(|(row, layer)| balancedness(row, layer, topology)));
        }
    }

    fn score(self, workers: &[Workers<'_>]) -> BenchScore {
        let times = |milliseconds: Vec<Vec<f64>>| -> Vec<PlanTime> {
            let measured = workers.iter().zip(milliseconds).filter(|(_, times)| !times.is_empty());
            measured.map(|(workers, times)| PlanTime::of(workers.threads, times)).collect()
        };
        BenchScore {
            policy: self.contender.policy.name().to_owned(),
            fit: score_of(&self.fit),
            next: score_of(&self.next),
            sent_experts: self.sent as f64 / self.rebalances.max(1) as f64,
            plan_ms: times(self.plan_ms),
            tables_ms: times(self.tables_ms),
        }
    }
}

fn balancedness(load: &[u64], layer: &LayerPlacement, topology: &Topology) -> f64 {
    layer_balancedness(load, &layer.routing(topology), topology)
}

fn score_of(values: &[f64]) -> Score {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    Score { mean, worst: values.iter().copied().fold(1.0, f64::min) }
}

impl PlanTime {
    fn of(threads: usize, mut milliseconds: Vec<f64>) -> Self {
        milliseconds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (share * milliseconds.len() as f64).ceil() as usize;
            milliseconds.get(index.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self { threads, p50: at(0.5), p99: at(0.99), min: at(0.0), ratio: 1.0 }
    }
}
