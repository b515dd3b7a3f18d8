//! A small engine around the library: three ranks with two layers of six experts.

use std::sync::Arc;
use std::time::Duration;

use eplb::core::{ExpertId, LayerId, ModelShape, Placement, RankId, SlotId, Step, Topology};
use eplb::device::{Backend, Device, Fault, FaultyBackend, Memory, StreamPriority, Wait};
use eplb::{
    Carriage, Config, Coordinator, CounterForm, CounterLife, CounterWidth, Lent, LoadCounters,
    LoadReport, ManualClock, Note, Patience, PendingSession, Phase, Session, SlotTensor,
    WeightManifest,
};
use eplb_host::HostBackend;

pub(crate) const RANKS: u32 = 3;
pub(crate) const EXPERTS: u32 = 6;
pub(crate) const SLOT_BYTES: usize = 500;
pub(crate) const SLOT_STRIDE: usize = 512;
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Engine {
    pub(crate) host: Arc<HostBackend>,
    pub(crate) faults: FaultyBackend,
    pub(crate) topology: Topology,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) coordinator: Coordinator,
    pub(crate) ranks: Vec<(RankId, Device, Session)>,
    pub(crate) step: Step,
    /// What ranks said when they refused a step.
    pub(crate) refusals: Vec<String>,
    pub(crate) notes: Vec<Note>,
    /// What ranks say that their steps do.
    pub(crate) phase: Phase,
    /// Each rank's load counters, if its kernels count.
    pub(crate) counters: Vec<Memory>,
    /// Ranks whose counts are not waited for.
    pub(crate) behind: Vec<usize>,
}

/// Layers are switched over in one part, unless `executor` says otherwise.
pub(crate) fn config(executor: &str) -> Config {
    let staged = if executor.contains("staged_slots") { "" } else { "staged_slots = 3\n" };
    let text = format!(
        "enable_eplb = true\nep_size = {RANKS}\neplb_update_interval = 0\n\
         [policy]\nname = \"xllm\"\n\
         [manager]\nwindow_samples = 1\nwindows_kept = 1\nupdate_interval_steps = 4\n\
         [executor]\n{staged}{executor}"
    );
    Config::parse(&text, "test").unwrap()
}

pub(crate) fn expert_bytes(layer: LayerId, expert: ExpertId) -> Vec<u8> {
    let byte = |index: usize| (index as u32 * 7 + layer.0 * 101 + expert.0 * 31 + 1) as u8;
    (0..SLOT_BYTES).map(byte).collect()
}

impl Engine {
    /// An engine that says what it counted.
    pub(crate) fn start(executor: &str) -> Self {
        Self::open(executor, false, false)
    }

    /// The same, whose kernels route by tables on the device.
    pub(crate) fn routing_on_device(executor: &str) -> Self {
        Self::open(executor, true, false)
    }

    /// The same, whose kernels count as well, as xLLM's do: prefix sums that each step overwrites.
    pub(crate) fn counting(executor: &str) -> Self {
        Self::open(executor, true, true)
    }

    fn open(executor: &str, routes: bool, counts: bool) -> Self {
        let is_collective = executor.contains("\"collective\"");
        let own = |session: PendingSession, _: &Device, _: &HostBackend| match is_collective {
            true => session.with_own_communicator().unwrap(),
            false => session,
        };
        Self::open_with(executor, routes, counts, &[], &own)
    }

