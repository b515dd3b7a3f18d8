//! `eplb bench transfer`: the bandwidth of weight transfers, against what plain copies reach.
//!
//! Every rank has the weights of some layers. In a run each rank pulls all slots of each layer from the
//! other ranks, as for a new placement that leaves no slot as it was; the change is given up once its
//! weights are there, so that every run moves the same bytes. The ceiling is measured in the same
//! program: as many copies of the same length, between the same ranks, as plain calls of the device one
//! after another. On the host it is a plain `memcpy` on one thread a rank, as many as copy in a transfer.
//!
//! Ceiling and transfers alternate, all `--repeat` times after one round that does not count; figures
//! are medians. All ranks begin at an agreed moment of the system's clock, and the time of all together is
//! from there to the end of the last one. A device may do less for several processes at once than for
//! one, so there are figures of all ranks together and of the first rank alone, each with its own ceiling.

mod crew;
mod message;
mod rank;
mod text;

use std::io::{BufReader, Write};
use std::process::ExitCode;

use eplb_backends::{BackendName, LibrarySettings};
use serde::Serialize;

use super::figures::{gb_per_s, median, nanoseconds, ratio};
use super::ground::{Ground, Polling, limit, open, ordinals, within};
use crate::arguments::{
    BenchTransferArguments, BenchTransferRankArguments, CommitArgument, TransportArgument,
};
use crate::failure::Failure;
use crate::progress::StepProgress;
use crew::Crew;
use message::{Moved, Opening, Order, Reply, soon};

const MOST_RANKS: u32 = 64;
const MOST_SLOTS: u32 = 1_024;
const MOST_LAYERS: u32 = 1_024;
pub(super) const MOST_EXPERT_BYTES: usize = 1 << 36;
const MOST_REPEATS: usize = 10_000;

/// What `eplb bench transfer --json` prints.
#[derive(Debug, Serialize)]
struct TransferReport {
    bench: &'static str,
    #[serde(flatten)]
    ground: Ground,
    /// What ranks are.
    mode: Mode,
    ranks: u32,
    layers: u32,
    slots: u32,
    expert_bytes: usize,
    commit: CommitArgument,
    transport: TransportArgument,
    round_slots: u32,
    repeat: usize,
    ceiling: Ceiling,
    transfers: Vec<TransferSeries>,
    memory: Vec<RankMemory>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Processes,
    Threads,
}

/// What plain copies of the same bytes reach.
#[derive(Debug, Serialize)]
struct Ceiling {
    method: String,
    together: Rate,
    alone: Rate,
}

/// What transfers reach with so many layers at a time.
#[derive(Debug, Serialize)]
struct TransferSeries {
    in_flight: usize,
    /// All ranks at once.
    together: Rate,
    /// Over the ceiling of all ranks at once.
    together_ratio: f64,
    /// Slots that all ranks received in one run, by transport.
    peer_slots: u64,
    collective_slots: u64,
    /// The first rank, while the others do nothing; not with rounds, which all ranks make.
    alone: Option<Rate>,
    /// Over the ceiling of the first rank alone.
    alone_ratio: Option<f64>,
}

/// Bytes that came from other ranks, and how fast.
#[derive(Debug, Serialize)]
struct Rate {
    /// In one run, over all ranks that take part.
    received_bytes: u64,
    median_ns: f64,
    min_ns: f64,
    max_ns: f64,
    /// Bytes over the median time.
    gb_per_s: f64,
    /// By rank: its bytes over the median of its own time.
    rank_gb_per_s: Vec<f64>,
}

/// Memory of a rank's device, which it may share with other ranks.
#[derive(Debug, Serialize)]
struct RankMemory {
    rank: u32,
    device: u32,
    /// Weights of the rank.
    weights_bytes: u64,
    /// What was free before the rank's executor reserved its memory, and after.
    free_before_bytes: u64,
    free_after_bytes: u64,
}

/// The runs of one kind, by repetition and rank.
type Runs = Vec<Vec<Moved>>;

/// What is run in turn.
#[derive(Clone, Copy, Debug)]
enum Run {
    Ceiling,
    Transfer { in_flight: usize },
}

