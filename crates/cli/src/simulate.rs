//! `eplb simulate`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use eplb::core::{Ensemble, EnsembleSettings, Estimator, ModelShape, Placement, Topology};
use eplb::policy::by_name;
use eplb::{placement_for, read_profile_of};
use eplb_sim::{PolicyScore, Replay, Score, Trace};
use serde::Serialize;

use crate::arguments::SimulateArguments;
use crate::failure::Failure;
use crate::numbers::{balancedness, bytes, grouped};
use crate::progress::StepProgress;
use crate::topology::{check_room, topology};
use crate::window_range::WindowRange;

/// The policy whose plan of the very window that comes is the bound for all others.
const ORACLE: &str = "deepseek";

/// What `eplb simulate --json` prints.
#[derive(Debug, Serialize)]
struct SimulateReport {
    trace: String,
    /// The profile that was known before; null without one.
    profile: Option<String>,
    /// What all policies planned from; null when each planned from what it does by itself.
    estimator: Option<Estimator>,
    layers: usize,
    experts: usize,
    ranks: usize,
    nodes: usize,
    slots: usize,
    /// The first window of the trace that was replayed.
    first_window: usize,
    windows: usize,
    policies: Vec<PolicyScore>,
    bounds: Bounds,
}

#[derive(Debug, Serialize)]
struct Bounds {
    /// Planned by a public policy that knows the next window.
    oracle: Score,
    /// What no placement of this shape can exceed, replicas sharing evenly.
    limit: Score,
}

pub(crate) fn simulate(
    arguments: &SimulateArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let policies = arguments
        .policy
        .iter()
        .map(|name| by_name(name).map_err(|error| Failure::new(format!("--policy: {error}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let topology = topology(arguments.ranks, arguments.slots, arguments.nodes)?;
    let (trace, first_window) = read_trace(arguments)?;
    check_room(arguments.slots, trace.shape.experts(), &arguments.trace)?;
    check_bytes(arguments.expert_bytes, &trace, &topology)?;
    let (known, start) = beginning(arguments, trace.shape, &topology)?;
    let watch = Instant::now();
    let replay = Replay {
        trace: &trace,
        topology: &topology,
        start: &start,
        known: &known,
        estimator: arguments.estimator,
        expert_bytes: arguments.expert_bytes,
        stopwatch: &|| watch.elapsed().as_secs_f64() * 1e3,
    };
    let windows = trace.windows.len();
    let progress = StepProgress::new(policies.len() * windows);
    let mut scores = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let mut show = |done| progress.show(policy.name(), index * windows + done);
        scores.push(replay.score(policy.as_ref(), &mut show).map_err(Failure::new)?);
    }
    let oracle = by_name(ORACLE).map_err(Failure::new)?;
    let oracle = replay.oracle(oracle.as_ref()).map_err(Failure::new)?;
    progress.end();
    let report = SimulateReport {
        trace: trace.name.clone(),
        profile: arguments.profile.as_ref().map(|path| path.display().to_string()),
        estimator: arguments.estimator,
        layers: trace.shape.layers(),
        experts: trace.shape.experts(),
        ranks: topology.ranks(),
        nodes: topology.nodes(),
        slots: topology.slots(),
        first_window,
        windows,
        policies: scores,
        bounds: Bounds { oracle, limit: replay.limit() },
    };
    if arguments.json {
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", text(&report))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The windows that are asked for, and the number of the first one.
fn read_trace(arguments: &SimulateArguments) -> Result<(Trace, usize), Failure> {
    let mut trace = Trace::read(&arguments.trace).map_err(Failure::new)?;
    let (path, available) = (arguments.trace.display(), trace.windows.len());
    let range = WindowRange::cut(arguments.windows, &mut trace, &arguments.trace, 2)?;
    if let Some(groups) = arguments.groups {
        let (layers, experts) = (trace.shape.layers() as u32, trace.shape.experts() as u32);
        trace.shape = ModelShape::new(layers, experts, groups)
            .map_err(|error| Failure::new(format!("--groups {groups}: {error}")))?;
    }
    if trace.windows.len() < 2 {
        let needed = "a plan is scored on the window after it, so at least two are needed";
        return Err(Failure::new(format!("{path}: it has {available} window; {needed}")));
    }
    Ok((trace, range.start))
}

/// What is known before the first window, and the placement that all policies start with.
fn beginning(
    arguments: &SimulateArguments,
    shape: ModelShape,
    topology: &Topology,
) -> Result<(Ensemble, Placement), Failure> {
    let mut known = Ensemble::new(shape, EnsembleSettings::default()).map_err(Failure::new)?;
    let Some(path) = &arguments.profile else {
        return Ok((known, Placement::initial(shape, topology).map_err(Failure::new)?));
    };
    let profile = read_profile_of(path, shape).map_err(Failure::new)?;
    known.merge(&profile).map_err(Failure::new)?;
    let start = placement_for(&profile, shape, topology).map_err(Failure::new)?;
    Ok((known, start))
}

/// Whether the bytes of all slots, moved at every window, can be counted.
fn check_bytes(expert_bytes: u64, trace: &Trace, topology: &Topology) -> Result<(), Failure> {
    let slots = (trace.windows.len() * trace.shape.layers() * topology.slots()) as u64;
    let most = u64::MAX / slots;
    if expert_bytes <= most {
        return Ok(());
    }
    let allowed = format!("allowed: at most {most}, as a replay may move {slots} slots");
    Err(Failure::new(format!("--expert-bytes {expert_bytes} is not allowed; {allowed}")))
}

fn text(report: &SimulateReport) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "policy",
        "next window",
        "worst",
        "same window",
        "sent a rebalance",
        "moved",
        "plan ms",
        "p99",
    ]);
    for score in &report.policies {
        table.add_row([
            score.policy.clone(),
            balancedness(score.next.mean),
            balancedness(score.next.worst),
            balancedness(score.fit.mean),
            format!("{:.1}", score.sent_experts),
            bytes(score.bytes_moved),
            format!("{:.2}", score.plan_ms.p50),
            format!("{:.2}", score.plan_ms.p99),
        ]);
    }
    for (name, score) in [("(oracle)", report.bounds.oracle), ("(limit)", report.bounds.limit)] {
        let (mean, worst) = (balancedness(score.mean), balancedness(score.worst));
        table.add_row([name.to_owned(), mean, worst]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let profile = match &report.profile {
        Some(profile) => format!("all start from the placement for {profile}\n"),
        None => String::new(),
    };
    let table = table.to_string();
    let table: Vec<_> = table.lines().map(str::trim_end).collect();
    format!(
        "{}\n\n{}: {} windows, {} layers × {} experts on {} ranks with {} slots\n\
         {profile}balancedness is mean rank load / max rank load; sent are experts, of {} slots in all\n",
        table.join("\n"),
        report.trace,
        report.windows,
        report.layers,
        report.experts,
        report.ranks,
        report.slots,
        grouped((report.layers * report.slots) as u64),
    )
}
