//! The live ranks, as the planner fills them.

use std::ops::Range;

use eplb_core::Topology;

use super::shares::TOTAL_BITS;

/// Fractional bits of the time that a rank needs for a load. More than enough to keep two loads
/// apart on the fastest rank that a topology may have.
const TIME_FRACTION_BITS: u32 = 20;

/// The live ranks in rank order, each with its slots. A bin's number is its place among them.
#[derive(Debug)]
pub(super) struct Bins {
    bins: Vec<Bin>,
    /// For each speed that occurs, slowest first, its bins in order.
    classes: Vec<Vec<usize>>,
    most_slots: usize,
    live_slots: usize,
}

/// One live rank.
#[derive(Clone, Copy, Debug)]
struct Bin {
    first_slot: u32,
    slots: u32,
    speed: u32,
}

impl Bins {
    pub(super) fn new(topology: &Topology) -> Self {
        let bin = |rank| {
            let slots = topology.slots_of(rank);
            let (first_slot, slots) = (slots.start as u32, slots.len() as u32);
            Bin { first_slot, slots, speed: topology.rank(rank).speed }
        };
        let bins: Vec<Bin> = topology.live_ranks().map(bin).collect();
        let mut speeds: Vec<u32> = bins.iter().map(|bin| bin.speed).collect();
        speeds.sort_unstable();
        speeds.dedup();
        let of_speed = |speed| (0..bins.len()).filter(|&bin| bins[bin].speed == speed).collect();
        Self {
            classes: speeds.into_iter().map(of_speed).collect(),
            most_slots: bins.iter().map(|bin| bin.slots as usize).max().unwrap_or(0),
            live_slots: bins.iter().map(|bin| bin.slots as usize).sum(),
            bins,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bins.len()
    }

    /// The slots of a bin, as indices into a layer's table.
    pub(super) fn slots_of(&self, bin: usize) -> Range<usize> {
        let bin = &self.bins[bin];
        bin.first_slot as usize..(bin.first_slot + bin.slots) as usize
    }

    /// The bin of a live rank's slot.
    pub(super) fn bin_of(&self, slot: usize) -> usize {
        self.bins.partition_point(|bin| bin.first_slot as usize <= slot) - 1
    }

    /// The largest number of slots of a bin.
    pub(super) fn most_slots(&self) -> usize {
        self.most_slots
    }

    /// Slots of all bins.
    pub(super) fn live_slots(&self) -> usize {
        self.live_slots
    }

    /// For each speed that occurs its bins.
    pub(super) fn classes(&self) -> &[Vec<usize>] {
        &self.classes
    }

    /// Whether all bins are of one speed.
    pub(super) fn is_uniform_speed(&self) -> bool {
        self.classes.len() == 1
    }

    /// The bin's speed, 1 for all when it is the same for all.
    pub(super) fn speed(&self, bin: usize) -> f32 {
        if self.is_uniform_speed() { 1.0 } else { self.bins[bin].speed as f32 }
    }

    /// The time that a bin needs for a load. Only comparisons mean anything; where speeds are
    /// equal, times compare as loads do.
    pub(super) fn time(&self, bin: usize, load: u32) -> u64 {
        if self.is_uniform_speed() {
            return load.into();
        }
        (u64::from(load) << TIME_FRACTION_BITS) / u64::from(self.bins[bin].speed)
    }
}

/// Bits that a time takes.
pub(super) const TIME_BITS: u32 = TOTAL_BITS + TIME_FRACTION_BITS;

const _: () = {
    // A load more is a time more, also on the fastest rank.
    assert!(1 << TIME_FRACTION_BITS >= Topology::MOST_SPEED);
    // Times and bins share 64 bits.
    assert!(Topology::MOST_RANKS <= 1 << (u64::BITS - TIME_BITS));
};
