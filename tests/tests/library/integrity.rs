//! Damaged bytes end in the old epoch, on all ranks; right ones never give an alarm.

use eplb::Note;
use eplb::core::{LayerId, RankId, SlotId, Step};
use eplb::device::Fault;
use eplb::{CommitMode, Patience};

use super::engine::{Engine, LIMIT, SLOT_BYTES, expert_bytes};

const IN_PLACE: &str = "commit = \"in_place\"\n";
const INDIRECT: &str = "commit = \"indirect\"\nspare_slots = 3\n";
const BY_ROUNDS: &str = "transport = \"collective\"\n";

fn start(commit: &str, verify: &str) -> Engine {
    Engine::start(&format!("{commit}verify = \"{verify}\""))
}

fn failures(engine: &Engine) -> Vec<String> {
    let reason = |note: &Note| match note {
        Note::LayerRefused { reason, .. } | Note::CommitFailed { reason, .. } => {
            Some(reason.as_str().to_owned())
        }
        _ => None,
    };
    engine.notes.iter().filter_map(reason).collect()
}

#[test]
fn right_bytes_never_give_an_alarm() {
    for commit in [IN_PLACE, INDIRECT] {
        for verify in ["arrivals", "canary"] {
            let mut engine = start(commit, verify);
            for hot in 0..6 {
                engine.steps(12, hot);
                engine.verify();
            }
            assert!(engine.committed() >= 6, "{} layers", engine.committed());
            assert_eq!(failures(&engine), [""; 0]);
            assert!(engine.refusals.is_empty());
            for (_, _, session) in &engine.ranks {
                let moved = session.figures().moved;
                // What only moves to another buffer of its rank has no bytes to verify.
                let copied = moved.received_slots..=moved.changed_slots;
                assert!(copied.contains(&moved.verified_slots), "{moved:?}");
                assert_eq!(moved.changed_slots, moved.local_slots + moved.received_slots);
            }
            engine.end();
        }
    }
}

/// Damages the nth copy between ranks, for every n up to the last of two rebalanced layers.
fn damage_every_copy(commit: &str, verify: &str) {
    let mut found = 0;
    for nth in 1.. {
        let mut engine = start(commit, verify);
        let before = engine.coordinator.placement().clone();
        let byte = 13 * nth as usize % SLOT_BYTES;
        engine.faults.inject(if commit.contains("collective") {
            Fault::spoil_received(engine.faults.count_of("received") + nth, byte)
        } else {
            Fault::spoil(engine.faults.count_of("peer_copy") + nth, byte)
        });
        engine.steps(12, 0);
        let fired = engine.faults.fired();
        engine.faults.clear();
        // The bytes of every slot are those of the epoch in force, which is the same on all ranks.
        engine.verify();
        let failures = failures(&engine);
        assert_eq!(failures.len() as u64, fired, "copy {nth}: {failures:?}");
        if fired == 0 {
            assert_ne!(engine.coordinator.placement(), &before);
            engine.end();
            break;
        }
        let reason = &failures[0];
        for word in ["layer", "slot", "tensor weights of expert", "from rank", "has checksum"] {
            assert!(reason.contains(word), "{reason}");
        }
        engine.steps(30, 3);
        assert!(engine.committed() >= 2, "it heals");
        engine.verify();
        engine.end();
        found += 1;
    }
    assert!(found >= 2, "only {found} copies between ranks");
}

#[test]
fn in_place_every_damaged_copy_is_refused() {
    damage_every_copy(IN_PLACE, "arrivals");
}

#[test]
fn indirect_every_damaged_copy_is_refused() {
    damage_every_copy(INDIRECT, "canary");
}

#[test]
fn in_place_every_damaged_round_is_refused() {
    damage_every_copy(&format!("{IN_PLACE}{BY_ROUNDS}"), "canary");
}

#[test]
fn indirect_every_damaged_round_is_refused() {
    damage_every_copy(&format!("{INDIRECT}{BY_ROUNDS}"), "arrivals");
}

/// The layer that is rebalanced first.
const FIRST: LayerId = LayerId(0);

/// Gives the slots of rank 0 what the placement says, or damages them.
fn write_slots(engine: &Engine, damage: u8) {
    let placement = engine.coordinator.placement().layer(FIRST);
    let (_, device, session) = &engine.ranks[0];
    for slot in engine.topology.slots_of(RankId(0)).map(SlotId::from_index) {
        let mut bytes = expert_bytes(FIRST, placement.expert_at(slot));
        bytes[SLOT_BYTES / 3] ^= damage;
        let memory = &session.slot(FIRST, slot).unwrap()[0];
        session.engine_stream().upload(memory, &device.pin(&bytes).unwrap()).unwrap();
    }
    session.engine_stream().wait(&mut Patience::new(LIMIT)).unwrap();
}

#[test]
fn a_canary_finds_wrong_slots_after_the_switch_and_all_ranks_go_back() {
    for (commit, mode) in [(IN_PLACE, CommitMode::InPlace), (INDIRECT, CommitMode::Indirect)] {
        for verify in ["arrivals", "canary"] {
            let mut engine = start(commit, verify);
            let before = engine.coordinator.placement().clone();
            let copies = |engine: &Engine| engine.faults.count_of("peer_copy");
            let loaded = copies(&engine);
            while copies(&engine) == loaded {
                engine.step(0);
                assert!(engine.step < Step(20), "no layer was prepared");
            }
            assert_eq!(engine.committed(), 0);
            // Its weights have arrived everywhere; now other slots of rank 0 are overwritten.
            write_slots(&engine, 1);
            engine.steps(2, 0);
            let failures = failures(&engine);
            if verify == "arrivals" {
                assert_eq!(failures, [""; 0], "{mode:?}: nobody looks at slots that don't change");
                assert_eq!(engine.committed(), 1);
                engine.end();
                continue;
            }
            assert_eq!(engine.committed(), 0, "{mode:?}");
            assert_eq!(failures.len(), 1, "{failures:?}");
            let reason = &failures[0];
            assert!(reason.starts_with("layer 0, slot "), "{reason}");
            assert!(reason.contains("from rank 0 has checksum"), "{reason}");
            assert!(engine.notes.iter().any(|note| matches!(note, Note::CommitFailed { .. })));
            engine.step(0);
            assert_eq!(engine.coordinator.placement(), &before);
            write_slots(&engine, 0);
            engine.verify();
            engine.steps(40, 4);
            assert!(engine.committed() > 0);
            engine.verify();
            engine.end();
        }
    }
}
