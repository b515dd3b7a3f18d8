//! The manager of expert-parallel load balancing, as two pure state machines.
//!
//! - [`Manager`] decides: it gathers the load that ranks report, says which layers are worth a new
//!   plan, and leads each layer's change through prepare, commit and, when a rank fails, revert.
//! - [`Follower`] lives on every rank: it takes the manager's headers, says what the rank's executor
//!   has to do, and reports what became of it.
//!
//! Neither has a thread, a clock, a device or a socket. Time is an argument ([`Timestamp`]), events go
//! in, commands come out, and the same events give the same commands.
//!
//! # What is planned for
//!
//! Load comes as samples: the tokens that all live ranks counted over the same steps. Samples of a phase
//! that is not planned for ([`ManagerConfig::planned_phases`]) are left out. So many samples make a
//! window, of all layers at the same time, and the windows kept are what a [`PlanJob`] holds. A plan
//! gives each layer a [`PlannedLayer`]: a table, the shares of its replicas, and what the policy expects
//! of it, which is told in a [`Note::LayerPlanned`].
//!
//! # The protocol
//!
//! One [`StepHeader`] goes to the ranks with each step of the engine, and one [`RankReport`] comes back
//! from each. Both are cumulative: a header names every change in flight until it is settled, a report
//! gives the present status of every change the rank knows of. So a lost or repeated message costs
//! time and nothing else. The one rule that everything rests on is **no header, no step**: a rank runs
//! a step only with the header of that step, and only when the header's digest of all layers' epochs
//! equals its own. A rank that missed a switch therefore cannot route with an old table; it refuses
//! the step instead.
//!
//! What a header no longer names is over: a change that the rank committed becomes final, any other is
//! dropped. A change that fails anywhere ends in the old epoch everywhere.
//!
//! # Two carriages
//!
//! With [`Carriage::Leader`] one manager lives in the engine's master process, and headers and reports
//! travel as opaque bytes ([`StepHeader::encode`], [`RankReport::encode`]) with the engine's own
//! messages. With [`Carriage::Spmd`] every rank runs a manager of its own on the same gathered reports;
//! headers are made locally, time is read from the lowest live rank's reports, and ranks compare a
//! digest of loads and plan before anything moves.
//!
//! ```
//! use eplb_core::{ModelShape, Placement, RankId, Step, Topology};
//! use eplb_manager::{Command, Event, Follower, LoadReport, Manager, ManagerConfig, Timestamp};
//!
//! let shape = ModelShape::new(1, 4, 1)?;
//! let topology = Topology::uniform(2, 3, 1)?;
//! let placement = Placement::initial(shape, &topology)?;
//! let mut manager =
//!     Manager::new(ManagerConfig::default(), shape, topology.clone(), placement.clone())?;
//! let mut follower = Follower::new(RankId(0), shape, topology, placement)?;
//!
//! let (now, step) = (Timestamp::default(), Step(0));
//! manager.handle_event(now, Event::StepBegins { step, allow_changes: true });
//! let Some(Command::Header(header)) = manager.poll_command() else { panic!("no header") };
//! let actions = follower.handle_header(&header)?; // nothing is to be done yet
//! assert!(actions.is_empty());
//!
//! let load = LoadReport::of_step(step, vec![5, 0, 1]); // tokens of rank 0's three slots
//! let report = follower.report(step, now, vec![load]);
//! manager.handle_event(now, Event::Report { sender: RankId(0), report });
//! assert_eq!(manager.counters().reports_accepted, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod change;
mod command;
mod config;
mod counters;
mod error;
mod event;
mod follower;
mod header;
mod history;
mod layer_state;
mod manager;
mod note;
mod phase;
mod report;
mod report_error;
mod round;
mod samples;
mod similarity;
mod time;
mod window;
mod wire;

pub use change::LayerPhase;
pub use command::{Command, PlanJob};
pub use config::{Carriage, ManagerConfig};
pub use counters::Counters;
pub use error::ManagerError;
pub use event::{Event, PlannedLayer};
pub use follower::{Action, Follower, FollowerError};
pub use header::{Directive, StepHeader, Token, digest_of_epochs, epochs_digest};
pub use manager::Manager;
pub use note::{Note, RoundAbort};
pub use phase::{Phase, PlannedPhases};
pub use report::{
    CountForm, LoadReport, PlanDigest, RankReport, Reason, RoundId, Status, TokenStatus,
};
pub use report_error::ReportError;
pub use similarity::cosine_similarity;
pub use time::Timestamp;
pub use wire::{WIRE_VERSION, WireError};
