//! Recorded expert loads, and a small Mixture-of-Experts engine to run expert-parallel load balancing
//! on: real routing, real arithmetic and real memory, without a model.
//!
//! A [`Trace`] is read from a file, [`sample_tokens`] draws tokens whose routing follows one of its
//! windows, and [`ExpertWeights`] computes what an expert makes of them, bit for bit the same on
//! whichever rank the expert lives. [`engine`] serves a trace with ranks as threads or as processes, and
//! [`run`] serves it twice, without and with balancing, and compares.
//!
//! A [`Replay`] plans after each window, and scores the plan on the window that follows:
//!
//! ```
//! use eplb::core::{Ensemble, EnsembleSettings, ExpertLoad, ModelShape, Placement, Topology};
//! use eplb::policy::by_name;
//! use eplb_sim::{Replay, Trace};
//!
//! let shape = ModelShape::new(1, 4, 1)?;
//! let window = ExpertLoad::from_rows(shape, &[vec![10, 10, 10, 70]])?;
//! let trace = Trace {
//!     name: "example".to_owned(),
//!     shape,
//!     windows: vec![window; 3],
//!     top_k: 1,
//!     tokens_per_window: 100,
//!     model: None,
//!     schedule: None,
//! };
//! let topology = Topology::uniform(2, 3, 1)?;
//! let replay = Replay {
//!     trace: &trace,
//!     topology: &topology,
//!     start: &Placement::initial(shape, &topology)?,
//!     known: &Ensemble::new(shape, EnsembleSettings::default())?,
//!     estimator: None,
//!     expert_bytes: 1 << 20,
//!     stopwatch: &|| 0.0,
//! };
//! let (planned, fixed) = (by_name("deepseek")?, by_name("static")?);
//! let planned = replay.score(&*planned, &mut |_| ())?;
//! assert!(planned.next.mean > replay.score(&*fixed, &mut |_| ())?.next.mean);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
