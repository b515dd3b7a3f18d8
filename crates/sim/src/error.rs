//! Why a run ended early.

use eplb::core::{PlacementError, RankId, ShapeError, Step};
use eplb::device::DeviceError;
use eplb_launch::GroupError;
use thiserror::Error;

use crate::{ExpertError, SampleError, SettingsError, TraceError};

/// Why a run ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The library refused or failed.
    #[error(transparent)]
    Eplb(#[from] eplb::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] eplb::ConfigError),
    /// The section `[run]`.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The trace.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The model's shape.
    #[error("model.groups: {0}")]
    Shape(#[from] ShapeError),
    /// The placement to start with.
    #[error("placement: {0}")]
    Placement(#[from] PlacementError),
    /// The configuration speaks of another model than the trace.
    #[error("{key} = {configured} in the configuration, but the trace has {found}")]
    OtherModel {
        /// The key.
        key: &'static str,
        /// Its value.
        configured: u32,
        /// What the trace has.
        found: usize,
    },
    /// More weights than a replay should take.
    #[error(
        "run.hidden = {hidden} and run.intermediate = {intermediate} make {bytes} bytes of weights; \
         allowed: at most {most}"
    )]
    TooLarge {
        /// Values of a token.
        hidden: usize,
        /// Values between an expert's two matrix products.
        intermediate: usize,
        /// Bytes of all slots of all layers and ranks.
        bytes: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// No tokens can be drawn.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// An expert can't compute.
    #[error(transparent)]
    Expert(#[from] ExpertError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There is no device to hold weights.
    #[error("{backend} has no device here; eplb doctor says why")]
    NoDevice {
        /// The backend.
        backend: String,
    },
    /// Rounds are asked for, and the ranks can't have a communicator.
    #[error("executor.transport = \"collective\" is not possible with {backend}: {reason}")]
    NoCommunicator {
        /// The backend.
        backend: String,
        /// Why not.
        reason: String,
    },
    /// A thread can't be started.
    #[error("cannot start a rank's thread: {0}")]
    Thread(#[from] std::io::Error),
    /// Ranks routed a token differently.
    #[error("choice {choice} of token {token} was computed by {computed} ranks, expected one")]
    Routing {
        /// The token of the sample.
        token: usize,
        /// Which of its experts.
        choice: usize,
        /// How many ranks computed it.
        computed: u32,
    },
    /// Ranks ran a step with different placements.
    #[error("{rank} ran {step} with other epochs than rank 0")]
    Epochs {
        /// The rank.
        rank: RankId,
        /// The step.
        step: Step,
    },
    /// A window that ranks refused again and again.
    #[error("window {window} was refused {times} times in a row")]
    Refused {
        /// The window.
        window: u64,
        /// How often.
        times: u32,
    },
    /// Other ranks are gone, or don't answer.
    #[error(transparent)]
    Group(GroupError),
    /// The rank that hands out steps is gone.
    #[error(
        "rank 0, which leads, is gone: {why}; this rank runs no step without it: start the run again"
    )]
    NoLeader {
        /// How that was noticed.
        why: String,
    },
    /// Bytes of another rank that are no message.
    #[error("a message of {sender} can't be used: {problem}; do all ranks run the same program?")]
    Message {
        /// Who sent them.
        sender: RankId,
        /// What is wrong with them.
        problem: String,
    },
    /// The ranks were not started alike.
    #[error(
        "{rank} was started with another configuration, trace or profile than rank 0; give all ranks \
         the same"
    )]
    OtherInput {
        /// The first that differs.
        rank: RankId,
    },
    /// The group has another size than the configuration says.
    #[error("ep_size = {ranks}, but the group has {members} processes; make both the same")]
    OtherSize {
        /// What the configuration says.
        ranks: usize,
        /// What is there.
        members: u32,
    },
    /// The leader asks for a window that the trace does not have.
    #[error(
        "window {window} is not in the trace, which has {windows}; do all ranks have the same?"
    )]
    NoWindow {
        /// The window.
        window: u64,
        /// Windows of the trace.
        windows: usize,
    },
    /// A rank's thread ended by a panic.
    #[error("a rank's thread has panicked")]
    Panicked,
}

impl RunError {
    /// Whether ranks are gone, and those that are left may still speak with each other.
    pub(crate) fn leaves_a_group(&self) -> bool {
        matches!(self, Self::Group(GroupError::Lost { .. }))
    }
}

impl From<GroupError> for RunError {
    fn from(error: GroupError) -> Self {
        if let GroupError::Lost { losses } = &error
            && let Some(leader) = losses.iter().find(|loss| loss.rank == 0)
        {
            return Self::NoLeader { why: leader.why.clone() };
        }
        Self::Group(error)
    }
}
