//! `eplb bench commit`: the time that switching layers over takes on the engine's stream.
//!
//! The device trait has no events that measure time, so times are taken by the host's clock, from queueing
//! to the moment when a poll finds the stream idle. What is queued is first some work that keeps the
//! stream busy (the blocker), longer than the host needs to queue everything, and behind it the switches of
//! all layers, one right after the other. The same time with the blocker alone, measured in turn, is taken
//! off, and the rest is divided by the number of layers. So neither the way to the device and back counts,
//! nor the time that the host needs to queue, which is given by itself.
//!
//! The ceiling is measured in the same way and in turn: as many plain copies of the same length, queued in
//! as many calls (`slots`), and one copy of all of a layer's bytes (`whole`), each within the device's
//! memory. A rank that is alone is enough here: a switch never reads another rank's memory.

mod text;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use eplb::core::RankId;
use eplb::device::{Device, MemoryCopy, Stream, StreamPriority};
use eplb_executor::{Executor, Migrator, Switched, Switcher, TransportChoice};
use serde::Serialize;

use super::executor_options;
use super::figures::{Times, gb_per_s, median, nanoseconds, ratio};
use super::forward::{Piece, PieceFacts, Wanted};
use super::ground::{
    DeviceFacts, Ground, Polling, limit, open, ordinals, wait_for, wait_for_stream, within,
    written_memory,
};
use super::transfer::MOST_EXPERT_BYTES;
use super::weights::{Exchange, RankWeights};
use crate::arguments::{BenchCommitArguments, CommitArgument, ForwardArgument};
use crate::failure::Failure;
use crate::progress::StepProgress;

const MOST_SLOTS: u32 = 1_024;
const MOST_LAYERS: u32 = 1_024;
const MOST_REPEATS: usize = 10_000;
/// The blocker is made of pieces of about this length.
const PIECE: Duration = Duration::from_millis(1);
/// So many times as long as the host needs to queue everything lasts the blocker at least.
const MARGIN: u64 = 3;

/// What `eplb bench commit --json` prints.
#[derive(Debug, Serialize)]
struct CommitReport {
    bench: &'static str,
    #[serde(flatten)]
    ground: Ground,
    layers: u32,
    slots: u32,
    expert_bytes: usize,
    repeat: usize,
    blocker: PieceFacts,
    /// Nothing where only the other way was asked for.
    in_place: Option<InPlace>,
    indirect: Option<Indirect>,
}

/// Switches that copy.
#[derive(Debug, Serialize)]
struct InPlace {
    /// Bytes that the switch of one layer copies.
    layer_bytes: u64,
    blocker_pieces: u64,
    stream_ns_per_layer: f64,
    gb_per_s: f64,
    /// Plain copies of single slots.
    ceiling_slots_ns_per_layer: f64,
    ceiling_slots_gb_per_s: f64,
    /// Plain copies of all of a layer's slots at once.
    ceiling_whole_ns_per_layer: f64,
    ceiling_whole_gb_per_s: f64,
    /// Time of a switch over the time of plain copies of its slots.
    cost_ratio_slots: f64,
    /// Time of a switch over the time of one copy of as many bytes.
    cost_ratio_whole: f64,
    /// Host time of one call.
    host: Times,
    /// Host time of the plain call with as many copies.
    host_ceiling: Times,
    staging_bytes: u64,
}

/// Switches that only flip a table.
#[derive(Debug, Serialize)]
struct Indirect {
    blocker_pieces: u64,
    stream_ns_per_layer: f64,
    /// Host time of one call.
    host: Times,
    staging_bytes: u64,
}

/// One rank with all that is measured.
struct Bench<'a> {
    arguments: &'a BenchCommitArguments,
    device: &'a Device,
    stream: &'a Stream,
    blocker: &'a Piece,
    polling: Polling,
    limit: Duration,
}

