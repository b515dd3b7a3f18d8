//! Why the library refused or failed.

use eplb_core::formats::FormatError;
use eplb_core::{LayerId, PlacementError, RankId, ShapeError, Step, TopologyError};
use eplb_device::DeviceError;
use eplb_executor::{ExecutorError, LoadError};
use eplb_manager::{FollowerError, ManagerError, WireError};
use eplb_policy::PolicyError;
use thiserror::Error;

use crate::{ConfigError, ProfileError};

/// Why a coordinator or a session can't be started, or can't go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model's shape.
    #[error("model: {0}")]
    Shape(#[from] ShapeError),
    /// The ranks.
    #[error("ranks: {0}")]
    Topology(#[from] TopologyError),
    /// The placement to start with.
    #[error("placement: {0}")]
    Placement(#[from] PlacementError),
    /// The profile to start with.
    #[error("profile: {0}")]
    Profile(#[from] ProfileError),
    /// There is no profile to write.
    #[error("profile: {0}")]
    NoProfile(#[from] FormatError),
    /// There is no plan to start with.
    #[error("initial placement: {0}")]
    Policy(#[from] PolicyError),
    /// The manager's settings.
    #[error("manager: {0}")]
    Manager(#[from] ManagerError),
    /// Bytes that another rank sent.
    #[error("bytes from {sender} are no report: {source}")]
    Report {
        /// Who sent them.
        sender: RankId,
        /// What is wrong with them.
        source: WireError,
    },
    /// Bytes that should be a step's header.
    #[error("bytes from the coordinator are no header: {0}")]
    Header(WireError),
    /// The step must not be run on this rank.
    #[error("this step must not be run: {0}")]
    Follower(#[from] FollowerError),
    /// A layer's switch-over failed; the old epoch stands on this rank, and the step must not be run:
    /// begin the next one, with which the other ranks go back too.
    #[error("{step} must not be run: the switch-over of {layer} failed: {source}")]
    CommitFailed {
        /// The step.
        step: Step,
        /// The layer.
        layer: LayerId,
        /// What failed.
        source: ExecutorError,
    },
    /// Steps must be begun in order.
    #[error("{step} is not after the last one begun")]
    StepOrder {
        /// The step.
        step: Step,
    },
    /// The executor.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Load counters.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Load can't be collected without counters.
    #[error("no load counters were lent; give them to the session before it is connected")]
    NoCounters,
    /// Load is collected of a step that this rank does not run.
    #[error("{step} has no forward pass on this rank: its begin failed, or none has begun")]
    NotRunning {
        /// The last step that was to begin.
        step: Step,
    },
    /// A thread can't be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// Waiting for moves or plans ended by its deadline.
    #[error("still not settled after {seconds} s")]
    Unsettled {
        /// How long was waited.
        seconds: f64,
    },
}