    /// The same, whose sessions get a communicator by `lend`, with faults from before they connect.
    pub(crate) fn open_with(
        executor: &str,
        routes: bool,
        counts: bool,
        early_faults: &[Fault],
        lend: &dyn Fn(PendingSession, &Device, &HostBackend) -> PendingSession,
    ) -> Self {
        let config = config(executor);
        let shape = ModelShape::new(2, EXPERTS, 1).unwrap();
        let topology = config.topology(EXPERTS).unwrap();
        let placement = Placement::initial(shape, &topology).unwrap();
        let host = HostBackend::new(RANKS);
        let faults = FaultyBackend::new(host.clone());
        let backend: Arc<dyn Backend> = Arc::clone(faults.backend());
        let clock = Arc::new(ManualClock::new());
        let spares = config.executor.spare_slots as usize;
        let mut counters = Vec::new();
        let pending: Vec<_> = topology
            .rank_ids()
            .map(|rank| {
                let device = Device::open(&backend, rank.0).unwrap();
                let engine_stream = device.stream(StreamPriority::High).unwrap();
                let slots = topology.slots_of(rank);
                let mut weights = WeightManifest::new();
                for layer in shape.layer_ids() {
                    let mut bytes = vec![0; SLOT_STRIDE * (slots.len() + spares)];
                    for (index, slot) in slots.clone().enumerate() {
                        let expert = placement.layer(layer).expert_at(SlotId::from_index(slot));
                        bytes[index * SLOT_STRIDE..][..SLOT_BYTES]
                            .copy_from_slice(&expert_bytes(layer, expert));
                    }
                    let memory = device.allocate(bytes.len()).unwrap();
                    engine_stream.upload(&memory, &device.pin(&bytes).unwrap()).unwrap();
                    let name = "weights".to_owned();
                    let (slot_stride, slot_bytes) = (SLOT_STRIDE, SLOT_BYTES);
                    weights.push_layer(vec![SlotTensor { name, memory, slot_stride, slot_bytes }]);
                }
                engine_stream.wait(&mut Patience::new(LIMIT)).unwrap();
                let lent = Lent { device: device.clone(), engine_stream, weights };
                let session =
                    PendingSession::open(&config, rank, shape, &topology, &placement, lent);
                let mut session = lend(session.unwrap(), &device, &host);
                if routes {
                    session = session.with_device_routing();
                }
                if counts {
                    let memory = device.allocate(2 * slots.len() * 8).unwrap();
                    counters.push(memory.clone());
                    let mut lent = LoadCounters::new(memory, CounterWidth::Int64);
                    lent.form = CounterForm::PrefixSums;
                    lent.life = CounterLife::Overwritten;
                    session = session.with_counters(lent);
                }
                (rank, device, session)
            })
            .collect();
        let endpoints: Vec<_> = pending.iter().map(|(_, _, session)| session.endpoint()).collect();
        early_faults.iter().for_each(|fault| faults.inject(fault.clone()));
        let ranks: Vec<_> = pending
            .into_iter()
            .map(|(rank, device, session)| {
                (rank, device, session.connect(&endpoints, clock.clone()).unwrap())
            })
            .collect();
        for (_, _, session) in &ranks {
            let session: &Session = session;
            session.wait_for_transports(LIMIT).unwrap();
        }
        let carriage = Carriage::Leader;
        let coordinator =
            Coordinator::start(&config, shape, &topology, placement, carriage, clock.clone());
        Self {
            host,
            faults,
            topology,
            clock,
            coordinator: coordinator.unwrap(),
            ranks,
            step: Step(0),
            refusals: Vec::new(),
            notes: Vec::new(),
            phase: Phase::default(),
            counters,
            behind: Vec::new(),
        }
    }

    /// One step of all ranks, or of none. Asserts that all who may run it route alike.
    pub(crate) fn step(&mut self, hot: u32) {
        self.step_without(None, hot);
    }

    /// The same of all ranks but one, if one has died: nobody runs the step then.
    pub(crate) fn step_without(&mut self, dead: Option<RankId>, hot: u32) {
        self.clock.advance(Duration::from_secs(1));
        let step = self.step;
        self.step = step.next();
        let header = self.coordinator.begin_step(step, true).unwrap();
        let is_alive = |rank: &RankId| Some(*rank) != dead;
        let live = self.ranks.iter_mut().filter(|(rank, _, _)| is_alive(rank));
        let begun: Vec<_> = live.map(|(_, _, session)| session.begin_step(&header)).collect();
        let ran = dead.is_none() && begun.iter().all(Result::is_ok);
        let refusals = begun.into_iter().filter_map(Result::err).map(|error| error.to_string());
        self.refusals.extend(refusals);
        if ran {
            let epochs = self.ranks[0].2.epochs();
            assert!(
                self.ranks.iter().all(|(_, _, session)| session.epochs() == epochs),
                "ranks ran {step} with different epochs"
            );
        }
        let load: Vec<u64> =
            (0..EXPERTS).map(|expert| if expert == hot { 900 } else { 100 }).collect();
        for (rank, device, session) in self.ranks.iter_mut().filter(|(rank, _, _)| is_alive(rank)) {
            let layers = [LayerId(0), LayerId(1)].into_iter();
            let counts = layers.map(|layer| {
                let slots = session.routing(layer).slot_loads(&load, &self.topology);
                slots[self.topology.slots_of(*rank)].to_vec()
            });
            let mut load = None;
            if let Some(memory) = self.counters.get(rank.index()) {
                let sums = counts.flat_map(|row| {
                    let sums = row.iter().scan(0, |sum, count| {
                        *sum += count;
                        Some(*sum)
                    });
                    sums.collect::<Vec<_>>()
                });
                let bytes: Vec<u8> = sums.flat_map(u64::to_le_bytes).collect();
                if ran {
                    let stream = session.engine_stream();
                    stream.upload(memory, &device.pin(&bytes).unwrap()).unwrap();
                    session.collect(self.phase).unwrap();
                }
                if !self.behind.contains(&rank.index()) {
                    session.engine_stream().wait(&mut Patience::new(LIMIT)).unwrap();
                }
            } else if ran {
                let counts = counts.flatten().collect();
                load = Some(LoadReport::of_step(step, counts).in_phase(self.phase));
            }
            // A failed poll is one of the faults; the next step polls again.
            let _ = session.settle(LIMIT);
            let report = session.end_step(load, None);
            self.coordinator.accept_report(*rank, &report).unwrap();
        }
        self.coordinator.settle(LIMIT);
        self.notes.extend(self.coordinator.take_notes());
    }

