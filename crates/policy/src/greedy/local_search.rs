//! Swaps that lower the largest rank load.

use eplb_core::ExpertId;

use super::bins::{Bins, TIME_BITS};

/// Slots that are compared side by side.
const LANES: usize = 4;

/// Shares in the places behind a bin's last slot: so large that no swap with them is near any goal.
const NO_SLOT: f32 = 1e30;

/// The search ends when the largest rank load is at most the mean × (1 + 1/2048).
const TOLERANCE: f32 = 1.0 / 2048.0;

/// Bins that the most loaded one is compared with, the least loaded first.
const MOST_PARTNERS: usize = 64;

/// Swaps for each bin after which the search ends in any case. Each makes a bin that is done last
/// done earlier, so it would end without that; this bounds the time that it takes.
const MOST_SWAPS: usize = 4;

const BIN_BITS: u32 = u64::BITS - TIME_BITS;

/// Working memory.
#[derive(Debug)]
pub(super) struct LocalSearch {
    /// Places in `places` for each bin, a multiple of [`LANES`].
    stride: usize,
    /// The share of each slot, bins × stride.
    places: Vec<f32>,
    /// [`key`]s of all bins, ascending.
    order: Vec<u64>,
}

/// What bins hold.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) bins: &'a Bins,
    /// Load of one replica of each expert.
    pub(super) shares: &'a [u32],
    /// Load of each bin.
    pub(super) loads: &'a mut [u32],
    pub(super) table: &'a mut [ExpertId],
}

/// A bin to swap with.
#[derive(Clone, Copy, Debug)]
struct Partner {
    bin: usize,
    /// Both bins are done at the same time when this goes from the one to the other.
    ideal: f32,
    /// How near to that a swap comes.
    off: f32,
    /// When the later of both is done then, at most.
    time: f32,
}

/// Two slots that trade their experts.
#[derive(Clone, Copy, Debug)]
struct Swap {
    hot_slot: usize,
    cold_slot: usize,
}

/// A bin's place in the order of times.
fn key(bins: &Bins, bin: usize, load: u32) -> u64 {
    bins.time(bin, load) << BIN_BITS | bin as u64
}

fn bin_of(key: u64) -> usize {
    (key & ((1 << BIN_BITS) - 1)) as usize
}

impl LocalSearch {
    pub(super) fn new(bins: &Bins) -> Self {
        let stride = bins.most_slots().next_multiple_of(LANES);
        Self { stride, places: vec![NO_SLOT; bins.len() * stride], order: Vec::new() }
    }

    /// Swaps slots of the bin that is done last with slots of others, while both are then done
    /// earlier than it was, until it is done near the mean.
    pub(super) fn run(&mut self, held: &mut Held<'_>) {
        let bins = held.bins;
        // Where no bin holds two, a swap only trades places.
        if bins.len() == 1 || (bins.most_slots() == 1 && bins.is_uniform_speed()) {
            return;
        }
        self.start(held);
        let total: u32 = held.loads.iter().sum();
        let speed = (0..bins.len()).fold(0.0, |sum, bin| sum + bins.speed(bin));
        let goal = total as f32 / speed * (1.0 + TOLERANCE);
        for _ in 0..MOST_SWAPS * bins.len() {
            let hot = bin_of(self.order[bins.len() - 1]);
            if held.loads[hot] as f32 / bins.speed(hot) <= goal {
                return;
            }
            let Some(partner) = self.partner(held, hot, goal) else { return };
            let swap =
                self.nearest_swap(held, hot, &partner).or_else(|| held.best_swap(hot, partner.bin));
            let Some(swap) = swap else { return };
            self.apply(held, hot, partner.bin, swap);
        }
    }

    fn start(&mut self, held: &Held<'_>) {
        let bins = held.bins;
        for (bin, places) in self.places.chunks_exact_mut(self.stride).enumerate() {
            for (place, expert) in places.iter_mut().zip(&held.table[bins.slots_of(bin)]) {
                *place = held.shares[expert.index()] as f32;
            }
            let load: u32 = bins.slots_of(bin).map(|slot| held.share_at(slot)).sum();
            debug_assert_eq!(load, held.loads[bin], "bin {bin}");
        }
        self.order.clear();
        self.order.extend(held.loads.iter().enumerate().map(|(bin, &load)| key(bins, bin, load)));
        self.order.sort_unstable();
    }

    /// The first bin, the least loaded first, with which a swap reaches the goal; else the one with
    /// which a swap comes nearest. `None` when all are done at the same time.
    fn partner(&self, held: &Held<'_>, hot: usize, goal: f32) -> Option<Partner> {
        let bins = held.bins;
        let (hot_load, hot_speed) = (held.loads[hot] as f32, bins.speed(hot));
        let mut best: Option<Partner> = None;
        for &key in self.order[..bins.len() - 1].iter().take(MOST_PARTNERS) {
            let bin = bin_of(key);
            let (load, speed) = (held.loads[bin] as f32, bins.speed(bin));
            let middle = (hot_load + load) / (hot_speed + speed);
            if best.is_some_and(|best| middle >= best.time) {
                break;
            }
            let ideal = (hot_load * speed - load * hot_speed) / (hot_speed + speed);
            let off = nearest(self.places(bins, hot), self.lanes(bin), ideal);
            let slower = if hot_speed < speed { hot_speed } else { speed };
            let time = middle + off / slower;
            if best.is_none_or(|best| time < best.time) {
                best = Some(Partner { bin, ideal, off, time });
                if time <= goal {
                    break;
                }
            }
        }
        best
    }

