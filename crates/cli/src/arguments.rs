//! What the command line takes.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use eplb::core::Estimator;
use eplb::{CommitMode, TransportChoice};
use eplb_backends::BackendName;
use serde::{Deserialize, Serialize};

use crate::estimator::estimator;
use crate::run::Bootstrap;
use crate::window_range::WindowRange;

/// Expert-parallel load balancing: run it on recorded load, or plan a placement.
#[derive(Debug, Parser)]
#[command(name = "eplb", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Without a command: run.
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a recorded trace without and with balancing, verify every slot and output, and report
    Run(RunArguments),
    /// Compute one placement from a load file or a profile
    Plan(PlanArguments),
    /// Make a profile of a trace: a few windows that stand for its traffic, to start a service with
    Profile(ProfileArguments),
    /// Replay a trace through policies: how well each plan fits the next window, and what it moves
    Simulate(SimulateArguments),
    /// Say which backends can be used here: libraries, versions, devices, and what is missing
    Doctor(DoctorArguments),
    /// Test a backend's driver, libraries and devices against everything that the library relies on
    Conformance(ConformanceArguments),
    /// Be one rank of a case, for `conformance`
    #[command(name = "conformance-rank", hide = true)]
    ConformanceRank(ConformanceRankArguments),
    /// Take the time of parts of the library
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Time and score policies, side by side, over recorded loads or made-up ones of large models
    Plan(BenchPlanArguments),
    /// Bandwidth of weight transfers between ranks, beside plain copies on the same device
    Transfer(BenchTransferArguments),
    /// Time that switching a layer over takes on the engine's stream, beside plain copies
    Commit(BenchCommitArguments),
    /// Host time of a step, and how much a rebalance slows a forward stream down
    Step(BenchStepArguments),
    /// Be one rank, for `bench transfer`
    #[command(name = "transfer-rank", hide = true)]
    TransferRank(BenchTransferRankArguments),
}

/// Flags of `eplb run`; those with underscores are xLLM's.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Configuration file; flags below override it
    #[arg(long, value_name = "FILE", default_value = "configs/quickstart.toml")]
    pub(crate) config: PathBuf,
    /// Trace to serve (.npz, .npy, .json)
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Serve only the first N windows
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) windows: Option<usize>,
    /// Policy that plans placements: static, deepseek, xllm, greedy, greedy-fast, robust
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// How layers are switched over
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) commit: Option<CommitArgument>,
    /// How experts come from other ranks: through peer memory, by rounds of a communicator, or by
    /// what each pair of ranks can
    #[arg(long, value_enum, value_name = "WAY")]
    pub(crate) transport: Option<TransportArgument>,
    /// Nodes that the ranks stand on
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) nodes: Option<u32>,
    /// What holds the weights
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) backend: Option<BackendName>,
    /// The one device that all ranks share; all devices in turn unless given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) device: Option<u32>,
    /// Whether experts are moved
    #[arg(long = "enable_eplb", value_name = "BOOL", action = ArgAction::Set)]
    pub(crate) enable_eplb: Option<bool>,
    /// xLLM's level of expert parallelism, 0 to 2
    #[arg(long = "expert_parallel_degree", value_name = "N", allow_negative_numbers = true)]
    pub(crate) expert_parallel_degree: Option<u32>,
    /// Ranks of the expert-parallel group
    #[arg(long = "ep_size", value_name = "N", allow_negative_numbers = true)]
    pub(crate) ep_size: Option<u32>,
    /// Seconds between rebalances
    #[arg(long = "eplb_update_interval", value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) eplb_update_interval: Option<u64>,
    /// A layer is updated when the cosine similarity of its load falls below this, 0 to 1
    #[arg(long = "eplb_update_threshold", value_name = "X", allow_negative_numbers = true)]
    pub(crate) eplb_update_threshold: Option<f64>,
    /// Redundant experts of each rank
    #[arg(long = "redundant_experts_num", value_name = "N", allow_negative_numbers = true)]
    pub(crate) redundant_experts_num: Option<u32>,
    /// Start N processes of this program, one for each rank, instead of threads; implies --ep_size N
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        conflicts_with_all = ["bootstrap", "rank", "address"]
    )]
    pub(crate) processes: Option<u32>,
    /// Be one rank of a group of processes that finds together by file:PATH (written by rank 0),
    /// table:PATH (a rank table) or mpi (under mpirun); only rank 0 prints the report
    #[arg(long, value_name = "HOW")]
    pub(crate) bootstrap: Option<Bootstrap>,
    /// The number of this rank, with a file or a table
    #[arg(long, value_name = "R", allow_negative_numbers = true, requires = "bootstrap")]
    pub(crate) rank: Option<u32>,
    /// The address by which other ranks reach this one, host or host:port, with a file; 127.0.0.1 unless
    /// given
    #[arg(long, value_name = "A", requires = "bootstrap")]
    pub(crate) address: Option<String>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write a page to look at
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum CommitArgument {
    InPlace,
    Indirect,
}

