//! Weights that travel by rounds of a communicator.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use cluster::{Cluster, Patience, Start, by_rounds, options, random_table};
use eplb_core::{LayerId, ModelShape, RankId, Topology};
use eplb_device::{ErrorKind, Fault, FaultAt, FaultKind, Wait};
use eplb_executor::{
    CollectiveState, CommitMode, ExecutorError, ExecutorOptions, Reach, Transport, TransportChoice,
};

const BOTH: [CommitMode; 2] = [CommitMode::InPlace, CommitMode::Indirect];

/// Three layers of eight experts on four ranks of three slots.
fn start(options: ExecutorOptions) -> Start {
    let shape = ModelShape::new(3, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 2).unwrap();
    Start::new(shape, topology, options)
}

fn random_rebalances(cluster: &mut Cluster, rounds: std::ops::Range<u64>) {
    for round in rounds {
        let layer = LayerId((round % 3) as u32);
        let to = cluster.layer_placement(layer, &random_table(8, 12, round * 77), round);
        cluster.change(layer, &to).unwrap();
        cluster.verify();
    }
}

#[test]
fn random_placements_arrive_bit_for_bit() {
    for commit in BOTH {
        for round_slots in [1, 3] {
            let mut cluster =
                Cluster::start(start(ExecutorOptions { round_slots, ..by_rounds(commit) }))
                    .unwrap();
            random_rebalances(&mut cluster, 1..13);
            assert_eq!(cluster.faults.count_of("import"), 0);
            let mut sent = 0;
            for rank in &cluster.ranks {
                let transports = rank.transports();
                assert_eq!(*transports.collective(), CollectiveState::Ready);
                assert_eq!(transports.pairs().count(), 12);
                assert!(transports.pairs().all(|pair| pair.reach == Reach::Configured));
                let figures = transports.figures();
                assert!(figures.roll_calls > 8 && figures.rounds > 8, "{figures:?}");
                assert_eq!((figures.refused, figures.losses), (0, 0));
                assert_eq!(figures.sent_bytes, figures.sent_slots * 1_340);
                sent += figures.sent_slots;
            }
            assert!(sent > 30, "{sent} slots");
            cluster.end();
        }
    }
}

#[test]
fn a_refused_import_makes_its_pair_alone_use_rounds() {
    for commit in BOTH {
        // Each rank imports nine tensors of each of three others: rank 1 begins with those of rank 0.
        let refused = FaultAt::NthOf("import", 28);
        let what = FaultKind::Error(ErrorKind::Unsupported, None);
        let mut start = start(options(commit));
        start.has_communicator = true;
        start.faults.push(Fault { at: refused, what });
        let mut cluster = Cluster::start(start).unwrap();
        assert_eq!(cluster.faults.fired(), 1);
        for rank in &cluster.ranks {
            for pair in rank.transports().pairs() {
                let is_refused = (pair.receiver, pair.sender) == (RankId(1), RankId(0));
                if !is_refused {
                    assert_eq!((pair.transport, pair.detail), (Transport::Peer, None));
                    continue;
                }
                assert_eq!(
                    (pair.transport, pair.reach),
                    (Transport::Collective, Reach::NotImported)
                );
                let is_own = rank.rank == RankId(1);
                let detail = pair.detail.unwrap_or_default();
                assert_eq!(
                    detail.contains("import on host device 1: not supported"),
                    is_own,
                    "{detail}"
                );
            }
        }
        random_rebalances(&mut cluster, 1..13);
        let figures: Vec<_> =
            cluster.ranks.iter().map(|rank| rank.transports().figures()).collect();
        assert!(figures[0].sent_slots > 0, "{figures:?}");
        assert!(figures[1..].iter().all(|figures| figures.sent_slots == 0), "{figures:?}");
        // Rounds of others are none of a rank's business, but the roll is called for all.
        assert_eq!(figures[3].rounds, 0);
        assert_eq!(figures[3].roll_calls, figures[0].roll_calls);
        cluster.end();
    }
}