/// An executor, and which way its layers go next.
struct Subject {
    exchange: Exchange,
    migrator: Migrator,
    switcher: Switcher,
    next_token: u64,
    is_exchanged: bool,
    staging_bytes: u64,
    #[expect(dead_code, reason = "owned, never read: the memory that is copied to")]
    weights: RankWeights,
}

pub(super) fn commit(
    arguments: &BenchCommitArguments,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    within("--slots", arguments.slots, 2, MOST_SLOTS)?;
    within("--layers", arguments.layers, 1, MOST_LAYERS)?;
    within("--expert-bytes", arguments.expert_bytes, 1, MOST_EXPERT_BYTES)?;
    within("--repeat", arguments.repeat, 1, MOST_REPEATS)?;
    let limit = limit(&arguments.on)?;
    let backend = open(&arguments.on, 1)?;
    let ordinal = ordinals(&*backend, &arguments.on.device)?[0];
    let device = Device::open(&backend, ordinal).map_err(Failure::new)?;
    let polling = Polling::for_threads(1);
    let facts = DeviceFacts::of(&device)?;
    let stream = device.stream(StreamPriority::High).map_err(Failure::new)?;
    let wanted =
        Wanted { backend: arguments.on.backend, kind: ForwardArgument::Copies, time: PIECE };
    let blocker = Piece::calibrate(wanted, &stream, polling, limit)?;
    let bench =
        Bench { arguments, device: &device, stream: &stream, blocker: &blocker, polling, limit };
    let wants = |mode| arguments.commit.is_none_or(|only| only == mode);
    let in_place = wants(CommitArgument::InPlace).then(|| bench.in_place()).transpose()?;
    let indirect = wants(CommitArgument::Indirect).then(|| bench.indirect()).transpose()?;
    let report = CommitReport {
        bench: "commit",
        ground: Ground::new(arguments.on.backend, vec![facts], polling),
        layers: arguments.layers,
        slots: arguments.slots,
        expert_bytes: arguments.expert_bytes,
        repeat: arguments.repeat,
        blocker: blocker.facts(),
        in_place,
        indirect,
    };
    super::print(&report, arguments.on.json, &text::render(&report), out)
}

