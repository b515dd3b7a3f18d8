//! `[executor]`: the way of the weights.

use eplb_executor::TransportChoice;
use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::config::{value, within};

/// `[executor]`: the way of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorSection {
    /// How a layer is switched over.
    pub commit: CommitMode,
    /// Spare buffers of each rank and layer, for indirect commits.
    pub spare_slots: u32,
    /// With commits in place: slots of a rank that one change of a layer replaces at most; what needs
    /// more is done in parts, each switched over by itself. For each layer in flight, staging memory for
    /// twice as many slots is reserved at the start. 0: so many that all of it, with the memory of rounds,
    /// is no more than one layer's slots, and at least one.
    pub staged_slots: u32,
    /// Bytes per second that each rank's copies between ranks and into staging memory may take at most, so
    /// that the engine's own traffic keeps its share; 0 for no cap.
    pub bandwidth_cap: u64,
    /// How far bytes are compared with the checksums of their experts. The same on all ranks.
    pub verify: VerifyMode,
    /// How experts come from other ranks: through peer memory, by rounds of a communicator, or by what each
    /// pair of ranks can. The same on all ranks.
    pub transport: TransportChoice,
    /// Slots that a rank sends in one round at most, and that it receives. With a communicator, memory for
    /// twice as many is reserved at the start, and counts as staging memory. The same on all ranks.
    pub round_slots: u32,
    /// Seconds that a round may take, and all ranks to come to it; then the communicator is given up.
    pub round_timeout: f64,
    /// Seconds that all ranks may take to join the communicator after they connect; changes wait for
    /// it, also those that need no rounds.
    pub connect_timeout: f64,
}

/// How far bytes are compared with the checksums of their experts, which ranks compute at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMode {
    /// Not at all.
    #[default]
    Off,
    /// What a change brings, before the change counts as prepared.
    Arrivals,
    /// As well, all slots of a layer after each switch-over, before it counts as committed.
    Canary,
}

/// How a layer is switched over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitMode {
    /// New weights are copied into the live slots on the engine's stream: addresses stay.
    #[default]
    InPlace,
    /// New weights arrive in spare slots and a slot table is flipped: nothing is copied.
    Indirect,
}

impl Default for ExecutorSection {
    fn default() -> Self {
        Self {
            commit: CommitMode::InPlace,
            spare_slots: 0,
            staged_slots: 0,
            bandwidth_cap: 0,
            verify: VerifyMode::Off,
            transport: TransportChoice::Auto,
            round_slots: 1,
            round_timeout: 10.0,
            connect_timeout: 120.0,
        }
    }
}

/// A cap below a megabyte a second would let prepares run into their deadlines.
const LEAST_CAP: u64 = 1_000_000;
/// More than any device moves.
const MOST_CAP: u64 = 1_000_000_000_000_000;

impl ExecutorSection {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        within("executor.spare_slots", self.spare_slots, 0, 4_096)?;
        within("executor.staged_slots", self.staged_slots, 0, 4_096)?;
        let cap = self.bandwidth_cap;
        if cap != 0 {
            within("executor.bandwidth_cap", cap, LEAST_CAP, MOST_CAP)?;
        }
        if self.commit == CommitMode::Indirect && self.spare_slots == 0 {
            let allowed = "at least 1 with executor.commit = \"indirect\"".to_owned();
            return Err(value("executor.spare_slots", 0, allowed));
        }
        within("executor.round_slots", self.round_slots, 1, 4_096)?;
        within("executor.round_timeout", self.round_timeout, 0.001, 86_400.0)?;
        within("executor.connect_timeout", self.connect_timeout, 0.001, 86_400.0)
    }

    /// Slots of a rank that one change of a layer replaces at most, for ranks of so many slots and so
    /// many layers that change at a time. The same whatever the transport, so that changes are divided alike.
    pub(crate) fn most_changed_slots(
        &self,
        slots_of_rank: usize,
        layers_in_flight: usize,
    ) -> usize {
        match (self.commit, self.staged_slots as usize) {
            (CommitMode::Indirect, _) => self.spare_slots as usize,
            (CommitMode::InPlace, 0) => {
                // Rounds have room for what is sent and for what is received. What is overwritten is kept until
                // all ranks have switched over.
                let staged = slots_of_rank.saturating_sub(2 * self.round_slots as usize);
                (staged / (2 * layers_in_flight)).max(1)
            }
            (CommitMode::InPlace, staged) => staged,
        }
    }
}
