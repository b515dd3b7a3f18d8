//! Weights that travel by rounds of a communicator, through sessions and their coordinator.

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;

use eplb::core::RankId;
use eplb::device::{
    CommunicatorId, CommunicatorOptions, Device, ErrorKind, Fault, FaultAt, FaultKind,
};
use eplb::{CollectiveState, Note, PendingSession, Reach, Transport};

use eplb_host::HostBackend;

use super::engine::{Engine, RANKS};

const IN_PLACE: &str = "commit = \"in_place\"\n";
const INDIRECT: &str = "commit = \"indirect\"\nspare_slots = 3\n";
/// Rounds of these ranks take microseconds.
const BY_ROUNDS: &str = "transport = \"collective\"\nround_timeout = 0.5\n";

fn refusals(engine: &Engine) -> Vec<String> {
    let reason = |note: &Note| match note {
        Note::LayerRefused { reason, .. } => Some(reason.as_str().to_owned()),
        _ => None,
    };
    engine.notes.iter().filter_map(reason).collect()
}

/// What a transport brings is what the other brings.
#[test]
fn rounds_and_peer_memory_lead_to_the_same_placements() {
    for commit in [IN_PLACE, INDIRECT] {
        for two_at_a_time in ["", "round_slots = 3\n"] {
            let mut by_peers = Engine::start(commit);
            let mut by_rounds = Engine::start(&format!("{commit}{BY_ROUNDS}{two_at_a_time}"));
            for hot in [0, 3, 5, 1] {
                for engine in [&mut by_peers, &mut by_rounds] {
                    engine.steps(20, hot);
                    engine.verify();
                }
                assert_eq!(by_peers.coordinator.placement(), by_rounds.coordinator.placement());
            }
            assert!(by_rounds.committed() >= 6);
            assert!(by_rounds.refusals.is_empty() && refusals(&by_rounds).is_empty());
            let mut moved = [0; 2];
            for ((_, _, peer), (_, _, rounds)) in by_peers.ranks.iter().zip(&by_rounds.ranks) {
                let (peer, rounds) = (peer.figures(), rounds.figures());
                assert_eq!(peer.moved.received_slots, rounds.moved.received_slots);
                assert_eq!((peer.moved.collective_slots, peer.collective.roll_calls), (0, 0));
                assert_eq!(rounds.moved.collective_slots, rounds.moved.received_slots);
                assert_eq!(rounds.moved.collective_bytes, rounds.moved.received_bytes);
                moved[0] += rounds.moved.collective_slots;
                moved[1] += rounds.collective.sent_slots;
            }
            assert!(moved[0] > 0);
            assert_eq!(moved[0], moved[1], "what was received was sent");
            by_peers.end();
            by_rounds.end();
        }
    }
}

#[test]
fn a_refused_import_is_told_and_its_pair_uses_rounds() {
    for commit in [IN_PLACE, INDIRECT] {
        // Rank 0 imports two tensors of rank 1 first.
        let refused = Fault::error_of("import", 1, ErrorKind::Unsupported);
        let own = |session: PendingSession, _: &Device, _: &HostBackend| {
            session.with_own_communicator().unwrap()
        };
        let mut engine = Engine::open_with(commit, false, false, &[refused], &own);
        for (rank, _, session) in &engine.ranks {
            let transports = session.transports();
            assert_eq!(*transports.collective(), CollectiveState::Ready);
            for pair in transports.pairs() {
                if (pair.receiver, pair.sender) != (RankId(0), RankId(1)) {
                    assert_eq!(pair.transport, Transport::Peer);
                    continue;
                }
                assert_eq!(
                    (pair.transport, pair.reach),
                    (Transport::Collective, Reach::NotImported)
                );
                let detail = pair.detail.unwrap_or_default();
                assert_eq!(detail.contains("not supported"), *rank == RankId(0), "{detail}");
            }
        }
        for hot in [0, 3, 5, 1, 2, 4] {
            engine.steps(20, hot);
            engine.verify();
        }
        let figures: Vec<_> =
            engine.ranks.iter().map(|(_, _, session)| session.figures()).collect();
        assert!(figures[0].moved.collective_slots > 0, "{figures:?}");
        assert!(figures[0].moved.received_slots > figures[0].moved.collective_slots, "{figures:?}");
        assert!(figures[1..].iter().all(|figures| figures.moved.collective_slots == 0));
        assert_eq!(figures[1].collective.sent_slots, figures[0].moved.collective_slots);
        engine.end();
    }
}

