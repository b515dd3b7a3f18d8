//! The plan of one layer.

use eplb_core::ExpertId;

use super::Greedy;
use super::bins::Bins;
use super::local_search::{Held, LocalSearch};
use super::packing::{Packing, Replicas};
use super::queue::{LargeQueue, SmallQueue};
use super::replication::Replication;
use super::shares::scale;

/// Bins up to which a [`SmallQueue`] will do.
const MOST_SMALL: usize = 64;

/// Plans one layer after the other; what it works in is allocated once.
#[derive(Debug)]
pub(super) struct Planner<'a> {
    bins: &'a Bins,
    /// Loads of experts, and of one replica of each.
    load: Vec<u32>,
    shares: Vec<u32>,
    replication: Replication,
    packing: Packing,
    /// Where no [`SmallQueue`] will do.
    large_queue: Option<LargeQueue<'a>>,
    local_search: Option<LocalSearch>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(bins: &'a Bins, greedy: Greedy) -> Self {
        let small = bins.is_uniform_speed() && bins.len() <= MOST_SMALL;
        Self {
            bins,
            load: Vec::new(),
            shares: Vec::new(),
            replication: Replication::default(),
            packing: Packing::new(bins),
            large_queue: (!small).then(|| LargeQueue::new(bins)),
            local_search: greedy.local_search.then(|| LocalSearch::new(bins)),
        }
    }

    /// The same with the queue for any ranks, where a small one would do.
    #[cfg(test)]
    pub(super) fn with_large_queue(bins: &'a Bins, greedy: Greedy) -> Self {
        Self { large_queue: Some(LargeQueue::new(bins)), ..Self::new(bins, greedy) }
    }

    /// Plans a layer with these tokens of each expert into the live ranks' slots of `table`, and
    /// its replicas into `counts`. There are at least as many live slots as experts.
    pub(super) fn plan(&mut self, load: &[u64], table: &mut [ExpertId], counts: &mut [u32]) {
        scale(load, &mut self.load);
        self.shares.resize(load.len(), 0);
        let (slots, ranks) = (self.bins.live_slots(), self.bins.len());
        self.replication.run(slots, ranks, &self.load, &mut self.shares, counts);
        self.pack(counts, table);
        if let Some(search) = &mut self.local_search {
            let loads = &mut self.packing.loads;
            search.run(&mut Held { bins: self.bins, shares: &self.shares, loads, table });
        }
    }

    fn pack(&mut self, counts: &[u32], table: &mut [ExpertId]) {
        let replicas = Replicas { shares: &self.shares, counts };
        let experts = self.replication.by_descending_share();
        let (bins, packing) = (self.bins, &mut self.packing);
        match (&mut self.large_queue, bins.len()) {
            (Some(queue), _) => {
                queue.reset();
                packing.run(bins, queue, experts, replicas, table);
            }
            (None, count @ ..=16) => {
                packing.run(bins, &mut SmallQueue::<32>::new(count), experts, replicas, table);
            }
            (None, count @ ..=32) => {
                packing.run(bins, &mut SmallQueue::<64>::new(count), experts, replicas, table);
            }
            (None, count) => {
                let mut queue = SmallQueue::<{ 2 * MOST_SMALL }>::new(count);
                packing.run(bins, &mut queue, experts, replicas, table);
            }
        }
    }
}
