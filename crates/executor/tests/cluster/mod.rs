//! A few ranks on the host backend, driven as the manager would drive them.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb_core::{
    Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, Placement, RankId, SlotId, Topology,
};
use eplb_device::{
    Backend, Device, Expired, Fault, FaultyBackend, Memory, Stream, StreamPriority, Wait,
};
use eplb_executor::{
    CollectiveState, CommitMode, Endpoint, Executor, ExecutorError, ExecutorOptions, ExpertLayout,
    ExpertPool, Migrator, PoolError, SafetensorsPool, SlotTensor, Switched, Switcher, TensorBytes,
    TensorTemplate, TransportChoice, Transports, Verify, WeightManifest,
};
use eplb_host::HostBackend;

/// Name and bytes of a slot of each tensor: sizes that no alignment divides, and a small scale.
pub(crate) const TENSORS: [(&str, usize); 3] = [("gate_up", 1_000), ("down", 333), ("scale", 7)];

pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(Instant::now() + Duration::from_secs(20))
    }
}

impl Wait for Patience {
    fn pause(&mut self) -> Result<(), Expired> {
        std::thread::sleep(Duration::from_micros(50));
        if Instant::now() < self.0 { Ok(()) } else { Err(Expired) }
    }
}

pub(crate) struct Rank {
    pub(crate) rank: RankId,
    pub(crate) device: Device,
    pub(crate) migrator: Migrator,
    pub(crate) switcher: Switcher,
    /// What the collective transport waits for, and since when.
    pub(crate) waits: Option<(u64, Instant)>,
}

/// A round of these ranks takes microseconds.
const ROUND_TIMEOUT: Duration = Duration::from_millis(400);

impl Rank {
    pub(crate) fn transports(&self) -> Transports {
        self.migrator.transports().read()
    }

    /// Keeps the deadline of rounds, as the runtime does.
    pub(crate) fn watch(&mut self) {
        let Some(watch) = self.migrator.collective_watch() else { return };
        let waiting = watch.waiting().map(|(number, _)| number);
        match (waiting, self.waits) {
            (Some(number), Some((known, since))) if number == known => {
                if since.elapsed() > ROUND_TIMEOUT {
                    watch.expire(number, ROUND_TIMEOUT.as_secs_f64());
                }
            }
            _ => self.waits = waiting.map(|number| (number, Instant::now())),
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) host: Arc<HostBackend>,
    pub(crate) faults: FaultyBackend,
    pub(crate) shape: ModelShape,
    pub(crate) topology: Topology,
    pub(crate) placement: Placement,
    pub(crate) ranks: Vec<Rank>,
    next_token: u64,
}

/// What a cluster starts with.
pub(crate) struct Start {
    pub(crate) shape: ModelShape,
    pub(crate) topology: Topology,
    /// What the ranks hold; of dead ones what they held.
    pub(crate) placement: Placement,
    pub(crate) options: ExecutorOptions,
    pub(crate) pool: Option<Arc<dyn ExpertPool>>,
    pub(crate) verify: Verify,
    /// The ranks hold nothing, and are filled from the pool.
    pub(crate) is_empty: bool,
    /// Ranks that don't reach others.
    pub(crate) unconnected: Vec<(RankId, RankId)>,
    /// Whether there is a communicator.
    pub(crate) has_communicator: bool,
    /// A rank that is configured with other rounds.
    pub(crate) odd_rounds: Option<(RankId, usize)>,
    /// Faults from before the ranks register their weights.
    pub(crate) early_faults: Vec<Fault>,
    /// Faults from before the ranks connect.
    pub(crate) faults: Vec<Fault>,
    /// A slot whose tensor has one wrong byte.
    pub(crate) damaged: Option<(LayerId, SlotId, usize)>,
}

impl Start {
    pub(crate) fn new(shape: ModelShape, topology: Topology, options: ExecutorOptions) -> Self {
        Self {
            placement: Placement::initial(shape, &topology).unwrap(),
            shape,
            topology,
            options,
            pool: None,
            verify: Verify::Off,
            is_empty: false,
            unconnected: Vec::new(),
            has_communicator: options.transport == TransportChoice::Collective,
            odd_rounds: None,
            early_faults: Vec::new(),
            faults: Vec::new(),
            damaged: None,
        }
    }
}

/// The bytes of one tensor of an expert: no two experts have the same.
pub(crate) fn expert_bytes(layer: LayerId, expert: ExpertId, tensor: usize) -> Vec<u8> {
    let seed = (u64::from(layer.0) << 40) | (u64::from(expert.0) << 8) | tensor as u64;
    let byte = |index: u64| {
        let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(index as u32 % 63);
        (mixed ^ index.wrapping_mul(0xBF58_476D_1CE4_E5B9)).to_le_bytes()[3]
    };
    (0..TENSORS[tensor].1 as u64).map(byte).collect()
}

pub(crate) fn options(commit: CommitMode) -> ExecutorOptions {
    let spare_slots = if commit == CommitMode::Indirect { 8 } else { 0 };
    ExecutorOptions {
        commit,
        spare_slots,
        staged_slots: usize::MAX,
        layers_in_flight: 2,
        is_capped: false,
        transport: TransportChoice::Auto,
        round_slots: 1,
    }
}

/// The same, with experts that travel by rounds alone.
pub(crate) fn by_rounds(commit: CommitMode) -> ExecutorOptions {
    ExecutorOptions { transport: TransportChoice::Collective, ..options(commit) }
}

impl Cluster {
    pub(crate) fn new(shape: ModelShape, topology: Topology, options: ExecutorOptions) -> Self {
        Self::start(Start::new(shape, topology, options)).unwrap()
    }