/// A communicator that the engine has made, as it stands.
fn made_by_the_engine(executor: &str) -> Engine {
    let id = OnceLock::new();
    let next = Cell::new(0);
    let lend = |session: PendingSession, device: &Device, _: &HostBackend| {
        let id: &CommunicatorId = id.get_or_init(|| device.communicator_id().unwrap());
        let rank = next.replace(next.get() + 1);
        let made = device.communicator(id, rank, RANKS, CommunicatorOptions::default());
        session.with_communicator(made.unwrap()).unwrap()
    };
    Engine::open_with(executor, false, false, &[], &lend)
}

#[test]
fn the_engine_may_bring_the_communicator() {
    let mut engine = made_by_the_engine(&format!("{IN_PLACE}{BY_ROUNDS}"));
    engine.steps(30, 0);
    engine.verify();
    assert!(engine.committed() >= 2);
    engine.end();
}

#[test]
#[expect(unsafe_code, reason = "the test is the engine that lends")]
fn a_lent_communicator_is_left_to_the_engine_to_abort() {
    let id = OnceLock::new();
    let ends = RefCell::new(Vec::new());
    let lend = |session: PendingSession, device: &Device, host: &HostBackend| {
        let id: &CommunicatorId = id.get_or_init(|| device.communicator_id().unwrap());
        let rank = ends.borrow().len() as u32;
        let made = device.communicator(id, rank, RANKS, CommunicatorOptions::default());
        ends.borrow_mut().push(made.unwrap());
        let handle = host.communicator_handle(id, rank).unwrap();
        // SAFETY: the communicator lives in `ends` until all sessions are dropped and their devices
        // drained, and nobody else queues work on it.
        let lent = unsafe { device.borrow_communicator(handle, rank, RANKS) };
        session.with_communicator(lent.unwrap()).unwrap()
    };
    let executor = format!("{IN_PLACE}{BY_ROUNDS}");
    let mut engine = Engine::open_with(&executor, false, false, &[], &lend);
    lose_a_rank(&mut engine);
    assert_eq!(engine.faults.count_of("abort"), 0);
    for (_, _, session) in &engine.ranks[..2] {
        let transports = session.transports();
        let CollectiveState::Lost(reason) = transports.collective() else {
            panic!("{:?}", transports.collective())
        };
        let said =
            "not all ranks have come to a roll call within 0.5 s; the communicator is the engine's";
        assert!(reason.starts_with(said), "{reason}");
    }
    engine.steps(10, 4);
    engine.verify();
    // The engine ends its communicator, and with it what was left of the roll call.
    for end in ends.borrow().iter() {
        end.abort().unwrap();
    }
    engine.end_with(|| ends.borrow_mut().clear());
}

#[test]
fn a_communicator_of_another_group_is_refused() {
    let lend = |session: PendingSession, device: &Device, _: &HostBackend| {
        let id = device.communicator_id().unwrap();
        let made = device.communicator(&id, 0, RANKS + 1, CommunicatorOptions::default());
        let error = session.with_communicator(made.unwrap()).unwrap_err().to_string();
        panic!("{error}")
    };
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Engine::open_with(&format!("{IN_PLACE}{BY_ROUNDS}"), false, false, &[], &lend)
    }));
    let error = started.err().and_then(|error| error.downcast::<String>().ok()).unwrap();
    let said = "communicator: it has this as rank 0 of 4, and rank 0 is number 0 of 3 live ranks";
    assert_eq!(*error, said);
}

