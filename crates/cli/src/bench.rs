//! `eplb bench plan`.

mod loads;
mod text;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use eplb::policy::{Greedy, Policy, by_name};
use eplb_sim::{Bench, BenchScore, Contender, MakeTables, Workers};
use rayon::ThreadPool;
use serde::Serialize;

use crate::arguments::{BenchCommand, BenchPlanArguments};
use crate::failure::Failure;
use crate::progress::StepProgress;
use loads::BenchLoad;

/// More threads than any layer count needs, and few enough to start.
const MOST_THREADS: usize = 256;
const MOST_REPEATS: usize = 10_000;

/// What `eplb bench plan --json` prints.
#[derive(Debug, Serialize)]
struct BenchReport {
    threads: Vec<usize>,
    repeat: usize,
    loads: Vec<LoadReport>,
}

/// What one load gave.
#[derive(Debug, Serialize)]
struct LoadReport {
    load: String,
    /// Made up, not recorded.
    synthetic: bool,
    windows: usize,
    layers: usize,
    experts: usize,
    groups: usize,
    ranks: usize,
    nodes: usize,
    slots: usize,
    policies: Vec<BenchScore>,
}

pub(crate) fn bench(command: &BenchCommand, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    match command {
        BenchCommand::Plan(arguments) => plan(arguments, out),
    }
}

fn plan(arguments: &BenchPlanArguments, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let policies = arguments
        .policy
        .iter()
        .map(|name| by_name(name).map_err(|error| Failure::new(format!("--policy: {error}"))))
        .collect::<Result<Vec<_>, _>>()?;
    if !(1..=MOST_REPEATS).contains(&arguments.repeat) {
        let refused = format!("--repeat {} is not allowed", arguments.repeat);
        return Err(Failure::new(format!("{refused}; allowed: 1 to {MOST_REPEATS}")));
    }
    let pools: Vec<ThreadPool> =
        arguments.threads.iter().map(|&threads| pool(threads)).collect::<Result<_, _>>()?;
    let contenders: Vec<_> = policies.iter().map(|policy| contender(policy.as_ref())).collect();
    let loads = loads::loads(arguments)?;

    let plans_a_rebalance = pools.len() * arguments.repeat * contenders.len();
    let rebalances = |load: &BenchLoad| load.trace.windows.len() - 1;
    let progress =
        StepProgress::new(loads.iter().map(rebalances).sum::<usize>() * plans_a_rebalance);
    let mut reports = Vec::new();
    let mut done_before = 0;
    for load in &loads {
        let mut show = |policy, done| progress.show(policy, done_before + done);
        let scores = score(load, &contenders, &pools, arguments.repeat, &mut show)?;
        reports.push(LoadReport::new(load, scores));
        done_before += rebalances(load) * plans_a_rebalance;
    }
    progress.end();

    let report = BenchReport {
        threads: arguments.threads.clone(),
        repeat: arguments.repeat,
        loads: reports,
    };
    if arguments.json {
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else if arguments.growth {
        write!(out, "{}", text::growth(&report))?;
    } else {
        write!(out, "{}", text::tables(&report))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// A policy with the bare function below it, where there is one.
fn contender(policy: &dyn Policy) -> Contender<'_> {
    const SEARCHED: &MakeTables =
        &|load, topology| Greedy { local_search: true }.plan_tables(load, topology).map(drop);
    const PACKED: &MakeTables =
        &|load, topology| Greedy { local_search: false }.plan_tables(load, topology).map(drop);
    let tables = match policy.name() {
        "greedy" => Some(SEARCHED),
        "greedy-fast" => Some(PACKED),
        _ => None,
    };
    Contender { policy, tables }
}

fn pool(threads: usize) -> Result<ThreadPool, Failure> {
    if !(1..=MOST_THREADS).contains(&threads) {
        let refused = format!("--threads {threads} is not allowed");
        return Err(Failure::new(format!("{refused}; allowed: 1 to {MOST_THREADS}")));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Failure::new(format!("--threads {threads}: {error}")))
}

fn score(
    load: &BenchLoad,
    contenders: &[Contender<'_>],
    pools: &[ThreadPool],
    repeat: usize,
    progress: &mut dyn FnMut(&'static str, usize),
) -> Result<Vec<BenchScore>, Failure> {
    let run_in: Vec<_> = pools
        .iter()
        .map(|pool| move |work: &mut (dyn FnMut() + Send)| pool.install(work))
        .collect();
    let workers: Vec<_> = pools
        .iter()
        .zip(&run_in)
        .map(|(pool, run)| Workers { threads: pool.current_num_threads(), run })
        .collect();
    let watch = Instant::now();
    let bench = Bench {
        trace: &load.trace,
        topology: &load.topology,
        start: &load.start,
        workers: &workers,
        repeat,
        stopwatch: &|| watch.elapsed().as_secs_f64() * 1e3,
    };
    let failed = |error| Failure::new(format!("{}: {error}", load.trace.name));
    bench.run(contenders, progress).map_err(failed)
}

impl LoadReport {
    fn new(load: &BenchLoad, policies: Vec<BenchScore>) -> Self {
        let shape = load.trace.shape;
        Self {
            load: load.trace.name.clone(),
            synthetic: load.synthetic,
            windows: load.trace.windows.len(),
            layers: shape.layers(),
            experts: shape.experts(),
            groups: shape.groups(),
            ranks: load.topology.ranks(),
            nodes: load.topology.nodes(),
            slots: load.topology.slots(),
            policies,
        }
    }
}
