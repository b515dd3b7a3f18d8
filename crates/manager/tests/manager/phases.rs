//! Prefill and decode are kept apart on request.

use eplb_core::ExpertLoad;
use eplb_manager::{ManagerConfig, Phase, PlannedPhases};

use crate::rig::{RANKS, Rig, eager, load};

fn rig(planned_phases: PlannedPhases) -> Rig {
    Rig::new(ManagerConfig { planned_phases, window_samples: 2, ..eager() })
}

/// One step that ranks report load of, each in its phase.
fn step(rig: &mut Rig, load: &ExpertLoad, phases: [Phase; RANKS as usize]) {
    rig.step(true);
    for (rank, phase) in (0..RANKS).zip(phases) {
        let part = rig.load_of(rank, load).in_phase(phase);
        let report = rig.report_of(rank, Some(part));
        rig.send(report);
    }
}

#[test]
fn only_samples_of_the_phase_asked_for_are_planned_for() {
    use Phase::{Decode, Mixed, Prefill};
    for (planned, expected, other) in [
        (PlannedPhases::All, 1 + 3, 0),
        (PlannedPhases::Prefill, 3 + 11, 3),
        (PlannedPhases::Decode, 1 + 7, 3),
    ] {
        let mut rig = rig(planned);
        for (factor, phase) in [(1, Decode), (3, Prefill), (5, Mixed), (7, Decode), (11, Prefill)] {
            step(&mut rig, &load(factor), [phase; 4]);
        }
        assert_eq!(rig.jobs[0].windows, [load(expected)], "{planned:?}");
        let counters = rig.manager.counters();
        assert_eq!(counters.samples_of_other_phases, other, "{planned:?}");
        assert_eq!(counters.samples_complete, 5 - other, "{planned:?}");
    }
}

#[test]
fn ranks_that_disagree_make_a_sample_mixed() {
    use Phase::{Decode, Mixed, Prefill};
    let mut rig = rig(PlannedPhases::Decode);
    let disagreeing = [
        [Decode, Decode, Prefill, Decode],
        [Prefill, Decode, Decode, Decode],
        [Decode, Decode, Decode, Mixed],
        [Mixed, Decode, Decode, Decode],
        [Prefill, Prefill, Decode, Decode],
    ];
    for phases in disagreeing {
        step(&mut rig, &load(1), phases);
    }
    assert_eq!(rig.manager.counters().samples_of_other_phases, 5);
    assert!(rig.jobs.is_empty());
    step(&mut rig, &load(1), [Decode; 4]);
    step(&mut rig, &load(2), [Decode; 4]);
    assert_eq!(rig.jobs[0].windows, [load(3)]);
}

#[test]
fn phases_are_not_said_unless_they_are() {
    let mut rig = rig(PlannedPhases::Prefill);
    rig.step_with(&load(1));
    assert_eq!(rig.manager.counters().samples_of_other_phases, 1);
    assert_eq!(ManagerConfig::default().planned_phases, PlannedPhases::All);
}
