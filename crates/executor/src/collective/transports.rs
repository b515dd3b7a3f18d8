//! What was chosen for every pair of ranks, and how the collective transport stands.

use std::collections::BTreeMap;
use std::fmt;

use eplb_core::{RankId, Topology};
use serde::{Deserialize, Serialize};

/// A way of experts from one rank to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The receiver's copy engine reads the sender's memory.
    Peer,
    /// By packed rounds of the communicator.
    Collective,
    /// Not at all: the receiver takes from the pool what only the sender holds.
    Pool,
}

/// Why a pair of ranks uses its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The receiver has imported the sender's memory.
    Imported,
    /// The configuration asks for rounds.
    Configured,
    /// The sender's memory can't be exported.
    NotExported,
    /// The receiver can't import the sender's memory.
    NotImported,
    /// The sender did not tell the receiver where its weights are.
    NotConnected,
}

/// What was chosen for one pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairTransport {
    /// The rank that gets experts.
    pub receiver: RankId,
    /// The rank that holds them.
    pub sender: RankId,
    /// The way.
    pub transport: Transport,
    /// Why that one.
    pub reach: Reach,
    /// What the device said, where it refused something to this very rank.
    pub detail: Option<String>,
}

/// How the collective transport of this rank stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "reason")]
pub enum CollectiveState {
    /// There is no communicator.
    Absent,
    /// Not all ranks have joined, or said what they have chosen.
    Connecting,
    /// All ranks have joined, and said what they have chosen.
    Ready,
    /// It can't be used any more, for this reason.
    Lost(String),
}

/// What the collective transport of this rank has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectiveFigures {
    /// Roll calls that all ranks came to.
    pub roll_calls: u64,
    /// Of these, those that no rounds followed: a rank could not take part, or was about to do something else.
    pub refused: u64,
    /// Rounds in which this rank sent or received.
    pub rounds: u64,
    /// Slots that it sent.
    pub sent_slots: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Times that the transport was lost: 0 or 1.
    pub losses: u64,
}

/// Which transport each pair of ranks uses, and why; and how the collective one stands. What other ranks
/// receive by is known once the collective transport is ready.
#[derive(Clone, Debug)]
pub struct Transports {
    own: RankId,
    /// By receiver and sender; `None` of a receiver that has not said it, or of no pair.
    rows: Vec<Option<Vec<Option<Reach>>>>,
    /// Of this rank's pairs, by sender.
    details: BTreeMap<RankId, String>,
    state: CollectiveState,
    figures: CollectiveFigures,
    /// Device memory for rounds, and of the communicator as far as it is known.
    reserved_bytes: u64,
}

impl CollectiveFigures {
    /// Adds what another rank has done.
    pub fn add(&mut self, other: &Self) {
        self.roll_calls += other.roll_calls;
        self.refused += other.refused;
        self.rounds += other.rounds;
        self.sent_slots += other.sent_slots;
        self.sent_bytes += other.sent_bytes;
        self.losses += other.losses;
    }
}

impl Reach {
    /// The transport that it makes.
    pub fn transport(self) -> Transport {
        match self {
            Self::Imported => Transport::Peer,
            Self::Configured | Self::NotExported | Self::NotImported => Transport::Collective,
            Self::NotConnected => Transport::Pool,
        }
    }

    /// As ranks tell each other; 0 is for no pair.
    pub(crate) fn code(reach: Option<Self>) -> u8 {
        match reach {
            None => 0,
            Some(Self::Imported) => 1,
            Some(Self::Configured) => 2,
            Some(Self::NotExported) => 3,
            Some(Self::NotImported) => 4,
            Some(Self::NotConnected) => 5,
        }
    }

    /// The counterpart; nothing for a code that means nothing.
    pub(crate) fn of_code(code: u8) -> Option<Option<Self>> {
        let all = [
            None,
            Some(Self::Imported),
            Some(Self::Configured),
            Some(Self::NotExported),
            Some(Self::NotImported),
            Some(Self::NotConnected),
        ];
        all.get(usize::from(code)).copied()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Imported => "its memory is imported",
            Self::Configured => "executor.transport asks for it",
            Self::NotExported => "its memory cannot be exported",
            Self::NotImported => "its memory cannot be imported",
            Self::NotConnected => "it did not say where its weights are",
        })
    }
}

impl Transports {
    pub(crate) fn new(
        own: RankId,
        topology: &Topology,
        row: Vec<Option<Reach>>,
        details: BTreeMap<RankId, String>,
    ) -> Self {
        let mut rows = vec![None; topology.ranks()];
        rows[own.index()] = Some(row);
        Self {
            own,
            rows,
            details,
            state: CollectiveState::Absent,
            figures: CollectiveFigures::default(),
            reserved_bytes: 0,
        }
    }

    /// How `receiver` gets experts from `sender`; nothing for a rank and itself, for dead ranks, and for
    /// receivers that have not said it.
    pub fn between(&self, receiver: RankId, sender: RankId) -> Option<PairTransport> {
        let reach = self.reach(receiver, sender)?;
        let detail = (receiver == self.own).then(|| self.details.get(&sender).cloned()).flatten();
        Some(PairTransport { receiver, sender, transport: reach.transport(), reach, detail })
    }

    /// All pairs that are known, receivers in order.
    pub fn pairs(&self) -> impl Iterator<Item = PairTransport> + '_ {
        let ranks = || (0..self.rows.len()).map(RankId::from_index);
        ranks().flat_map(move |receiver| {
            ranks().filter_map(move |sender| self.between(receiver, sender))
        })
    }

    /// The pairs of which this rank is the receiver.
    pub fn own_pairs(&self) -> impl Iterator<Item = PairTransport> + '_ {
        let senders = (0..self.rows.len()).map(RankId::from_index);
        senders.filter_map(|sender| self.between(self.own, sender))
    }

    /// How the collective transport stands.
    pub fn collective(&self) -> &CollectiveState {
        &self.state
    }

    /// What the collective transport has done.
    pub fn figures(&self) -> CollectiveFigures {
        self.figures
    }

    /// Device memory that was reserved for rounds, and that the communicator keeps as far as its library
    /// tells; in bytes.
    pub fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes
    }

    pub(crate) fn reach(&self, receiver: RankId, sender: RankId) -> Option<Reach> {
        *self.rows.get(receiver.index())?.as_ref()?.get(sender.index())?
    }

    pub(crate) fn is_collective(&self, receiver: RankId, sender: RankId) -> bool {
        let reach = self.reach(receiver, sender);
        reach.is_some_and(|reach| reach.transport() == Transport::Collective)
    }

    /// Whether any pair uses rounds.
    pub(crate) fn has_collective(&self) -> bool {
        let mut all = self.rows.iter().flatten().flatten().flatten();
        all.any(|reach| reach.transport() == Transport::Collective)
    }

    pub(crate) fn own_row(&self) -> &[Option<Reach>] {
        self.rows[self.own.index()].as_deref().unwrap_or_default()
    }

    pub(crate) fn set_row(&mut self, receiver: RankId, row: Vec<Option<Reach>>) {
        self.rows[receiver.index()] = Some(row);
    }

    pub(crate) fn set_state(&mut self, state: CollectiveState) {
        self.state = state;
    }

    pub(crate) fn set_reserved_bytes(&mut self, bytes: u64) {
        self.reserved_bytes = bytes;
    }

    pub(crate) fn figures_mut(&mut self) -> &mut CollectiveFigures {
        &mut self.figures
    }
}