pub(super) fn transfer(
    arguments: &BenchTransferArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let mode = check(arguments)?;
    let limit = limit(&arguments.on)?;
    let backend = open(&arguments.on, arguments.ranks)?;
    let ordinals = ordinals(&*backend, &arguments.on.device)?;
    let polling = Polling::for_threads(arguments.ranks);
    let opening = |rank: u32| Opening {
        rank,
        ranks: arguments.ranks,
        device: ordinals[rank as usize % ordinals.len()],
        layers: arguments.layers,
        slots: arguments.slots,
        expert_bytes: arguments.expert_bytes,
        commit: arguments.commit,
        layers_in_flight: arguments.in_flight.iter().copied().max().unwrap_or(1),
        transport: arguments.transport,
        round_slots: arguments.round_slots,
        polling,
        deadline_s: arguments.on.deadline,
        plain_memory: arguments.on.backend == BackendName::Host && mode == Mode::Threads,
    };
    let mut crew = match mode {
        Mode::Processes => Crew::of_processes(arguments.ranks, arguments.on.backend, limit)?,
        Mode::Threads => Crew::of_threads(arguments.ranks, &backend, limit)?,
    };
    let opened = crew.ask_all(|rank| Order::Open(opening(rank)))?;
    let mut facts = Vec::new();
    let mut memory = Vec::new();
    let (mut endpoints, mut sources) = (Vec::new(), Vec::new());
    for (rank, reply) in (0..).zip(opened) {
        let Reply::Opened(opened) = reply else { return Err(reply.unexpected(rank)) };
        memory.push(RankMemory {
            rank,
            device: opened.device.ordinal,
            weights_bytes: opened.weights_bytes,
            free_before_bytes: opened.free_before_bytes,
            free_after_bytes: opened.free_after_bytes,
        });
        facts.push(opened.device);
        endpoints.push(opened.endpoint);
        sources.push(opened.source);
    }
    crew.expect_done(|_| Order::Connect {
        endpoints: endpoints.clone(),
        sources: sources.clone(),
    })?;

    let (together, alone) = measure(&mut crew, arguments)?;
    crew.expect_done(|_| Order::LetGo)?;
    crew.end()?;

    let slots = together.iter().map(|runs| slots_of(runs)).skip(1).collect::<Vec<_>>();
    let mut together = together.iter().map(|runs| Rate::of(runs));
    let mut alone = alone.iter().map(|runs| (!runs.is_empty()).then(|| Rate::of(runs)));
    let (Some(together_ceiling), Some(Some(alone_ceiling))) = (together.next(), alone.next())
    else {
        return Err(Failure::new("nothing was measured"));
    };
    let ceiling = Ceiling {
        method: method(arguments, mode),
        together: together_ceiling,
        alone: alone_ceiling,
    };
    let transfers = arguments
        .in_flight
        .iter()
        .zip(together.zip(alone))
        .zip(slots)
        .map(|((&in_flight, (together, alone)), (received, by_rounds))| TransferSeries {
            in_flight,
            together_ratio: ratio(together.gb_per_s, ceiling.together.gb_per_s),
            peer_slots: received - by_rounds,
            collective_slots: by_rounds,
            alone_ratio: alone.as_ref().map(|rate| ratio(rate.gb_per_s, ceiling.alone.gb_per_s)),
            together,
            alone,
        })
        .collect();
    let report = TransferReport {
        bench: "transfer",
        ground: Ground::new(arguments.on.backend, facts, polling),
        mode,
        ranks: arguments.ranks,
        layers: arguments.layers,
        slots: arguments.slots,
        expert_bytes: arguments.expert_bytes,
        commit: arguments.commit,
        transport: arguments.transport,
        round_slots: arguments.round_slots,
        repeat: arguments.repeat,
        ceiling,
        transfers,
        memory,
    };
    super::print(&report, arguments.on.json, &text::render(&report), out)
}

