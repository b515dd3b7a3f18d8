//! The order in which the reference packs items of equal weight.
//!
//! The reference sorts weights with torch, not stably. On a CPU that is libstdc++'s `std::sort`: an
//! introsort that leaves runs of up to 16 to one insertion sort at the end. So up to 16 items keep
//! their order among equals, and more of them don't, but always in the same way: that way is part
//! of the reference's results, and is what this file reproduces.

use super::keys::{key, number};

/// Runs up to this length are left to the final insertion sort.
const SHORT_RUN: usize = 16;

/// The items by descending weight, equal weights in the reference's order.
pub(super) fn descending(weights: &[f32]) -> Vec<usize> {
    let mut order = Order::of(weights);
    let depth = 2 * weights.len().checked_ilog2().unwrap_or(0);
    order.partition_down(0, weights.len(), depth);
    order.insert_in_order();
    order.numbers()
}

/// Items as keys, of which only the weights are compared: they travel with their item.
struct Order {
    items: Vec<u64>,
}

/// Whether one item's weight is the larger one.
fn item_before(one: u64, other: u64) -> bool {
    one >> 32 > other >> 32
}

impl Order {
    fn of(weights: &[f32]) -> Self {
        let items = weights.iter().zip(0..).map(|(&weight, item)| key(weight, item));
        Self { items: items.collect() }
    }

    fn numbers(&self) -> Vec<usize> {
        self.items.iter().map(|&item| number(item)).collect()
    }

    /// Whether the item in one place belongs before the item in the other.
    fn before(&self, one: usize, other: usize) -> bool {
        item_before(self.items[one], self.items[other])
    }

    /// Sorts runs that are in order among each other. Equals keep their order.
    fn insert_in_order(&mut self) {
        for place in 1..self.items.len() {
            let item = self.items[place];
            let mut hole = place;
            while hole > 0 && item_before(item, self.items[hole - 1]) {
                self.items[hole] = self.items[hole - 1];
                hole -= 1;
            }
            self.items[hole] = item;
        }
    }

    /// Partitions places `start..end` until all runs are short. `depth` bounds the partitions.
    fn partition_down(&mut self, start: usize, mut end: usize, mut depth: u32) {
        while end - start > SHORT_RUN {
            if depth == 0 {
                self.heap_sort(start, end);
                return;
            }
            depth -= 1;
            self.pivot_to_start(start, end);
            let cut = self.partition(start, end);
            self.partition_down(cut, end, depth);
            end = cut;
        }
    }

    /// Swaps the median of the second, the middle and the last item to the start.
    fn pivot_to_start(&mut self, start: usize, end: usize) {
        let (second, middle, last) = (start + 1, start + (end - start) / 2, end - 1);
        let median = if self.before(second, middle) {
            if self.before(middle, last) {
                middle
            } else if self.before(second, last) {
                last
            } else {
                second
            }
        } else if self.before(second, last) {
            second
        } else if self.before(middle, last) {
            last
        } else {
            middle
        };
        self.items.swap(start, median);
    }

    /// Partitions around the pivot at `start`, which stays there, and gives the first place of the
    /// second part. Items equal to the pivot stop both sides and are swapped.
    fn partition(&mut self, start: usize, end: usize) -> usize {
        let (mut left, mut right) = (start + 1, end);
        loop {
            // The median of three guards both ends: neither side runs out of `start..end`.
            while self.before(left, start) {
                left += 1;
            }
            right -= 1;
            while self.before(start, right) {
                right -= 1;
            }
            if left >= right {
                return left;
            }
            self.items.swap(left, right);
            left += 1;
        }
    }

    fn heap_sort(&mut self, start: usize, end: usize) {
        let len = end - start;
        for hole in (0..len / 2).rev() {
            let item = self.items[start + hole];
            self.sink(start, hole, len, item);
        }
        for len in (1..len).rev() {
            let item = self.items[start + len];
            self.items[start + len] = self.items[start];
            self.sink(start, 0, len, item);
        }
    }

    /// Moves the hole of a heap of `len` items from `top` down to a leaf, then `item` up from there:
    /// the usual way round would leave equals in another order.
    fn sink(&mut self, start: usize, top: usize, len: usize, item: u64) {
        let mut hole = top;
        while 2 * hole + 1 < len {
            let (left, right) = (2 * hole + 1, 2 * hole + 2);
            let child =
                if right < len && !self.before(start + right, start + left) { right } else { left };
            self.items[start + hole] = self.items[start + child];
            hole = child;
        }
        while hole > top {
            let parent = (hole - 1) / 2;
            if !item_before(self.items[start + parent], item) {
                break;
            }
            self.items[start + hole] = self.items[start + parent];
            hole = parent;
        }
        self.items[start + hole] = item;
    }
}

#[cfg(test)]
mod tests;
