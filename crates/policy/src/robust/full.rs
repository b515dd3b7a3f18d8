//! A placement from nothing, for the local search to begin with.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use eplb_core::{ExpertId, NOMINAL_SPEED, RankId, Topology};

use super::windows::WindowLoads;

/// Replicas go to the experts with the largest load per replica (root mean square over the windows, so
/// that bursts count), at least `least_replicas` to each; then every replica, largest first, to the
/// rank that would have the least load with it, has room and holds none of the expert, on a node
/// without the expert where `spread` asks for it. `standing` gives what slots of dead ranks keep.
pub(super) fn plan(
    windows: &WindowLoads,
    topology: &Topology,
    standing: &[Option<ExpertId>],
    least_replicas: u32,
    spread: bool,
) -> Vec<ExpertId> {
    let mut table: Vec<_> = standing.iter().map(|expert| expert.unwrap_or_default()).collect();
    let weights = Weights::new(windows);
    let ranks: Vec<_> = topology.live_ranks().collect();
    let slots = topology.live_slots();
    let counts = replica_counts(&weights, slots, least_replicas, ranks.len() as u32);
    let mut replicas: Vec<usize> = Vec::with_capacity(slots);
    for (expert, &count) in counts.iter().enumerate() {
        replicas.extend(std::iter::repeat_n(expert, count as usize));
    }
    let share = |expert: usize| weights.share(expert, counts[expert]);
    replicas.sort_by(|&a, &b| share(b).total_cmp(&share(a)).then(a.cmp(&b)));

    let mut packed = vec![Packed::default(); ranks.len()];
    for expert in replicas {
        let place = |rank: usize| {
            let (load, held) = (packed[rank].load + share(expert), &packed[rank].experts);
            let speed = topology.rank(ranks[rank]).speed as f32 / NOMINAL_SPEED as f32;
            let beside = spread && is_on_node_of(expert, ranks[rank], &packed, &ranks, topology);
            (held.contains(&expert), beside, load / speed)
        };
        let has_room =
            |rank: &usize| packed[*rank].experts.len() < topology.slots_of(ranks[*rank]).len();
        let best = (0..ranks.len()).filter(has_room).map(|rank| (place(rank), rank)).reduce(
            |best, next| {
                let ((twice, beside, load), (best_twice, best_beside, best_load)) =
                    (next.0, best.0);
                let order = (twice, beside).cmp(&(best_twice, best_beside));
                if order.then(load.total_cmp(&best_load)).is_lt() { next } else { best }
            },
        );
        // There are exactly as many replicas as slots, so there is room.
        if let Some((_, best)) = best {
            packed[best].experts.push(expert);
            packed[best].load += share(expert);
        }
    }
    for (rank, packed) in ranks.iter().zip(packed) {
        for (slot, expert) in topology.slots_of(*rank).zip(packed.experts) {
            table[slot] = ExpertId::from_index(expert);
        }
    }
    table
}

/// The table that stands, with slots of live ranks that hold nothing filled: one after the other with
/// an expert that no live rank holds, else with the expert of the largest share that the rank does not
/// hold.
pub(super) fn fill(
    windows: &WindowLoads,
    topology: &Topology,
    standing: &[Option<ExpertId>],
) -> Vec<ExpertId> {
    let mut table: Vec<_> = standing.iter().map(|expert| expert.unwrap_or_default()).collect();
    let live = || topology.live_ranks().flat_map(|rank| topology.slots_of(rank));
    if live().all(|slot| standing[slot].is_some()) {
        return table;
    }
    let weights = Weights::new(windows);
    let mut counts = vec![0u32; windows.experts()];
    for expert in live().filter_map(|slot| standing[slot]) {
        counts[expert.index()] += 1;
    }
    for rank in topology.live_ranks() {
        let mut held: Vec<usize> =
            standing[topology.slots_of(rank)].iter().flatten().map(|held| held.index()).collect();
        for slot in topology.slots_of(rank).filter(|&slot| standing[slot].is_none()) {
            let order = |expert: usize| {
                let missing = counts[expert] == 0;
                (!held.contains(&expert), missing, weights.share(expert, counts[expert].max(1)))
            };
            let best = (0..counts.len()).reduce(|best, next| {
                let ((apart, missing, share), (best_apart, best_missing, best_share)) =
                    (order(next), order(best));
                let order = (apart, missing).cmp(&(best_apart, best_missing));
                if order.then(share.total_cmp(&best_share)).is_gt() { next } else { best }
            });
            if let Some(expert) = best {
                table[slot] = ExpertId::from_index(expert);
                counts[expert] += 1;
                held.push(expert);
            }
        }
    }
    table
}

/// What is on a rank so far.
#[derive(Clone, Debug, Default)]
struct Packed {
    load: f32,
    experts: Vec<usize>,
}

fn is_on_node_of(
    expert: usize,
    rank: RankId,
    packed: &[Packed],
    ranks: &[RankId],
    topology: &Topology,
) -> bool {
    let node = topology.node_of(rank);
    let mut on_node = ranks.iter().zip(packed).filter(|(rank, _)| topology.node_of(**rank) == node);
    on_node.any(|(_, packed)| packed.experts.contains(&expert))
}

/// Experts' loads as replicas are given out by.
struct Weights(Vec<f32>);

impl Weights {
    fn new(windows: &WindowLoads) -> Self {
        let mut share = vec![0.0; windows.width()];
        let mut root_mean_square = |expert| {
            windows.fill_share(expert, 1, &mut share);
            share.iter().fold(0.0f32, |sum, load| sum + load * load).sqrt()
        };
        Self((0..windows.experts()).map(&mut root_mean_square).collect())
    }

    fn share(&self, expert: usize, replicas: u32) -> f32 {
        self.0[expert] / replicas as f32
    }
}

/// How many replicas each expert gets, `slots` in all: one after the other to the expert with the
/// largest share, the first of equal ones, that is not on every rank yet.
fn replica_counts(weights: &Weights, slots: usize, least: u32, ranks: u32) -> Vec<u32> {
    let least = least.clamp(1, ranks);
    let mut counts = vec![least; weights.0.len()];
    // Shares are not negative, so their bits are in the order of their values.
    let entry = |expert: usize, count: u32| {
        (count < ranks, weights.share(expert, count).to_bits(), Reverse(expert))
    };
    let mut heap: BinaryHeap<_> = (0..counts.len()).map(|expert| entry(expert, least)).collect();
    for _ in counts.len() * least as usize..slots {
        if let Some((.., Reverse(expert))) = heap.pop() {
            counts[expert] += 1;
            heap.push(entry(expert, counts[expert]));
        }
    }
    counts
}