/// One rank never hears of a change; until then all went well.
fn lose_a_rank(engine: &mut Engine) {
    engine.steps(20, 0);
    engine.verify();
    assert!(engine.committed() >= 2);
    let losses = |engine: &Engine| {
        engine.ranks.iter().map(|(_, _, session)| session.figures().collective.losses).sum::<u64>()
    };
    let begun = std::time::Instant::now();
    let dead = Some(RankId(2));
    while losses(engine) < 2 {
        // Load counts only if all ranks report it; what is planned then comes with the next step.
        engine.step(3);
        engine.step_without(dead, 3);
        assert!(engine.step.0 < 200, "the loss is noticed");
    }
    let waited = begun.elapsed();
    assert!(waited < std::time::Duration::from_secs(10), "{waited:?} for a deadline of 0.5 s");
}

#[test]
fn a_lost_rank_ends_rounds_within_the_deadline_and_the_old_epoch_stands() {
    for commit in [IN_PLACE, INDIRECT] {
        let mut engine = Engine::start(&format!("{commit}{BY_ROUNDS}"));
        lose_a_rank(&mut engine);
        let placement = engine.coordinator.placement().clone();
        for (_, _, session) in &engine.ranks[..2] {
            let transports = session.transports();
            let CollectiveState::Lost(reason) = transports.collective() else {
                panic!("{:?}", transports.collective())
            };
            let late = reason.starts_with("not all ranks have come to a roll call within 0.5 s");
            assert!(late || reason.contains("aborted"), "{reason}");
        }
        // It comes back: all ranks run steps again, and changes are refused with the reason.
        engine.steps(30, 4);
        assert!(engine.refusals.is_empty(), "{:?}", engine.refusals);
        assert_eq!(engine.coordinator.placement(), &placement);
        engine.verify();
        let refusals = refusals(&engine);
        let is_loss = |reason: &String| reason.contains("the collective transport is lost");
        assert!(!refusals.is_empty() && refusals.iter().all(is_loss), "{refusals:?}");
        assert!(engine.coordinator.counters().layers_refused > 0);
        engine.end();
    }
}

#[test]
fn a_communicator_that_cannot_be_aborted_is_left_alone() {
    let mut engine = Engine::start(&format!("{IN_PLACE}{BY_ROUNDS}"));
    let what = FaultKind::Error(ErrorKind::Unsupported, None);
    engine.faults.inject(Fault { at: FaultAt::EveryOf("abort"), what });
    lose_a_rank(&mut engine);
    let (_, _, session) = &engine.ranks[0];
    let transports = session.transports();
    let CollectiveState::Lost(reason) = transports.collective() else {
        panic!("{:?}", transports.collective())
    };
    assert!(reason.contains("it could not be aborted and is kept until its work ends"), "{reason}");
    engine.steps(20, 4);
    engine.verify();
    // The roll call that nobody could end still holds its memory; the device's own abort does.
    engine.faults.clear();
    for (_, device, _) in &engine.ranks {
        device.abort().unwrap();
    }
    engine.end();
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    let none = |session: PendingSession, _: &Device, _: &HostBackend| session;
    let started = std::panic::catch_unwind(|| {
        Engine::open_with(&format!("{IN_PLACE}{BY_ROUNDS}"), false, false, &[], &none)
    });
    let error = started.err().and_then(|error| error.downcast::<String>().ok()).unwrap();
    assert!(error.contains("needs one; lend it, or let one be created"), "{error}");
    let capped = format!("{IN_PLACE}{BY_ROUNDS}bandwidth_cap = 1000000\nround_slots = 4000");
    let started = std::panic::catch_unwind(|| Engine::start(&capped));
    let error = started.err().and_then(|error| error.downcast::<String>().ok()).unwrap();
    assert!(error.contains("round_timeout") && error.contains("at least 8.192"), "{error}");
}
