//! How transfers are cut that are too long for one call.

use std::ops::Range;

use eplb_device::raw::PeerBuffer;

/// Elements that one call may move, at most; elements are bytes here.
pub(crate) const MOST_BYTES: usize = 0x7_FFFF_FFFF;

/// The cuts of a round, in their order on the stream.
pub(crate) fn cuts(buffers: &[&[PeerBuffer]], most: usize) -> Range<usize> {
    let longest = buffers.iter().copied().flatten().map(|buffer| buffer.bytes).max();
    0..longest.unwrap_or(0).div_ceil(most)
}

/// The pieces of the buffers that a cut moves. Both ends of a pair give equal bytes, so that they cut
/// alike and meet in the same call.
pub(crate) fn of_cut(
    buffers: &[PeerBuffer],
    cut: usize,
    most: usize,
) -> impl Iterator<Item = PeerBuffer> {
    buffers.iter().filter_map(move |buffer| {
        let (offset, bytes) = piece(buffer.bytes, cut, most)?;
        let mut address = buffer.address;
        address.0 += offset;
        Some(PeerBuffer { peer: buffer.peer, address, bytes })
    })
}

/// The piece of so many bytes that a cut moves: its offset and its bytes, which are never zero.
pub(crate) fn piece(bytes: usize, cut: usize, most: usize) -> Option<(usize, usize)> {
    let offset = cut.checked_mul(most).filter(|offset| *offset < bytes)?;
    Some((offset, most.min(bytes - offset)))
}

#[cfg(test)]
mod tests {
    use eplb_device::raw::Address;

    use super::*;

    fn buffer(peer: u32, address: usize, bytes: usize) -> PeerBuffer {
        PeerBuffer { peer, address: Address(address), bytes }
    }

    #[test]
    fn long_buffers_are_cut_and_short_ones_end_early() {
        let buffers = [buffer(1, 100, 25), buffer(2, 200, 10), buffer(0, 300, 3)];
        assert_eq!(cuts(&[&buffers], 10), 0..3);
        let pieces = |cut| of_cut(&buffers, cut, 10).collect::<Vec<_>>();
        assert_eq!(pieces(0), [buffer(1, 100, 10), buffer(2, 200, 10), buffer(0, 300, 3)]);
        assert_eq!(pieces(1), [buffer(1, 110, 10)]);
        assert_eq!(pieces(2), [buffer(1, 120, 5)]);
        assert_eq!(pieces(3), []);
    }

    #[test]
    fn no_buffers_make_no_cut() {
        assert_eq!(cuts(&[&[], &[]], 10), 0..0);
        assert_eq!(piece(usize::MAX, usize::MAX, 10), None);
    }
}
