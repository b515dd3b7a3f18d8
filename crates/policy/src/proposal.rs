//! What a policy answers.

use eplb_core::{Account, ExpertId};

/// The placement that a policy proposes for a layer, and what it expects of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The logical expert of every slot, [`eplb_core::Topology::slots`] entries. Slots of dead ranks
    /// get an expert too, which counts for nothing.
    pub table: Vec<ExpertId>,
    /// The share of its expert's tokens that each slot takes, in units of 1/[`eplb_core::SHARE_ONE`]:
    /// for the slots of `table`, those on live ranks adding up. `None` for even shares.
    pub shares: Option<Vec<u16>>,
    /// What the change is worth, from policies that weigh it.
    pub account: Option<Account>,
}

impl Proposal {
    /// A table with even shares, not weighed.
    pub fn of_table(table: Vec<ExpertId>) -> Self {
        Self { table, shares: None, account: None }
    }
}
