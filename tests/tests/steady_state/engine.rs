//! What is traced: an engine of two ranks, both stepped by one thread, with the model of DeepSeek-V3's
//! size in layers.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eplb::core::{LayerId, ModelShape, Placement, RankId, Step};
use eplb::device::{Backend, Device, StreamPriority};
use eplb::{
    Carriage, Config, Coordinator, Lent, LoadReport, PendingSession, Session, SlotTensor,
    SystemClock, WeightManifest,
};
use eplb_host::HostBackend;

use crate::trace::{MARKS, mark};

/// Ranks alone; ranks that report load to a coordinator; and one that waits for a lock in each step.
pub(crate) const CASES: [&str; 3] = ["ranks", "ranks and coordinator", CONTROL];
pub(crate) const CONTROL: &str = "a lock";

const LAYERS: u32 = 58;
const EXPERTS: u32 = 64;
const RANKS: u32 = 2;

struct Engine {
    coordinator: Coordinator,
    sessions: Vec<Session>,
    /// What every rank counts in each step: slots of all layers.
    load: Vec<u64>,
    reports: Vec<Vec<u8>>,
}

impl Engine {
    fn start() -> Self {
        let mut config = Config { enable_eplb: true, ep_size: RANKS, ..Config::default() };
        // A change is far away.
        config.manager.window_samples = 100_000;
        let shape = ModelShape::new(LAYERS, EXPERTS, 1).unwrap();
        let topology = config.topology(EXPERTS).unwrap();
        let placement = Placement::initial(shape, &topology).unwrap();
        let backend: Arc<dyn Backend> = HostBackend::new(RANKS);
        let clock = Arc::new(SystemClock::new());
        let slots = topology.slots_of(RankId(0)).len();
        let pending: Vec<_> = topology
            .rank_ids()
            .map(|rank| {
                let device = Device::open(&backend, rank.0).unwrap();
                let engine_stream = device.stream(StreamPriority::High).unwrap();
                let mut weights = WeightManifest::new();
                for _ in shape.layer_ids() {
                    let memory = device.allocate(16 * slots).unwrap();
                    let (slot_stride, slot_bytes, name) = (16, 16, "weights".to_owned());
                    weights.push_layer(vec![SlotTensor { name, memory, slot_stride, slot_bytes }]);
                }
                let lent = Lent { device, engine_stream, weights };
                PendingSession::open(&config, rank, shape, &topology, &placement, lent).unwrap()
            })
            .collect();
        let endpoints: Vec<_> = pending.iter().map(PendingSession::endpoint).collect();
        let sessions = pending
            .into_iter()
            .map(|session| session.connect(&endpoints, clock.clone()).unwrap())
            .collect();
        let carriage = Carriage::Leader;
        let coordinator =
            Coordinator::start(&config, shape, &topology, placement, carriage, clock).unwrap();
        let load = (0..u64::from(LAYERS))
            .flat_map(|layer| (0..slots as u64).map(move |slot| 1 + (slot + layer) % 7))
            .collect();
        Self { coordinator, sessions, load, reports: vec![Vec::new(); RANKS as usize] }
    }

    fn step(&mut self, step: Step, reports_load: bool) {
        let header = self.coordinator.begin_step(step, true).unwrap();
        for (session, report) in self.sessions.iter_mut().zip(&mut self.reports) {
            session.begin_step(&header).unwrap();
            assert_eq!(session.routing(LayerId(0)).epoch().0, 0);
            let load = reports_load.then(|| LoadReport::of_step(step, self.load.clone()));
            session.end_step_into(load, None, report);
        }
        for (rank, report) in (0..).zip(&self.reports) {
            self.coordinator.accept_report(RankId(rank), report).unwrap();
        }
    }
}

/// Steps between the marks, after some before them.
pub(crate) fn run(case: &str, warm_up: u64, steps: u64) {
    if case == CONTROL {
        return wait_for_a_lock(steps);
    }
    let reports_load = case == "ranks and coordinator";
    let mut engine = Engine::start();
    for step in 0..warm_up {
        engine.step(Step(step), reports_load);
    }
    // Threads that have been told something go back to sleep.
    std::thread::sleep(Duration::from_millis(200));
    mark(MARKS[0]);
    for step in 0..steps {
        engine.step(Step(warm_up + step), reports_load);
    }
    mark(MARKS[1]);
    let counters = engine.coordinator.counters();
    assert_eq!(counters.rounds_finished, 0, "nothing was to change");
}

/// What would be seen if a step waited for a lock that another thread holds.
fn wait_for_a_lock(steps: u64) {
    let lock = Arc::new(Mutex::new(0_u64));
    let (ask, asked) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel::<()>();
    let other = Arc::clone(&lock);
    let holder = std::thread::spawn(move || {
        while asked.recv().is_ok() {
            let held = other.lock().unwrap();
            tell.send(()).unwrap();
            std::thread::sleep(Duration::from_micros(50));
            drop(held);
        }
    });
    mark(MARKS[0]);
    for _ in 0..steps {
        ask.send(()).unwrap();
        told.recv().unwrap();
        *lock.lock().unwrap() += 1;
    }
    mark(MARKS[1]);
    drop(ask);
    holder.join().unwrap();
}
