//! Which rank takes each replica.

use eplb_core::ExpertId;

use super::bins::Bins;
use super::exchange::{Filling, chain};
use super::queue::Queue;

/// Working memory, and what the bins hold after the last call.
#[derive(Debug)]
pub(super) struct Packing {
    /// Load of each bin.
    pub(super) loads: Vec<u32>,
    /// The first free slot of each bin.
    next: Vec<u32>,
    /// The slot behind each bin's last.
    end: Vec<u32>,
    /// Bins set aside while an expert's replicas are placed.
    aside: Vec<usize>,
}

/// What is to be placed, by expert.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replicas<'a> {
    /// Load of one replica.
    pub(super) shares: &'a [u32],
    /// Number of replicas.
    pub(super) counts: &'a [u32],
}

impl Packing {
    pub(super) fn new(bins: &Bins) -> Self {
        Self {
            loads: vec![0; bins.len()],
            next: vec![0; bins.len()],
            end: (0..bins.len()).map(|bin| bins.slots_of(bin).end as u32).collect(),
            aside: Vec::new(),
        }
    }

    /// Fills the bins' slots in `table`: each replica goes to the bin that is done first with it,
    /// of those with room that don't hold its expert. Where each bin with room holds it, other
    /// replicas make room; where none can, the bin gets a second replica.
    ///
    /// `queue` has all bins empty and open, and `experts`, in the order in which they are placed,
    /// have as many replicas in all as there are slots.
    #[inline(always)]
    pub(super) fn run(
        &mut self,
        bins: &Bins,
        queue: &mut impl Queue,
        experts: impl Iterator<Item = usize>,
        replicas: Replicas<'_>,
        table: &mut [ExpertId],
    ) {
        let Replicas { shares, counts } = replicas;
        self.loads.fill(0);
        for (bin, next) in self.next.iter_mut().enumerate() {
            *next = bins.slots_of(bin).start as u32;
        }
        for expert in experts {
            let share = shares[expert];
            if counts[expert] == 1 {
                // There are as many slots as replicas, so one is free.
                let Some((bin, load)) = queue.first(share) else { return };
                let load = self.put(table, expert, bin, load + share);
                queue.set(bin, load);
            } else {
                self.place_all(bins, queue, expert, replicas, table);
            }
        }
    }

    /// Places all replicas of an expert.
    fn place_all(
        &mut self,
        bins: &Bins,
        queue: &mut impl Queue,
        expert: usize,
        replicas: Replicas<'_>,
        table: &mut [ExpertId],
    ) {
        let share = replicas.shares[expert];
        let mut left = replicas.counts[expert];
        // A bin is set aside with its first replica, so that the next goes elsewhere.
        while left > 0
            && let Some((bin, load)) = queue.first(share)
        {
            self.put(table, expert, bin, load + share);
            queue.set(bin, None);
            self.aside.push(bin);
            left -= 1;
        }
        for &bin in &self.aside {
            queue.set(bin, self.open_load(bin));
        }
        self.aside.clear();
        for _ in 0..left {
            self.place_again(bins, queue, expert, replicas.shares, table);
        }
    }

    /// Places a replica though all bins with room hold its expert.
    #[cold]
    fn place_again(
        &mut self,
        bins: &Bins,
        queue: &mut impl Queue,
        expert: usize,
        shares: &[u32],
        table: &mut [ExpertId],
    ) {
        let (next, loads) = (&*self.next, &*self.loads);
        let filling = Filling { bins, table, next, loads, shares };
        let Some(slots) = chain(&filling, expert) else {
            if let Some((bin, load)) = queue.first(shares[expert]) {
                let load = self.put(table, expert, bin, load + shares[expert]);
                queue.set(bin, load);
            }
            return;
        };
        let mut moving = expert;
        for slot in slots {
            let bin = bins.bin_of(slot);
            self.loads[bin] += shares[moving];
            if slot == self.next[bin] as usize {
                let load = self.loads[bin];
                let load = self.put(table, moving, bin, load);
                queue.set(bin, load);
                return;
            }
            moving = std::mem::replace(&mut table[slot], ExpertId::from_index(moving)).index();
            self.loads[bin] -= shares[moving];
        }
    }

    /// Writes a replica into a bin's next slot, and tells the load with which the bin stays open.
    #[inline(always)]
    fn put(&mut self, table: &mut [ExpertId], expert: usize, bin: usize, load: u32) -> Option<u32> {
        let slot = self.next[bin];
        table[slot as usize] = ExpertId::from_index(expert);
        self.next[bin] = slot + 1;
        self.loads[bin] = load;
        (slot + 1 < self.end[bin]).then_some(load)
    }

    fn open_load(&self, bin: usize) -> Option<u32> {
        (self.next[bin] < self.end[bin]).then_some(self.loads[bin])
    }
}
