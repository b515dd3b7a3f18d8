//! Load reports: how they add up, and what they are credited to.

use eplb_core::{ExpertLoad, LayerId, Placement, RankId, Step};
use eplb_manager::{
    CountForm, Event, LoadReport, ManagerConfig, Phase, PlanJob, RankReport, ReportError,
};

use crate::rig::{
    RANKS, Rig, SLOTS, counted, eager, initial, load, prefix_sums, rotated, topology,
};

fn samples(window_samples: u32) -> ManagerConfig {
    ManagerConfig { window_samples, ..eager() }
}

/// The counts of some steps as a rank that routes by `placement` reports them.
fn steps(first: u64, last: u64, placement: &Placement, load: &ExpertLoad, rank: u32) -> LoadReport {
    LoadReport {
        first_step: Step(first),
        last_step: Step(last),
        counts: counted(placement, load, &topology(), RankId(rank)),
        form: CountForm::Plain,
        phase: Phase::Mixed,
    }
}

fn send(rig: &mut Rig, rank: u32, load: LoadReport) {
    let report = rig.report_of(rank, Some(load));
    rig.send(report);
}

/// One step, after which every rank reports what `load` gives it over `first` to the present step.
fn step_covering(rig: &mut Rig, first: u64, placement: &Placement, load: &ExpertLoad) {
    let last = rig.step(true).step.0;
    for rank in 0..RANKS {
        send(rig, rank, steps(first, last, placement, load, rank));
    }
}

#[test]
fn prefix_sums_are_the_same_load_as_plain_counts() {
    let job = |form: CountForm| -> PlanJob {
        let mut rig = Rig::new(samples(2));
        for factor in [1, 4] {
            rig.step(true);
            for rank in 0..RANKS {
                let mut part = rig.load_of(rank, &load(factor));
                // Ranks may differ in form, too.
                if form == CountForm::PrefixSums || rank == 1 {
                    part.counts = prefix_sums(&part.counts, SLOTS as usize);
                    part.form = CountForm::PrefixSums;
                }
                send(&mut rig, rank, part);
            }
        }
        rig.jobs.pop().unwrap()
    };
    let plain = job(CountForm::Plain);
    assert_eq!(plain, job(CountForm::PrefixSums));
    assert_eq!(plain.windows, [load(5)]);
}

#[test]
fn windows_outlive_commits_and_each_count_goes_to_the_expert_it_was_counted_for() {
    let mut rig = Rig::new(samples(4));
    for _ in 0..4 {
        rig.step_with(&load(1));
    }
    rig.plan();
    // All three layers are committed while the next window fills; each count is made under the
    // placement that is live on its step.
    let mut reported = 0;
    while rig.manager.open_round().is_some() && reported < 50 {
        let header = rig.step(true);
        reported += 1;
        for rank in 0..RANKS {
            let part = rig.load_of(rank, &load(7));
            let mut report = rig.report_of(rank, Some(part));
            report.statuses = header.directives.iter().map(crate::rig::done).collect();
            rig.send(report);
        }
    }
    assert_eq!(rig.manager.counters().layers_committed, 3);
    assert_eq!(reported, 6, "prepare and commit of three layers");
    assert_ne!(rig.manager.placement(), &initial());
    // Six samples of load(7): one window of four is complete, two are in the next.
    let other = rotated(&load(7), LayerId(1));
    rig.step_with(&other);
    rig.step_with(&other);
    let windows = &rig.jobs[0].windows;
    for layer in [LayerId(0), LayerId(2)] {
        assert_eq!(windows[0].layer(layer), load(28).layer(layer), "{layer}: nothing was lost");
    }
    let turned = rotated(&load(14), LayerId(1));
    let halves = load(14).layer(LayerId(1)).to_vec().into_iter().zip(turned.layer(LayerId(1)));
    let both: Vec<u64> = halves.map(|(before, after)| before + after).collect();
    assert_eq!(windows[0].layer(LayerId(1)), both);
    assert_eq!(rig.manager.counters().layer_samples_uncredited, 0);
}

#[test]
fn late_load_is_credited_to_the_placement_of_its_steps() {
    let mut rig = Rig::new(eager());
    rig.step_with(&load(1));
    rig.plan();
    let before = rig.last_step().0 + 1;
    rig.finish_round();
    let present = rig.manager.placement().clone();
    // The step before the first commit, reported only now.
    let changed = rotated(&load(1), LayerId(2));
    rig.step(true);
    for rank in 0..RANKS {
        send(&mut rig, rank, steps(before, before, &initial(), &changed, rank));
    }
    assert_eq!(rig.jobs.pop().unwrap().windows, std::slice::from_ref(&changed));
    let mut rig2 = Rig::new(eager());
    rig2.step_with(&load(1));
    rig2.plan();
    rig2.finish_round();
    let last = rig2.last_step().0;
    step_covering(&mut rig2, last, &present, &changed);
    assert_eq!(rig2.jobs.pop().unwrap().windows, [changed]);
}

