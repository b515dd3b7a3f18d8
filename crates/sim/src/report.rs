//! What a run found, as people and programs read it.

use eplb::{CollectiveFigures, PairTransport, Reach, Transport};
use serde::Serialize;

use crate::engine::{Interruption, WindowFigures};

/// The result of a run; its JSON form is what `eplb run --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// Whether experts were allowed to move.
    pub enable_eplb: bool,
    /// The policy that planned.
    pub policy: String,
    /// The backend that held the weights.
    pub backend: String,
    /// The trace that was served.
    pub trace: String,
    /// MoE layers.
    pub layers: usize,
    /// Logical experts of each layer.
    pub experts: usize,
    /// Ranks.
    pub ranks: usize,
    /// Nodes that the ranks stand on.
    pub nodes: usize,
    /// Slots of each rank and layer.
    pub slots_per_rank: usize,
    /// Windows served.
    pub windows: usize,
    /// Tokens of each window.
    pub tokens_per_window: u64,
    /// Mean rank load / max rank load, mean over layers and windows.
    pub balancedness: BalancednessPair,
    /// Rounds of the manager in which weights moved.
    pub rebalances: u64,
    /// Layers switched over to what was planned for them, in however many parts.
    pub layers_updated: u64,
    /// Slots whose expert came from another rank, over all ranks.
    pub slots_moved: u64,
    /// Bytes that came from other ranks, over all ranks.
    pub bytes_moved: u64,
    /// The same by how they came.
    pub moved_by: MovedBy,
    /// How ranks reach each other: each way and reason once, with the pairs of ranks that it is used between.
    pub transports: Vec<PairGroup>,
    /// What the collective transports did, over all ranks.
    pub collective: CollectiveFigures,
    /// Why the communicator was lost, if it was.
    pub collective_lost: Option<String>,
    /// What was compared.
    pub verified: Verification,
    /// Steps that ranks refused and that were served again.
    pub steps_refused: u64,
    /// xxh3-128, as hexadecimal digits, of every epoch, routing table and slot's bytes of every rank in the
    /// order of steps: the same for the same input on every backend.
    pub digest: String,
    /// How the run ended before the trace did, if ranks were lost; then everything above is of the windows
    /// that were served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruption: Option<Interruption>,
    /// Each window's balancedness, before and after, and the layers switched at it.
    pub series: Vec<WindowPoint>,
}

/// What moved between ranks, by transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MovedBy {
    /// Through peer memory.
    pub peer: Moved,
    /// By rounds of the communicator.
    pub collective: Moved,
}

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Slots.
    pub slots: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Pairs of ranks that use the same transport for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairGroup {
    /// The transport.
    pub transport: Transport,
    /// Why that one.
    pub reason: Reach,
    /// What the device said, where it refused something.
    pub detail: Option<String>,
    /// How many pairs, each direction for itself.
    pub pairs: usize,
}

/// Balancedness under two placements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BalancednessPair {
    /// Of the same windows under the placement at the start.
    pub before: f64,
    /// As served.
    pub after: f64,
}

/// What was compared, and whether it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Slots whose bytes were compared with the expert that the placement names, counted at the start
    /// and after each switch-over.
    pub slots: u64,
    /// Of these, slots that held other bytes.
    pub mismatches: u64,
    /// Whether all outputs equal those of a run without balancing, bit for bit.
    pub outputs_equal: bool,
}

/// One window of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WindowPoint {
    /// Balancedness under the placement at the start.
    pub before: f64,
    /// Balancedness as served.
    pub after: f64,
    /// Layers switched over at this window.
    pub layers_switched: u32,
}

impl BalancednessPair {
    pub(crate) fn mean_of(windows: &[WindowFigures]) -> Self {
        let count = windows.len().max(1) as f64;
        let mean = |value: fn(&WindowFigures) -> f64| {
            windows.iter().map(value).fold(0.0, |sum, value| sum + value) / count
        };
        Self { before: mean(|window| window.before), after: mean(|window| window.after) }
    }
}

impl MovedBy {
    /// Of slots and bytes, of which `by_rounds` came by rounds.
    pub(crate) fn new(all: (u64, u64), by_rounds: (u64, u64)) -> Self {
        let moved = |(slots, bytes)| Moved { slots, bytes };
        let peer = (all.0.saturating_sub(by_rounds.0), all.1.saturating_sub(by_rounds.1));
        Self { peer: moved(peer), collective: moved(by_rounds) }
    }
}

impl PairGroup {
    /// The groups of pairs, in the order in which they first come.
    pub(crate) fn all(pairs: &[PairTransport]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for PairTransport { transport, reach, detail, .. } in pairs {
            let is_it = |group: &&mut Self| group.reason == *reach && group.detail == *detail;
            match groups.iter_mut().find(is_it) {
                Some(group) => group.pairs += 1,
                None => {
                    let (transport, reason, detail) = (*transport, *reach, detail.clone());
                    groups.push(Self { transport, reason, detail, pairs: 1 });
                }
            }
        }
        groups
    }
}

impl From<&WindowFigures> for WindowPoint {
    fn from(window: &WindowFigures) -> Self {
        let WindowFigures { before, after, layers_switched } = *window;
        Self { before, after, layers_switched }
    }
}
