//! One rank of the benchmark, in a process or on a thread of its own.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb::core::{LayerId, RankId};
use eplb::device::{
    Backend, Device, Memory, MemoryCopy, PeerKey, PeerMemory, Stream, StreamPriority,
};
use eplb_executor::{ChangeFigures, Endpoint, Executor, Migrator, Switcher};

use super::message::{Moved, Opened, Opening, Order, Reply, unix_ns, wait_until};
use crate::arguments::TransportArgument;
use crate::bench::executor_options;
use crate::bench::ground::{DeviceFacts, Pace, wait_for, wait_for_stream, written_memory};
use crate::bench::weights::{Exchange, RankWeights, sender};
use crate::failure::Failure;

/// A rank; it becomes more with each order.
pub(super) struct Rank {
    backend: Arc<dyn Backend>,
    own: Option<Own>,
    group: Option<Group>,
}

/// What is the rank's alone.
struct Own {
    opening: Opening,
    exchange: Exchange,
    executor: Option<Executor>,
    /// Plain copies go here.
    plain: Stream,
    /// What plain copies write, and what other ranks' plain copies read.
    destination: Memory,
    #[expect(dead_code, reason = "owned, never read: other ranks read it")]
    source: Memory,
    #[expect(dead_code, reason = "owned, never read: other ranks read it until they have let go")]
    weights: RankWeights,
    /// The same for `memcpy`: what is read, and what is written.
    bytes: Option<[Vec<u8>; 2]>,
    // Dropped last.
    device: Device,
}

/// What the rank has of others.
struct Group {
    migrator: Migrator,
    switcher: Switcher,
    next_token: u64,
    /// The plain copies of one layer.
    copies: Vec<MemoryCopy>,
    #[expect(dead_code, reason = "owned, never read: the copies above are of it")]
    sources: Vec<PeerMemory>,
}

