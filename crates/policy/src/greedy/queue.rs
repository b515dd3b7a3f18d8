//! The bin that takes the next replica.

use eplb_core::Topology;

use super::bins::Bins;

/// Bits of a bin in the keys below.
const BIN_BITS: u32 = Topology::MOST_RANKS.ilog2();
const BIN_MASK: u64 = Topology::MOST_RANKS - 1;

/// A bin that takes no more: it is full, or was set aside.
const CLOSED: u64 = u64::MAX;

/// A bin and its load. Smaller keys are chosen first: the least load, the first of equals.
fn key(bin: usize, load: u32) -> u64 {
    u64::from(load) << BIN_BITS | bin as u64
}

/// Which bin is done first with one more replica.
pub(super) trait Queue {
    /// The bin that is done first with a replica of this share on top of its load, the first of
    /// equals, and its load. `None` when all are closed.
    fn first(&self, share: u32) -> Option<(usize, u32)>;

    /// Sets a bin's load; `None` closes the bin.
    fn set(&mut self, bin: usize, load: Option<u32>);
}

fn open(key: u64) -> Option<(usize, u32)> {
    (key != CLOSED).then_some(((key & BIN_MASK) as usize, (key >> BIN_BITS) as u32))
}

/// A tournament of at most `NODES` / 2 bins of one speed, in an array whose size is known when the
/// code is compiled: no checks of indices, no loop. `NODES` is a power of two. Node 1 is the winner
/// over all, nodes 2n and 2n + 1 are those whose winner is node n.
#[derive(Debug)]
pub(super) struct SmallQueue<const NODES: usize> {
    nodes: [u64; NODES],
}

impl<const NODES: usize> SmallQueue<NODES> {
    /// Empty bins.
    pub(super) fn new(bins: usize) -> Self {
        const { assert!(NODES.is_power_of_two()) };
        let mut nodes = [CLOSED; NODES];
        fill(&mut nodes, (0..bins).map(|bin| key(bin, 0)));
        Self { nodes }
    }
}

impl<const NODES: usize> Queue for SmallQueue<NODES> {
    #[inline(always)]
    fn first(&self, _: u32) -> Option<(usize, u32)> {
        open(self.nodes[1])
    }

    // Inlined into the caller's loop, the minima become branches that nobody can predict, and a
    // plan takes half as long again.
    #[inline(never)]
    fn set(&mut self, bin: usize, load: Option<u32>) {
        let mut node = NODES / 2 + bin;
        let mut winner = load.map_or(CLOSED, |load| key(bin, load));
        self.nodes[node & (NODES - 1)] = winner;
        for _ in 0..NODES.trailing_zeros() - 1 {
            let other = self.nodes[(node ^ 1) & (NODES - 1)];
            winner = winner.min(other);
            node /= 2;
            self.nodes[node & (NODES - 1)] = winner;
        }
    }
}

/// Tournaments of any number of bins, one for each speed that occurs.
#[derive(Debug)]
pub(super) struct LargeQueue<'a> {
    bins: &'a Bins,
    classes: Vec<Vec<u64>>,
    /// For each bin its class and the place it has there.
    places: Vec<(u32, u32)>,
}

impl<'a> LargeQueue<'a> {
    /// Empty bins.
    pub(super) fn new(bins: &'a Bins) -> Self {
        let mut places = vec![(0, 0); bins.len()];
        for (class, members) in bins.classes().iter().enumerate() {
            for (place, &bin) in members.iter().enumerate() {
                places[bin] = (class as u32, place as u32);
            }
        }
        let tournament = |members: &Vec<usize>| vec![CLOSED; 2 * members.len().next_power_of_two()];
        let classes = bins.classes().iter().map(tournament).collect();
        let mut queue = Self { bins, classes, places };
        queue.reset();
        queue
    }

    /// Makes all bins empty and open again.
    pub(super) fn reset(&mut self) {
        for (nodes, members) in self.classes.iter_mut().zip(self.bins.classes()) {
            fill(nodes, members.iter().map(|&bin| key(bin, 0)));
        }
    }
}

impl Queue for LargeQueue<'_> {
    fn first(&self, share: u32) -> Option<(usize, u32)> {
        let winners = self.classes.iter().filter_map(|nodes| open(nodes[1]));
        winners.min_by_key(|&(bin, load)| (self.bins.time(bin, load + share), bin))
    }

    fn set(&mut self, bin: usize, load: Option<u32>) {
        let (class, place) = self.places[bin];
        let nodes = &mut self.classes[class as usize];
        let mut node = nodes.len() / 2 + place as usize;
        let mut winner = load.map_or(CLOSED, |load| key(bin, load));
        nodes[node] = winner;
        while node > 1 {
            winner = winner.min(nodes[node ^ 1]);
            node /= 2;
            nodes[node] = winner;
        }
    }
}

/// Plays a tournament with these keys in its first places.
fn fill(nodes: &mut [u64], keys: impl Iterator<Item = u64>) {
    let leaves = nodes.len() / 2;
    for (node, key) in nodes[leaves..].iter_mut().zip(keys) {
        *node = key;
    }
    for node in (1..leaves).rev() {
        nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
    }
}