    pub(crate) fn start(start: Start) -> Result<Self, ExecutorError> {
        let Start { shape, topology, placement, options, .. } = &start;
        let host = HostBackend::new(topology.ranks() as u32);
        let faults = FaultyBackend::new(host.clone());
        let backend: Arc<dyn Backend> = Arc::clone(faults.backend());
        let mut executors = Vec::new();
        for fault in &start.early_faults {
            faults.inject(fault.clone());
        }
        for rank in topology.live_ranks() {
            let device = Device::open(&backend, rank.0).unwrap();
            let stream = device.stream(StreamPriority::High).unwrap();
            let manifest = load(rank, &start, &device, &stream);
            let mut options = *options;
            if let Some((_, slots)) = start.odd_rounds.filter(|&(odd, _)| odd == rank) {
                options.round_slots = slots;
            }
            let mut executor =
                Executor::open(rank, *shape, topology, options, &device, stream, manifest)?;
            if let Some(pool) = &start.pool {
                executor = executor.with_pool(Arc::clone(pool))?;
            }
            if start.is_empty {
                let figures = executor.fill(placement, None, &mut Patience::new())?;
                let slots = (topology.slots_of(rank).len() * shape.layers()) as u64;
                assert_eq!((figures.pool_slots, figures.changed_slots), (slots, slots));
            }
            if start.has_communicator {
                executor = executor.with_own_communicator()?;
            }
            executor = executor.verified(start.verify, placement, &mut Patience::new())?;
            executors.push((rank, device, executor));
        }
        let endpoints: Vec<_> = executors
            .iter()
            .map(|(rank, _, executor)| {
                Endpoint::decode(*rank, &executor.endpoint().encode()).unwrap()
            })
            .collect();
        let mut ranks = Vec::new();
        for fault in &start.faults {
            faults.inject(fault.clone());
        }
        for (rank, device, executor) in executors {
            let is_reached = |other: &&Endpoint| !start.unconnected.contains(&(rank, other.rank()));
            let reached: Vec<_> = endpoints.iter().filter(is_reached).cloned().collect();
            let (migrator, switcher) = executor.connect(&reached)?;
            ranks.push(Rank { rank, device, migrator, switcher, waits: None });
        }
        let Start { shape, topology, placement, .. } = start;
        let mut cluster = Self { host, faults, shape, topology, placement, ranks, next_token: 1 };
        cluster.poll_until(|ranks| {
            ranks.iter().all(|rank| *rank.transports().collective() != CollectiveState::Connecting)
        });
        Ok(cluster)
    }

    /// Polls all ranks, none of which may end a change, until something is so.
    pub(crate) fn poll_until(&mut self, is_so: impl Fn(&[Rank]) -> bool) {
        let mut patience = Patience::new();
        while !is_so(&self.ranks) {
            for rank in &mut self.ranks {
                assert!(rank.migrator.poll().is_empty());
                rank.watch();
            }
            patience.pause().expect("it comes to be so");
        }
    }

    /// Whether a rank's collective transport is lost.
    pub(crate) fn has_lost_rounds(&self) -> bool {
        let is_lost =
            |rank: &Rank| matches!(rank.transports().collective(), CollectiveState::Lost(_));
        self.ranks.iter().any(is_lost)
    }

    pub(crate) fn layer_placement(
        &self,
        layer: LayerId,
        experts: &[u32],
        epoch: u64,
    ) -> LayerPlacement {
        let experts: Vec<_> = experts.iter().copied().map(ExpertId).collect();
        LayerPlacement::new(layer, &experts, Epoch(epoch), self.shape, &self.topology).unwrap()
    }

