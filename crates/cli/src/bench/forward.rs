//! A stand-in for forward passes: pieces of work of about the same length on a stream.
//!
//! The device trait launches no kernels of an engine, so a piece is a copy or a fill within the device's
//! memory, or a matrix product by the vendor's own library. Copies and fills use what copies of weights
//! use too, memory bandwidth first of all; products use arithmetic units and caches, as a model does.

use std::time::{Duration, Instant};

use eplb::device::{Memory, MemoryCopy, Stream};
use eplb_backends::{BackendName, LibrarySettings, Products};
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
/// Bytes of an element of a matrix.
const ELEMENT_BYTES: usize = 2;
/// Orders of matrices are multiples of this, as those of models.
const ORDER_STEP: usize = 16;
/// Pieces that are measured in one go, and how often; the fastest go counts, as the one least disturbed.
const PIECES: u32 = 8;
const GOES: u32 = 3;
/// Corrections of a size that turns out to be wrong.
const CORRECTIONS: u32 = 4;

/// One piece of work, which can be queued any number of times.
#[derive(Debug)]
pub(super) struct Piece {
    work: Work,
    facts: PieceFacts,
}

/// What a piece is, for reports.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct PieceFacts {
    pub(super) kind: ForwardArgument,
    /// Bytes copied or filled, or of one of the three matrices.
    pub(super) piece_bytes: u64,
    /// Time of one piece among others, with nothing beside it.
    pub(super) piece_ns: u64,
}

/// What is wanted of a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) backend: BackendName,
    pub(super) kind: ForwardArgument,
    /// How long it takes.
    pub(super) time: Duration,
}

#[derive(Debug)]
enum Work {
    Copy { source: Memory, destination: Memory },
    Fill(Memory),
    Product(Box<dyn Products>),
}

impl Piece {
    /// A piece that takes about the wanted time, found by trying sizes on `stream`.
    pub(super) fn calibrate(
        wanted: Wanted,
        stream: &Stream,
        polling: Polling,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let free = stream.device().memory_info().map_err(Failure::new)?.free / PART_OF_FREE;
        let most = usize::try_from(free).unwrap_or(usize::MAX).clamp(FIRST_BYTES, MOST_BYTES);
        let target = nanoseconds(wanted.time);
        // Products take longer than their bytes do by as much as their matrices are high.
        let power = if wanted.kind == ForwardArgument::Products { 1.5 } else { 1.0 };
        let mut bytes = wanted.kind.first_bytes();
        let mut corrections = 0;
        loop {
            let piece = Self::of(wanted, stream, bytes)?.measured(stream, polling, limit)?;
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
            let fitting = bytes as f64 * (target as f64 / took as f64).powf(1.0 / power);
            bytes = (fitting as usize).next_multiple_of(4_096).clamp(4_096, most);
            corrections += 1;
        }
    }

    fn of(wanted: Wanted, stream: &Stream, bytes: usize) -> Result<Self, Failure> {
        let device = stream.device();
        let kind = wanted.kind;
        let (work, bytes) = match kind {
            ForwardArgument::Copies => {
                let source = written_memory(device, stream, bytes)?;
                let destination = written_memory(device, stream, bytes)?;
                (Work::Copy { source, destination }, bytes)
            }
            ForwardArgument::Fills => (Work::Fill(written_memory(device, stream, bytes)?), bytes),
            ForwardArgument::Products => {
                let order = (bytes / ELEMENT_BYTES).isqrt().next_multiple_of(ORDER_STEP);
                let libraries = LibrarySettings::default();
                let order_32 = u32::try_from(order).unwrap_or(u32::MAX);
                let products =
                    eplb_backends::products(wanted.backend, &libraries, stream, order_32);
                (Work::Product(products.map_err(Failure::new)?), order * order * ELEMENT_BYTES)
            }
        };
        Ok(Self { work, facts: PieceFacts { kind, piece_bytes: bytes as u64, piece_ns: 0 } })
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
        match &self.work {
            Work::Copy { source, destination } => {
                stream.copy(&[MemoryCopy::new(destination, source)]).map_err(Failure::new)
            }
            Work::Fill(memory) => stream.fill(memory, 0xa5).map_err(Failure::new),
            Work::Product(products) => products.queue(stream).map_err(Failure::new),
        }
    }

    pub(super) fn facts(&self) -> PieceFacts {
        self.facts
    }
}

impl ForwardArgument {
    /// Matrices begin small: where products are worked out by a processor, they take long.
    fn first_bytes(self) -> usize {
        match self {
            Self::Copies | Self::Fills => FIRST_BYTES,
            Self::Products => 64 * 64 * ELEMENT_BYTES,
        }
    }
}
