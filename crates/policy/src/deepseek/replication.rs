//! How many replicas each expert gets.

use std::collections::BinaryHeap;

use super::keys::{key, number};

/// Replicas of experts: one of each expert first, in order, then the redundant ones as they were
/// given out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replication {
    /// The expert of each replica.
    pub(super) experts: Vec<usize>,
    /// For each replica, how many of its expert came before it.
    pub(super) numbers: Vec<usize>,
    /// Replicas of each expert.
    pub(super) counts: Vec<usize>,
}

/// Gives every expert one replica, and each further one to the expert with the largest weight per
/// replica in float32, the first of equals. `replicas` is at least the number of experts.
pub(super) fn replicate(weights: &[f32], replicas: usize) -> Replication {
    let mut experts: Vec<usize> = (0..weights.len()).collect();
    let mut numbers = vec![0; weights.len()];
    let mut counts = vec![1usize; weights.len()];
    // Of equal weights the first expert comes first, so numbers count down.
    let expert_key = |expert: usize, weight: f32| key(weight, u32::MAX - expert as u32);
    let mut heaviest: BinaryHeap<u64> =
        weights.iter().enumerate().map(|(expert, &weight)| expert_key(expert, weight)).collect();
    while experts.len() < replicas {
        let Some(mut top) = heaviest.peek_mut() else { break };
        let expert = u32::MAX as usize - number(*top);
        experts.push(expert);
        numbers.push(counts[expert]);
        counts[expert] += 1;
        *top = expert_key(expert, weights[expert] / counts[expert] as f32);
    }
    Replication { experts, numbers, counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_tensorrt_llm() {
        // moeLoadBalancerTest.cpp of TensorRT-LLM: five loads on nine slots.
        let replication = replicate(&[10.0, 5.0, 2.0, 15.0, 8.0], 9);
        assert_eq!(replication.counts, [2, 1, 1, 3, 2]);
        assert_eq!(replication.experts, [0, 1, 2, 3, 4, 3, 0, 4, 3]);
        assert_eq!(replication.numbers, [0, 0, 0, 0, 0, 1, 1, 1, 2]);
    }

    #[test]
    fn without_load_the_first_expert_takes_all_as_in_the_reference() {
        assert_eq!(replicate(&[0.0; 4], 6).counts, [3, 1, 1, 1]);
    }

    #[test]
    fn the_quotient_is_rounded_to_float32() {
        // 16,777,215 / 3 and 5,592,405 are equal, so the first index decides.
        assert_eq!(replicate(&[5_592_405.0, 16_777_215.0], 5).counts, [2, 3]);
        // 1/3 is no float32: 33,554,432 / 3 rounds up to 11,184,811 and beats the exact quotient.
        assert_eq!(replicate(&[33_554_432.0, 11_184_811.0], 5).counts, [4, 1]);
    }
}