#[test]
fn load_across_a_commit_is_dropped_for_that_layer_only() {
    let mut rig = Rig::new(samples(2));
    rig.step_with(&load(1));
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    let plan = Ok(vec![crate::rig::planned(&job.present, LayerId(1), 0.9)]);
    rig.event(Event::Planned { round: job.round, plan });
    let first = rig.last_step().0 + 1;
    rig.finish_round();
    // Steps from before the commit to after it: layer 1's counts could be of either table.
    let changed = rotated(&rotated(&load(1), LayerId(0)), LayerId(2));
    step_covering(&mut rig, first, &initial(), &changed);
    assert_eq!(rig.manager.counters().layer_samples_uncredited, 1);
    assert_eq!(rig.manager.counters().samples_complete, 3);
    let present = rig.manager.placement().clone();
    let next = rig.next_step;
    step_covering(&mut rig, next, &present, &changed);
    let job = rig.jobs.pop().unwrap();
    assert_eq!(job.layers, [LayerId(0), LayerId(2)]);
    let two = |layer| changed.layer(layer).iter().map(|count| 2 * count).collect::<Vec<u64>>();
    assert_eq!(job.windows[0].layer(LayerId(0)), two(LayerId(0)));
    assert_eq!(job.windows[0].layer(LayerId(2)), two(LayerId(2)));
    let one = load(1).layer(LayerId(1)).to_vec();
    assert_eq!(job.windows[0].layer(LayerId(1)), one, "the window ends for all layers at once");
}

#[test]
fn a_layer_of_which_nothing_is_known_is_not_planned() {
    let mut rig = Rig::new(eager());
    rig.step_with(&load(1));
    let job = rig.jobs.pop().unwrap();
    let plan = Ok(vec![crate::rig::planned(&job.present, LayerId(1), 0.9)]);
    rig.event(Event::Planned { round: job.round, plan });
    let first = rig.last_step().0 + 1;
    rig.finish_round();
    let rotate = |load, layer| rotated(&load, layer);
    let changed = crate::rig::shape().layer_ids().fold(load(1), rotate);
    // Its only sample is divided; the window ends nevertheless, for the other layers.
    step_covering(&mut rig, first, &initial(), &changed);
    let job = rig.jobs.pop().unwrap();
    assert_eq!(job.layers, [LayerId(0), LayerId(2)]);
    assert_eq!(job.windows[0].layer(LayerId(1)), [0; 6]);
    assert_eq!(job.windows[0].layer(LayerId(2)), changed.layer(LayerId(2)));
    rig.event(Event::Planned { round: job.round, plan: Ok(vec![]) });
    rig.step_with(&changed);
    assert_eq!(rig.jobs[0].layers, [LayerId(1)]);
}

#[test]
fn a_sample_needs_all_ranks() {
    let mut rig = Rig::new(eager());
    rig.step(true);
    for rank in [0, 1, 3] {
        let part = rig.load_of(rank, &load(9));
        send(&mut rig, rank, part);
    }
    assert_eq!(rig.manager.counters().samples_complete, 0);
    rig.step_with(&load(1));
    assert_eq!(rig.manager.counters().samples_incomplete, 1);
    assert_eq!(rig.jobs[0].windows, [load(1)]);
    rig.step_with(&load(1));
    assert_eq!(rig.manager.counters().samples_incomplete, 1, "dropped once");
}

#[test]
fn samples_that_wait_are_bounded() {
    let mut rig = Rig::new(eager());
    for _ in 0..100 {
        rig.step(true);
        let part = rig.load_of(0, &load(1));
        send(&mut rig, 0, part);
    }
    assert_eq!(rig.manager.counters().samples_incomplete, 36);
    rig.step_with(&load(1));
    assert_eq!(rig.manager.counters().samples_incomplete, 100);
    assert_eq!(rig.jobs.len(), 1);
}

#[test]
fn an_idle_step_is_no_sample() {
    let mut rig = Rig::new(samples(2));
    for factor in [3, 0, 0, 5] {
        rig.step_with(&load(factor));
    }
    assert_eq!(rig.manager.counters().samples_empty, 2);
    assert_eq!(rig.jobs[0].windows, [load(8)]);
}

