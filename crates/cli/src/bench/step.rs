//! `eplb bench step`: the host time of a step, and how much a rebalance slows a forward stream down.
//!
//! All ranks are in this process, and one thread steps them; the first rank's two calls, `begin_step` and
//! `end_step`, are timed. In steady state nothing is to be done: first without load reports, then with a
//! report of all layers in each step, which the engine has filled before. In mid-cycle a rebalance of all
//! layers is under way, beside a forward stream; steps in which a layer's change begins, is under way and
//! is switched over are told apart.
//!
//! The forward stream of the first rank on each device gets a piece of work a step, and at most two are queued
//! ahead, so that it is never idle and the host keeps its pace. It is another stream than the one that layers are
//! switched on, and in each step either waits for the other, which orders work as on one stream: the books
//! that this library keeps of its own copies on a stream then hold the step's alone, as in an engine, whose
//! kernels they never see. The time until all pieces of a rebalance have ended, on all devices, is
//! compared with that of as many steps without one, which come right after; each pair gives one ratio.
//! Ranks that share a device share its forward stream: the traffic of all of them falls on it, more than on
//! that of a rank with a device of its own.
//!
//! Device calls are counted, and memory is looked at, in a second engine, since both take time.

mod calls;
mod engine;
mod forward_streams;
mod text;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use eplb::Session;
use eplb::core::RankId;
use eplb::device::Device;
use serde::Serialize;

use super::figures::{Times, median, nanoseconds, ratio};
use super::forward::PieceFacts;
use super::ground::Polling;
use super::ground::{Ground, limit, open, ordinals, within};
use super::transfer::MOST_EXPERT_BYTES;
use crate::arguments::{BenchStepArguments, CommitArgument};
use crate::failure::Failure;
use crate::progress::StepProgress;
use calls::CallCounter;
use engine::{Engine, Kind, Stepped};
use forward_streams::ForwardStreams;

const MOST_RANKS: u32 = 64;
const MOST_SLOTS: u32 = 1_024;
const MOST_LAYERS: u32 = 1_024;
const MOST_STEPS: u64 = 100_000_000;
const MOST_REPEATS: usize = 10_000;
/// Steps in steady state whose device calls are counted.
const COUNTED_STEPS: u64 = 100;
/// Steps that a rebalance may take, whatever their length.
const MOST_REBALANCE_STEPS: u64 = 10_000_000;

/// What `eplb bench step --json` prints.
#[derive(Debug, Serialize)]
struct StepReport {
    bench: &'static str,
    #[serde(flatten)]
    ground: Ground,
    ranks: u32,
    layers: u32,
    slots: u32,
    experts: u32,
    expert_bytes: usize,
    layers_in_flight: usize,
    staged_slots: u32,
    /// Of each rank; 0 is none.
    bandwidth_cap_bytes_per_s: u64,
    commit: CommitArgument,
    steady: Steps,
    steady_with_load: Steps,
    begins: Steps,
    moves: Steps,
    commits: Steps,
    /// The three kinds before together.
    mid_cycle: Steps,
    forward: Forward,
    memory: Memory,
}

/// Steps of one kind, on the first rank.
#[derive(Debug, Serialize)]
struct Steps {
    begin: Times,
    end: Times,
    /// Both calls.
    step: Times,
    /// What the coordinator took, for the header and the reports of all ranks.
    coordinator: Times,
    device_calls: Calls,
}

/// Device calls in a step of one kind, counted in a run of its own.
#[derive(Debug, Default, Serialize)]
struct Calls {
    steps: usize,
    median: usize,
    most: usize,
    /// Those of a step with the most.
    names: Vec<&'static str>,
}

/// The forward streams with and without a rebalance.
#[derive(Debug, Serialize)]
struct Forward {
    #[serde(flatten)]
    piece: PieceFacts,
    /// Of each device, the first rank's first.
    pieces: Vec<PieceFacts>,
    runs: Vec<ForwardRun>,
    /// Median of the runs' ratios.
    ratio: f64,
    /// Median of what a rebalance adds.
    stall_ns: f64,
}