impl Rank {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, own: None, group: None }
    }

    /// Does what it is told to.
    pub(super) fn follow(&mut self, order: Order) -> Reply {
        let done = match order {
            Order::Open(opening) => self.open(opening).map(Reply::Opened),
            Order::Connect { endpoints, sources } => {
                self.connect(&endpoints, &sources).map(|()| Reply::Done)
            }
            Order::Ceiling { begin_unix_ns } => self.ceiling(begin_unix_ns).map(Reply::Moved),
            Order::Transfer { begin_unix_ns, in_flight } => {
                self.transfer(begin_unix_ns, in_flight).map(Reply::Moved)
            }
            Order::LetGo => {
                self.group = None;
                self.drain().map(|()| Reply::Done)
            }
            Order::End => self.end().map(|()| Reply::Done),
        };
        done.unwrap_or_else(|failure| Reply::Failed(text_of(failure)))
    }

    fn open(&mut self, opening: Opening) -> Result<Opened, Failure> {
        let device = Device::open(&self.backend, opening.device).map_err(Failure::new)?;
        let slots = opening.slots as usize;
        let exchange = Exchange::new(opening.ranks, opening.slots, opening.layers)?;
        let options = executor_options(
            opening.commit,
            slots,
            opening.layers_in_flight,
            opening.transport.into(),
            opening.round_slots as usize,
        );
        let buffers = slots + options.spare_slots as usize;
        let engine = device.stream(StreamPriority::High).map_err(Failure::new)?;
        let plain = device.stream(StreamPriority::Low).map_err(Failure::new)?;
        let expert_bytes = opening.expert_bytes;
        let weights =
            RankWeights::allocate(&device, &plain, opening.layers, buffers, expert_bytes)?;
        let source = written_memory(&device, &plain, slots * expert_bytes)?;
        let destination = written_memory(&device, &plain, slots * expert_bytes)?;
        wait_for_stream(&plain, &mut pace(&opening))?;
        let bytes = opening.plain_memory.then(|| {
            let part = |value| vec![value; slots * expert_bytes];
            [part(0x5a), part(0xa5)]
        });
        let free_before_bytes = free(&device)?;
        let rank = RankId(opening.rank);
        let (shape, topology) = (exchange.shape, &exchange.topology);
        let manifest = weights.manifest.clone();
        let executor = Executor::open(rank, shape, topology, options, &device, engine, manifest)
            .and_then(|executor| match opening.transport {
                TransportArgument::Peer => Ok(executor),
                _ => executor.with_own_communicator(),
            })
            .map_err(Failure::new)?;
        let source_key = device.export(&source).map_err(Failure::new)?;
        let opened = Opened {
            device: DeviceFacts::of(&device)?,
            endpoint: executor.endpoint().encode(),
            source: source_key.as_bytes().to_vec(),
            weights_bytes: weights.memory.iter().map(|memory| memory.bytes() as u64).sum(),
            free_before_bytes,
            free_after_bytes: free(&device)?,
        };
        let executor = Some(executor);
        self.own = Some(Own {
            opening,
            exchange,
            executor,
            plain,
            destination,
            source,
            weights,
            bytes,
            device,
        });
        Ok(opened)
    }

    fn connect(&mut self, endpoints: &[Vec<u8>], sources: &[Vec<u8>]) -> Result<(), Failure> {
        let own = self.own.as_mut().ok_or_else(out_of_order)?;
        let executor = own.executor.take().ok_or_else(out_of_order)?;
        let rank = RankId(own.opening.rank);
        let others = || own.exchange.topology.rank_ids().filter(|&other| other != rank);
        let decoded = others()
            .map(|other| {
                let endpoint = endpoints.get(other.index()).ok_or_else(out_of_order)?;
                Endpoint::decode(other, endpoint).map_err(Failure::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (migrator, switcher) = executor.connect(&decoded).map_err(Failure::new)?;
        let mut imported = Vec::new();
        let mut by_rank = vec![None; own.exchange.topology.ranks()];
        for other in others() {
            let key = sources.get(other.index()).ok_or_else(out_of_order)?;
            let key = PeerKey::from_bytes(key).map_err(Failure::new)?;
            let source = own.device.import(&key).map_err(Failure::new)?;
            by_rank[other.index()] = Some(source.memory().clone());
            imported.push(source);
        }
        let bytes = own.opening.expert_bytes;
        let copies = (0..own.opening.slots)
            .map(|slot| {
                let from = sender(rank, slot, own.opening.ranks);
                let source = by_rank[from.index()].as_ref().ok_or_else(out_of_order)?;
                let start = slot as usize * bytes;
                let source = source.slice(start, bytes).map_err(Failure::new)?;
                let destination = own.destination.slice(start, bytes).map_err(Failure::new)?;
                Ok(MemoryCopy::new(&destination, &source))
            })
            .collect::<Result<_, Failure>>()?;
        self.group = Some(Group { migrator, switcher, next_token: 1, copies, sources: imported });
        Ok(())
    }

    /// All bytes that a transfer receives, by plain copies.
    fn ceiling(&mut self, begin_unix_ns: u64) -> Result<Moved, Failure> {
        let own = self.own.as_mut().ok_or_else(out_of_order)?;
        let group = self.group.as_ref().ok_or_else(out_of_order)?;
        let (begun_unix_ns, begun) = begin(begin_unix_ns);
        match &mut own.bytes {
            Some([source, destination]) => {
                for _ in 0..own.opening.layers {
                    let parts = source.chunks_exact(own.opening.expert_bytes);
                    let places = destination.chunks_exact_mut(own.opening.expert_bytes);
                    for (part, place) in parts.zip(places) {
                        black_box(place).copy_from_slice(black_box(part));
                    }
                }
            }
            None => {
                for _ in 0..own.opening.layers {
                    own.plain.copy(&group.copies).map_err(Failure::new)?;
                }
                wait_for_stream(&own.plain, &mut pace(&own.opening))?;
            }
        }
        let elapsed = begun.elapsed();
        let Opening { layers, slots, expert_bytes, .. } = own.opening;
        let received_slots = u64::from(layers) * u64::from(slots);
        let received_bytes = received_slots * expert_bytes as u64;
        let collective_slots = 0;
        Ok(Moved { received_bytes, received_slots, collective_slots, begun_unix_ns, elapsed })
    }

    /// Brings the weights of every layer, and gives each up when it has arrived.
    fn transfer(&mut self, begin_unix_ns: u64, in_flight: usize) -> Result<Moved, Failure> {
        let own = self.own.as_ref().ok_or_else(out_of_order)?;
        let group = self.group.as_mut().ok_or_else(out_of_order)?;
        let mut pace = pace(&own.opening);
        let mut moved = ChangeFigures::default();
        let mut waiting = own.exchange.shape.layer_ids();
        let mut under_way = 0;
        let (begun_unix_ns, begun) = begin(begin_unix_ns);
        loop {
            while under_way < in_flight
                && let Some(layer) = waiting.next()
            {
                group.begin(layer, &own.exchange)?;
                under_way += 1;
            }
            if under_way == 0 {
                break;
            }
            let ended = wait_for(&mut pace, "a transfer", || {
                let ended = group.migrator.poll();
                Ok(Some(ended).filter(|ended| !ended.is_empty()))
            })?;
            for (token, outcome) in ended {
                let change = outcome.map_err(Failure::new)?;
                moved.add(&change.figures());
                group.switcher.accept(change);
                group.switcher.release(token);
                under_way -= 1;
            }
        }
        let elapsed = begun.elapsed();
        let ChangeFigures { received_bytes, received_slots, collective_slots, .. } = moved;
        Ok(Moved { received_bytes, received_slots, collective_slots, begun_unix_ns, elapsed })
    }

    fn drain(&self) -> Result<(), Failure> {
        let Some(own) = &self.own else { return Ok(()) };
        own.device.drain(&mut pace(&own.opening)).map_err(Failure::new)
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.group = None;
        let Some(own) = self.own.take() else { return Ok(()) };
        let (device, mut pace) = (own.device.clone(), pace(&own.opening));
        drop(own);
        device.drain(&mut pace).map_err(Failure::new)?;
        match device.take_errors().first() {
            Some(error) => Err(Failure::new(error)),
            None => Ok(()),
        }
    }
}

impl Group {
    fn begin(&mut self, layer: LayerId, exchange: &Exchange) -> Result<(), Failure> {
        let token = self.next_token;
        self.next_token += 1;
        self.migrator.begin(token, layer, &exchange.first, &exchange.second).map_err(Failure::new)
    }
}

fn begin(at_unix_ns: u64) -> (u64, Instant) {
    wait_until(at_unix_ns);
    (unix_ns(), Instant::now())
}

fn pace(opening: &Opening) -> Pace {
    opening.polling.pace(Duration::from_secs(opening.deadline_s))
}

fn free(device: &Device) -> Result<u64, Failure> {
    Ok(device.memory_info().map_err(Failure::new)?.free)
}

fn text_of(failure: Failure) -> String {
    match failure {
        Failure::Message(text) | Failure::Interrupted(text) => text,
        Failure::Closed => "its output is closed".to_owned(),
    }
}

fn out_of_order() -> Failure {
    Failure::new("an order came before the one that it needs")
}