impl Bench<'_> {
    fn in_place(&self) -> Result<InPlace, Failure> {
        let mut subject = self.open(CommitArgument::InPlace)?;
        let slots = self.arguments.slots as usize;
        let expert_bytes = self.arguments.expert_bytes;
        let layer_bytes = slots * expert_bytes;
        let source = written_memory(self.device, self.stream, layer_bytes)?;
        let destination = written_memory(self.device, self.stream, layer_bytes)?;
        let whole = [MemoryCopy::new(&destination, &source)];
        let by_slot = (0..slots)
            .map(|slot| {
                let part = |memory: &eplb::device::Memory| {
                    memory.slice(slot * expert_bytes, expert_bytes).map_err(Failure::new)
                };
                Ok(MemoryCopy::new(&part(&destination)?, &part(&source)?))
            })
            .collect::<Result<Vec<_>, Failure>>()?;

        let pieces = self.pieces(&mut subject)?;
        let layers = f64::from(self.arguments.layers);
        let (mut switch, mut slots_times, mut whole_times) = (vec![], vec![], vec![]);
        let (mut host, mut host_ceiling) = (vec![], vec![]);
        let progress = StepProgress::new(self.arguments.repeat);
        for round in 0..self.arguments.repeat {
            progress.show("in place", round);
            let alone = self.behind_blocker(pieces, |_| Ok(()))?;
            let slots = self.behind_blocker(pieces, |stream| {
                for _ in 0..self.arguments.layers {
                    let begun = Instant::now();
                    stream.copy(&by_slot).map_err(Failure::new)?;
                    host_ceiling.push(nanoseconds(begun.elapsed()));
                }
                Ok(())
            })?;
            let whole = self.behind_blocker(pieces, |stream| {
                let mut copies = 0..self.arguments.layers;
                copies.try_for_each(|_| stream.copy(&whole).map_err(Failure::new))
            })?;
            let switched = self.switch(&mut subject, pieces, &mut host)?;
            for (times, time) in
                [(&mut slots_times, slots), (&mut whole_times, whole), (&mut switch, switched)]
            {
                times.push((time - alone) / layers);
            }
        }
        progress.end();
        let (switch, slots) = (median(switch), median(slots_times));
        let (whole, layer_bytes) = (median(whole_times), layer_bytes as u64);
        let staging_bytes = subject.staging_bytes;
        self.close(subject)?;
        Ok(InPlace {
            layer_bytes,
            blocker_pieces: pieces,
            stream_ns_per_layer: switch,
            gb_per_s: gb_per_s(layer_bytes, switch),
            ceiling_slots_ns_per_layer: slots,
            ceiling_slots_gb_per_s: gb_per_s(layer_bytes, slots),
            ceiling_whole_ns_per_layer: whole,
            ceiling_whole_gb_per_s: gb_per_s(layer_bytes, whole),
            cost_ratio_slots: ratio(switch, slots),
            cost_ratio_whole: ratio(switch, whole),
            host: Times::of(host),
            host_ceiling: Times::of(host_ceiling),
            staging_bytes,
        })
    }

    fn indirect(&self) -> Result<Indirect, Failure> {
        let mut subject = self.open(CommitArgument::Indirect)?;
        let pieces = self.pieces(&mut subject)?;
        let (mut switch, mut host) = (vec![], vec![]);
        let progress = StepProgress::new(self.arguments.repeat);
        for round in 0..self.arguments.repeat {
            progress.show("indirect", round);
            let alone = self.behind_blocker(pieces, |_| Ok(()))?;
            let switched = self.switch(&mut subject, pieces, &mut host)?;
            switch.push((switched - alone) / f64::from(self.arguments.layers));
        }
        progress.end();
        let staging_bytes = subject.staging_bytes;
        self.close(subject)?;
        Ok(Indirect {
            blocker_pieces: pieces,
            stream_ns_per_layer: median(switch),
            host: Times::of(host),
            staging_bytes,
        })
    }

    fn open(&self, mode: CommitArgument) -> Result<Subject, Failure> {
        let BenchCommitArguments { layers, slots, expert_bytes, .. } = *self.arguments;
        let exchange = Exchange::new(1, slots, layers)?;
        let options =
            executor_options(mode, slots as usize, layers as usize, TransportChoice::Peer, 1);
        let buffers = slots as usize + options.spare_slots as usize;
        let weights =
            RankWeights::allocate(self.device, self.stream, layers, buffers, expert_bytes)?;
        wait_for_stream(self.stream, &mut self.polling.pace(self.limit))?;
        let free = || Ok::<_, Failure>(self.device.memory_info().map_err(Failure::new)?.free);
        let before = free()?;
        let engine = self.device.stream(StreamPriority::High).map_err(Failure::new)?;
        let executor = Executor::open(
            RankId(0),
            exchange.shape,
            &exchange.topology,
            options,
            self.device,
            engine,
            weights.manifest.clone(),
        );
        let executor = executor.map_err(Failure::new)?;
        let staging_bytes = before.saturating_sub(free()?);
        let (migrator, switcher) = executor.connect(&[]).map_err(Failure::new)?;
        Ok(Subject {
            exchange,
            migrator,
            switcher,
            next_token: 1,
            is_exchanged: false,
            staging_bytes,
            weights,
        })
    }

    fn close(&self, subject: Subject) -> Result<(), Failure> {
        drop(subject);
        self.device.drain(&mut self.polling.pace(self.limit)).map_err(Failure::new)
    }

    /// How many pieces the blocker is made of: from the time that the host needs to queue switches,
    /// measured once. What is measured does not count, so it is the warm-up too.
    fn pieces(&self, subject: &mut Subject) -> Result<u64, Failure> {
        let mut host = Vec::new();
        self.switch(subject, 1, &mut host)?;
        let queueing = host.iter().sum::<u64>().saturating_mul(MARGIN);
        Ok(1 + queueing / self.blocker.facts().piece_ns.max(1))
    }

    /// Time until a stream is idle that has a blocker on it, and behind it what `queue` queues.
    fn behind_blocker(
        &self,
        pieces: u64,
        queue: impl FnOnce(&Stream) -> Result<(), Failure>,
    ) -> Result<f64, Failure> {
        self.timed(self.stream, pieces, || queue(self.stream))
    }

    fn timed(
        &self,
        stream: &Stream,
        pieces: u64,
        queue: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<f64, Failure> {
        let begun = Instant::now();
        for _ in 0..pieces {
            self.blocker.queue(stream)?;
        }
        queue()?;
        wait_for_stream(stream, &mut self.polling.pace(self.limit))?;
        Ok(nanoseconds(begun.elapsed()) as f64)
    }

    /// Prepares all layers, and then switches them over behind a blocker. Gives the time until the
    /// engine's stream is idle; the host's time of each call goes to `host`.
    fn switch(
        &self,
        subject: &mut Subject,
        pieces: u64,
        host: &mut Vec<u64>,
    ) -> Result<f64, Failure> {
        let tokens = subject.prepare(&mut self.polling.pace(self.limit))?;
        let Subject { switcher, .. } = subject;
        let begun = Instant::now();
        for _ in 0..pieces {
            self.blocker.queue(switcher.stream())?;
        }
        for &token in &tokens {
            let called = Instant::now();
            switcher.commit(token).map_err(Failure::new)?;
            host.push(nanoseconds(called.elapsed()));
        }
        wait_for_stream(switcher.stream(), &mut self.polling.pace(self.limit))?;
        let elapsed = nanoseconds(begun.elapsed()) as f64;
        subject.settle(tokens.len(), &mut self.polling.pace(self.limit))?;
        Ok(elapsed)
    }
}