#[derive(Debug, Serialize)]
struct ForwardRun {
    /// Steps, and pieces, of either time.
    steps: u64,
    layers_committed: u64,
    /// By all ranks.
    received_bytes: u64,
    rebalance_ns: u64,
    quiet_ns: u64,
    ratio: f64,
}

/// Memory of the first rank's device.
#[derive(Debug, Serialize)]
struct Memory {
    /// Ranks that share the device.
    ranks: usize,
    /// Weights of each rank, spare slots included.
    rank_weights_bytes: u64,
    /// What was free before sessions were opened, with the weights there, and after.
    free_before_bytes: u64,
    free_after_bytes: u64,
    /// The difference: what the sessions of all ranks on the device reserved.
    reserved_bytes: u64,
    /// The most that was ever taken beyond that in a step of a rebalance.
    most_beyond_reserved_bytes: u64,
}

/// Samples of one kind of steps.
#[derive(Clone, Debug, Default)]
struct Samples {
    begin: Vec<u64>,
    end: Vec<u64>,
    step: Vec<u64>,
    coordinator: Vec<u64>,
    calls: Vec<Vec<&'static str>>,
}

/// All steps of a run, by kind.
#[derive(Debug, Default)]
struct ByKind {
    steady: Samples,
    steady_with_load: Samples,
    begins: Samples,
    moves: Samples,
    commits: Samples,
}

pub(super) fn step(
    arguments: &BenchStepArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    check(arguments)?;
    let limit = limit(&arguments.on)?;
    let backend = open(&arguments.on, arguments.ranks)?;
    let ordinals = ordinals(&*backend, &arguments.on.device)?;
    // One thread waits, but every rank has a thread that moves weights.
    let polling = Polling::for_threads(arguments.ranks);
    let progress = StepProgress::new(arguments.repeat + 3);

    progress.show("steady state", 0);
    let mut engine = Engine::open(arguments, &backend, &ordinals, polling, limit)?;
    let forward = ForwardStreams::open(&engine, arguments, polling, limit)?;
    let mut bench = Bench { forward, limit, times: ByKind::default() };
    bench.rebalance(&mut engine, None, |_| Ok(()))?;
    bench.times = ByKind::default();
    bench.steady(&mut engine, arguments.steps, None)?;
    let mut runs = Vec::new();
    for round in 0..=arguments.repeat {
        progress.show("mid-cycle", 1 + round);
        let run = bench.pair(&mut engine)?;
        match round {
            // The first pair meets memory and links that may not have been used yet.
            0 => bench.times.forget_mid_cycle(),
            _ => runs.push(run),
        }
    }
    let (facts, reserved) = (engine.facts.clone(), engine.memory);
    let ranks_on_device = facts.iter().filter(|device| device.ordinal == facts[0].ordinal).count();
    let Bench { forward, times, .. } = bench;
    let pieces = forward.facts();
    drop(forward);
    engine.close()?;

    progress.show("device calls", arguments.repeat + 2);
    let (counter, counted) = CallCounter::wrap(backend);
    let mut engine = Engine::open(arguments, &counted, &ordinals, polling, limit)?;
    let forward = ForwardStreams::open(&engine, arguments, polling, limit)?;
    let mut bench = Bench { forward, limit, times: ByKind::default() };
    bench.rebalance(&mut engine, None, |_| Ok(()))?;
    bench.times = ByKind::default();
    bench.steady(&mut engine, COUNTED_STEPS, Some(&counter))?;
    let free = |device: &Device| Ok::<_, Failure>(device.memory_info().map_err(Failure::new)?.free);
    let device = engine.devices[0].clone();
    let free_quiet = free(&device)?;
    let mut least_free = free_quiet;
    engine.change_load();
    bench.rebalance(&mut engine, Some(&counter), |_| {
        least_free = least_free.min(free(&device)?);
        Ok(())
    })?;
    drop(device);
    let Bench { forward, times: counted, .. } = bench;
    drop(forward);
    engine.close()?;
    progress.end();

    let mid_cycle = Steps::of(times.mid_cycle(), counted.mid_cycle());
    let forward = Forward {
        piece: pieces[0],
        pieces,
        ratio: median(runs.iter().map(|run| run.ratio).collect()),
        stall_ns: median(
            runs.iter().map(|run| run.rebalance_ns as f64 - run.quiet_ns as f64).collect(),
        ),
        runs,
    };
    let report = StepReport {
        bench: "step",
        ground: Ground::new(arguments.on.backend, facts, polling),
        ranks: arguments.ranks,
        layers: arguments.layers,
        slots: arguments.slots,
        experts: arguments.ranks * (arguments.slots - 1),
        expert_bytes: arguments.expert_bytes,
        layers_in_flight: arguments.in_flight,
        staged_slots: arguments.staged_slots.unwrap_or(arguments.slots),
        bandwidth_cap_bytes_per_s: arguments.bandwidth_cap,
        commit: arguments.commit,
        steady: Steps::of(times.steady, counted.steady),
        steady_with_load: Steps::of(times.steady_with_load, counted.steady_with_load),
        begins: Steps::of(times.begins, counted.begins),
        moves: Steps::of(times.moves, counted.moves),
        commits: Steps::of(times.commits, counted.commits),
        mid_cycle,
        forward,
        memory: Memory {
            ranks: ranks_on_device,
            rank_weights_bytes: reserved.weights_bytes,
            free_before_bytes: reserved.free_before_bytes,
            free_after_bytes: reserved.free_after_bytes,
            reserved_bytes: reserved.free_before_bytes.saturating_sub(reserved.free_after_bytes),
            most_beyond_reserved_bytes: free_quiet.saturating_sub(least_free),
        },
    };
    super::print(&report, arguments.on.json, &text::render(&report), out)
}

