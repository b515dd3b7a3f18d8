//! A stand-in for forward passes: pieces of work of about the same length on a stream.
//!
//! The device trait launches no kernels of an engine, so a piece is a copy or a fill within the device's
//! memory. Both use what copies of weights use too, memory bandwidth first of all, so that they are
//! slowed down at least as much as the matrix products of a model would be.

use std::time::{Duration, Instant};

use eplb::device::{Device, Memory, MemoryCopy, Stream};
use serde::Serialize;

use super::figures::nanoseconds;
use super::ground::{Polling, wait_for_stream, written_memory};
use crate::arguments::ForwardArgument;
use crate::failure::Failure;

/// The size that the search for the right one begins with.
const FIRST_BYTES: usize = 256 << 10;
/// No piece is larger, however fast the device.
const MOST_BYTES: usize = 4 << 30;
/// A piece takes at most this part of the memory that is free.
const PART_OF_FREE: u64 = 8;
/// Pieces that are measured in one go, and how often; the fastest go counts, as the one least disturbed.
const PIECES: u32 = 8;
const GOES: u32 = 3;
/// Corrections of a size that turns out to be wrong.
const CORRECTIONS: u32 = 4;

/// One piece of work, which can be queued any number of times.
#[derive(Debug)]
pub(super) struct Piece {
    kind: ForwardArgument,
    source: Memory,
    destination: Memory,
    facts: PieceFacts,
}

/// What a piece is, for reports.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct PieceFacts {
    pub(super) kind: ForwardArgument,
    /// Bytes copied or filled.
    pub(super) piece_bytes: u64,
    /// Time of one piece among others, with nothing beside it.
    pub(super) piece_ns: u64,
}

impl Piece {
    /// A piece that takes about `target`, found by trying sizes on `stream`.
    pub(super) fn calibrate(
        kind: ForwardArgument,
        stream: &Stream,
        target: Duration,
        polling: Polling,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let device = stream.device();
        let free = device.memory_info().map_err(Failure::new)?.free / PART_OF_FREE;
        let most = usize::try_from(free).unwrap_or(usize::MAX).clamp(FIRST_BYTES, MOST_BYTES);
        let target = nanoseconds(target);
        let mut bytes = FIRST_BYTES;
        let mut corrections = 0;
        loop {
            let piece = Self::of(kind, device, stream, bytes)?.measured(stream, polling, limit)?;
            let took = piece.facts.piece_ns.max(1);
            let is_close = took >= target - target / 8 && took <= target + target / 8;
            if is_close || corrections == CORRECTIONS || (took < target && bytes == most) {
                return Ok(piece);
            }
            if took < target / 2 {
                bytes = (bytes * 2).min(most);
                continue;
            }
            // Close enough to tell the right size from.
            let fitting = (bytes as f64 * target as f64 / took as f64) as usize;
            bytes = fitting.next_multiple_of(4_096).clamp(4_096, most);
            corrections += 1;
        }
    }

    fn of(
        kind: ForwardArgument,
        device: &Device,
        stream: &Stream,
        bytes: usize,
    ) -> Result<Self, Failure> {
        let destination = written_memory(device, stream, bytes)?;
        let source = match kind {
            ForwardArgument::Copies => written_memory(device, stream, bytes)?,
            ForwardArgument::Fills => destination.clone(),
        };
        let facts = PieceFacts { kind, piece_bytes: bytes as u64, piece_ns: 0 };
        Ok(Self { kind, source, destination, facts })
    }

    fn measured(
        mut self,
        stream: &Stream,
        polling: Polling,
        limit: Duration,
    ) -> Result<Self, Failure> {
        self.queue(stream)?;
        wait_for_stream(stream, &mut polling.pace(limit))?;
        let mut fastest = u64::MAX;
        for _ in 0..GOES {
            let begun = Instant::now();
            for _ in 0..PIECES {
                self.queue(stream)?;
            }
            wait_for_stream(stream, &mut polling.pace(limit))?;
            fastest = fastest.min(nanoseconds(begun.elapsed()));
        }
        self.facts.piece_ns = fastest / u64::from(PIECES);
        Ok(self)
    }

    /// Queues the piece once more.
    pub(super) fn queue(&self, stream: &Stream) -> Result<(), Failure> {
        let queued = match self.kind {
            ForwardArgument::Copies => {
                stream.copy(&[MemoryCopy::new(&self.destination, &self.source)])
            }
            ForwardArgument::Fills => stream.fill(&self.destination, 0xa5),
        };
        queued.map_err(Failure::new)
    }

    pub(super) fn facts(&self) -> PieceFacts {
        self.facts
    }
}
