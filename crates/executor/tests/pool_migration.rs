//! Ranks start from a pool, and experts whose last replica died come back from it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use std::sync::Arc;

use cluster::{Cluster, EXPERTS, LAYERS, Patience, Start, TENSORS, options, random_table, sharded};
use eplb_core::{
    Epoch, ExpertId, LayerId, LayerPlacement, ModelShape, Placement, RankId, Topology,
};
use eplb_device::{Backend, Device, Wait};
use eplb_executor::{
    ChangeFigures, CommitMode, ExecutorError, ExecutorOptions, ExpertLayout, ExpertPool,
    PinnedPool, PoolError, Verify,
};
use eplb_host::HostBackend;

const BOTH: [CommitMode; 2] = [CommitMode::InPlace, CommitMode::Indirect];
const EXPERT_BYTES: u64 = (TENSORS[0].1 + TENSORS[1].1 + TENSORS[2].1) as u64;

/// Six experts on three ranks of three slots.
fn start(commit: CommitMode) -> Start {
    let shape = ModelShape::new(LAYERS, EXPERTS, 1).unwrap();
    let topology = Topology::uniform(3, 3, 1).unwrap();
    Start {
        pool: Some(Arc::new(sharded().unwrap())),
        ..Start::new(shape, topology, options(commit))
    }
}

/// Rank 2 has died, which alone held experts 4 and 5.
fn after_a_death(commit: CommitMode) -> Start {
    let start = start(commit);
    let table = [0, 1, 2, 3, 0, 1, 4, 5, 4].map(ExpertId);
    let placement = Placement::new(&[table, table], start.shape, &start.topology).unwrap();
    let topology = start.topology.without(RankId(2)).unwrap();
    Start { placement, topology, ..start }
}

/// Every expert on the two ranks that are left.
fn rebuilt(cluster: &Cluster, layer: LayerId) -> LayerPlacement {
    cluster.layer_placement(layer, &[0, 4, 2, 3, 5, 1, 0, 1, 2], 1)
}

/// What the ranks moved in a prepared change, from the migrators' own figures.
fn prepare(cluster: &mut Cluster, layer: LayerId, to: &LayerPlacement) -> Vec<ChangeFigures> {
    let from = cluster.placement.layer(layer).clone();
    let mut figures = Vec::new();
    for rank in &mut cluster.ranks {
        rank.migrator.begin(7, layer, &from, to).unwrap();
        let mut patience = Patience::new();
        let change = loop {
            if let Some((_, outcome)) = rank.migrator.poll().pop() {
                break outcome.unwrap();
            }
            rank.migrator.grant(100, 100);
            patience.pause().expect("every change ends");
        };
        figures.push(change.figures());
        rank.switcher.accept(change);
    }
    figures
}

#[test]
fn ranks_start_from_a_pool_and_go_on_as_usual() {
    for commit in BOTH {
        let mut cluster = Cluster::start(Start { is_empty: true, ..start(commit) }).unwrap();
        cluster.verify();
        for round in 1..=10u64 {
            let layer = LayerId((round % 2) as u32);
            let to = cluster.layer_placement(layer, &random_table(6, 9, round * 31), round);
            cluster.change(layer, &to).unwrap();
            cluster.verify();
        }
        cluster.end();
    }
}

#[test]
fn ranks_start_from_pinned_memory() {
    let backend: Arc<dyn Backend> = HostBackend::new(1);
    let device = Device::open(&backend, 0).unwrap();
    let pool = Arc::new(PinnedPool::load(&device, &sharded().unwrap()).unwrap());
    let start = Start { is_empty: true, pool: Some(pool), ..start(CommitMode::InPlace) };
    let cluster = Cluster::start(start).unwrap();
    cluster.verify();
    cluster.end();
}

#[test]
fn experts_whose_last_replica_died_are_rebuilt() {
    for commit in BOTH {
        for verify in [Verify::Off, Verify::Arrivals] {
            let mut cluster = Cluster::start(Start { verify, ..after_a_death(commit) }).unwrap();
            for layer in [LayerId(0), LayerId(1)] {
                let to = rebuilt(&cluster, layer);
                let figures = prepare(&mut cluster, layer, &to);
                // Each of the two ranks loads one lost expert; the others' experts stay.
                let verified_slots = u64::from(verify != Verify::Off);
                let expected = ChangeFigures {
                    changed_slots: 1,
                    pool_slots: 1,
                    pool_bytes: EXPERT_BYTES,
                    verified_slots,
                    ..ChangeFigures::default()
                };
                assert_eq!(figures, [expected, expected], "{commit:?}");
                cluster.commit(layer, 7, &to).unwrap();
                cluster.release(7);
                cluster.verify();
            }
            // What was rebuilt moves between ranks like anything else.
            for round in 2..=6 {
                let table = random_table(6, 6, round * 5);
                let table: Vec<u32> = table.into_iter().chain([0, 1, 2]).collect();
                let to = cluster.layer_placement(LayerId(1), &table, round);
                cluster.change(LayerId(1), &to).unwrap();
                cluster.verify();
            }
            cluster.end();
        }
    }
}

#[test]
fn without_a_pool_a_lost_expert_is_an_error_that_changes_nothing() {
    for commit in BOTH {
        let start = Start { pool: None, ..after_a_death(commit) };
        let mut cluster = Cluster::start(start).unwrap();
        for _ in 0..5 {
            let to = rebuilt(&cluster, LayerId(1));
            let error = cluster.prepare(LayerId(1), &to).unwrap_err();
            let expected = "layer 1, slot 1: expert 4 is on no rank that is connected, and there is no \
                            pool to load it from; configure [pool]";
            assert_eq!(error.to_string(), expected);
            cluster.verify();
        }
        cluster.end();
    }
}