impl From<CommitArgument> for CommitMode {
    fn from(argument: CommitArgument) -> Self {
        match argument {
            CommitArgument::InPlace => Self::InPlace,
            CommitArgument::Indirect => Self::Indirect,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransportArgument {
    Auto,
    Peer,
    Collective,
}

impl From<TransportArgument> for TransportChoice {
    fn from(argument: TransportArgument) -> Self {
        match argument {
            TransportArgument::Auto => Self::Auto,
            TransportArgument::Peer => Self::Peer,
            TransportArgument::Collective => Self::Collective,
        }
    }
}

/// Flags of `eplb plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Load file (.npy, .npz, .json), [layers, experts] or [windows, layers, experts]
    #[arg(long, value_name = "FILE", required_unless_present = "profile")]
    pub(crate) load: Option<PathBuf>,
    /// Plan from a profile instead (a file of eplb profile): policies that weigh windows weigh its
    /// windows, others add them up
    #[arg(long, value_name = "FILE", conflicts_with = "load")]
    pub(crate) profile: Option<PathBuf>,
    /// Ranks of the expert-parallel group
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) ranks: u32,
    /// Slots of a layer over all ranks
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(crate) slots: u32,
    /// Nodes that the ranks stand on
    #[arg(long, value_name = "M", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) nodes: u32,
    /// Expert groups of each layer; 1 or those of the profile unless given
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub(crate) groups: Option<u32>,
    /// Present placement (JSON: physical_to_logical_map, SGLang's or vllm-ascend's form)
    #[arg(long, value_name = "FILE")]
    pub(crate) placement: Option<PathBuf>,
    /// Policy that plans: static, deepseek, xllm, greedy, greedy-fast, robust
    #[arg(long, value_name = "NAME", default_value = "deepseek")]
    pub(crate) policy: String,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the placement to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The form of --output
    #[arg(long, value_enum, value_name = "FORM", default_value = "sglang")]
    pub(crate) format: PlacementForm,
}

/// Flags of `eplb profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArguments {
    /// Trace (.npz, .npy, .json), [windows, layers, experts]
    #[arg(value_name = "TRACE")]
    pub(crate) trace: PathBuf,
    /// The profile to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// See only the first N windows, or those from A to before B
    #[arg(long, value_name = "N|A..B", allow_negative_numbers = true)]
    pub(crate) windows: Option<WindowRange>,
    /// Representatives kept of windows before the last 32, 0 to 992
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 32)]
    pub(crate) representatives: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `eplb simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// Trace (.npz, .npy, .json), [windows, layers, experts]
    #[arg(value_name = "TRACE")]
    pub(crate) trace: PathBuf,
    /// Policies, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "static,deepseek,xllm,robust"
    )]
    pub(crate) policy: Vec<String>,
    /// Ranks of the expert-parallel group
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) ranks: u32,
    /// Slots of a layer over all ranks
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(crate) slots: u32,
    /// Nodes that the ranks stand on
    #[arg(long, value_name = "M", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) nodes: u32,
    /// Expert groups of each layer; those of the trace unless given
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub(crate) groups: Option<u32>,
    /// Replay only the first N windows, or those from A to before B
    #[arg(long, value_name = "N|A..B", allow_negative_numbers = true)]
    pub(crate) windows: Option<WindowRange>,
    /// Begin with a profile (a file of eplb profile): it is known to all policies, and all start from the
    /// placement that robust plans for it, so that static is that placement, never moved
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// What all policies plan from, instead of what each plans from by itself: last, sum, sliding:K (the
    /// last K windows), exponential:A (A is the newest window's part) or ensemble
    #[arg(long, value_name = "NAME", value_parser = estimator)]
    pub(crate) estimator: Option<Estimator>,
    /// Bytes of one expert of one layer; the default is one of DeepSeek-V3 in FP8
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, default_value_t = 44_040_192)]
    pub(crate) expert_bytes: u64,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `eplb bench plan`.
#[derive(Debug, Args)]
pub(crate) struct BenchPlanArguments {
    /// Loads (.npz, .npy, .json), [windows, layers, experts]; without any, synthetic ones of the shapes
    /// of DeepSeek-V3, Kimi-K2 and Qwen3-235B
    #[arg(value_name = "LOADS")]
    pub(crate) loads: Vec<PathBuf>,
    /// Policies, separated by commas; others are compared with the first
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "greedy,robust,deepseek,xllm"
    )]
    pub(crate) policy: Vec<String>,
    /// Ranks of the expert-parallel group; one for each 8 experts of a file unless given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) ranks: Option<u32>,
    /// Slots of a layer over all ranks; one redundant one a rank unless given
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(crate) slots: Option<u32>,
    /// Nodes that the ranks stand on
    #[arg(long, value_name = "M", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) nodes: u32,
    /// Expert groups of each layer; those of the load unless given
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub(crate) groups: Option<u32>,
    /// Replay only the first N windows, or make N
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) windows: Option<usize>,
    /// Threads that plan; several numbers, separated by commas, are timed in turn
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        allow_negative_numbers = true,
        default_value = "1"
    )]
    pub(crate) threads: Vec<usize>,
    /// Make each plan N times
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) repeat: usize,
    /// How time grows with the group: 61 layers × 384 experts on 64 to 1024 ranks
    #[arg(long, conflicts_with_all = ["loads", "ranks", "slots"])]
    pub(crate) growth: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// What all benchmarks of devices take.
#[derive(Debug, Args)]
pub(crate) struct BenchDeviceArguments {
    /// What holds the weights
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) backend: BackendName,
    /// Devices that ranks are dealt to in turn, separated by commas; all of them unless given
    #[arg(long, value_name = "N", value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) device: Vec<u32>,
    /// Seconds that any single wait may take
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 120)]
    pub(crate) deadline: u64,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `eplb bench transfer`.
#[derive(Debug, Args)]
pub(crate) struct BenchTransferArguments {
    #[command(flatten)]
    pub(crate) on: BenchDeviceArguments,
    /// Ranks that send to each other
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 4)]
    pub(crate) ranks: u32,
    /// Each rank is a process; the default except on the host
    #[arg(long, conflicts_with = "threads")]
    pub(crate) processes: bool,
    /// Each rank is a thread with a device handle of its own
    #[arg(long)]
    pub(crate) threads: bool,
    /// Bytes of one expert of one layer; the default is one of DeepSeek-V3 in FP8
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, default_value_t = 44_040_192)]
    pub(crate) expert_bytes: usize,
    /// Slots of each rank and layer
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 9)]
    pub(crate) slots: u32,
    /// Layers that are moved in one run
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 8)]
    pub(crate) layers: u32,
    /// Layers that move at the same time; several numbers, separated by commas, are measured in turn
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        allow_negative_numbers = true,
        default_value = "1,2"
    )]
    pub(crate) in_flight: Vec<usize>,
    /// How layers would be switched over, which decides where their weights arrive
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CommitArgument::InPlace)]
    pub(crate) commit: CommitArgument,
    /// How experts come from other ranks; with `collective` there are no figures of the first rank alone,
    /// since all ranks have to make rounds
    #[arg(long, value_enum, value_name = "WAY", default_value_t = TransportArgument::Peer)]
    pub(crate) transport: TransportArgument,
    /// Slots that a rank sends in one round at most, and that it receives
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) round_slots: u32,
    /// Measure everything N times, in turn
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 7)]
    pub(crate) repeat: usize,
}

/// Flags of the hidden command that is one rank.
#[derive(Debug, Args)]
pub(crate) struct BenchTransferRankArguments {
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) backend: BackendName,
}

/// Flags of `eplb bench commit`.
#[derive(Debug, Args)]
pub(crate) struct BenchCommitArguments {
    #[command(flatten)]
    pub(crate) on: BenchDeviceArguments,
    /// Bytes of one expert of one layer; the default is one of DeepSeek-V3 in FP8
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, default_value_t = 44_040_192)]
    pub(crate) expert_bytes: usize,
    /// Slots of the rank and layer, all of which change
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 9)]
    pub(crate) slots: u32,
    /// Layers that are switched over in one run, one right after the other
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 8)]
    pub(crate) layers: u32,
    /// How layers are switched over; in both ways in turn unless given
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) commit: Option<CommitArgument>,
    /// Measure everything N times, in turn
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 15)]
    pub(crate) repeat: usize,
}

/// Flags of `eplb bench step`.
#[derive(Debug, Args)]
pub(crate) struct BenchStepArguments {
    #[command(flatten)]
    pub(crate) on: BenchDeviceArguments,
    /// Ranks, all in this process; the first one is measured
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 2)]
    pub(crate) ranks: u32,
    /// Bytes of one expert of one layer; all layers, slots and ranks of a device have to fit its memory
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, default_value_t = 4_194_304)]
    pub(crate) expert_bytes: usize,
    /// Slots of each rank and layer, one of them redundant
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 9)]
    pub(crate) slots: u32,
    /// Layers, all of which a rebalance changes
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 58)]
    pub(crate) layers: u32,
    /// Layers that move at the same time
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) in_flight: usize,
    /// Slots of a rank that one change replaces at most, with commits in place; all of them unless given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) staged_slots: Option<u32>,
    /// Bytes per second that each rank's copies of moving weights may take at most; no cap unless given
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) bandwidth_cap: u64,
    /// How layers are switched over
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CommitArgument::InPlace)]
    pub(crate) commit: CommitArgument,
    /// Steps in steady state, without load reports and again with them
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 10_000)]
    pub(crate) steps: u64,
    /// What the forward stream of each device does
    #[arg(long, value_enum, value_name = "KIND", default_value_t = ForwardArgument::Copies)]
    pub(crate) forward: ForwardArgument,
    /// Microseconds that one step keeps the forward stream busy
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1_000)]
    pub(crate) piece_us: u64,
    /// Rebalances beside a forward stream, each followed by as many steps without one
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 5)]
    pub(crate) repeat: usize,
}

/// What a piece of a made-up forward pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForwardArgument {
    /// A copy within the device's memory
    Copies,
    /// A fill of the device's memory
    Fills,
    /// A product of two matrices by the vendor's library (cuBLAS)
    Products,
}

/// Flags of `eplb doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Look for libraries where the section [backend.libraries] of this configuration says
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `eplb conformance`.
#[derive(Debug, Args)]
pub(crate) struct ConformanceArguments {
    /// What is tested
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) backend: BackendName,
    /// The one device to test; all devices unless given
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) device: Option<u32>,
    /// Ranks that cases of several ranks run with, separated by commas; ranks share devices where they
    /// can
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        allow_negative_numbers = true,
        default_value = "1,2,3,4"
    )]
    pub(crate) ranks: Vec<u32>,
    /// Only cases whose name or topic holds this
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<String>,
    /// Known failures (TOML): [[expect]] with case, reason, and optionally device, software and variant
    #[arg(long, value_name = "FILE")]
    pub(crate) expectations: Option<PathBuf>,
    /// Also write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of the hidden command that is one rank.
#[derive(Debug, Args)]
pub(crate) struct ConformanceRankArguments {
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) backend: BackendName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlacementForm {
    /// SGLang's --init-expert-location: an object with `physical_to_logical_map`
    Sglang,
    /// The expert map of vllm-ascend
    VllmAscend,
}
