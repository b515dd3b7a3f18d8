//! Bytes that are no headers or reports, weights that don't fit, ranks that lie: a clear error, and
//! nothing has changed.

use std::sync::Arc;

use eplb::core::{LayerId, ModelShape, Placement, RankId, Step};
use eplb::device::{Backend, Device, StreamPriority};
use eplb::{Config, Error, Lent, PendingSession, SlotTensor, SystemClock, WeightManifest};
use eplb_host::HostBackend;

use super::engine::{Engine, config};

#[test]
fn damaged_headers_and_reports_change_nothing() {
    let mut engine = Engine::start("commit = \"in_place\"");
    engine.steps(3, 0);
    let step = engine.step;
    let header = engine.coordinator.begin_step(step, true).unwrap();
    let (rank, _, session) = &mut engine.ranks[0];
    for position in 0..header.len() {
        let mut damaged = header.clone();
        damaged[position] ^= 0x10;
        let error = session.begin_step(&damaged).unwrap_err();
        assert!(matches!(error, Error::Header(_)), "byte {position}: {error}");
    }
    assert!(session.begin_step(&[]).is_err());
    session.begin_step(&header).unwrap();
    let report = session.end_step(None, None);
    let before = engine.coordinator.counters();
    for position in 0..report.len() {
        let mut damaged = report.clone();
        damaged[position] ^= 0x10;
        let error = engine.coordinator.accept_report(*rank, &damaged).unwrap_err();
        assert!(error.to_string().starts_with("bytes from rank 0 are no report: "), "{error}");
    }
    assert_eq!(engine.coordinator.counters(), before);
    engine.step = Step(step.0 + 1);
    engine.steps(12, 0);
    assert_eq!(engine.committed(), 2);
    engine.verify();
    engine.end();
}

#[test]
fn a_report_in_another_ranks_name_is_counted_and_ignored() {
    let mut engine = Engine::start("commit = \"in_place\"");
    engine.steps(2, 0);
    let report = engine.ranks[0].2.end_step(None, None);
    let forged = engine.coordinator.counters().reports_forged;
    engine.coordinator.accept_report(RankId(1), &report).unwrap();
    assert_eq!(engine.coordinator.counters().reports_forged, forged + 1);
    engine.end();
}

#[test]
fn steps_go_forward_only() {
    let mut engine = Engine::start("commit = \"in_place\"");
    engine.steps(3, 0);
    let last = engine.coordinator.begin_step(Step(2), true).unwrap();
    assert_eq!(engine.coordinator.begin_step(Step(2), true).unwrap(), last, "a retry is the same");
    let error = engine.coordinator.begin_step(Step(1), true).unwrap_err();
    assert_eq!(error.to_string(), "step 1 is not after the last one begun");
    engine.end();
}

/// A pending session of rank 0 or 1 of two, whose only tensor has the given name and size.
fn pending(backend: &Arc<dyn Backend>, rank: u32, name: &str, slot_bytes: usize) -> PendingSession {
    open(backend, rank, name, slot_bytes, 3 * slot_bytes).unwrap()
}

fn open(
    backend: &Arc<dyn Backend>,
    rank: u32,
    name: &str,
    slot_bytes: usize,
    bytes: usize,
) -> Result<PendingSession, Error> {
    let config = Config::parse("ep_size = 2", "test").unwrap();
    let shape = ModelShape::new(1, 4, 1).unwrap();
    let topology = config.topology(4).unwrap();
    let placement = Placement::initial(shape, &topology).unwrap();
    let device = Device::open(backend, rank).unwrap();
    let engine_stream = device.stream(StreamPriority::High).unwrap();
    let memory = device.allocate(bytes).unwrap();
    let (name, slot_stride) = (name.to_owned(), slot_bytes);
    let mut weights = WeightManifest::new();
    weights.push_layer(vec![SlotTensor { name, memory, slot_stride, slot_bytes }]);
    let lent = Lent { device, engine_stream, weights };
    PendingSession::open(&config, RankId(rank), shape, &topology, &placement, lent)
}

#[test]
fn ranks_with_other_weights_are_refused() {
    let backend: Arc<dyn Backend> = HostBackend::new(2);
    let clock = Arc::new(SystemClock::new());
    let cases: [(&str, usize, &str); 2] = [
        ("down", 64, "tensors of layer 0 (name, bytes of a slot) are [(\"down\", 64)]"),
        ("up", 128, "tensors of layer 0 (name, bytes of a slot) are [(\"up\", 128)]"),
    ];
    for (name, bytes, expected) in cases {
        let (one, other) = (pending(&backend, 0, "up", 64), pending(&backend, 1, name, bytes));
        let endpoints = [one.endpoint(), other.endpoint()];
        let error = one.connect(&endpoints, clock.clone()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("rank 1"), "{error}");
    }
    let endpoints = |bytes: &[u8]| [Vec::new(), bytes.to_vec()];
    let other = pending(&backend, 1, "up", 64).endpoint();
    for damaged in [&[][..], b"{}", &other[..other.len() / 2]] {
        let one = pending(&backend, 0, "up", 64);
        let error = one.connect(&endpoints(damaged), clock.clone()).unwrap_err().to_string();
        assert!(error.starts_with("endpoint of rank 1: not an endpoint: "), "{error}");
    }
    let one = pending(&backend, 0, "up", 64);
    let error = one.connect(&[], clock.clone()).unwrap_err().to_string();
    assert_eq!(error, "endpoint of rank 1: it is missing; every live rank's is needed");
    let (one, own) = (pending(&backend, 0, "up", 64), pending(&backend, 0, "up", 64));
    let error = one.connect(&[Vec::new(), own.endpoint()], clock).unwrap_err().to_string();
    assert_eq!(error, "endpoint of rank 1: it was made by rank 0");
}

#[test]
fn weights_that_do_not_fit_are_refused_at_the_start() {
    let backend: Arc<dyn Backend> = HostBackend::new(2);
    let error = open(&backend, 0, "up", 64, 2 * 64).unwrap_err().to_string();
    let expected = "weights of layer 0, tensor up: 128 bytes cannot hold 3 slots with stride 64";
    assert_eq!(error, expected);
}

#[test]
fn with_balancing_off_nothing_moves() {
    let mut engine = Engine::start("commit = \"in_place\"");
    let placement = engine.coordinator.placement().clone();
    let mut off = config("commit = \"in_place\"");
    off.enable_eplb = false;
    engine.coordinator = eplb::Coordinator::start(
        &off,
        placement.shape(),
        &engine.topology,
        placement.clone(),
        eplb::Carriage::Leader,
        engine.clock.clone(),
    )
    .unwrap();
    engine.steps(20, 0);
    assert_eq!(engine.coordinator.placement(), &placement);
    assert_eq!(engine.coordinator.counters().rounds_started, 0);
    assert_eq!(engine.ranks[0].2.routing(LayerId(0)).epoch(), eplb::core::Epoch(0));
    engine.verify();
    engine.end();
}
