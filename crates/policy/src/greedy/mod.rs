//! `greedy`: a full plan of one load matrix in microseconds a layer.
//!
//! Every redundant slot goes to the expert with the largest load per replica, and every replica,
//! the largest first, to the rank that is done first with it; then swaps between the rank that is
//! done last and others even out what is left. These are the steps of
//! [deepseek-ai/EPLB](https://github.com/deepseek-ai/EPLB) and TensorRT-LLM, without their
//! hierarchy of nodes, for any ranks, and with one rule more: two replicas of an expert share no
//! rank while that can be avoided.
//!
//! Loads and rank loads are integers, and what is computed in `f32` uses only the four basic
//! operations in a fixed order, so plans are the same on every machine and for any number of
//! threads.

mod batch;
mod bins;
mod exchange;
mod local_search;
mod packing;
mod planner;
mod queue;
mod replication;
mod shares;
#[cfg(test)]
mod tests;

use eplb_core::{ExpertLoad, Topology};
use rayon::ThreadPool;

pub use batch::GreedyTables;

use crate::{LayerRequest, Policy, PolicyError, Proposal};
use bins::Bins;
use planner::Planner;

/// Replicates by load, packs greedily, and refines by swaps, on the sum of the windows and without
/// regard to the present placement.
///
/// Ranks may be dead, hold different numbers of slots, and differ in speed: it is the time (load /
/// speed) of the slowest rank that is made small. Nodes are not considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greedy {
    /// Whether swaps refine the packing: on DeepSeek-V3's shape (256 experts on 32 ranks with 9
    /// slots each) balancedness goes from 0.993 to 0.999, at a bit more than twice the time.
    pub local_search: bool,
}

impl Default for Greedy {
    fn default() -> Self {
        Self { local_search: true }
    }
}

impl Greedy {
    /// Plans all layers of one load, without a present placement, on the threads of the current
    /// rayon pool. The tables are those that [`crate::plan`] makes of this policy and load.
    ///
    /// The calling thread does its part at once, so a call from outside of the pool uses one thread
    /// of the pool less. One thread plans 58 layers of DeepSeek-V3's shape in well under a
    /// millisecond; to gain from more, a pool must exist already.
    ///
    /// # Errors
    /// Fewer live slots than experts.
    pub fn plan_tables(
        &self,
        load: &ExpertLoad,
        topology: &Topology,
    ) -> Result<GreedyTables, PolicyError> {
        batch::plan_tables(*self, load, topology, None)
    }

    /// [`Greedy::plan_tables`] on as many threads as `pool` has, the calling one among them.
    ///
    /// # Errors
    /// As [`Greedy::plan_tables`].
    pub fn plan_tables_on(
        &self,
        pool: &ThreadPool,
        load: &ExpertLoad,
        topology: &Topology,
    ) -> Result<GreedyTables, PolicyError> {
        batch::plan_tables(*self, load, topology, Some(pool))
    }
}

impl Policy for Greedy {
    fn name(&self) -> &'static str {
        if self.local_search { "greedy" } else { "greedy-fast" }
    }

    fn plan_layer(&self, request: &LayerRequest<'_>) -> Result<Proposal, PolicyError> {
        let load = request.summed_load()?;
        let mut table = request.standing_table()?;
        let bins = Bins::new(request.topology);
        let mut counts = vec![0; load.len()];
        Planner::new(&bins, *self).plan(&load, &mut table, &mut counts);
        Ok(Proposal::of_table(table))
    }
}
