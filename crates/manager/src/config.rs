//! What can be set on a manager.

use std::time::Duration;

use eplb_core::{Ensemble, Estimator, RankId, Topology};
use serde::{Deserialize, Serialize};

use crate::{ManagerError, PlannedPhases};

/// How headers and reports travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carriage {
    /// One manager in the engine's master process; bytes travel with the engine's messages.
    Leader,
    /// A manager on every rank. All of them must be given the same `StepBegins` and `Report` events in
    /// the same order; only `Planned` may come at another moment on each rank.
    Spmd {
        /// The rank that this manager lives on.
        own_rank: RankId,
    },
}

/// The settings of a [`crate::Manager`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManagerConfig {
    /// Least time between the starts of two rounds (xLLM's `eplb_update_interval`). Zero: as soon as
    /// a load window is complete.
    pub update_interval: Duration,
    /// The same in engine steps; when set, it replaces `update_interval`.
    pub update_interval_steps: Option<u64>,
    /// A layer is planned anew when the cosine similarity of its load at its last update and its
    /// present load is below this (xLLM's `eplb_update_threshold`), 0 to 1. At 1, the default, every
    /// layer whose load changed its proportions is; at 0 none is after its first plan.
    pub update_threshold: f64,
    /// A planned layer is moved only if its [`crate::PlannedLayer::gain`] is more than this, 0 to 1: in
    /// units of the layer's mean rank load with policies that weigh gain and price, else in
    /// balancedness.
    pub min_gain: f64,
    /// Samples (engine steps, as ranks report them) that are summed to one load window, 1 to 2^20.
    pub window_samples: u32,
    /// Recent windows kept, 1 to 128. Their sum is the load that is compared with that of the last
    /// update, and each is planned for.
    pub windows_kept: usize,
    /// Representatives kept of older windows, 0 to 128, which are planned for too
    /// ([`eplb_core::Ensemble`]). The end of a window costs a comparison with each.
    pub representative_windows: usize,
    /// What a plan is made from, out of these windows. A policy that plans from one load needs an
    /// estimator that gives one; others take each window for itself.
    pub estimator: Estimator,
    /// The load that is planned for. Samples of other phases are counted and left out of windows; an
    /// engine that never names phases reports [`crate::Phase::Mixed`], which only
    /// [`PlannedPhases::All`] takes.
    pub planned_phases: PlannedPhases,
    /// Layers that may be between prepare and settled at once, at least 1. Each costs the ranks
    /// staging memory.
    pub layers_in_flight: usize,
    /// Slots of a rank that one change of a layer replaces, at least 1; `None` for as many as there are.
    /// What needs more is done in parts, each with an epoch of its own
    /// ([`eplb_core::LayerPlacement::parts`]). Ranks need staging memory for so many.
    pub most_changed_slots: Option<usize>,
    /// Longest wait for a plan.
    pub plan_timeout: Duration,
    /// Longest wait, beyond `plan_timeout`, for all ranks' digests of it (spmd carriage only).
    pub agreement_timeout: Duration,
    /// Longest wait until all ranks have prepared a layer (xLLM's `eplb_prepare_timeout_seconds`).
    pub prepare_timeout: Duration,
    /// Longest wait from all prepared to a step that allows the commit, and again from there until
    /// all ranks have committed.
    pub commit_timeout: Duration,
    /// Longest wait until all ranks have gone back to the old epoch.
    pub revert_timeout: Duration,
    /// How headers and reports travel.
    pub carriage: Carriage,
    /// Intervals for which a layer is left alone after a rank refused it or it had to be reverted.
    /// Doubles with each failure in a row, to at most 64; a commit starts it anew. Zero: none.
    pub refusal_backoff: u32,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            update_interval: Duration::from_secs(1000),
            update_interval_steps: None,
            update_threshold: 1.0,
            min_gain: 0.0,
            window_samples: 128,
            windows_kept: 8,
            representative_windows: 0,
            estimator: Estimator::Ensemble,
            planned_phases: PlannedPhases::All,
            layers_in_flight: 1,
            most_changed_slots: None,
            plan_timeout: Duration::from_secs(60),
            agreement_timeout: Duration::from_secs(30),
            prepare_timeout: Duration::from_secs(30),
            commit_timeout: Duration::from_secs(30),
            revert_timeout: Duration::from_secs(30),
            carriage: Carriage::Leader,
            refusal_backoff: 1,
        }
    }
}

impl ManagerConfig {
    /// Most recent windows (their sum still fits 64 bits), and most representatives.
    pub const MOST_WINDOWS: usize = 128;
    /// Most samples of a window.
    pub const MOST_SAMPLES: u32 = 1 << 20;
    /// Most intervals that a layer is left alone.
    pub const MOST_BACKOFF: u32 = 64;

    /// Checks every setting.
    ///
    /// # Errors
    /// [`ManagerError::Setting`] names the first setting that is out of its range.
    pub fn validate(&self, topology: &Topology) -> Result<(), ManagerError> {
        let within = |name, value: f64, least: f64, most: f64| {
            // Written so that a NaN fails too.
            if value >= least && value <= most {
                Ok(())
            } else {
                Err(ManagerError::Setting { name, value: value.to_string(), least, most })
            }
        };
        within("eplb_update_threshold", self.update_threshold, 0.0, 1.0)?;
        within("min_gain", self.min_gain, 0.0, 1.0)?;
        within("window_samples", self.window_samples.into(), 1.0, Self::MOST_SAMPLES.into())?;
        within("windows_kept", self.windows_kept as f64, 1.0, Self::MOST_WINDOWS as f64)?;
        let representatives = self.representative_windows as f64;
        within("representative_windows", representatives, 0.0, Self::MOST_WINDOWS as f64)?;
        match self.estimator {
            Estimator::Sliding { windows } => {
                within("estimator sliding", windows as f64, 1.0, Ensemble::MOST_WINDOWS as f64)?;
            }
            Estimator::Exponential { newest } => {
                within("estimator exponential", newest, f64::MIN_POSITIVE, 1.0)?;
            }
            Estimator::Last | Estimator::Sum | Estimator::Ensemble => {}
        }
        within("refusal_backoff", self.refusal_backoff.into(), 0.0, Self::MOST_BACKOFF.into())?;
        if self.layers_in_flight == 0 {
            return Err(ManagerError::Zero { name: "layers_in_flight" });
        }
        if self.most_changed_slots == Some(0) {
            return Err(ManagerError::Zero { name: "most_changed_slots" });
        }
        for (name, timeout) in [
            ("plan_timeout", self.plan_timeout),
            ("agreement_timeout", self.agreement_timeout),
            ("prepare_timeout", self.prepare_timeout),
            ("commit_timeout", self.commit_timeout),
            ("revert_timeout", self.revert_timeout),
        ] {
            if timeout.is_zero() {
                return Err(ManagerError::Zero { name });
            }
        }
        match self.carriage {
            Carriage::Spmd { own_rank }
                if !topology.contains(own_rank) || !topology.is_alive(own_rank) =>
            {
                Err(ManagerError::OwnRank { rank: own_rank, ranks: topology.ranks() })
            }
            _ => Ok(()),
        }
    }
}
