//! How a round of sends and receives is cut into groups.

use std::ops::RangeInclusive;

use eplb_device::raw::PeerBuffer;

/// Ranks apart in one group, at most: very large groups of sends and receives hang.
const GROUP_RANKS: u32 = 128;

/// The groups of a round, in their order on the stream.
pub(crate) fn groups(size: u32) -> RangeInclusive<u32> {
    0..=size.saturating_sub(1) / GROUP_RANKS
}

/// Sends or receives that lie so far apart, by ranks, that they are of the group `group`. Both ends of a
/// pair see the same distance, so they meet in the same group.
pub(crate) fn of_group<'a>(
    buffers: &'a [PeerBuffer],
    group: u32,
    distance: impl Fn(u32) -> u32 + 'a,
) -> impl Iterator<Item = &'a PeerBuffer> {
    buffers.iter().filter(move |buffer| distance(buffer.peer) / GROUP_RANKS == group)
}

/// Ranks from `from` on to `to`, around.
pub(crate) fn distance(from: u32, to: u32, size: u32) -> u32 {
    if to >= from { to - from } else { size - from + to }
}

#[cfg(test)]
mod tests {
    use eplb_device::raw::Address;

    use super::*;

    #[test]
    fn both_ends_of_a_pair_are_in_the_same_group() {
        let size = 300;
        let buffer = |peer| PeerBuffer { peer, address: Address(1), bytes: 1 };
        for (from, to) in [(0, 299), (299, 0), (5, 5), (10, 140), (200, 40)] {
            let [sent, received] =
                [(from, to, true), (to, from, false)].map(|(own, peer, sends)| {
                    let buffers = [buffer(peer)];
                    let holds = |group: &u32| {
                        let far = |peer| {
                            if sends {
                                distance(own, peer, size)
                            } else {
                                distance(peer, own, size)
                            }
                        };
                        of_group(&buffers, *group, far).count() == 1
                    };
                    groups(size).filter(holds).collect::<Vec<_>>()
                });
            assert_eq!(sent.len(), 1);
            assert_eq!(sent, received, "{from} to {to}");
        }
    }
}
