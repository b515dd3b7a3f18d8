//! A whole engine around the library: four ranks in one process, one layer, a load that is uneven.
//! `cargo run --release -p eplb --example engine`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc, time::Duration};

use eplb::core::{LayerId, ModelShape, Placement, RankId, Step, layer_balancedness};
use eplb::device::{Backend, Device, StreamPriority};
use eplb::{
    Carriage, Config, Coordinator, Lent, LoadReport, PendingSession, SlotTensor, SystemClock,
    WeightManifest,
};

const CONFIG: &str =
    "enable_eplb = true\nep_size = 4\n[manager]\nwindow_samples = 4\nupdate_interval_steps = 8";
const EXPERT_BYTES: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::parse(CONFIG, "example")?;
    let shape = ModelShape::new(1, 8, 1)?;
    let topology = config.topology(8)?;
    let placement = Placement::initial(shape, &topology)?;
    let clock = Arc::new(SystemClock::new());
    let backend: Arc<dyn Backend> = eplb_host::HostBackend::new(config.ep_size);

    let mut pending = Vec::new();
    for rank in topology.rank_ids() {
        // A real engine has device, stream and weights already, and lends them.
        let device = Device::open(&backend, rank.0)?;
        let engine_stream = device.stream(StreamPriority::High)?;
        let memory = device.allocate(topology.slots_of(rank).len() * EXPERT_BYTES)?;
        let (slot_stride, slot_bytes, name) = (EXPERT_BYTES, EXPERT_BYTES, "weights".to_owned());
        let mut weights = WeightManifest::new();
        weights.push_layer(vec![SlotTensor { name, memory, slot_stride, slot_bytes }]);
        let lent = Lent { device, engine_stream, weights };
        pending.push(PendingSession::open(&config, rank, shape, &topology, &placement, lent)?);
    }
    let endpoints: Vec<_> = pending.iter().map(PendingSession::endpoint).collect();
    let mut sessions = Vec::new();
    for session in pending {
        sessions.push(session.connect(&endpoints, clock.clone())?);
    }
    let mut coordinator =
        Coordinator::start(&config, shape, &topology, placement, Carriage::Leader, clock)?;

    let load = [900, 100, 100, 100, 100, 100, 100, 100]; // tokens of each expert in a step
    for step in (0..32).map(Step) {
        let header = coordinator.begin_step(step, true)?; // travels with the step's input
        for (rank, session) in (0..).map(RankId).zip(&mut sessions) {
            session.begin_step(&header)?; // switches layers over
            let routing = session.routing(LayerId(0)); // for the dispatch kernel
            let counts = routing.slot_loads(&load, &topology)[topology.slots_of(rank)].to_vec();
            let load = LoadReport::of_step(step, counts);
            let report = session.end_step(Some(load), None); // travels with the step's output
            coordinator.accept_report(rank, &report)?;
            session.settle(Duration::from_secs(5))?; // these steps take no time of their own
        }
        coordinator.settle(Duration::from_secs(5));
        let routing = sessions[0].routing(LayerId(0));
        let balancedness = layer_balancedness(&load, routing, &topology);
        println!("{step}: balancedness {balancedness:.3}, {}", routing.epoch());
    }
    assert_eq!(coordinator.counters().layers_committed, 1, "one update: afterwards the load stays");
    Ok(())
}
