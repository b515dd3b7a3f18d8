//! Sessions that start from a pool, and that bring back what a dead rank alone held.

use std::sync::Arc;

use eplb::core::{ExpertId, LayerId, ModelShape, Placement, RankId, SlotId, Step, Topology};
use eplb::device::{Backend, Device, StreamPriority};
use eplb::{
    Carriage, ChangeFigures, Config, Coordinator, Held, Lent, LoadReport, ManualClock, Patience,
    PendingSession, Session, SharedMemoryPool, SlotTensor, Supply, WeightManifest,
};
use eplb_host::HostBackend;

use super::engine::LIMIT;

const TENSORS: [(&str, usize); 3] = [("gate_up", 1_000), ("down", 333), ("scale", 7)];

/// The checkpoint of the executor's tests, in the layout of a real one.
fn config(kind: &str, segment: &str) -> Config {
    let checkpoint = "../crates/executor/tests/checkpoint/sharded";
    let text = format!(
        "enable_eplb = true\nep_size = 3\neplb_update_interval = 0\n\
         [policy]\nname = \"xllm\"\n\
         [manager]\nwindow_samples = 1\nwindows_kept = 1\nupdate_interval_steps = 4\n\
         [executor]\nstaged_slots = 3\nverify = \"canary\"\n\
         [pool]\nkind = \"{kind}\"\npath = \"{checkpoint}\"\nfirst_layer = 1\nsegment = \"{segment}\"\n\
         timeout = 20\n\
         [pool.tensors]\ngate_up = [\"gate_proj.weight\", \"up_proj.weight\"]\n\
         down = [\"down_proj.weight\"]\nscale = [\"down_proj.scale\"]\n"
    );
    Config::parse(&text, "test").unwrap()
}

/// What make_checkpoint.py writes.
fn expert_bytes(layer: LayerId, expert: ExpertId, tensor: usize) -> Vec<u8> {
    let seed = (u64::from(layer.0) << 40) | (u64::from(expert.0) << 8) | tensor as u64;
    let byte = |index: u64| {
        let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(index as u32 % 63);
        (mixed ^ index.wrapping_mul(0xBF58_476D_1CE4_E5B9)).to_le_bytes()[3]
    };
    (0..TENSORS[tensor].1 as u64).map(byte).collect()
}

fn shape() -> ModelShape {
    ModelShape::new(2, 6, 1).unwrap()
}

struct Group {
    ranks: Vec<(RankId, Device, Session)>,
    topology: Topology,
    placement: Placement,
}

/// Sessions of all live ranks; where ranks `held` something, their slots do.
fn open(
    config: &Config,
    topology: &Topology,
    placement: &Placement,
    held: &Held,
) -> Result<Group, eplb::Error> {
    let backend: Arc<dyn Backend> = HostBackend::new(3);
    let mut pending = Vec::new();
    for rank in topology.live_ranks() {
        let device = Device::open(&backend, rank.0).unwrap();
        let engine_stream = device.stream(StreamPriority::High).unwrap();
        let slots = topology.slots_of(rank);
        let mut weights = WeightManifest::new();
        for layer in shape().layer_ids() {
            let tensors = TENSORS.iter().enumerate().map(|(tensor, &(name, bytes))| {
                let mut loaded = vec![0xEE; bytes * slots.len()];
                if let Held::Other(held) = held {
                    for (index, slot) in slots.clone().map(SlotId::from_index).enumerate() {
                        let expert = held.layer(layer).expert_at(slot);
                        loaded[index * bytes..][..bytes]
                            .copy_from_slice(&expert_bytes(layer, expert, tensor));
                    }
                }
                let memory = device.allocate(loaded.len()).unwrap();
                engine_stream.upload(&memory, &device.pin(&loaded).unwrap()).unwrap();
                let name = name.to_owned();
                SlotTensor { name, memory, slot_stride: bytes, slot_bytes: bytes }
            });
            weights.push_layer(tensors.collect());
        }
        engine_stream.wait(&mut Patience::new(LIMIT)).unwrap();
        let lent = Lent { device: device.clone(), engine_stream, weights };
        let supply = Supply { pool: None, held: held.clone() };
        let session =
            PendingSession::open_from(config, rank, shape(), topology, placement, lent, &supply)?;
        pending.push((rank, device, session));
    }
    let mut endpoints = vec![Vec::new(); topology.ranks()];
    for (rank, _, session) in &pending {
        endpoints[rank.index()] = session.endpoint();
    }
    let clock = Arc::new(ManualClock::new());
    let connect = |(rank, device, session): (RankId, Device, PendingSession)| {
        Ok((rank, device, session.connect(&endpoints, clock.clone())?))
    };
    let ranks = pending.into_iter().map(connect).collect::<Result<_, eplb::Error>>()?;
    Ok(Group { ranks, topology: topology.clone(), placement: placement.clone() })
}

