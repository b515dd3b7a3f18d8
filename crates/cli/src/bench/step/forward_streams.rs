//! The forward streams, one a device, and what is queued ahead on each.

use std::collections::VecDeque;
use std::time::Duration;

use eplb::Session;
use eplb::core::RankId;
use eplb::device::{Event, Stream, StreamPriority};

use super::engine::Engine;
use crate::arguments::BenchStepArguments;
use crate::bench::forward::{Piece, PieceFacts, Wanted};
use crate::bench::ground::{Polling, wait_for_stream};
use crate::failure::Failure;

/// Pieces queued before the host waits for the first of them.
const AHEAD: usize = 2;

/// A forward stream for the first rank on each device.
pub(super) struct ForwardStreams {
    /// By rank.
    streams: Vec<Option<ForwardStream>>,
    polling: Polling,
    limit: Duration,
}

struct ForwardStream {
    piece: Piece,
    stream: Stream,
    ends: VecDeque<Event>,
}

impl ForwardStreams {
    /// Finds a piece for each device, with nothing beside it.
    pub(super) fn open(
        engine: &Engine,
        arguments: &BenchStepArguments,
        polling: Polling,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let time = Duration::from_micros(arguments.piece_us);
        let wanted = Wanted { backend: arguments.on.backend, kind: arguments.forward, time };
        let mut streams = Vec::new();
        for (rank, device) in engine.devices.iter().enumerate() {
            let ordinal = engine.facts[rank].ordinal;
            if engine.facts[..rank].iter().any(|other| other.ordinal == ordinal) {
                streams.push(None);
                continue;
            }
            let stream = device.stream(StreamPriority::High).map_err(Failure::new)?;
            let piece = Piece::calibrate(wanted, &stream, polling, limit)?;
            streams.push(Some(ForwardStream { piece, stream, ends: VecDeque::new() }));
        }
        Ok(Self { streams, polling, limit })
    }

    /// The piece of each device, the first rank's first.
    pub(super) fn facts(&self) -> Vec<PieceFacts> {
        self.streams.iter().flatten().map(|forward| forward.piece.facts()).collect()
    }

    /// Queues a piece of the rank's forward stream behind what the step has queued, and before what the
    /// next one queues; once the stream has no more than some ahead. Nothing if the rank has none.
    pub(super) fn forward(&mut self, rank: RankId, session: &Session) -> Result<(), Failure> {
        let Some(ForwardStream { piece, stream, ends }) = &mut self.streams[rank.index()] else {
            return Ok(());
        };
        if ends.len() == AHEAD
            && let Some(end) = ends.pop_front()
        {
            end.wait(&mut self.polling.pace(self.limit)).map_err(Failure::new)?;
        }
        let switches = session.engine_stream();
        let event = || stream.device().event().map_err(Failure::new);
        let (switched, end) = (event()?, event()?);
        switches.record(&switched).map_err(Failure::new)?;
        stream.wait_for(&switched).map_err(Failure::new)?;
        piece.queue(stream)?;
        stream.record(&end).map_err(Failure::new)?;
        switches.wait_for(&end).map_err(Failure::new)?;
        ends.push_back(end);
        Ok(())
    }

    /// Waits until the last piece on every stream has ended.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        for forward in self.streams.iter_mut().flatten() {
            wait_for_stream(&forward.stream, &mut self.polling.pace(self.limit))?;
            forward.ends.clear();
        }
        Ok(())
    }
}