#[test]
fn what_only_a_rank_holds_that_is_not_connected_comes_from_the_pool() {
    for commit in BOTH {
        let unconnected = vec![(RankId(0), RankId(1)), (RankId(2), RankId(0))];
        let mut cluster = Cluster::start(Start { unconnected, ..start(commit) }).unwrap();
        // Initially: 0 1 2 | 2 3 4 | 4 5 0.
        let to = cluster.layer_placement(LayerId(0), &[0, 1, 3, 2, 5, 4, 1, 5, 0], 1);
        let figures = prepare(&mut cluster, LayerId(0), &to);
        let ways = figures.iter().map(|figures| {
            assert_eq!(figures.changed_slots, 1);
            (figures.local_slots, figures.received_slots, figures.pool_slots)
        });
        assert_eq!(ways.collect::<Vec<_>>(), [(0, 0, 1), (0, 1, 0), (0, 0, 1)]);
        let received = figures.iter().map(|figures| (figures.received_bytes, figures.pool_bytes));
        let expected = [(0, EXPERT_BYTES), (EXPERT_BYTES, 0), (0, EXPERT_BYTES)];
        assert_eq!(received.collect::<Vec<_>>(), expected);
        cluster.commit(LayerId(0), 7, &to).unwrap();
        cluster.release(7);
        cluster.verify();
        cluster.end();
    }
}

#[test]
fn a_missing_endpoint_is_an_error_without_a_pool() {
    let unconnected = vec![(RankId(0), RankId(1))];
    let start = Start { unconnected, pool: None, ..start(CommitMode::InPlace) };
    let error = Cluster::start(start).err().unwrap();
    let expected = "endpoint of rank 1: it is missing; every live rank's is needed";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_is_loaded_counts_for_the_cap() {
    let options = ExecutorOptions { is_capped: true, ..options(CommitMode::Indirect) };
    let start = Start { options, ..after_a_death(CommitMode::Indirect) };
    let mut cluster = Cluster::start(start).unwrap();
    let layer = LayerId(0);
    let from = cluster.placement.layer(layer).clone();
    // Rank 0 gets both lost experts, rank 1 nothing new.
    let to = cluster.layer_placement(layer, &[4, 5, 2, 3, 0, 1, 0, 1, 2], 1);
    let copies = |cluster: &Cluster| cluster.faults.count_of("copy");
    let before = copies(&cluster);
    let migrator = &mut cluster.ranks[0].migrator;
    migrator.begin(1, layer, &from, &to).unwrap();
    assert!(migrator.poll().is_empty());
    assert_eq!(copies(&cluster), before, "nothing was granted");
    // One byte lets one expert go, which is owed for.
    let migrator = &mut cluster.ranks[0].migrator;
    migrator.grant(1, 1);
    for _ in 0..20 {
        assert!(migrator.poll().is_empty());
    }
    migrator.grant(EXPERT_BYTES - 1, EXPERT_BYTES);
    assert!(migrator.poll().is_empty());
    assert_eq!(copies(&cluster), before + 1);
    let migrator = &mut cluster.ranks[0].migrator;
    migrator.grant(1, 1);
    let mut patience = Patience::new();
    let change = loop {
        if let Some((_, outcome)) = migrator.poll().pop() {
            break outcome.unwrap();
        }
        patience.pause().expect("both were granted");
    };
    assert_eq!(copies(&cluster), before + 2);
    assert_eq!(change.figures().pool_slots, 2);
    cluster.ranks[0].switcher.accept(change);
    cluster.release(1);
    cluster.end();
}

#[test]
fn a_pool_of_another_model_is_refused() {
    let mut start = start(CommitMode::InPlace);
    start.shape = ModelShape::new(LAYERS, EXPERTS + 1, 1).unwrap();
    start.placement = Placement::initial(start.shape, &start.topology).unwrap();
    let error = Cluster::start(start).err().unwrap();
    let expected = "pool: it holds 2 layers of 6 experts, the model has 2 of 7";
    assert_eq!(error.to_string(), expected);
}

/// Cannot be read once it is opened.
#[derive(Debug)]
struct Unreadable(ExpertLayout);

impl ExpertPool for Unreadable {
    fn layout(&self) -> &ExpertLayout {
        &self.0
    }

    fn identity(&self) -> u64 {
        1
    }

    fn read(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        _: &mut [u8],
    ) -> Result<(), PoolError> {
        Err(PoolError::Unknown { layer, expert, tensor: tensor.to_owned() })
    }
}

#[test]
fn a_pool_that_cannot_be_read_refuses_the_change_and_nothing_else() {
    for commit in BOTH {
        let pool: Arc<dyn ExpertPool> = Arc::new(Unreadable(cluster::layout()));
        let error = Cluster::start(Start {
            is_empty: true,
            pool: Some(Arc::clone(&pool)),
            ..start(commit)
        });
        assert!(matches!(error.err().unwrap(), ExecutorError::Pool(_)));
        let start = Start { pool: Some(pool), ..after_a_death(commit) };
        let mut cluster = Cluster::start(start).unwrap();
        for _ in 0..4 {
            let to = rebuilt(&cluster, LayerId(0));
            let error = cluster.prepare(LayerId(0), &to).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with("pool: it does not hold layer 0, expert"), "{said}");
            cluster.verify();
        }
        // Experts that need no pool go on moving.
        let table = [2, 1, 0, 3, 0, 2, 4, 5, 4].map(ExpertId);
        let topology = Topology::uniform(3, 3, 1).unwrap();
        let to =
            LayerPlacement::new(LayerId(0), &table, Epoch(1), cluster.shape, &topology).unwrap();
        cluster.change(LayerId(0), &to).unwrap();
        cluster.verify();
        cluster.end();
    }
}
