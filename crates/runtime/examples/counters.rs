//! An engine whose kernels count on the device and route by a table on the device: four ranks in one
//! process. `cargo run --release -p eplb --example counters`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc, time::Duration};

use eplb::core::{LayerId, ModelShape, Placement, RankId, Step, layer_balancedness};
use eplb::device::{Backend, Device, StreamPriority};
use eplb::{
    Carriage, Config, Coordinator, CounterForm, CounterLife, CounterWidth, Lent, LoadCounters,
    Patience, PendingSession, Phase, SlotTensor, SystemClock, WeightManifest,
};

const CONFIG: &str =
    "enable_eplb = true\nep_size = 4\n[manager]\nwindow_samples = 4\nupdate_interval_steps = 8";
const LIMIT: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::parse(CONFIG, "example")?;
    let shape = ModelShape::new(1, 8, 1)?;
    let topology = config.topology(8)?;
    let placement = Placement::initial(shape, &topology)?;
    let clock = Arc::new(SystemClock::new());
    let backend: Arc<dyn Backend> = eplb_host::HostBackend::new(config.ep_size);

    let (mut pending, mut counters) = (Vec::new(), Vec::new());
    for rank in topology.rank_ids() {
        let device = Device::open(&backend, rank.0)?;
        let engine_stream = device.stream(StreamPriority::High)?;
        let slots = topology.slots_of(rank).len();
        let memory = device.allocate(slots * 4096)?;
        let (slot_stride, slot_bytes, name) = (4096, 4096, "weights".to_owned());
        let mut weights = WeightManifest::new();
        weights.push_layer(vec![SlotTensor { name, memory, slot_stride, slot_bytes }]);
        // As xLLM's workers count: int64 prefix sums, [layers, local slots], of one step.
        let counted = device.allocate(slots * 8)?;
        let mut lent = LoadCounters::new(counted.clone(), CounterWidth::Int64);
        (lent.form, lent.life) = (CounterForm::PrefixSums, CounterLife::Overwritten);
        counters.push((device.clone(), counted));
        let device = Lent { device, engine_stream, weights };
        let session = PendingSession::open(&config, rank, shape, &topology, &placement, device)?;
        pending.push(session.with_counters(lent).with_device_routing());
    }
    let endpoints: Vec<_> = pending.iter().map(PendingSession::endpoint).collect();
    let mut sessions = Vec::new();
    for session in pending {
        sessions.push(session.connect(&endpoints, clock.clone())?);
    }
    let mut coordinator =
        Coordinator::start(&config, shape, &topology, placement, Carriage::Leader, clock)?;

    let load = [900, 100, 100, 100, 100, 100, 100, 100]; // tokens of each expert in a step
    let mut report = Vec::new(); // its memory serves every step
    for step in (0..32).map(Step) {
        let header = coordinator.begin_step(step, true)?;
        for ((rank, session), (device, counted)) in
            (0..).map(RankId).zip(&mut sessions).zip(&counters)
        {
            session.begin_step(&header)?;
            // The dispatch kernel reads this; its address stays, so that graphs may hold it.
            let _table = session.device_routing(LayerId(0)).ok_or("tables were asked for")?;
            let tokens = session.routing(LayerId(0)).slot_loads(&load, &topology);
            let sums = tokens[topology.slots_of(rank)].iter().scan(0, |sum, slot| {
                *sum += slot;
                Some(*sum)
            });
            let sums: Vec<u8> = sums.flat_map(|sum: u64| sum.to_le_bytes()).collect();
            session.engine_stream().upload(counted, &device.pin(&sums)?)?; // what a kernel would do
            session.collect(Phase::Decode)?; // one copy on the engine's stream; nothing waits
            session.end_step_into(None, None, &mut report); // has the loads that have arrived
            coordinator.accept_report(rank, &report)?;
            session.settle(LIMIT)?; // these steps take no time of their own
            session.engine_stream().wait(&mut Patience::new(LIMIT))?;
        }
        coordinator.settle(LIMIT);
        let routing = sessions[0].routing(LayerId(0));
        let balancedness = layer_balancedness(&load, routing, &topology);
        println!("{step}: balancedness {balancedness:.3}, {}", routing.epoch());
    }
    let figures = sessions[0].figures().load;
    println!("readings: {} reported, {} dropped", figures.collected, figures.dropped);
    Ok(())
}
