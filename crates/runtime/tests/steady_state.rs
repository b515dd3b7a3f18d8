//! What a step costs in which no layer changes: calls of the device, and allocations of the process.
//!
//! The only test of its binary, since the allocator counts for all threads.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::alloc::System;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb::core::{LayerId, ModelShape, Placement, RankId, Step, Topology};
use eplb::device::{Backend, Device, Expired, FaultyBackend, StreamPriority, Wait};
use eplb::{
    Config, CounterLife, CounterWidth, Lent, LoadCounters, ManualClock, Patience, PendingSession,
    Phase, Session, SlotTensor, WeightManifest,
};
use eplb_host::HostBackend;
use eplb_manager::{RankReport, StepHeader, epochs_digest};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const STEPS: u64 = 10_000;
const LAYERS: u32 = 58;
const EXPERTS: u32 = 64;
/// Allocations of the harness's own thread, in all.
const OF_HARNESS: usize = 16;
const LIMIT: Duration = Duration::from_secs(20);

/// Looks again at once: tens of thousands of short waits are too many to sleep in.
struct Eager(Instant);

impl Wait for Eager {
    fn pause(&mut self) -> Result<(), Expired> {
        std::thread::yield_now();
        if Instant::now() < self.0 { Ok(()) } else { Err(Expired) }
    }
}

/// One rank of two, whose manager is played by the test.
struct Rank {
    /// Sees the calls of the device, if they are counted.
    faults: FaultyBackend,
    session: Session,
    digest: u64,
    step: u64,
    report: Vec<u8>,
}

impl Rank {
    fn start(backend: &Arc<dyn Backend>, faults: FaultyBackend, life: Option<CounterLife>) -> Self {
        let config = Config::parse("enable_eplb = true\nep_size = 2", "test").unwrap();
        let shape = ModelShape::new(LAYERS, EXPERTS, 1).unwrap();
        let topology: Topology = config.topology(EXPERTS).unwrap();
        let placement = Placement::initial(shape, &topology).unwrap();
        let pending = [RankId(0), RankId(1)].map(|rank| {
            let device = Device::open(backend, rank.0).unwrap();
            let engine_stream = device.stream(StreamPriority::High).unwrap();
            let slots = topology.slots_of(rank).len();
            let mut weights = WeightManifest::new();
            for _ in shape.layer_ids() {
                let memory = device.allocate(16 * slots).unwrap();
                let (slot_stride, slot_bytes, name) = (16, 16, "weights".to_owned());
                weights.push_layer(vec![SlotTensor { name, memory, slot_stride, slot_bytes }]);
            }
            let lent = Lent { device: device.clone(), engine_stream, weights };
            let session =
                PendingSession::open(&config, rank, shape, &topology, &placement, lent).unwrap();
            let mut session = session.with_device_routing();
            if let Some(life) = life {
                let bytes = shape.layers() * slots * 4;
                let counters = device.allocate(bytes).unwrap();
                let stream = device.stream(StreamPriority::Normal).unwrap();
                stream.fill(&counters, 0).unwrap();
                stream.wait(&mut Patience::new(LIMIT)).unwrap();
                let counters = LoadCounters::new(counters, CounterWidth::Int32);
                session = session.with_counters(LoadCounters { life, ..counters });
            }
            session
        });
        let endpoints = pending.each_ref().map(PendingSession::endpoint);
        let [session, _] = pending;
        let clock = Arc::new(ManualClock::new());
        let session = session.connect(&endpoints, clock).unwrap();
        let digest = epochs_digest(&placement);
        let report = Vec::with_capacity(64 * 1024);
        Self { faults, session, digest, step: 0, report }
    }

    /// One step, as an engine runs it. The device keeps pace, so that each step is the same.
    fn step(&mut self, collects: bool, cost: &mut Cost) {
        let step = Step(self.step);
        let (directives, epochs_digest) = (Vec::new(), self.digest);
        let header = StepHeader { step, directives, epochs_digest }.encode();
        self.step += 1;
        let mut queried = self.faults.count_of("query_event");
        let region = Region::new(ALLOCATOR);
        self.session.begin_step(&header).unwrap();
        assert_eq!(self.session.routing(LayerId(0)).epoch().0, 0);
        let begun = region.change();
        if collects {
            self.session.collect(Phase::Decode).unwrap();
            // The wait is the test's, and so are its queries.
            cost.queries += self.queries(&mut queried);
            self.session.engine_stream().wait(&mut Eager(Instant::now() + LIMIT)).unwrap();
        }
        let collected = region.change();
        self.queries(&mut queried);
        self.session.end_step_into(None, None, &mut self.report);
        let ended = region.change();
        cost.queries += self.queries(&mut queried);
        cost.by_session += begun.allocations + ended.allocations - collected.allocations;
        cost.by_device += collected.allocations - begun.allocations;
        cost.reallocations += ended.reallocations;
        cost.growth += ended.bytes_allocated as isize - ended.bytes_deallocated as isize;
    }

