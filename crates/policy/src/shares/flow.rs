//! Moves amounts between ranks until none holds more than its bound, as a maximum flow.

use super::Replicas;

/// How the load of a layer lies on ranks and edges, in whole units, and what ranks may hold.
///
/// Amounts move from a rank to another along experts that have replicas on both. All that exceeds
/// bounds moves to where there is room along shortest paths, in phases (Dinic's algorithm with all
/// overfull ranks as sources, all ranks with room as sinks).
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// By edge: what of the expert's load goes to that rank.
    pub(super) amounts: Vec<u64>,
    /// By rank: what it holds.
    pub(super) loads: Vec<u64>,
    /// By rank: the most it may hold.
    pub(super) bounds: Vec<u64>,
    /// By rank: steps from the nearest overfull rank, [`UNSEEN`] when none leads there.
    rank_levels: Vec<u32>,
    /// By divided expert: the level of the ranks that it can take amounts from.
    expert_levels: Vec<u32>,
    /// Where the search goes on, among a rank's and an expert's edges.
    rank_cursors: Vec<u32>,
    expert_cursors: Vec<u32>,
    queue: Vec<u32>,
    path: Vec<Hop>,
}

const UNSEEN: u32 = u32::MAX;

/// One step of a path: an amount of an expert leaves one rank for another.
#[derive(Clone, Copy, Debug)]
struct Hop {
    rank: u32,
    leaves: u32,
    enters: u32,
}

impl Flow {
    /// Empties all, for the layer of `replicas`.
    pub(super) fn reset(&mut self, replicas: &Replicas) {
        let (ranks, experts) = (replicas.ranks(), replicas.divided.len());
        refill(&mut self.amounts, replicas.edge_ranks.len(), 0);
        refill(&mut self.loads, ranks, 0);
        refill(&mut self.bounds, ranks, 0);
        refill(&mut self.rank_levels, ranks, UNSEEN);
        refill(&mut self.expert_levels, experts, UNSEEN);
        refill(&mut self.rank_cursors, ranks, 0);
        refill(&mut self.expert_cursors, experts, 0);
    }

    /// Moves as much as can be moved from ranks above their bounds to ranks below. `true` when no
    /// rank is above its bound any more. Otherwise [`Flow::is_stuck`] tells the ranks that together
    /// hold more than their bounds and share no expert with any other rank.
    pub(super) fn push(&mut self, replicas: &Replicas) -> bool {
        loop {
            match self.level(replicas) {
                Reach::NothingOver => return true,
                Reach::Nowhere => return false,
                Reach::Room => self.block(replicas),
            }
        }
    }

    /// After [`Flow::push`] failed: whether the rank is one of those that hold too much together.
    pub(super) fn is_stuck(&self, rank: usize) -> bool {
        self.rank_levels[rank] != UNSEEN
    }

    /// Finds how far each rank is from the nearest overfull one, as far as the nearest with room.
    fn level(&mut self, replicas: &Replicas) -> Reach {
        self.queue.clear();
        for (rank, level) in self.rank_levels.iter_mut().enumerate() {
            *level = UNSEEN;
            if self.loads[rank] > self.bounds[rank] {
                *level = 0;
                self.queue.push(rank as u32);
            }
        }
        if self.queue.is_empty() {
            return Reach::NothingOver;
        }
        self.expert_levels.fill(UNSEEN);
        let mut last_level = UNSEEN;
        let mut next = 0;
        while let Some(&rank) = self.queue.get(next) {
            next += 1;
            let level = self.rank_levels[rank as usize];
            if level >= last_level {
                break;
            }
            for &edge in replicas.edges_at(rank as usize) {
                let expert = replicas.edge_experts[edge as usize] as usize;
                if self.amounts[edge as usize] == 0 || self.expert_levels[expert] != UNSEEN {
                    continue;
                }
                self.expert_levels[expert] = level;
                for &other in &replicas.edge_ranks[replicas.edges(expert)] {
                    let other = other as usize;
                    if self.rank_levels[other] == UNSEEN {
                        self.rank_levels[other] = level + 1;
                        self.queue.push(other as u32);
                        if self.loads[other] < self.bounds[other] {
                            last_level = level + 1;
                        }
                    }
                }
            }
        }
        if last_level == UNSEEN { Reach::Nowhere } else { Reach::Room }
    }

    /// Moves along shortest paths until none is left.
    fn block(&mut self, replicas: &Replicas) {
        self.rank_cursors.fill(0);
        self.expert_cursors.fill(0);
        // The ranks at level 0 come first in the queue.
        for index in 0..self.queue.len() {
            let source = self.queue[index] as usize;
            if self.rank_levels[source] != 0 {
                break;
            }
            while self.loads[source] > self.bounds[source] && self.find_path(replicas, source) {
                self.move_along(replicas, source);
            }
        }
    }

    /// Leaves a path from `source` to a rank with room in `self.path`; `false` when there is none.
    fn find_path(&mut self, replicas: &Replicas, source: usize) -> bool {
        self.path.clear();
        let mut rank = source;
        loop {
            if self.loads[rank] < self.bounds[rank] {
                return true;
            }
            match self.next_hop(replicas, rank) {
                Some(hop) => {
                    self.path.push(hop);
                    rank = replicas.edge_ranks[hop.enters as usize] as usize;
                }
                None => {
                    // Nothing leads on from here; neither does the edge that led here.
                    let Some(hop) = self.path.pop() else { return false };
                    let expert = replicas.edge_experts[hop.leaves as usize] as usize;
                    self.expert_cursors[expert] += 1;
                    rank = hop.rank as usize;
                }
            }
        }
    }

    fn next_hop(&mut self, replicas: &Replicas, rank: usize) -> Option<Hop> {
        let level = self.rank_levels[rank];
        let leaving = replicas.edges_at(rank);
        while let Some(&leaves) = leaving.get(self.rank_cursors[rank] as usize) {
            let expert = replicas.edge_experts[leaves as usize] as usize;
            if self.amounts[leaves as usize] > 0 && self.expert_levels[expert] == level {
                let entering = replicas.edges(expert);
                let cursor = &mut self.expert_cursors[expert];
                while entering.start + (*cursor as usize) < entering.end {
                    let enters = entering.start as u32 + *cursor;
                    let other = replicas.edge_ranks[enters as usize] as usize;
                    if self.rank_levels[other] == level + 1 {
                        return Some(Hop { rank: rank as u32, leaves, enters });
                    }
                    *cursor += 1;
                }
            }
            self.rank_cursors[rank] += 1;
        }
        None
    }

    fn move_along(&mut self, replicas: &Replicas, source: usize) {
        let Some(last) = self.path.last() else { return };
        let target = replicas.edge_ranks[last.enters as usize] as usize;
        let over = self.loads[source] - self.bounds[source];
        let room = self.bounds[target] - self.loads[target];
        let amount = self
            .path
            .iter()
            .fold(over.min(room), |amount, hop| amount.min(self.amounts[hop.leaves as usize]));
        for hop in &self.path {
            self.amounts[hop.leaves as usize] -= amount;
            self.amounts[hop.enters as usize] += amount;
        }
        self.loads[source] -= amount;
        self.loads[target] += amount;
    }
}

/// What a search from all overfull ranks comes to.
enum Reach {
    /// There are none.
    NothingOver,
    /// No rank with room.
    Nowhere,
    /// At least one rank with room.
    Room,
}

/// Makes `values` hold `count` times `value`, in the memory it has.
pub(super) fn refill<Value: Clone>(values: &mut Vec<Value>, count: usize, value: Value) {
    values.clear();
    values.resize(count, value);
}
