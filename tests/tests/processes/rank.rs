//! One rank, in a process of its own.

use std::io::{BufReader, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

use eplb::core::{ExpertId, LayerId, ModelShape, Placement, RankId, SlotId, Step, Topology};
use eplb::device::{Backend, Device, Memory, StreamPriority};
use eplb::{
    Config, Lent, LoadReport, Patience, PendingSession, Session, SlotTensor, SystemClock,
    WeightManifest,
};

use super::messages::{Order, Reply, Stepped, receive, send};

pub(crate) const LAYERS: u32 = 2;
pub(crate) const EXPERTS: u32 = 8;
const SLOT_BYTES: usize = 5_000;
const SLOT_STRIDE: usize = 5_120;
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn shape() -> ModelShape {
    ModelShape::new(LAYERS, EXPERTS, 1).unwrap()
}

/// The configured topology with some ranks dead, and the placement that an engine starts there with.
pub(crate) fn start(config: &Config, dead: &[u32]) -> (Topology, Placement) {
    let topology = config.topology(EXPERTS).unwrap();
    let specs = topology.rank_ids().map(|rank| {
        let mut spec = *topology.rank(rank);
        spec.alive &= !dead.contains(&rank.0);
        spec
    });
    let topology = Topology::new(specs.collect()).unwrap();
    let placement = Placement::initial(shape(), &topology).unwrap();
    (topology, placement)
}

/// Serves the engine until it says that it is over, or is gone.
pub(crate) fn serve(backend: &Arc<dyn Backend>, rank: RankId) {
    let (mut orders, mut replies) = (BufReader::new(stdin()), stdout());
    let device = Device::open(backend, rank.0 % backend.devices().unwrap()).unwrap();
    let mut opened: Option<(Topology, PendingSession)> = None;
    let mut running: Option<(Topology, Session)> = None;
    // The weights are the engine's, and outlive its sessions.
    let mut kept: Vec<Memory> = Vec::new();
    while let Some(order) = receive::<Order>(&mut orders).unwrap() {
        let reply = match order {
            Order::Open { config, dead } => {
                kept.clear();
                let config = Config::parse(&config, "engine").unwrap();
                let (topology, placement) = start(&config, &dead);
                let (session, weights) = open(&config, rank, &topology, &placement, &device);
                kept = weights;
                let endpoint = session.endpoint();
                opened = Some((topology, session));
                Reply::Opened { endpoint }
            }
            Order::Connect { endpoints } => {
                let (topology, session) = opened.take().unwrap();
                let session = session.connect(&endpoints, Arc::new(SystemClock::new())).unwrap();
                running = Some((topology, session));
                Reply::Connected
            }
            Order::Step { step, header, load, verify } => {
                let (topology, session) = running.as_mut().unwrap();
                let mut stepped = run_step(session, topology, rank, step, &header, &load);
                if verify {
                    stepped.wrong_slots = wrong_slots(session, topology, &device, rank);
                }
                Reply::Stepped(stepped)
            }
            Order::Close => {
                drop((opened.take(), running.take()));
                device.drain(&mut Patience::new(LIMIT)).unwrap();
                Reply::Closed
            }
            Order::End => {
                kept.clear();
                device.drain(&mut Patience::new(LIMIT)).unwrap();
                send(&mut replies, &Reply::Ended).unwrap();
                return;
            }
        };
        send(&mut replies, &reply).unwrap();
    }
}

fn open(
    config: &Config,
    rank: RankId,
    topology: &Topology,
    placement: &Placement,
    device: &Device,
) -> (PendingSession, Vec<Memory>) {
    let engine_stream = device.stream(StreamPriority::High).unwrap();
    let slots = topology.slots_of(rank);
    let (mut weights, mut kept) = (WeightManifest::new(), Vec::new());
    for layer in shape().layer_ids() {
        let mut bytes = vec![0; SLOT_STRIDE * slots.len()];
        for (index, slot) in slots.clone().enumerate() {
            let expert = placement.layer(layer).expert_at(SlotId::from_index(slot));
            bytes[index * SLOT_STRIDE..][..SLOT_BYTES].copy_from_slice(&weight(layer, expert));
        }
        let memory = device.allocate(bytes.len()).unwrap();
        engine_stream.upload(&memory, &device.pin(&bytes).unwrap()).unwrap();
        kept.push(memory.clone());
        let name = "weights".to_owned();
        let (slot_stride, slot_bytes) = (SLOT_STRIDE, SLOT_BYTES);
        weights.push_layer(vec![SlotTensor { name, memory, slot_stride, slot_bytes }]);
    }
    engine_stream.wait(&mut Patience::new(LIMIT)).unwrap();
    let lent = Lent { device: device.clone(), engine_stream, weights };
    let session = PendingSession::open(config, rank, shape(), topology, placement, lent);
    (session.unwrap(), kept)
}

fn weight(layer: LayerId, expert: ExpertId) -> Vec<u8> {
    let byte = |index: usize| (index as u32 * 7 + layer.0 * 101 + expert.0 * 31 + 1) as u8;
    (0..SLOT_BYTES).map(byte).collect()
}

fn run_step(
    session: &mut Session,
    topology: &Topology,
    rank: RankId,
    step: u64,
    header: &[u8],
    load: &[u64],
) -> Stepped {
    let step = Step(step);
    let refused = session.begin_step(header).err().map(|error| error.to_string());
    let counts = shape().layer_ids().flat_map(|layer| {
        let slots = session.routing(layer).slot_loads(load, topology);
        slots[topology.slots_of(rank)].to_vec()
    });
    let counts = LoadReport::of_step(step, counts.collect());
    let report = session.end_step(refused.is_none().then_some(counts), None);
    let epochs = session.epochs().iter().map(|epoch| epoch.0).collect();
    Stepped { report, refused, epochs, wrong_slots: 0 }
}

/// Reads all slots as a forward pass would, and compares.
fn wrong_slots(session: &Session, topology: &Topology, device: &Device, rank: RankId) -> usize {
    let pinned = device.allocate_pinned(SLOT_BYTES).unwrap();
    let mut wrong = 0;
    for layer in shape().layer_ids() {
        for slot in topology.slots_of(rank).map(SlotId::from_index) {
            let memory = &session.slot(layer, slot).unwrap()[0];
            session.engine_stream().download(&pinned, memory).unwrap();
            session.engine_stream().wait(&mut Patience::new(LIMIT)).unwrap();
            let expert = session.placement().layer(layer).expert_at(slot);
            wrong += usize::from(pinned.to_vec().unwrap() != weight(layer, expert));
        }
    }
    wrong
}
