//! How many replicas each expert gets.

use std::collections::BinaryHeap;

/// Bits of an expert's index and of a replica count in the keys below.
const INDEX_BITS: u32 = 16;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

/// An expert's place in the order of descending load of one replica, the first of equals first.
fn order_key(share: u32, expert: usize) -> u64 {
    u64::from(!share) << INDEX_BITS | expert as u64
}

/// The expert of an [`order_key`].
fn expert_of(key: u64) -> usize {
    (key & INDEX_MASK) as usize
}

/// An expert that may get another replica: the greatest key is the one that does, the one with the
/// largest share; among equals that with the fewest replicas, then the first.
fn candidate(share: u32, replicas: u32, expert: usize) -> u64 {
    let few = !u64::from(replicas) & INDEX_MASK;
    let first = !(expert as u64) & INDEX_MASK;
    u64::from(share) << (2 * INDEX_BITS) | few << INDEX_BITS | first
}

fn expert_of_candidate(key: u64) -> usize {
    (!key & INDEX_MASK) as usize
}

/// Working memory, and the result of the last call.
#[derive(Debug, Default)]
pub(super) struct Replication {
    /// Experts with several replicas.
    split: BinaryHeap<u64>,
    /// [`order_key`]s of all experts by their unsplit loads at first, by shares in the end.
    order: Vec<u64>,
    /// How many experts at the head of `order` have several replicas, and so another place.
    split_experts: usize,
}

impl Replication {
    /// Gives `slots` replicas to the experts of `load`, at most as many as slots: each further one
    /// goes to the expert with the largest load per replica (rounded down); among equals to the one
    /// with the fewest replicas, then to the first. No expert gets more replicas than there are
    /// ranks before all have as many: a second one on a rank is of no use.
    ///
    /// `counts` gets the replicas of each expert, `shares` the load of one of them.
    pub(super) fn run(
        &mut self,
        slots: usize,
        ranks: usize,
        load: &[u32],
        shares: &mut [u32],
        counts: &mut [u32],
    ) {
        counts.fill(1);
        shares.copy_from_slice(load);
        self.sort(load);
        self.split.clear();
        self.split_experts = 0;
        let mut most = ranks;
        for _ in load.len()..slots {
            let expert = match self.next(load, most) {
                Some(expert) => expert,
                None => {
                    most = usize::MAX;
                    self.allow_all(shares, counts)
                }
            };
            counts[expert] += 1;
            shares[expert] = load[expert] / counts[expert];
            if (counts[expert] as usize) < most {
                self.split.push(candidate(shares[expert], counts[expert], expert));
            }
        }
        self.sort_split(shares);
    }

    fn sort(&mut self, load: &[u32]) {
        self.order.clear();
        self.order.extend(load.iter().enumerate().map(|(expert, &load)| order_key(load, expert)));
        self.order.sort_unstable();
    }

    /// Takes the expert that gets the next replica out of those that have fewer than `most`. Of
    /// those with one only the largest can be it, so experts are split in their order.
    fn next(&mut self, load: &[u32], most: usize) -> Option<usize> {
        let unsplit = self.order.get(self.split_experts).filter(|_| most > 1);
        let unsplit = unsplit.map(|&key| candidate(load[expert_of(key)], 1, expert_of(key)));
        let split = self.split.peek().copied();
        if split > unsplit {
            self.split.pop();
            return split.map(expert_of_candidate);
        }
        self.split_experts += usize::from(unsplit.is_some());
        unsplit.map(expert_of_candidate)
    }

    /// Lets experts have more replicas than there are ranks, and takes the one that gets the next.
    fn allow_all(&mut self, shares: &[u32], counts: &[u32]) -> usize {
        self.split_experts = shares.len();
        let all = (0..shares.len()).map(|expert| candidate(shares[expert], counts[expert], expert));
        self.split.extend(all);
        self.split.pop().map_or(0, expert_of_candidate)
    }

    fn sort_split(&mut self, shares: &[u32]) {
        let split = &mut self.order[..self.split_experts];
        for key in split.iter_mut() {
            *key = order_key(shares[expert_of(*key)], expert_of(*key));
        }
        split.sort_unstable();
    }

    /// The experts by descending share, the first of equals first.
    pub(super) fn by_descending_share(&self) -> impl Iterator<Item = usize> + '_ {
        let (mut split, mut unsplit) = self.order.split_at(self.split_experts);
        std::iter::from_fn(move || {
            let run = match (split.first(), unsplit.first()) {
                (Some(one), Some(other)) if one < other => &mut split,
                (Some(_), None) => &mut split,
                _ => &mut unsplit,
            };
            let (&key, rest) = run.split_first()?;
            *run = rest;
            Some(expert_of(key))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicate(load: &[u32], slots: usize, ranks: usize) -> (Vec<u32>, Vec<usize>) {
        let mut replication = Replication::default();
        let (mut shares, mut counts) = (vec![0; load.len()], vec![0; load.len()]);
        replication.run(slots, ranks, load, &mut shares, &mut counts);
        for expert in 0..load.len() {
            assert_eq!(shares[expert], load[expert] / counts[expert]);
        }
        (counts, replication.by_descending_share().collect())
    }

    #[test]
    fn counts_are_those_of_tensorrt_llm() {
        // moeLoadBalancerTest.cpp of TensorRT-LLM.
        let (counts, order) = replicate(&[10, 5, 2, 15, 8], 9, 9);
        assert_eq!(counts, [2, 1, 1, 3, 2]);
        assert_eq!(order, [0, 1, 3, 4, 2]);
        assert_eq!(replicate(&[0; 4], 6, 6).0, [2, 2, 1, 1]);
    }

    #[test]
    fn an_order_without_replicas_is_that_of_the_loads() {
        assert_eq!(replicate(&[3, 9, 9, 4], 4, 4), (vec![1; 4], vec![1, 2, 3, 0]));
    }

    #[test]
    fn no_expert_gets_more_replicas_than_ranks_while_others_can_take_them() {
        assert_eq!(replicate(&[1_000, 1, 0], 6, 2).0, [2, 2, 2]);
        assert_eq!(replicate(&[1_000, 1, 0], 8, 2), (vec![4, 2, 2], vec![0, 1, 2]));
        assert_eq!(replicate(&[1, 1], 3, 1).0, [2, 1]);
        assert_eq!(replicate(&[1, 7, 1], 6, 1), (vec![1, 4, 1], vec![0, 1, 2]));
    }
}