fn check(arguments: &BenchStepArguments) -> Result<(), Failure> {
    within("--ranks", arguments.ranks, 2, MOST_RANKS)?;
    within("--slots", arguments.slots, 2, MOST_SLOTS)?;
    within("--layers", arguments.layers, 1, MOST_LAYERS)?;
    within("--expert-bytes", arguments.expert_bytes, 1, MOST_EXPERT_BYTES)?;
    within("--in-flight", arguments.in_flight, 1, 64)?;
    within("--staged-slots", arguments.staged_slots.unwrap_or(1), 1, MOST_SLOTS)?;
    within("--steps", arguments.steps, 1, MOST_STEPS)?;
    within("--piece-us", arguments.piece_us, 1, 1_000_000)?;
    within("--repeat", arguments.repeat, 1, MOST_REPEATS)
}

/// The forward streams and the samples.
struct Bench {
    forward: ForwardStreams,
    limit: Duration,
    times: ByKind,
}

impl Bench {
    /// Steps in which nothing is to be done, without load and with it.
    fn steady(
        &mut self,
        engine: &mut Engine,
        steps: u64,
        counter: Option<&CallCounter>,
    ) -> Result<(), Failure> {
        for with_load in [false, true] {
            for _ in 0..steps {
                let stepped = engine.step(with_load, counter, |_, _| Ok(()))?;
                let samples = match with_load {
                    false => &mut self.times.steady,
                    true => &mut self.times.steady_with_load,
                };
                samples.push(stepped);
            }
        }
        Ok(())
    }