#[test]
fn memory_that_cannot_be_exported_is_sent_in_rounds() {
    for commit in BOTH {
        // Each rank exports nine tensors: this is one of rank 2.
        let refusal = Fault::error_of("export", 20, ErrorKind::InvalidUse);
        let mut refused = start(options(commit));
        refused.has_communicator = true;
        refused.early_faults.push(refusal.clone());
        let mut cluster = Cluster::start(refused).unwrap();
        for pair in cluster.ranks[0].transports().pairs() {
            let expected =
                if pair.sender == RankId(2) { Reach::NotExported } else { Reach::Imported };
            assert_eq!(pair.reach, expected, "{pair:?}");
            let is_own = pair.receiver == RankId(0) && pair.sender == RankId(2);
            let detail = pair.detail.unwrap_or_default();
            assert_eq!(detail.starts_with("export on host device 2: invalid use"), is_own);
        }
        random_rebalances(&mut cluster, 1..13);
        let figures: Vec<_> =
            cluster.ranks.iter().map(|rank| rank.transports().figures()).collect();
        assert!(figures[2].sent_slots > 0 && figures[0].sent_slots == 0, "{figures:?}");
        cluster.end();
        let mut alone = start(options(commit));
        alone.early_faults.push(refusal);
        let error = Cluster::start(alone).err().unwrap().to_string();
        let said = "endpoint of rank 2: its memory cannot be exported: export on host device 2";
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn without_a_communicator_a_refusal_is_an_error_that_says_what_to_do() {
    let fault = |call, nth| Fault::error_of(call, nth, ErrorKind::Unsupported);
    let mut refused = start(options(CommitMode::InPlace));
    refused.faults.push(fault("import", 28));
    let error = Cluster::start(refused).err().unwrap().to_string();
    assert!(
        error.starts_with("endpoint of rank 0: its memory cannot be imported: import on"),
        "{error}"
    );
    assert!(error.ends_with("without peer memory a communicator is needed"), "{error}");
    let missing = Start { has_communicator: false, ..start(by_rounds(CommitMode::InPlace)) };
    let error = Cluster::start(missing).err().unwrap().to_string();
    assert!(
        error.starts_with("communicator: executor.transport = \"collective\" needs one"),
        "{error}"
    );
    let choice = TransportChoice::Peer;
    let mut peer = start(ExecutorOptions { transport: choice, ..options(CommitMode::InPlace) });
    peer.has_communicator = true;
    peer.faults.push(fault("import", 28));
    let error = Cluster::start(peer).err().unwrap().to_string();
    assert!(error.starts_with("import on host device 1: not supported"), "{error}");
}

#[test]
fn ranks_with_other_settings_are_told_at_the_greeting() {
    let mut odd = start(by_rounds(CommitMode::InPlace));
    odd.odd_rounds = Some((RankId(2), 3));
    let mut cluster = Cluster::start(odd).unwrap();
    for rank in &cluster.ranks {
        let transports = rank.transports();
        let CollectiveState::Lost(reason) = transports.collective() else {
            panic!("{:?}", transports.collective())
        };
        let other = if rank.rank == RankId(2) { "rank 0" } else { "rank 2" };
        let said = format!("{other} has other settings than this rank; executor.transport and");
        assert!(reason.starts_with(&said) || reason.contains("aborted"), "{reason}");
        assert_eq!(transports.figures().losses, 1);
    }
    let to = cluster.layer_placement(LayerId(0), &random_table(8, 12, 5), 1);
    let error = cluster.change(LayerId(0), &to).unwrap_err();
    assert!(matches!(error, ExecutorError::CollectiveLost { .. }), "{error}");
    cluster.verify();
    cluster.end();
}

#[test]
fn all_memory_is_reserved_at_the_start_and_given_back_where_no_rounds_are_made() {
    for (choice, is_used) in [(TransportChoice::Collective, true), (TransportChoice::Auto, false)] {
        let options =
            ExecutorOptions { transport: choice, round_slots: 2, ..options(CommitMode::InPlace) };
        let held = |has_communicator| {
            let start = Start { has_communicator, ..start(options) };
            let cluster = Cluster::start(start).unwrap();
            for rank in &cluster.ranks {
                rank.device.collect();
            }
            (cluster.host.allocated_bytes(), cluster)
        };
        let (with, mut cluster) = held(true);
        let reserved: u64 =
            cluster.ranks.iter().map(|rank| rank.transports().reserved_bytes()).sum();
        // Two slots that are sent and two that are received, of 1,472 bytes when they are packed.
        let rooms = 4 * 4 * 1_472;
        let small = if is_used { reserved - rooms } else { reserved };
        assert!(small < 2_000, "{small} bytes for what ranks say");
        if !is_used {
            let (without, other) = held(false);
            let more = with - without;
            // What ranks say is also in pinned memory, which is counted, too.
            assert!(more >= reserved && more < reserved + 4 * 600, "{more} for {reserved}");
            other.end();
        }
        let allocated = cluster.faults.count_of("allocate");
        random_rebalances(&mut cluster, 1..12);
        assert_eq!(cluster.faults.count_of("allocate"), allocated);
        cluster.end();
    }
}

#[test]
fn a_capped_rank_makes_rounds_as_it_may() {
    let options = ExecutorOptions { is_capped: true, ..by_rounds(CommitMode::InPlace) };
    let mut cluster = Cluster::start(start(options)).unwrap();
    let layer = LayerId(0);
    let from = cluster.placement.layer(layer).clone();
    let to = cluster.layer_placement(layer, &random_table(8, 12, 7), 1);
    for rank in &mut cluster.ranks {
        rank.migrator.begin(1, layer, &from, &to).unwrap();
    }
    let mut patience = Patience::new();
    for _ in 0..200 {
        for rank in &mut cluster.ranks {
            assert!(rank.migrator.poll().is_empty());
        }
        patience.pause().unwrap();
    }
    assert!(cluster.ranks.iter().all(|rank| rank.transports().figures().rounds == 0));
    let mut waiting = 4;
    while waiting > 0 {
        for rank in &mut cluster.ranks {
            rank.migrator.grant(500, 2_000);
            for (_, outcome) in rank.migrator.poll() {
                rank.switcher.accept(outcome.unwrap());
                waiting -= 1;
            }
        }
        patience.pause().expect("every change ends");
    }
    cluster.commit(layer, 1, &to).unwrap();
    cluster.release(1);
    cluster.verify();
    cluster.end();
}
