//! `eplb bench`: `plan`, and what is beside it for devices.

mod commit;
mod figures;
mod forward;
mod ground;
mod loads;
mod step;
mod table;
mod text;
mod transfer;
mod weights;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use eplb::policy::{Greedy, Policy, by_name};
use eplb_executor::{CommitMode, ExecutorOptions, TransportChoice};
use eplb_sim::{Bench, BenchScore, Contender, MakeTables, Workers};
use rayon::ThreadPool;
use serde::Serialize;

use crate::arguments::{BenchCommand, BenchPlanArguments, CommitArgument};
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
        BenchCommand::Transfer(arguments) => transfer::transfer(arguments, out),
        BenchCommand::TransferRank(arguments) => transfer::transfer_rank(arguments, out),
        BenchCommand::Commit(arguments) => commit::commit(arguments, out),
        BenchCommand::Step(arguments) => step::step(arguments, out),
    }
}

/// Prints a report, as one JSON object or as the text of it.
fn print(
    report: &impl Serialize,
    json: bool,
    text: &str,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    if json {
        serde_json::to_writer(&mut *out, report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{text}")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// How the executors of benchmarks work: any number of slots may change at once, as fast as they can.
fn executor_options(
    commit: CommitArgument,
    slots: usize,
    layers_in_flight: usize,
    transport: TransportChoice,
    round_slots: usize,
) -> ExecutorOptions {
    let (commit, spare_slots) = match commit {
        CommitArgument::InPlace => (CommitMode::InPlace, 0),
        CommitArgument::Indirect => (CommitMode::Indirect, slots as u32),
    };
    let is_capped = false;
    let staged_slots = slots;
    ExecutorOptions {
        commit,
        spare_slots,
        staged_slots,
        layers_in_flight,
        is_capped,
        transport,
        round_slots,
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
    let text = if arguments.growth { text::growth(&report) } else { text::tables(&report) };
    print(&report, arguments.json, &text, out)
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
