//! Copies between ranges, and the checks of a batch.

use crate::raw::{CopyKind, Span};
use crate::{Memory, PinnedMemory};

/// One copy of a batch; see [`Stream::copy`](crate::Stream::copy), which checks it.
#[derive(Clone, Debug)]
pub struct MemoryCopy {
    destination: Span,
    source: Span,
}

impl MemoryCopy {
    /// Within the device, or from or to imported memory.
    pub fn new(destination: &Memory, source: &Memory) -> Self {
        Self { destination: destination.span().clone(), source: source.span().clone() }
    }

    /// From the host to the device.
    pub fn upload(destination: &Memory, source: &PinnedMemory) -> Self {
        Self { destination: destination.span().clone(), source: source.span().clone() }
    }

    /// From the device to the host.
    pub fn download(destination: &PinnedMemory, source: &Memory) -> Self {
        Self { destination: destination.span().clone(), source: source.span().clone() }
    }

    /// Bytes of the destination.
    pub fn bytes(&self) -> usize {
        self.destination.bytes()
    }

    pub(crate) fn spans(&self) -> [&Span; 2] {
        [&self.destination, &self.source]
    }

    /// The copy as a backend takes it, or what is wrong with it.
    pub(crate) fn check(&self) -> Result<(Span, Span, CopyKind), String> {
        let (destination, source) = (&self.destination, &self.source);
        if destination.bytes() != source.bytes() {
            return Err(format!(
                "{} bytes to a range of {}; both sides have to be equally long",
                source.bytes(),
                destination.bytes()
            ));
        }
        let peers = [destination, source].map(is_peer);
        let pinned = [destination, source].map(|span| span.block().is_pinned());
        let kind = match (pinned, peers) {
            ([false, true], [false, _]) => CopyKind::Upload,
            ([true, false], [_, false]) => CopyKind::Download,
            ([false, false], [false, false]) => CopyKind::Device,
            ([false, false], [true, false] | [false, true]) => CopyKind::Peer,
            _ => {
                return Err("imported memory is copied only from and to memory of the own device"
                    .to_owned());
            }
        };
        Ok((destination.clone(), source.clone(), kind))
    }
}

pub(crate) fn is_peer(span: &Span) -> bool {
    matches!(span.block().kind(), crate::raw::BlockKind::Import(_))
}

/// Finds a written range that has bytes in common with another range; `ranges` are (written, span).
pub(crate) fn find_overlap<'a>(
    ranges: impl Iterator<Item = (bool, &'a Span)>,
) -> Option<(usize, usize)> {
    let mut sorted: Vec<(bool, usize, usize, bool)> = ranges
        .map(|(written, span)| {
            let side = span.block().is_pinned();
            (side, span.address().0, span.end(), written)
        })
        .collect();
    sorted.sort_unstable();
    overlap_of_sorted(&sorted)
}

/// Over (side, start, end, written), sorted: the addresses of the first conflict.
fn overlap_of_sorted(sorted: &[(bool, usize, usize, bool)]) -> Option<(usize, usize)> {
    // Of the ranges so far, the one that reaches furthest: of all, and of the written ones.
    let mut furthest: Option<(bool, usize, usize)> = None;
    let mut furthest_written: Option<(bool, usize, usize)> = None;
    for &(side, start, end, written) in sorted {
        let before = if written { furthest } else { furthest_written };
        if let Some((other_side, other_start, other_end)) = before
            && other_side == side
            && start < other_end
        {
            return Some((other_start, start));
        }
        let reach = |known: Option<(bool, usize, usize)>| match known {
            Some(known) if known.0 == side && known.2 >= end => Some(known),
            _ => Some((side, start, end)),
        };
        furthest = reach(furthest);
        if written {
            furthest_written = reach(furthest_written);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(ranges: &[(usize, usize, bool)]) -> Option<(usize, usize)> {
        let mut sorted: Vec<_> =
            ranges.iter().map(|&(start, end, written)| (false, start, end, written)).collect();
        sorted.sort_unstable();
        overlap_of_sorted(&sorted)
    }

    #[test]
    fn sources_may_share_bytes_and_neighbours_touch() {
        let ranges = [(0, 10, false), (5, 15, false), (15, 20, true), (20, 30, true)];
        assert_eq!(overlap(&ranges), None);
    }

    #[test]
    fn host_and_device_addresses_are_different_worlds() {
        assert_eq!(overlap_of_sorted(&[(false, 0, 10, true), (true, 5, 6, true)]), None);
    }

    #[test]
    fn every_conflict_is_found_as_by_comparing_all_pairs() {
        // A small generator: the module must not depend on more crates for one test.
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((state >> 33) % below).unwrap()
        };
        for _ in 0..5_000 {
            let ranges: Vec<(usize, usize, bool)> = (0..1 + next(6))
                .map(|_| {
                    let start = next(40);
                    (start, start + 1 + next(8), next(2) == 0)
                })
                .collect();
            let expected = ranges.iter().enumerate().any(|(index, a)| {
                ranges[..index].iter().any(|b| (a.2 || b.2) && a.0 < b.1 && b.0 < a.1)
            });
            assert_eq!(overlap(&ranges).is_some(), expected, "{ranges:?}");
        }
    }
}
