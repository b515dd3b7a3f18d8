//! What plans come to, computed from the tables alone and in another way than the policies do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(unreachable_pub, reason = "a module of test binaries has no users outside")]

use std::collections::BTreeMap;

use eplb_core::{ExpertId, LayerId, LayerPlacement, RankId, SHARE_ONE, Topology};
use eplb_policy::Objective;

use super::cases::Case;

/// Sender and receiver of every expert that a rank gets and did not hold before. A sender is a rank
/// that held the expert and is alive, of the receiver's node if there is one, and of those the one that has
/// sent least, receivers counted in order.
pub fn links(old: &[ExpertId], new: &[ExpertId], topology: &Topology) -> Vec<(RankId, RankId)> {
    let mut links: Vec<(RankId, RankId)> = Vec::new();
    for receiver in topology.live_ranks() {
        let held = &old[topology.slots_of(receiver)];
        for expert in &new[topology.slots_of(receiver)] {
            if topology.holds_weights(receiver) && held.contains(expert) {
                continue;
            }
            let holds = |rank: &RankId| {
                topology.holds_weights(*rank) && old[topology.slots_of(*rank)].contains(expert)
            };
            let sender = topology.rank_ids().filter(holds).min_by_key(|&rank| {
                let far = topology.node_of(rank) != topology.node_of(receiver);
                (far, links.iter().filter(|(sender, _)| *sender == rank).count())
            });
            // Nobody alive holds it: it comes from elsewhere, and no rank can be named.
            links.push((sender.unwrap_or(RankId(0)), receiver));
        }
    }
    links
}

/// The most that any rank sends to any other.
pub fn busiest_pair(links: &[(RankId, RankId)]) -> usize {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for link in links {
        *counts.entry(link).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

/// Whether a rank holds an expert on two of its slots.
pub fn holds_an_expert_twice(table: &[ExpertId], topology: &Topology) -> bool {
    topology.live_ranks().any(|rank| {
        let mut held = table[topology.slots_of(rank)].to_vec();
        held.sort_unstable();
        held.windows(2).any(|pair| pair[0] == pair[1])
    })
}

/// Whether replicas in these numbers can be placed so that no rank holds an expert twice (Gale and
/// Ryser): any number of ranks, the largest first, must find enough different experts.
pub fn can_be_kept_apart(counts: &[usize], topology: &Topology) -> bool {
    let mut slots: Vec<usize> =
        topology.live_ranks().map(|rank| topology.slots_of(rank).len()).collect();
    slots.sort_unstable_by_key(|&slots| std::cmp::Reverse(slots));
    (1..=slots.len()).all(|ranks| {
        let wanted: usize = slots[..ranks].iter().sum();
        let different: usize = counts.iter().map(|&count| ranks.min(count)).sum();
        wanted <= different
    })
}

/// The expected largest rank load of a placement, smoothed, in units of the mean rank load: the eighth
/// root of the mean eighth power over windows and live ranks. Zero without load.
pub fn smoothed(
    case: &Case,
    layer: LayerId,
    placement: &LayerPlacement,
    objective: Objective,
) -> f64 {
    let topology = &case.topology;
    let ranks = topology.live_ranks().count() as f64;
    let routing = placement.routing(topology);
    let speeds = topology.live_ranks().map(|rank| topology.rank(rank).speed);
    let fastest = f64::from(speeds.max().unwrap());
    let (mut sum, mut mass) = (0.0, 0.0);
    for (row, weight) in case.weighted_rows(layer) {
        let tokens: u64 = row.iter().sum();
        if tokens == 0 || weight == 0.0 {
            continue;
        }
        mass += weight;
        let single = |expert: usize| replica_load(objective, row[expert], tokens, 1.0);
        let mean = (0..row.len()).map(single).sum::<f64>() / ranks;
        let mut loads = vec![0.0; topology.ranks()];
        for (expert, &count) in row.iter().enumerate() {
            for replica in routing.replicas(ExpertId::from_index(expert)) {
                let part = f64::from(replica.share) / f64::from(SHARE_ONE);
                let load = replica_load(objective, count, tokens, part);
                loads[topology.rank_of(replica.slot).index()] += load;
            }
        }
        for rank in topology.live_ranks() {
            let speed = f64::from(topology.rank(rank).speed) / fastest;
            sum += weight * (loads[rank.index()] / mean / speed).powi(8);
        }
    }
    if mass == 0.0 { 0.0 } else { (sum / (mass * ranks)).powf(0.125) }
}

/// What a replica loads its rank with that takes `part` of an expert's tokens.
fn replica_load(objective: Objective, count: u64, tokens: u64, part: f64) -> f64 {
    let fraction = count as f64 / tokens as f64;
    match objective {
        Objective::ActivatedExperts { tokens_per_step, top_k } => {
            let picked = (fraction * f64::from(top_k) * part).min(1.0);
            1.0 - (1.0 - picked).powi(tokens_per_step as i32)
        }
        _ => fraction * part,
    }
}
