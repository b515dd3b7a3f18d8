//! A whole engine as a case: manager, policy and executor over recorded load, and a digest of all that
//! became of it, which is the same on every backend.

use std::collections::BTreeMap;
use std::sync::Arc;

use eplb::device::Backend;
use eplb::{CommitMode, Config};
use eplb_sim::{Devices, RunInput, RunSettings, SyntheticLoad};
use serde::Deserialize;

/// What the engine is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EngineCase {
    policy: String,
    commit: CommitMode,
    layers: u32,
    experts: u32,
    redundant_experts: u32,
    windows: usize,
    /// Draws load, weights and tokens.
    seed: u64,
    /// By the number of ranks: the digest over every epoch, routing table and slot's bytes.
    digests: BTreeMap<String, String>,
}

/// Seconds of virtual time for each window; the manager may rebalance after five.
const SECONDS_PER_WINDOW: f64 = 100.0;
const UPDATE_INTERVAL: u64 = 500;
/// Waits of the manager in virtual time, which span steps.
const TIMEOUT: f64 = 1_000.0;

impl EngineCase {
    /// Serves the load with so many ranks and compares the digest.
    pub(crate) fn run(
        &self,
        backend: &Arc<dyn Backend>,
        device: Option<u32>,
        ranks: u32,
    ) -> Result<(), String> {
        let found = self.digest(backend, device, ranks)?;
        match self.digests.get(&ranks.to_string()) {
            Some(expected) if *expected == found => Ok(()),
            Some(expected) => Err(format!(
                "the digest of placements, routing tables and bytes is {found} where {expected} \
                 belongs"
            )),
            None => Err(format!("the case has no digest for {ranks} ranks; found {found}")),
        }
    }

    /// The digest, once everything that can be checked on its own has been.
    fn digest(
        &self,
        backend: &Arc<dyn Backend>,
        device: Option<u32>,
        ranks: u32,
    ) -> Result<String, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let load = SyntheticLoad {
            name: "conformance".to_owned(),
            layers: self.layers,
            experts: self.experts,
            groups: 1,
            windows: self.windows,
            seed: self.seed,
        };
        let trace = load.trace().map_err(|error| text(&error))?;
        let config = self.config(ranks);
        let settings = RunSettings {
            seconds_per_window: SECONDS_PER_WINDOW,
            seed: self.seed,
            ..RunSettings::default()
        };
        let input = RunInput { config: &config, settings: &settings, trace: &trace };
        let devices = |_: u32| match device {
            Some(ordinal) => Ok(Devices::one(Arc::clone(backend), ordinal)),
            None => Devices::all(Arc::clone(backend)),
        };
        let report = eplb_sim::run(&input, &devices, &mut |_| {}).map_err(|error| text(&error))?;
        if report.verified.mismatches > 0 {
            return Err(format!(
                "{} of {} slots hold other bytes than their placement says",
                report.verified.mismatches, report.verified.slots
            ));
        }
        if !report.verified.outputs_equal {
            return Err("the outputs differ from those of a run without balancing".to_owned());
        }
        if ranks > 1 && self.policy != "static" && report.slots_moved == 0 {
            return Err("nothing moved, so nothing was checked".to_owned());
        }
        Ok(report.digest)
    }

    fn config(&self, ranks: u32) -> Config {
        let mut config = Config {
            enable_eplb: true,
            ep_size: ranks,
            eplb_update_interval: UPDATE_INTERVAL,
            redundant_experts_num: self.redundant_experts,
            ..Config::default()
        };
        config.policy.name.clone_from(&self.policy);
        config.manager.window_samples = 1;
        config.manager.prepare_timeout = TIMEOUT;
        config.manager.commit_timeout = TIMEOUT;
        config.manager.revert_timeout = TIMEOUT;
        config.executor.commit = self.commit;
        if self.commit == CommitMode::Indirect {
            config.executor.spare_slots = self.experts;
        }
        config
    }
}
