//! A placement from nothing, for the local search to begin with.

use eplb_core::{ExpertId, NOMINAL_SPEED, Topology};

use super::cost::Ensemble;

/// Replicas go to the experts with the largest load per replica (root mean square over the windows, so
/// that bursts count), then every replica, largest first, to the rank with the least load that has
/// room and holds none of the expert. `table` gives what slots of dead ranks keep.
pub(super) fn plan(
    ensemble: &Ensemble,
    topology: &Topology,
    mut table: Vec<ExpertId>,
) -> Vec<ExpertId> {
    let weights: Vec<f32> =
        (0..ensemble.experts()).map(|expert| weight(ensemble, expert)).collect();
    let mut counts = vec![1u32; weights.len()];
    let most = topology.live_ranks().count() as u32;
    for _ in weights.len()..topology.live_slots() {
        let share = |expert: usize| weights[expert] / counts[expert] as f32;
        // The first of the largest; experts on every rank come last.
        let next = (0..weights.len()).reduce(|best, expert| {
            let (full, best_full) = (counts[expert] >= most, counts[best] >= most);
            let better = match (full, best_full) {
                (false, true) => true,
                (true, false) => false,
                _ => share(expert) > share(best),
            };
            if better { expert } else { best }
        });
        if let Some(next) = next {
            counts[next] += 1;
        }
    }
    let mut replicas: Vec<usize> = Vec::with_capacity(topology.live_slots());
    for (expert, &count) in counts.iter().enumerate() {
        replicas.extend(std::iter::repeat_n(expert, count as usize));
    }
    let share = |expert: usize| weights[expert] / counts[expert] as f32;
    replicas.sort_by(|&a, &b| share(b).total_cmp(&share(a)).then(a.cmp(&b)));

    let ranks: Vec<_> = topology.live_ranks().collect();
    let mut loads = vec![0.0f32; ranks.len()];
    let mut held: Vec<Vec<usize>> = vec![Vec::new(); ranks.len()];
    for expert in replicas {
        let room = |rank: &usize| held[*rank].len() < topology.slots_of(ranks[*rank]).len();
        let place = |rank: usize| {
            let speed = topology.rank(ranks[rank]).speed as f32 / NOMINAL_SPEED as f32;
            (held[rank].contains(&expert), (loads[rank] + share(expert)) / speed)
        };
        let best = (0..ranks.len()).filter(room).min_by(|&a, &b| {
            let ((a_twice, a_load), (b_twice, b_load)) = (place(a), place(b));
            a_twice.cmp(&b_twice).then(a_load.total_cmp(&b_load)).then(a.cmp(&b))
        });
        // There are exactly as many replicas as slots, so there is room.
        if let Some(best) = best {
            held[best].push(expert);
            loads[best] += share(expert);
        }
    }
    for (rank, experts) in ranks.iter().zip(held) {
        for (slot, expert) in topology.slots_of(*rank).zip(experts) {
            table[slot] = ExpertId::from_index(expert);
        }
    }
    table
}

fn weight(ensemble: &Ensemble, expert: usize) -> f32 {
    let squares = ensemble.load(expert).iter().fold(0.0, |sum, load| sum + load * load);
    (squares / ensemble.windows().max(1) as f32).sqrt()
}