    /// Queries of events since `before`, which becomes the present count.
    fn queries(&self, before: &mut u64) -> u64 {
        let now = self.faults.count_of("query_event");
        now - std::mem::replace(before, now)
    }
}

/// What steps made, in all.
#[derive(Debug, Default)]
struct Cost {
    /// Allocations while a step begins and ends.
    by_session: usize,
    /// Allocations while counters are read, until the device has done it: those of the device layer and
    /// of the host backend, whose threads have queues and tasks.
    by_device: usize,
    reallocations: usize,
    /// Bytes allocated and not freed.
    growth: isize,
    /// Queries of events.
    queries: u64,
    /// All other calls of the device.
    calls: BTreeMap<&'static str, u64>,
}

/// Runs steps, and some before that, which fill what is kept for later ones.
fn run(host: Arc<HostBackend>, counts_calls: bool, life: Option<CounterLife>) -> Cost {
    // The wrapper that counts calls allocates itself.
    let faults = FaultyBackend::new(host.clone());
    let bare: Arc<dyn Backend> = host;
    let backend = if counts_calls { faults.backend() } else { &bare };
    let mut rank = Rank::start(backend, faults.clone(), life);
    for _ in 0..100 {
        rank.step(life.is_some(), &mut Cost::default());
    }
    let begun = faults.calls().len();
    let mut cost = Cost::default();
    for _ in 0..STEPS {
        rank.step(life.is_some(), &mut cost);
    }
    let calls = faults.calls().into_iter().skip(begun);
    // Streams are queried only by the test, which waits for them.
    for call in calls.filter(|&call| call != "query_stream" && call != "query_event") {
        *cost.calls.entry(call).or_insert(0) += 1;
    }
    let report = RankReport::decode(&rank.report).unwrap();
    assert_eq!(report.step, Step(rank.step - 1));
    assert_eq!(report.loads.len(), usize::from(life.is_some()));
    if life.is_some() {
        // Of counters that rise the first reading tells where they stand.
        let figures = rank.session.figures().load;
        assert_eq!(figures.collected + figures.baselines, STEPS + 100);
    }
    cost
}

#[test]
fn a_step_without_changes_costs_what_is_documented() {
    let copy = [("copy", 1), ("record_event", 2)];
    let clear = [("copy", 1), ("fill", 1), ("record_event", 3)];
    // Calls, queries of events, and allocations below the session, of each step.
    type Costs<'a> = (Option<CounterLife>, &'a [(&'a str, u64)], u64, usize);
    let cases: [Costs<'_>; 4] = [
        (None, &[], 0, 0),
        (Some(CounterLife::Overwritten), &copy, 1, 10),
        (Some(CounterLife::Rising), &copy, 1, 10),
        (Some(CounterLife::Cleared), &clear, 1, 14),
    ];
    for (life, calls, queries, allocations) in cases {
        let cost = run(HostBackend::new(2), true, life);
        let expected: Vec<_> = calls.iter().map(|&(name, calls)| (name, calls * STEPS)).collect();
        assert_eq!(cost.queries, queries * STEPS, "{life:?}");
        assert_eq!(cost.calls.into_iter().collect::<Vec<_>>(), expected, "{life:?}");
        let cost = run(HostBackend::new(2), false, life);
        // None in 10,000 steps, but for what the thread of the test's harness allocates meanwhile.
        let of_session = cost.by_session + cost.reallocations;
        assert!(of_session <= OF_HARNESS, "{life:?}: {cost:?}");
        let most = allocations * STEPS as usize + OF_HARNESS;
        assert!(cost.by_device <= most, "{life:?}: {cost:?}");
        // The queues of the host backend's threads are made of pieces of about a kilobyte.
        assert!(cost.growth.unsigned_abs() < 8_192, "{life:?}: {cost:?}");
    }
}