impl Group {
    fn verify(&self) {
        for (rank, device, session) in &self.ranks {
            for layer in shape().layer_ids() {
                for slot in self.topology.slots_of(*rank).map(SlotId::from_index) {
                    let expert = session.placement().layer(layer).expert_at(slot);
                    for (tensor, memory) in session.slot(layer, slot).unwrap().iter().enumerate() {
                        let pinned = device.allocate_pinned(memory.bytes()).unwrap();
                        session.engine_stream().download(&pinned, memory).unwrap();
                        session.engine_stream().wait(&mut Patience::new(LIMIT)).unwrap();
                        let is_right =
                            pinned.to_vec().unwrap() == expert_bytes(layer, expert, tensor);
                        assert!(is_right, "{rank} {layer} {slot} tensor {tensor}: not {expert}");
                    }
                }
            }
        }
    }

    /// Serves some steps under a load that asks for changes; returns the layers changed.
    fn serve(&mut self, config: &Config) -> u64 {
        let clock = Arc::new(ManualClock::new());
        let (topology, placement) = (&self.topology, self.placement.clone());
        let carriage = Carriage::Leader;
        let mut coordinator =
            Coordinator::start(config, shape(), topology, placement, carriage, clock).unwrap();
        for step in (0..24).map(Step) {
            let header = coordinator.begin_step(step, true).unwrap();
            let hot = (step.0 / 8) as usize;
            let load: Vec<u64> =
                (0..6).map(|expert| if expert == hot { 900 } else { 100 }).collect();
            for (rank, _, session) in &mut self.ranks {
                session.begin_step(&header).unwrap();
                let slots = topology.slots_of(*rank);
                let counts = shape().layer_ids().flat_map(|layer| {
                    session.routing(layer).slot_loads(&load, topology)[slots.clone()].to_vec()
                });
                let load = LoadReport::of_step(step, counts.collect());
                session.settle(LIMIT).unwrap();
                let report = session.end_step(Some(load), None);
                coordinator.accept_report(*rank, &report).unwrap();
            }
            coordinator.settle(LIMIT);
        }
        coordinator.counters().layers_committed
    }
}

#[test]
fn ranks_start_from_the_files_of_a_checkpoint() {
    let config = config("safetensors", "");
    let topology = config.topology(6).unwrap();
    let placement = Placement::initial(shape(), &topology).unwrap();
    let mut group = open(&config, &topology, &placement, &Held::Nothing).unwrap();
    group.verify();
    for (_, _, session) in &group.ranks {
        let expected = ChangeFigures {
            changed_slots: 6,
            pool_slots: 6,
            pool_bytes: 6 * 1_340,
            ..ChangeFigures::default()
        };
        assert_eq!(session.figures().filled, expected);
    }
    assert!(group.serve(&config) > 0);
    group.verify();
}

#[test]
fn what_a_dead_rank_alone_held_comes_back_in_new_sessions() {
    let segment = format!("eplb-test-{}", std::process::id());
    let config = config("shared_memory", &segment);
    let path = SharedMemoryPool::path_of(&segment);
    let topology = config.topology(6).unwrap();
    // Experts 4 and 5 are on rank 2 alone.
    let table = [0, 1, 2, 3, 0, 1, 4, 5, 4].map(ExpertId);
    let before = Placement::new(&[table, table], shape(), &topology).unwrap();
    let left = topology.without(RankId(2)).unwrap();
    let after = [0, 1, 4, 3, 5, 2, 0, 1, 2].map(ExpertId);
    let after = Placement::new(&[after, after], shape(), &left).unwrap();
    let group = open(&config, &left, &after, &Held::Other(before));
    let is_shared = path.exists();
    let _ = std::fs::remove_file(&path);
    assert!(is_shared);
    let mut group = group.unwrap();
    assert_eq!(group.ranks.len(), 2);
    let loaded = group.ranks.iter().map(|(_, _, session)| session.figures().filled.pool_slots);
    // Of each layer one slot of rank 0, two of rank 1.
    assert_eq!(loaded.collect::<Vec<_>>(), [2, 4]);
    group.verify();
    group.serve(&config);
    group.verify();
}

#[test]
fn slots_to_fill_need_a_pool_and_a_placement_of_the_same_slots() {
    let mut config = config("safetensors", "");
    let topology = config.topology(6).unwrap();
    let placement = Placement::initial(shape(), &topology).unwrap();
    let wide = Topology::uniform(3, 4, 1).unwrap();
    let held = Held::Other(Placement::initial(shape(), &wide).unwrap());
    let error = open(&config, &topology, &placement, &held).err().unwrap().to_string();
    assert_eq!(error, "placement: layer 0 names experts for 12 slots, the ranks hold 9");
    config.pool.first_layer = 2;
    let error = open(&config, &topology, &placement, &Held::Nothing).err().unwrap().to_string();
    assert!(error.contains("check the template"), "{error}");
    config.pool.kind = eplb::PoolKind::None;
    let error = open(&config, &topology, &placement, &Held::Nothing).err().unwrap().to_string();
    let expected = "layer 0, slot 0: expert 0 is on no rank that is connected, and there is no pool \
                    to load it from; configure [pool]";
    assert_eq!(error, expected);
}
