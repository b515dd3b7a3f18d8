//! `eplb.simulate`: a trace replayed through policies.

use eplb::core::{Ensemble, EnsembleSettings, Estimator, Placement};
use eplb::policy::by_name;
use eplb::{Clock, SystemClock};
use eplb_sim::{PolicyScore, Replay, Score, Trace};
use numpy::PyReadonlyArray3;
use pyo3::prelude::*;

use crate::arrays;
use crate::config;
use crate::error::{Kind, OrException};
use crate::topology::PyTopology;
use crate::workers;

/// The policy whose plan of the very window that comes is the bound for all others.
const ORACLE: &str = "deepseek";

/// Policy, next mean and worst, fit mean and worst, experts sent a rebalance, slots moved, bytes moved,
/// median and 99th percentile of a plan in milliseconds.
type ScoreForm = (String, f64, f64, f64, f64, f64, u64, u64, f64, f64);

/// Scores, and the bounds.
type Scores = (Vec<ScoreForm>, (f64, f64), (f64, f64));

/// Scores, then mean and worst of the oracle and of the limit; see `eplb.simulate`.
#[pyfunction]
#[pyo3(signature = (counts, topology, policies, groups, expert_bytes, estimator))]
pub(crate) fn simulate(
    py: Python<'_>,
    counts: PyReadonlyArray3<'_, i64>,
    topology: &PyTopology,
    policies: Vec<Bound<'_, PyAny>>,
    groups: u32,
    expert_bytes: u64,
    estimator: Option<&str>,
) -> PyResult<Scores> {
    let (shape, windows) = arrays::windows(&counts, groups)?;
    let topology = &topology.topology;
    if windows.len() < 2 {
        let text = "a plan is scored on the window after it, so at least two windows are needed";
        return Err(Kind::Argument.says(text));
    }
    let estimator = estimator
        .map(|text| text.parse::<Estimator>())
        .transpose()
        .map_err(|error| Kind::Argument.says(format!("estimator: {error}")))?;
    let policies = policies
        .iter()
        .map(|policy| config::policy(policy)?.policy().or_exception())
        .collect::<PyResult<Vec<_>>>()?;
    let oracle = by_name(ORACLE).or_exception()?;
    let start = Placement::initial(shape, topology).or_exception()?;
    let known = Ensemble::new(shape, EnsembleSettings::default()).or_exception()?;
    let trace = Trace {
        name: String::new(),
        shape,
        windows,
        top_k: 1,
        tokens_per_window: 1,
        model: None,
        schedule: None,
    };
    let pool = workers::pool(py)?;
    py.detach(|| {
        pool.install(|| {
            let clock = SystemClock::new();
            let replay = Replay {
                trace: &trace,
                topology,
                start: &start,
                known: &known,
                estimator,
                expert_bytes,
                stopwatch: &|| clock.now().0 as f64 / 1e6,
            };
            let scores = policies
                .iter()
                .map(|policy| Ok(form(replay.score(&**policy, &mut |_| ()).or_exception()?)))
                .collect::<PyResult<Vec<_>>>()?;
            let oracle = replay.oracle(&*oracle).or_exception()?;
            Ok((scores, pair(oracle), pair(replay.limit())))
        })
    })
}

fn pair(score: Score) -> (f64, f64) {
    (score.mean, score.worst)
}

fn form(score: PolicyScore) -> ScoreForm {
    let PolicyScore { policy, next, fit, sent_experts, moved_slots, bytes_moved, plan_ms } = score;
    let (moved, times) = ((sent_experts, moved_slots, bytes_moved), (plan_ms.p50, plan_ms.p99));
    let (sent, slots, bytes) = moved;
    (policy, next.mean, next.worst, fit.mean, fit.worst, sent, slots, bytes, times.0, times.1)
}