    /// Prepares `to` on all ranks: all of them, or none.
    pub(crate) fn prepare(
        &mut self,
        layer: LayerId,
        to: &LayerPlacement,
    ) -> Result<u64, ExecutorError> {
        let token = self.next_token;
        self.next_token += 1;
        let from = self.placement.layer(layer).clone();
        let mut failure = None;
        let mut waiting = 0;
        for rank in &mut self.ranks {
            match rank.migrator.begin(token, layer, &from, to) {
                Ok(()) => waiting += 1,
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        let mut patience = Patience::new();
        while waiting > 0 {
            for rank in &mut self.ranks {
                rank.watch();
                for (ended, outcome) in rank.migrator.poll() {
                    assert_eq!(ended, token);
                    waiting -= 1;
                    match outcome {
                        Ok(change) => rank.switcher.accept(change),
                        Err(error) => {
                            // The cause, not what others make of it: a rank that could not pack sends
                            // what lay there.
                            let follows = |error: &ExecutorError| {
                                use ExecutorError::{Corrupt, RollCall};
                                matches!(error, RollCall { .. } | Corrupt { .. })
                            };
                            failure = failure.filter(|first| !follows(first) || follows(&error));
                            failure.get_or_insert(error);
                        }
                    }
                }
            }
            patience.pause().expect("every copy ends");
        }
        match failure {
            None => Ok(token),
            Some(error) => {
                self.release(token);
                Err(error)
            }
        }
    }

    /// Commits on all ranks, or goes back on all.
    pub(crate) fn commit(
        &mut self,
        layer: LayerId,
        token: u64,
        to: &LayerPlacement,
    ) -> Result<(), ExecutorError> {
        let mut failure = None;
        for rank in &mut self.ranks {
            if let Err(error) = rank.switcher.commit(token) {
                failure.get_or_insert(error);
                break;
            }
        }
        if failure.is_none() {
            failure = self.await_switch(|news| matches!(news, Switched::Committed(_)));
        }
        if let Some(error) = failure {
            self.revert(token);
            return Err(error);
        }
        self.placement.set_layer(layer, to.clone());
        Ok(())
    }

    pub(crate) fn revert(&mut self, token: u64) {
        for rank in &mut self.ranks {
            // One fault is injected at a time, so a second call succeeds.
            if rank.switcher.revert(token).is_err() {
                rank.switcher.revert(token).expect("the second time");
            }
        }
        let failure = self.await_switch(|news| matches!(news, Switched::Reverted(_)));
        assert!(failure.is_none(), "going back failed: {failure:?}");
    }

    /// Polls until every rank has said what is waited for, or one that its switch failed.
    fn await_switch(&mut self, is_it: fn(&Switched) -> bool) -> Option<ExecutorError> {
        let mut patience = Patience::new();
        let mut said = 0;
        while said < self.ranks.len() {
            for rank in &mut self.ranks {
                for news in rank.switcher.poll() {
                    match news {
                        news if is_it(&news) => said += 1,
                        Switched::Failed(_, error) => return Some(error),
                        other => panic!("{other:?} was not waited for"),
                    }
                }
            }
            patience.pause().expect("every switch ends");
        }
        None
    }

    pub(crate) fn release(&mut self, token: u64) {
        for rank in &mut self.ranks {
            rank.switcher.release(token);
        }
        let mut patience = Patience::new();
        while self.ranks.iter().any(|rank| rank.switcher.is_switching()) {
            for rank in &mut self.ranks {
                rank.switcher.poll();
            }
            patience.pause().expect("every change ends");
        }
    }

    /// The whole way of one layer.
    pub(crate) fn change(
        &mut self,
        layer: LayerId,
        to: &LayerPlacement,
    ) -> Result<(), ExecutorError> {
        let token = self.prepare(layer, to)?;
        let committed = self.commit(layer, token, to);
        self.release(token);
        committed
    }

    /// Compares every slot's bytes on its rank with the expert that the placement names.
    pub(crate) fn verify(&self) {
        for rank in &self.ranks {
            for layer in self.shape.layer_ids() {
                for slot in self.topology.slots_of(rank.rank).map(SlotId::from_index) {
                    let expert = self.placement.layer(layer).expert_at(slot);
                    let memories = rank.switcher.slot(layer, slot).unwrap();
                    for (tensor, memory) in memories.iter().enumerate() {
                        let bytes = read(&rank.device, rank.switcher.stream(), memory);
                        let (name, rank) = (TENSORS[tensor].0, rank.rank);
                        assert!(
                            bytes == expert_bytes(layer, expert, tensor),
                            "{rank} {layer} {slot}: {name} is not that of {expert}"
                        );
                    }
                }
            }
        }
    }

    /// Ends everything; nothing may be left on any device.
    pub(crate) fn end(self) {
        let Self { host, faults, ranks, .. } = self;
        for rank in &ranks {
            rank.device.drain(&mut Patience::new()).unwrap();
        }
        drop(ranks);
        assert!(faults.live().is_zero(), "left behind: {:?}", faults.live());
        assert_eq!(host.live_allocations(), 0);
        assert_eq!(host.allocated_bytes(), 0);
    }
}

fn load(rank: RankId, start: &Start, device: &Device, stream: &Stream) -> WeightManifest {
    let Start { topology, placement, options, .. } = start;
    let spares = options.spare_slots as usize;
    let mut manifest = WeightManifest::new();
    let slots = topology.slots_of(rank);
    for layer in placement.shape().layer_ids() {
        let tensors = TENSORS.iter().enumerate().map(|(tensor, &(name, slot_bytes))| {
            let slot_stride = slot_bytes + 24;
            let mut bytes = vec![0xEE; slot_stride * (slots.len() + spares)];
            for (index, slot) in slots.clone().map(SlotId::from_index).enumerate() {
                if start.is_empty {
                    continue;
                }
                let expert = placement.layer(layer).expert_at(slot);
                let place = &mut bytes[index * slot_stride..][..slot_bytes];
                place.copy_from_slice(&expert_bytes(layer, expert, tensor));
                if start.damaged == Some((layer, slot, tensor)) {
                    place[slot_bytes / 2] ^= 1;
                }
            }
            let memory = device.allocate(bytes.len()).unwrap();
            stream.upload(&memory, &device.pin(&bytes).unwrap()).unwrap();
            SlotTensor { name: name.to_owned(), memory, slot_stride, slot_bytes }
        });
        manifest.push_layer(tensors.collect());
    }
    stream.wait(&mut Patience::new()).unwrap();
    manifest
}

pub(crate) fn read(device: &Device, stream: &Stream, memory: &Memory) -> Vec<u8> {
    let pinned = device.allocate_pinned(memory.bytes()).unwrap();
    stream.download(&pinned, memory).unwrap();
    stream.wait(&mut Patience::new()).unwrap();
    pinned.to_vec().unwrap()
}

/// A valid table drawn from a seed: every expert once, the rest at random, shuffled.
pub(crate) fn random_table(experts: usize, slots: usize, seed: u64) -> Vec<u32> {
    let mut state = seed | 1;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut table: Vec<u32> = (0..experts as u32).collect();
    while table.len() < slots {
        table.push(next(experts) as u32);
    }
    for index in (1..table.len()).rev() {
        table.swap(index, next(index + 1));
    }
    table
}

/// Layers and experts of the checkpoints.
pub(crate) const LAYERS: u32 = 2;
pub(crate) const EXPERTS: u32 = 6;

/// The folder that make_checkpoint.py writes to.
pub(crate) fn checkpoints() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint")
}

pub(crate) fn layout() -> ExpertLayout {
    let tensor = |&(name, bytes): &(&str, usize)| TensorBytes { name: name.to_owned(), bytes };
    let tensors: Vec<_> = TENSORS.iter().map(tensor).collect();
    ExpertLayout::new(EXPERTS as usize, vec![tensors; LAYERS as usize])
}

pub(crate) fn template() -> TensorTemplate {
    let made_of = |tensor: &str, parts: &[&str]| {
        (tensor.to_owned(), parts.iter().map(|part| (*part).to_owned()).collect())
    };
    let tensors = [
        made_of("gate_up", &["gate_proj.weight", "up_proj.weight"]),
        made_of("down", &["down_proj.weight"]),
        made_of("scale", &["down_proj.scale"]),
    ];
    TensorTemplate {
        first_layer: 1,
        tensors: tensors.into(),
        ..TensorTemplate::new("model.layers.{layer}.mlp.experts.{expert}.{tensor}")
    }
}

pub(crate) fn sharded() -> Result<SafetensorsPool, PoolError> {
    SafetensorsPool::open(&checkpoints().join("sharded"), &template(), layout())
}

/// All experts of a pool are those that the tests compute.
pub(crate) fn assert_served(pool: &dyn ExpertPool) {
    let mut served = 0;
    for (layer, tensor, expert) in layout().entries() {
        let (name, bytes) = TENSORS[tensor];
        let mut read = vec![0; bytes];
        pool.read(layer, name, expert, &mut read).unwrap();
        assert!(read == expert_bytes(layer, expert, tensor), "{layer} {expert} {name}");
        served += 1;
    }
    assert_eq!(served, LAYERS * EXPERTS * 3);
}