impl Subject {
    /// Brings the other placement's weights for every layer; gives the changes' tokens.
    fn prepare(&mut self, pace: &mut super::ground::Pace) -> Result<Vec<u64>, Failure> {
        let (from, to) = match self.is_exchanged {
            false => (&self.exchange.first, &self.exchange.second),
            true => (&self.exchange.second, &self.exchange.first),
        };
        let mut tokens = Vec::new();
        for layer in self.exchange.shape.layer_ids() {
            let token = self.next_token;
            self.next_token += 1;
            self.migrator.begin(token, layer, from, to).map_err(Failure::new)?;
            tokens.push(token);
        }
        let mut arrived = 0;
        let (migrator, switcher) = (&mut self.migrator, &mut self.switcher);
        wait_for(pace, "the preparation of layers", || {
            for (_, outcome) in migrator.poll() {
                switcher.accept(outcome.map_err(Failure::new)?);
                arrived += 1;
            }
            Ok((arrived == tokens.len()).then_some(()))
        })?;
        self.is_exchanged = !self.is_exchanged;
        Ok(tokens)
    }

    /// Waits until so many switches are reported, and ends their changes.
    fn settle(&mut self, count: usize, pace: &mut super::ground::Pace) -> Result<(), Failure> {
        let mut settled = 0;
        wait_for(pace, "a switch", || {
            for news in self.switcher.poll() {
                match news {
                    Switched::Committed(token) => {
                        self.switcher.release(token);
                        settled += 1;
                    }
                    Switched::Failed(_, error) => return Err(Failure::new(error)),
                    Switched::Reverted(token) => {
                        return Err(Failure::new(format!("change {token} was taken back")));
                    }
                }
            }
            Ok((settled == count).then_some(()))
        })
    }
}