    pub(crate) fn steps(&mut self, count: usize, hot: u32) {
        for _ in 0..count {
            self.step(hot);
        }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.coordinator.counters().layers_committed
    }

    /// What kernels find on the device, after all that is queued, is what each rank routes with.
    pub(crate) fn verify_tables(&self) {
        for (rank, device, session) in &self.ranks {
            for layer in [LayerId(0), LayerId(1)] {
                verify_device_routing(device, session, layer, *rank, &self.topology);
            }
        }
    }

    /// Bytes, routing and placement of every rank agree with the coordinator's placement.
    pub(crate) fn verify(&self) {
        self.verify_as(self.coordinator.placement());
    }

    /// Bytes, routing and placement of every rank are as `placement` says.
    pub(crate) fn verify_as(&self, placement: &Placement) {
        for (rank, device, session) in &self.ranks {
            for layer in placement.shape().layer_ids() {
                let expected = placement.layer(layer);
                assert_eq!(session.placement().layer(layer), expected, "{rank} {layer}");
                assert_eq!(**session.routing(layer), expected.routing(&self.topology));
                verify_device_routing(device, session, layer, *rank, &self.topology);
                for slot in self.topology.slots_of(*rank).map(SlotId::from_index) {
                    let memory = &session.slot(layer, slot).unwrap()[0];
                    let pinned = device.allocate_pinned(SLOT_BYTES).unwrap();
                    session.engine_stream().download(&pinned, memory).unwrap();
                    session.engine_stream().wait(&mut Patience::new(LIMIT)).unwrap();
                    let bytes = pinned.to_vec().unwrap();
                    assert!(
                        bytes == expert_bytes(layer, expected.expert_at(slot)),
                        "{rank} {layer} {slot} does not hold {}",
                        expected.expert_at(slot)
                    );
                }
            }
        }
    }

    pub(crate) fn end(self) {
        self.end_with(|| ());
    }

    /// The same with what the engine lets go of after its sessions.
    pub(crate) fn end_with(self, let_go: impl FnOnce()) {
        let Self { host, faults, ranks, coordinator, counters, .. } = self;
        drop(counters);
        let mut devices = Vec::new();
        for (_, device, session) in ranks {
            drop(session);
            devices.push(device);
        }
        for device in &devices {
            device.drain(&mut Patience::new(LIMIT)).unwrap();
        }
        let_go();
        drop(devices);
        drop(coordinator);
        let mut patience = Patience::new(LIMIT);
        while !faults.live().is_zero() {
            patience.pause().unwrap_or_else(|_| panic!("left behind: {:?}", faults.live()));
        }
        assert_eq!(host.live_allocations(), 0);
        assert_eq!(host.allocated_bytes(), 0);
    }
}

/// The table on the device, read as a kernel would read it, is the one that the session routes with.
fn verify_device_routing(
    device: &Device,
    session: &Session,
    layer: LayerId,
    rank: RankId,
    topology: &Topology,
) {
    let Some(memory) = session.device_routing(layer) else { return };
    let layout = session.device_routing_layout().unwrap();
    let pinned = device.allocate_pinned(memory.bytes()).unwrap();
    session.engine_stream().download(&pinned, memory).unwrap();
    session.engine_stream().wait(&mut Patience::new(LIMIT)).unwrap();
    let bytes = pinned.to_vec().unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let local = topology.slots_of(rank).len() as u32;
    assert_eq!([0, 4, 8, 12].map(word), [1, EXPERTS, topology.slots() as u32, local]);
    let table = session.routing(layer);
    let epoch = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    assert_eq!(epoch, table.epoch().0, "{rank} {layer}");
    for expert in (0..EXPERTS as usize).map(ExpertId::from_index) {
        let entries = |index: usize| word(layout.offsets + 4 * index) as usize;
        let entries = entries(expert.index())..entries(expert.index() + 1);
        let replicas = entries.map(|entry| {
            let share = layout.shares + 2 * entry;
            let share = u16::from_le_bytes(bytes[share..share + 2].try_into().unwrap());
            (word(layout.slots + 4 * entry), share)
        });
        let expected = table.replicas(expert).map(|replica| (replica.slot.0, replica.share));
        assert!(replicas.eq(expected), "{rank} {layer} {expert}");
    }
    let buffers = (0..local as usize).map(|slot| word(layout.buffers + 4 * slot));
    assert!(buffers.eq(session.slot_buffers(layer)), "{rank} {layer}");
}
