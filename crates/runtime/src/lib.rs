//! Expert-parallel load balancing for Mixture-of-Experts engines.
//!
//! An engine embeds the library with three types:
//!
//! - [`Config`]: what can be set, with xLLM's names;
//! - [`Coordinator`]: decides which layers change; one in the engine's master process (leader), or
//!   one on every rank (spmd);
//! - [`Session`]: one on every rank; moves weights and switches layers over on the engine's stream.
//!
//! Bytes travel between them with the engine's own messages: a header to every rank with each step,
//! a report back from every rank. `examples/engine.rs` of this crate is a whole engine around it.
//!
//! ```
//! use std::sync::Arc;
//! use eplb::core::{ModelShape, Placement, RankId, Step};
//! use eplb::device::{Backend, Device, StreamPriority};
//! use eplb::{
//!     Carriage, Config, Coordinator, Lent, LoadReport, PendingSession, SlotTensor, SystemClock,
//!     WeightManifest,
//! };
//!
//! let config = Config::parse("enable_eplb = true\nep_size = 1", "example")?;
//! let shape = ModelShape::new(1, 4, 1)?;
//! let topology = config.topology(4)?; // one rank with five slots
//! let placement = Placement::initial(shape, &topology)?;
//! let clock = Arc::new(SystemClock::new());
//!
//! let backend: Arc<dyn Backend> = eplb_host::HostBackend::new(1);
//! let device = Device::open(&backend, 0)?;
//! let engine_stream = device.stream(StreamPriority::High)?;
//! let memory = device.allocate(5 * 64)?;
//! let mut weights = WeightManifest::new();
//! let name = "weights".to_owned();
//! weights.push_layer(vec![SlotTensor { name, memory, slot_stride: 64, slot_bytes: 64 }]);
//! let lent = Lent { device, engine_stream, weights };
//! let pending = PendingSession::open(&config, RankId(0), shape, &topology, &placement, lent)?;
//! let mut session = pending.connect(&[Vec::new()], clock.clone())?;
//! let mut coordinator =
//!     Coordinator::start(&config, shape, &topology, placement, Carriage::Leader, clock)?;
//!
//! let header = coordinator.begin_step(Step(0), true)?; // travels with the step's input
//! session.begin_step(&header)?;
//! let load = LoadReport::of_step(Step(0), vec![7, 1, 1, 1, 0]); // tokens of this rank's slots
//! let report = session.end_step(Some(load), None); // travels with the step's output
//! coordinator.accept_report(RankId(0), &report)?;
//! assert_eq!(coordinator.counters().reports_accepted, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//!
//! A service that starts again begins with a placement for the traffic that it has seen before: it
//! keeps [`Coordinator::profile`] in a file, names that in its configuration, and loads its weights by
//! [`initial_placement`].
//!
//! This crate is the only one with threads and a clock. It never prints, aborts or waits for ever;
//! it reports through typed errors, [`Counters`], notes and `tracing` events. What a plan is expected
//! to bring and to cost is in [`Note::LayerPlanned`].

#![forbid(unsafe_code)]

mod clock;
mod collection;
mod config;
mod coordinator;
mod device_routing;
mod error;
mod executor_section;
mod mover;
mod planner;
mod policy_section;
mod pool_section;
mod profile;
mod session;
mod supply;
mod watchdog;

pub use clock::{Clock, ManualClock, Patience, SystemClock};
pub use config::{ClusterSection, Config, ConfigError, ManagerSection, ModelSection};
pub use coordinator::Coordinator;
pub use device_routing::RoutingLayout;
pub use error::Error;
pub use executor_section::{CommitMode, ExecutorSection, VerifyMode};
pub use policy_section::{ObjectiveName, PolicySection};
pub use pool_section::{PoolKind, PoolSection};
pub use profile::{ProfileError, initial_placement, placement_for, read_profile, read_profile_of};
pub use session::{Figures, Lent, PendingSession, Session};
pub use supply::{Held, Supply};

pub use eplb_core as core;
pub use eplb_device as device;
pub use eplb_executor::{
    ChangeFigures, CollectiveFigures, CollectiveState, CounterForm, CounterLife, CounterWidth,
    ExecutorError, ExpertLayout, ExpertPool, LoadCounters, LoadError, LoadFigures, Padding,
    PairTransport, PinnedPool, PoolError, Reach, SafetensorsPool, SharedMemoryPool, SlotTensor,
    TensorBytes, TensorTemplate, Transport, TransportChoice, Transports, WeightManifest,
};
pub use eplb_manager as manager;
pub use eplb_manager::{
    Carriage, CountForm, Counters, LoadReport, Note, Phase, PlanDigest, PlannedPhases, RoundId,
    Timestamp,
};
pub use eplb_policy as policy;