/// Is one rank, for the benchmark that started this process.
pub(super) fn transfer_rank(
    arguments: &BenchTransferRankArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let backend = eplb_backends::open(arguments.backend, &LibrarySettings::default(), MOST_RANKS)
        .map_err(Failure::new)?;
    let mut orders = BufReader::new(std::io::stdin());
    let mut rank = rank::Rank::new(backend);
    while let Some(order) = message::receive::<Order>(&mut orders)? {
        let is_last = matches!(order, Order::End);
        message::send(out, &rank.follow(order))?;
        if is_last {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(arguments: &BenchTransferArguments) -> Result<Mode, Failure> {
    within("--ranks", arguments.ranks, 2, MOST_RANKS)?;
    within("--slots", arguments.slots, 1, MOST_SLOTS)?;
    within("--layers", arguments.layers, 1, MOST_LAYERS)?;
    within("--expert-bytes", arguments.expert_bytes, 1, MOST_EXPERT_BYTES)?;
    within("--repeat", arguments.repeat, 1, MOST_REPEATS)?;
    within("--round-slots", arguments.round_slots, 1, MOST_SLOTS)?;
    for &in_flight in &arguments.in_flight {
        within("--in-flight", in_flight, 1, arguments.layers as usize)?;
    }
    let is_host = arguments.on.backend == BackendName::Host;
    match (arguments.processes, arguments.threads) {
        (true, _) => Ok(Mode::Processes),
        (false, false) if !is_host => Ok(Mode::Processes),
        (false, _) => Ok(Mode::Threads),
    }
}

fn method(arguments: &BenchTransferArguments, mode: Mode) -> String {
    let BenchTransferArguments { ranks, slots, layers, expert_bytes, .. } = arguments;
    let copies = format!("{layers} × {slots} of {expert_bytes} bytes a rank");
    match (arguments.on.backend, mode) {
        (BackendName::Host, Mode::Threads) => format!("memcpy on {ranks} threads, {copies}"),
        (_, Mode::Processes) => {
            format!("copies on a stream out of memory of other processes, {copies}")
        }
        (_, Mode::Threads) => {
            format!("copies on a stream out of memory of other device handles, {copies}")
        }
    }
}

/// Runs everything in turn; the ceiling first, then transfers in the order of `--in-flight`.
fn measure(
    crew: &mut Crew,
    arguments: &BenchTransferArguments,
) -> Result<(Vec<Runs>, Vec<Runs>), Failure> {
    let transfers = arguments.in_flight.iter().map(|&in_flight| Run::Transfer { in_flight });
    let kinds: Vec<Run> = [Run::Ceiling].into_iter().chain(transfers).collect();
    let mut together = vec![Runs::new(); kinds.len()];
    let mut alone = vec![Runs::new(); kinds.len()];
    let rounds = arguments.repeat + 1;
    let progress = StepProgress::new(rounds * kinds.len() * 2);
    let mut done = 0;
    for round in 0..rounds {
        for (index, &kind) in kinds.iter().enumerate() {
            for (ranks, runs) in [(0..arguments.ranks, &mut together), (0..1, &mut alone)] {
                let is_alone = ranks.len() == 1;
                let is_transfer = matches!(kind, Run::Transfer { .. });
                if is_alone && is_transfer && arguments.transport == TransportArgument::Collective {
                    continue;
                }
                progress.show(kind.name(), done);
                done += 1;
                let begin_unix_ns = soon();
                let order = |_| match kind {
                    Run::Ceiling => Order::Ceiling { begin_unix_ns },
                    Run::Transfer { in_flight } => Order::Transfer { begin_unix_ns, in_flight },
                };
                let moved = crew.expect_moved(ranks, order)?;
                // The first round sets links up and touches memory for the first time.
                if round > 0 {
                    runs[index].push(moved);
                }
            }
        }
    }
    progress.end();
    Ok((together, alone))
}

/// The slots that all ranks received in the first run, and those of them that came by rounds.
fn slots_of(runs: &[Vec<Moved>]) -> (u64, u64) {
    let ranks = runs.first().into_iter().flatten();
    ranks.fold((0, 0), |(all, by_rounds), moved| {
        (all + moved.received_slots, by_rounds + moved.collective_slots)
    })
}

impl Run {
    fn name(self) -> &'static str {
        match self {
            Self::Ceiling => "ceiling",
            Self::Transfer { .. } => "transfer",
        }
    }
}

impl Rate {
    fn of(runs: &[Vec<Moved>]) -> Self {
        let time_of_all = |run: &Vec<Moved>| {
            let begun = run.iter().map(|moved| moved.begun_unix_ns).min().unwrap_or(0);
            let ended = run.iter().map(Moved::ended_unix_ns).max().unwrap_or(0);
            ended.saturating_sub(begun) as f64
        };
        let times: Vec<f64> = runs.iter().map(time_of_all).collect();
        let ranks = runs.first().map_or(0, Vec::len);
        let bytes_of = |rank: usize| runs.first().map_or(0, |run| run[rank].received_bytes);
        let rank_time = |rank: usize| {
            median(runs.iter().map(|run| nanoseconds(run[rank].elapsed) as f64).collect())
        };
        let received_bytes = (0..ranks).map(bytes_of).sum();
        let median_ns = median(times.clone());
        Self {
            received_bytes,
            median_ns,
            min_ns: times.iter().copied().fold(f64::INFINITY, f64::min),
            max_ns: times.iter().copied().fold(0.0, f64::max),
            gb_per_s: gb_per_s(received_bytes, median_ns),
            rank_gb_per_s: (0..ranks)
                .map(|rank| gb_per_s(bytes_of(rank), rank_time(rank)))
                .collect(),
        }
    }
}