    /// A rebalance beside the forward streams, and as many steps without one.
    fn pair(&mut self, engine: &mut Engine) -> Result<ForwardRun, Failure> {
        let (committed, received) = (engine.counters().layers_committed, engine.received_bytes());
        engine.change_load();
        let (steps, rebalance_ns) = self.rebalance(engine, None, |_| Ok(()))?;
        let layers_committed = engine.counters().layers_committed - committed;
        let received_bytes = engine.received_bytes() - received;
        if layers_committed == 0 {
            return Err(Failure::new("the plan changed no layer; give more --slots or --ranks"));
        }
        let begun = Instant::now();
        for _ in 0..steps {
            engine.step(true, None, |rank, session| self.forward.forward(rank, session))?;
        }
        self.forward.end()?;
        let quiet_ns = nanoseconds(begun.elapsed());
        let ratio = ratio(rebalance_ns as f64, quiet_ns as f64);
        Ok(ForwardRun { steps, layers_committed, received_bytes, rebalance_ns, quiet_ns, ratio })
    }

    /// Steps beside the forward streams until the rebalance that the present load leads to is over, and
    /// the time until the forward streams are idle. `look` is called in each step.
    fn rebalance(
        &mut self,
        engine: &mut Engine,
        counter: Option<&CallCounter>,
        mut look: impl FnMut(&Session) -> Result<(), Failure>,
    ) -> Result<(u64, u64), Failure> {
        let until = Instant::now() + self.limit;
        let rounds = engine.counters().rounds_finished;
        let mut seen = ByKind::default();
        let mut steps = 0;
        let begun = Instant::now();
        while engine.counters().rounds_finished == rounds {
            if Instant::now() >= until || steps == MOST_REBALANCE_STEPS {
                let text = format!("a rebalance was not over after {steps} steps; see --deadline");
                return Err(Failure::new(text));
            }
            let stepped = engine.step(true, counter, |rank, session| {
                self.forward.forward(rank, session)?;
                if rank == RankId(0) { look(session) } else { Ok(()) }
            })?;
            steps += 1;
            match stepped.kind {
                Kind::Idle => {}
                Kind::Begins => seen.begins.push(stepped),
                Kind::Moves => seen.moves.push(stepped),
                Kind::Commits => seen.commits.push(stepped),
            }
        }
        self.forward.end()?;
        let elapsed = nanoseconds(begun.elapsed());
        self.times.add_mid_cycle(seen);
        Ok((steps, elapsed))
    }
}

impl ByKind {
    fn add_mid_cycle(&mut self, seen: Self) {
        self.begins.append(seen.begins);
        self.moves.append(seen.moves);
        self.commits.append(seen.commits);
    }

    fn mid_cycle(&self) -> Samples {
        let mut all = Samples::default();
        for samples in [&self.begins, &self.moves, &self.commits] {
            all.append(samples.clone());
        }
        all
    }

    fn forget_mid_cycle(&mut self) {
        for samples in [&mut self.begins, &mut self.moves, &mut self.commits] {
            *samples = Samples::default();
        }
    }
}

impl Samples {
    fn push(&mut self, stepped: Stepped) {
        self.begin.push(stepped.begin_ns);
        self.end.push(stepped.end_ns);
        self.step.push(stepped.begin_ns + stepped.end_ns);
        self.coordinator.push(stepped.coordinator_ns);
        self.calls.push(stepped.calls);
    }

    fn append(&mut self, mut other: Self) {
        self.begin.append(&mut other.begin);
        self.end.append(&mut other.end);
        self.step.append(&mut other.step);
        self.coordinator.append(&mut other.coordinator);
        self.calls.append(&mut other.calls);
    }
}

impl Steps {
    /// Times of one run, calls of another.
    fn of(times: Samples, counted: Samples) -> Self {
        let Samples { begin, end, step, coordinator, .. } = times;
        let mut calls = counted.calls;
        calls.sort_by_key(Vec::len);
        let at = |index: usize| calls.get(index).map_or(0, Vec::len);
        let device_calls = Calls {
            steps: calls.len(),
            median: at(calls.len().saturating_sub(1) / 2),
            most: at(calls.len().saturating_sub(1)),
            names: calls.last().cloned().unwrap_or_default(),
        };
        let [begin, end, step, coordinator] = [begin, end, step, coordinator].map(Times::of);
        Self { begin, end, step, coordinator, device_calls }
    }
}
