//! Many runs of the virtual cluster, each with its own mix of faults.

use std::panic::{AssertUnwindSafe, catch_unwind};

use eplb_manager::Counters;

use crate::cluster::Cluster;

const SEEDS: u64 = 300;
const STEPS: u64 = 150;

fn run(seed: u64, is_spmd: bool) -> Cluster {
    let mut cluster = Cluster::new(seed, is_spmd);
    for _ in 0..STEPS {
        cluster.run_step();
    }
    cluster.heal();
    cluster
}

/// Runs all seeds and adds up what the managers counted; a failure names its seed.
fn run_all(is_spmd: bool) -> Vec<(&'static str, u64)> {
    let mut sums: Vec<(&'static str, u64)> = Counters::default().entries().collect();
    for seed in 0..SEEDS {
        let outcome = catch_unwind(AssertUnwindSafe(|| *run(seed, is_spmd).managers[0].counters()));
        let counters = outcome.unwrap_or_else(|_| panic!("seed {seed}, spmd: {is_spmd}"));
        for (sum, (_, count)) in sums.iter_mut().zip(counters.entries()) {
            sum.1 += count;
        }
    }
    sums
}

/// The faults must have happened, or the runs prove nothing.
fn happened(sums: &[(&'static str, u64)], not_here: &[&str]) {
    for (name, sum) in sums {
        let expected = !not_here.contains(name);
        assert_eq!(*sum > 0, expected, "{name} is {sum} over all runs");
    }
}

#[test]
fn a_leader_and_its_ranks_survive_every_mix_of_faults() {
    let sums = run_all(false);
    let not_here = [
        "steps_out_of_order",
        "reports_of_dead_ranks",
        "samples_empty",
        "layer_samples_uncredited",
        "layer_samples_overflowing",
        "layers_unchanged",
        "plans_disagreed",
        "agreement_timeouts",
        "notes_dropped",
    ];
    happened(&sums, &not_here);
}

#[test]
fn spmd_ranks_survive_every_mix_of_faults_in_step_with_each_other() {
    let sums = run_all(true);
    let not_here = [
        "steps_out_of_order",
        "reports_of_dead_ranks",
        "samples_empty",
        "layer_samples_uncredited",
        "layer_samples_overflowing",
        "layers_unchanged",
        "plans_failed",
        "plan_timeouts",
        "notes_dropped",
    ];
    happened(&sums, &not_here);
}

#[test]
fn the_same_seed_gives_the_same_commands() {
    for seed in 0..20 {
        for is_spmd in [false, true] {
            assert_eq!(run(seed, is_spmd).log, run(seed, is_spmd).log);
        }
    }
    assert_ne!(run(1, false).log, run(2, false).log);
}
