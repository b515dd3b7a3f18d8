//! The ranks of a communicator.

use eplb_core::{RankId, Topology};

/// The live ranks, which are numbered in their order in a communicator.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    members: Vec<RankId>,
    /// By rank.
    numbers: Vec<Option<u32>>,
}

impl Group {
    pub(crate) fn new(topology: &Topology) -> Self {
        let members: Vec<_> = topology.live_ranks().collect();
        let mut numbers = vec![None; topology.ranks()];
        for (number, member) in (0..).zip(&members) {
            numbers[member.index()] = Some(number);
        }
        Self { members, numbers }
    }

    pub(crate) fn size(&self) -> u32 {
        self.members.len() as u32
    }

    pub(crate) fn members(&self) -> &[RankId] {
        &self.members
    }

    /// A rank's number in the communicator.
    pub(crate) fn number_of(&self, rank: RankId) -> Option<u32> {
        *self.numbers.get(rank.index())?
    }
}
