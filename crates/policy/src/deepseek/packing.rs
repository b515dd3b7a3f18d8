//! Packing items into equally many to a pack.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::keys::{key, number, weight};
use super::reference_order::descending;

/// Where each item lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packing {
    /// The pack of each item.
    pub(super) packs: Vec<usize>,
    /// The position of each item within its pack.
    pub(super) positions: Vec<usize>,
}

/// Packs items of these weights into `packs` packs of equally many: the heaviest first, each into the
/// lightest pack with room, the first of equals. Weights of packs add up in float32. One item to a
/// pack needs no choice: item i goes to pack i. `packs` divides the number of items.
pub(super) fn pack(weights: &[f32], packs: usize) -> Packing {
    let room = weights.len() / packs;
    if room == 1 {
        return Packing { packs: (0..packs).collect(), positions: vec![0; packs] };
    }
    let mut packing = Packing { packs: vec![0; weights.len()], positions: vec![0; weights.len()] };
    let mut items = vec![0; packs];
    let mut lightest: BinaryHeap<Reverse<u64>> =
        (0..packs as u32).map(|pack| Reverse(key(0.0, pack))).collect();
    for item in descending(weights) {
        // A full pack leaves the heap, and there is room for all.
        let Some(mut top) = lightest.peek_mut() else { break };
        let pack = number(top.0);
        packing.packs[item] = pack;
        packing.positions[item] = items[pack];
        items[pack] += 1;
        if items[pack] < room {
            top.0 = key(weight(top.0) + weights[item], pack as u32);
        } else {
            PeekMut::pop(top);
        }
    }
    packing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_hold_equally_many_whatever_the_weights() {
        // SGLang's test_balanced_packing: the pack with the 9 takes one of the ones as well.
        let packing = pack(&[9.0, 1.0, 1.0, 1.0], 2);
        assert_eq!(packing.packs, [0, 1, 1, 0]);
        assert_eq!(packing.positions, [0, 0, 1, 1]);
    }

    #[test]
    fn one_item_to_a_pack_keeps_the_order() {
        let packing = pack(&[1.0, 5.0, 3.0], 3);
        assert_eq!(packing.packs, [0, 1, 2]);
        assert_eq!(packing.positions, [0, 0, 0]);
    }

    #[test]
    fn weights_of_packs_are_rounded_to_float32() {
        // 2^24 + 1 is no float32, so pack 0 still weighs 2^24 after the one, ties with pack 1 and
        // takes the next item as well.
        let weights = [16_777_216.0, 16_777_216.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(pack(&weights, 2).packs, [0, 1, 0, 0, 1, 1]);
    }
}
