//! How many replicas each expert gets.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Replicas of each expert, `slots` in all: each further one goes to the expert with the largest load
/// per replica; among equals to the one with the fewest replicas, then to the first. No expert gets
/// more replicas than there are ranks before all have as many: a second one on a rank is of no use.
///
/// `load` has at most as many entries as there are slots.
pub(super) fn replica_counts(load: &[u64], slots: usize, ranks: usize) -> Vec<usize> {
    let mut counts = vec![1; load.len()];
    let mut most = ranks;
    let mut heaviest = candidates(load, &counts, most);
    let mut left = slots - load.len();
    while left > 0 {
        let Some(Candidate { expert, .. }) = heaviest.pop() else {
            most = slots;
            heaviest = candidates(load, &counts, most);
            continue;
        };
        counts[expert] += 1;
        left -= 1;
        if counts[expert] < most {
            heaviest.push(Candidate { load: load[expert], replicas: counts[expert], expert });
        }
    }
    counts
}

fn candidates(load: &[u64], counts: &[usize], most: usize) -> BinaryHeap<Candidate> {
    let all = load.iter().zip(counts).enumerate();
    all.filter(|(_, (_, replicas))| **replicas < most)
        .map(|(expert, (&load, &replicas))| Candidate { load, replicas, expert })
        .collect()
}

/// An expert that may get another replica; the greatest is the one that does.
struct Candidate {
    load: u64,
    replicas: usize,
    expert: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        // load / replicas, compared without dividing; both products are far below 2^128.
        let own = u128::from(self.load) * other.replicas as u128;
        let others = u128::from(other.load) * self.replicas as u128;
        own.cmp(&others)
            .then(other.replicas.cmp(&self.replicas))
            .then(other.expert.cmp(&self.expert))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_tensorrt_llm() {
        // moeLoadBalancerTest.cpp of TensorRT-LLM.
        assert_eq!(replica_counts(&[10, 5, 2, 15, 8], 9, 9), [2, 1, 1, 3, 2]);
        assert_eq!(replica_counts(&[0; 4], 6, 6), [2, 2, 1, 1]);
    }

    #[test]
    fn loads_per_replica_are_compared_exactly() {
        // xLLM truncates 7 / 2 to 3 and so gives expert 1 its next replica at 3 too early.
        assert_eq!(replica_counts(&[7, 3], 4, 4), [3, 1]);
        // A difference that float64 does not see.
        let large = (1 << 55) + 1;
        assert_eq!(replica_counts(&[large - 1, large], 3, 3), [1, 2]);
    }

    #[test]
    fn no_expert_gets_more_replicas_than_ranks_while_others_can_take_them() {
        assert_eq!(replica_counts(&[1_000, 1, 0], 6, 2), [2, 2, 2]);
        assert_eq!(replica_counts(&[1_000, 1, 0], 8, 2), [4, 2, 2]);
        assert_eq!(replica_counts(&[1, 1], 3, 1), [2, 1]);
    }
}
