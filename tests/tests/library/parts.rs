//! Changes in parts, within the staging memory that was reserved at the start.

use crate::engine::{Engine, RANKS, SLOT_BYTES, SLOT_STRIDE};

/// Bytes of an expert where they are packed.
const PACKED: usize = SLOT_BYTES.next_multiple_of(64);
/// Slots of a rank: two of six experts, and a redundant one.
const SLOTS: usize = 3;

#[test]
fn in_place_a_change_larger_than_the_staging_memory_is_done_in_parts() {
    let mut engine = Engine::start("commit = \"in_place\"\nstaged_slots = 0");
    let weights = 2 * SLOTS * SLOT_STRIDE;
    let staging = engine.host.allocated_bytes() as usize / RANKS as usize - weights;
    assert!(staging <= SLOTS * PACKED, "{staging} bytes for {SLOTS} slots of {PACKED}");
    assert!(staging >= 2 * PACKED, "{staging} bytes cannot hold a slot and what it overwrites");
    let held = |engine: &Engine| engine.host.allocated_bytes() as usize / RANKS as usize;
    for _ in 0..60 {
        engine.step(3);
        assert_eq!(held(&engine), weights + staging, "something was allocated on the way");
    }
    assert!(engine.coordinator.counters().parts_committed > 0);
    for hot in [1, 4, 2] {
        let committed = engine.committed();
        for _ in 0..60 {
            let before = engine.coordinator.counters().parts_committed;
            engine.step(hot);
            if engine.coordinator.counters().parts_committed > before {
                // What is on the way is a placement like any other.
                engine.verify();
            }
        }
        assert!(engine.committed() > committed, "{:?}", engine.coordinator.counters());
        engine.verify();
    }
    engine.end();
}

#[test]
fn indirect_a_change_larger_than_the_spare_slots_is_done_in_parts() {
    let mut engine = Engine::start("commit = \"indirect\"\nspare_slots = 1");
    for hot in [1, 4] {
        engine.steps(60, hot);
        engine.verify();
    }
    let counters = engine.coordinator.counters();
    assert!(counters.layers_committed > 0 && counters.parts_committed > 0, "{counters:?}");
    assert_eq!(counters.layers_refused, 0);
    engine.end();
}