    /// The shares of a bin's slots.
    fn places(&self, bins: &Bins, bin: usize) -> &[f32] {
        &self.places[bin * self.stride..][..bins.slots_of(bin).len()]
    }

    /// The same, filled up.
    fn lanes(&self, bin: usize) -> &[f32] {
        &self.places[bin * self.stride..][..self.stride]
    }

    /// The first swap that comes as near as `partner` says, if it may be done.
    fn nearest_swap(&self, held: &Held<'_>, hot: usize, partner: &Partner) -> Option<Swap> {
        let bins = held.bins;
        let cold = self.places(bins, partner.bin);
        let hot_places = self.places(bins, hot).iter().enumerate();
        let (one, other) = hot_places
            .filter_map(|(one, &share)| {
                let is_nearest =
                    |&place: &f32| (share - (place + partner.ideal)).abs() <= partner.off;
                cold.iter().position(is_nearest).map(|other| (one, other))
            })
            .next()?;
        let swap = Swap {
            hot_slot: bins.slots_of(hot).start + one,
            cold_slot: bins.slots_of(partner.bin).start + other,
        };
        let before = bins.time(hot, held.loads[hot]);
        let helps = held.time_after(hot, partner.bin, swap).is_some_and(|time| time < before);
        (helps && held.keeps_replicas_apart(hot, partner.bin, swap)).then_some(swap)
    }

    fn apply(&mut self, held: &mut Held<'_>, hot: usize, cold: usize, swap: Swap) {
        let bins = held.bins;
        let moved = held.share_at(swap.hot_slot) - held.share_at(swap.cold_slot);
        held.table.swap(swap.hot_slot, swap.cold_slot);
        self.places.swap(
            hot * self.stride + swap.hot_slot - bins.slots_of(hot).start,
            cold * self.stride + swap.cold_slot - bins.slots_of(cold).start,
        );
        self.order.pop();
        let cold_key = key(bins, cold, held.loads[cold]);
        let place = self.order.partition_point(|&other| other < cold_key);
        self.order.remove(place);
        held.loads[hot] -= moved;
        held.loads[cold] += moved;
        for bin in [hot, cold] {
            let key = key(bins, bin, held.loads[bin]);
            let place = self.order.partition_point(|&other| other < key);
            self.order.insert(place, key);
        }
    }
}

impl Held<'_> {
    fn share_at(&self, slot: usize) -> u32 {
        self.shares[self.table[slot].index()]
    }

    /// When the later of both bins is done after a swap. `None` when the hot one would not be done
    /// earlier.
    fn time_after(&self, hot: usize, cold: usize, swap: Swap) -> Option<u64> {
        let (lost, taken) = (self.share_at(swap.hot_slot), self.share_at(swap.cold_slot));
        let moved = lost.checked_sub(taken).filter(|&moved| moved > 0)?;
        let hot_time = self.bins.time(hot, self.loads[hot] - moved);
        Some(hot_time.max(self.bins.time(cold, self.loads[cold] + moved)))
    }

    fn keeps_replicas_apart(&self, hot: usize, cold: usize, swap: Swap) -> bool {
        let (lost, taken) = (self.table[swap.hot_slot], self.table[swap.cold_slot]);
        let held = |bin| &self.table[self.bins.slots_of(bin)];
        !held(cold).contains(&lost) && !held(hot).contains(&taken)
    }

    /// The swap of two bins after which the later one is done first, of equals the first. `None`
    /// when none makes the hot one, and both, done earlier than it is.
    fn best_swap(&self, hot: usize, cold: usize) -> Option<Swap> {
        let mut best = None;
        let mut least = self.bins.time(hot, self.loads[hot]);
        for hot_slot in self.bins.slots_of(hot) {
            for cold_slot in self.bins.slots_of(cold) {
                let swap = Swap { hot_slot, cold_slot };
                if let Some(time) = self.time_after(hot, cold, swap)
                    && time < least
                    && self.keeps_replicas_apart(hot, cold, swap)
                {
                    (best, least) = (Some(swap), time);
                }
            }
        }
        best
    }
}

/// How near to `goal` the difference of one of `hot` and one of `lanes` comes. There is a multiple
/// of [`LANES`] of the latter.
fn nearest(hot: &[f32], lanes: &[f32], goal: f32) -> f32 {
    let mut least = [NO_SLOT; LANES];
    for lanes in lanes.chunks_exact(LANES) {
        let mut wanted = [0.0; LANES];
        for lane in 0..LANES {
            wanted[lane] = lanes[lane] + goal;
        }
        for &share in hot {
            for lane in 0..LANES {
                let off = (share - wanted[lane]).abs();
                least[lane] = if off < least[lane] { off } else { least[lane] };
            }
        }
    }
    least.into_iter().fold(NO_SLOT, |least, off| if off < least { off } else { least })
}