#[test]
fn loads_that_come_late_are_credited_to_their_own_steps() {
    let mut rig = Rig::new(samples(4));
    let placement = rig.manager.placement().clone();
    let late = |rank: u32, factors: &[(u64, u64)]| -> Vec<LoadReport> {
        let part = |&(step, factor)| steps(step, step, &placement, &load(factor), rank);
        factors.iter().map(part).collect()
    };
    for _ in 0..4 {
        rig.step(true);
    }
    // Three ranks say all at once, after the device has caught up; one had it step by step.
    for rank in 0..3 {
        let loads = late(rank, &[(0, 1), (1, 2), (2, 4), (3, 8)]);
        rig.send(RankReport { loads, ..rig.report_of(rank, None) });
    }
    for (step, factor) in [(0, 1), (1, 2), (2, 4), (3, 8)] {
        assert!(rig.jobs.is_empty());
        let loads = late(3, &[(step, factor)]);
        rig.send(RankReport { loads, ..rig.report_of(3, None) });
        rig.step(true);
    }
    assert_eq!(rig.manager.counters().samples_complete, 4);
    assert_eq!(rig.jobs[0].windows, [load(15)]);
    // A report is taken as a whole or not at all, and its loads rise.
    for steps in [[(5, 1), (4, 1)], [(5, 1), (5, 1)], [(5, 1), (99, 1)], [(3, 1), (5, 1)]] {
        let loads = late(0, &steps);
        rig.send(RankReport { loads, ..rig.report_of(0, None) });
    }
    assert_eq!(rig.manager.counters().reports_with_wrong_steps, 4);
    let loads = late(0, &[(5, 1), (7, 1)]);
    rig.send(RankReport { loads, ..rig.report_of(0, None) });
    assert_eq!(rig.manager.counters().reports_with_wrong_steps, 4);
}

#[test]
fn a_dead_rank_is_not_waited_for() {
    let topology = topology().without(RankId(2)).unwrap();
    let shape = crate::rig::shape();
    let placement = Placement::initial(shape, &topology).unwrap();
    let mut rig = Rig::new(eager());
    rig.manager = eplb_manager::Manager::new(eager(), shape, topology.clone(), placement).unwrap();
    rig.topology = topology;
    rig.step(true);
    for rank in [0, 1, 3] {
        let part = rig.load_of(rank, &load(1));
        send(&mut rig, rank, part);
    }
    assert_eq!(rig.jobs[0].windows, [load(1)]);
    let dead = rig.report_of(2, None);
    rig.send(dead);
    assert_eq!(rig.manager.counters().reports_of_dead_ranks, 1);
}

#[test]
fn impossible_loads_are_rejected_as_a_whole() {
    let most = ExpertLoad::MOST_TOKENS;
    type Spoil = fn(&mut LoadReport);
    let spoils: [(Spoil, &str); 9] = [
        (|load| load.counts.truncate(5), "too short"),
        (|load| load.counts.push(0), "too long"),
        (|load| load.counts.clear(), "empty"),
        (|load| load.counts[3] = ExpertLoad::MOST_TOKENS + 1, "too many tokens"),
        (|load| load.counts[2..4].fill(u64::MAX), "an overflow"),
        (
            |load| {
                load.form = CountForm::PrefixSums;
                load.counts[4..6].copy_from_slice(&[2, 1]);
            },
            "falling sums",
        ),
        (|load| load.last_step = Step(1_000), "steps to come"),
        (|load| load.first_step = Step(1_000), "backwards"),
        (|load| load.first_step = Step(0), "steps already reported"),
    ];
    for (spoil, name) in spoils {
        let mut rig = Rig::new(samples(2));
        rig.step_with(&load(1));
        rig.step(true);
        let mut part = rig.load_of(3, &load(2));
        spoil(&mut part);
        send(&mut rig, 3, part);
        let counters = *rig.manager.counters();
        let rejected = counters.reports_malformed + counters.reports_with_wrong_steps;
        assert_eq!((rejected, counters.reports_accepted), (1, 4), "{name}");
        // The true report of the same step is still taken.
        for rank in 0..RANKS {
            let part = rig.load_of(rank, &load(2));
            send(&mut rig, rank, part);
        }
        assert_eq!(rig.jobs[0].windows, [load(3)], "{name}");
    }
    // Together more than can be, though each part is possible: that layer's part is dropped.
    let mut rig = Rig::new(eager());
    rig.step(true);
    for rank in 0..RANKS {
        let mut part = rig.load_of(rank, &load(1));
        part.counts[0] = most - part.counts[1];
        send(&mut rig, rank, part);
    }
    assert_eq!(rig.manager.counters().layer_samples_overflowing, 1);
}

#[test]
fn errors_say_what_is_allowed() {
    let (rank, first, last, step) = (RankId(3), Step(7), Step(6), Step(9));
    let error = ReportError::LoadSteps { rank, first, last, step };
    let text = "rank 3 reports load of step 7 to step 6, allowed are steps after those already \
                reported, up to step 9";
    assert_eq!(error.to_string(), text);
}
