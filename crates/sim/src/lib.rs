//! Recorded expert loads, and a small Mixture-of-Experts engine to run expert-parallel load balancing
//! on: real routing, real arithmetic and real memory, without a model.
//!
//! A [`Trace`] is read from a file, [`sample_tokens`] draws tokens whose routing follows one of its
//! windows, and [`ExpertWeights`] computes what an expert makes of them, bit for bit the same on
//! whichever rank the expert lives. [`engine`] serves a trace with ranks as threads or as processes, and
//! [`run`] serves it twice, without and with balancing, and compares.

#![forbid(unsafe_code)]

mod bench;
mod devices;
pub mod engine;
mod error;
mod expert;
mod load_file;
mod replay;
mod report;
mod run;
mod settings;
mod split_mix;
mod synthetic;
mod tokens;
mod trace;

pub use bench::{Bench, BenchScore, Contender, MakeTables, PlanTime, Workers};
pub use devices::Devices;
pub use engine::{Interruption, LostRank};
pub use error::RunError;
pub use expert::{
    ExpertBytes, ExpertDimensions, ExpertError, ExpertWeights, expert_weights, normalise,
};
pub use load_file::{LoadFile, LoadFileError, LoadFileProblem};
pub use replay::{PolicyScore, Quantiles, Replay, ReplayError, Score};
pub use report::{
    BalancednessPair, Moved, MovedBy, PairGroup, RunReport, Verification, WindowPoint,
};
pub use run::{Progress, RunInput, run, run_as_member};
pub use settings::{RunSettings, SettingsError};
pub use split_mix::SplitMix64;
pub use synthetic::{SyntheticError, SyntheticLoad};
pub use tokens::{LayerTokens, SampleError, TokenSample, initial_hidden_state, sample_tokens};
pub use trace::{Trace, TraceError};
