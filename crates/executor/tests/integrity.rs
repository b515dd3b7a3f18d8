//! Bytes that are damaged on their way are found, each time; bytes that are right never are.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use std::sync::Arc;

use cluster::{
    Cluster, EXPERTS, LAYERS, Patience, Start, TENSORS, by_rounds, expert_bytes, options,
    random_table, sharded,
};
use eplb_core::{ExpertId, LayerId, ModelShape, SlotId, Topology};
use eplb_device::{Fault, Wait};
use eplb_executor::{
    CommitMode, ExecutorError, ExecutorOptions, ExpertLayout, ExpertPool, PoolError,
    SafetensorsPool, TransportChoice, Verify,
};

const BOTH: [CommitMode; 2] = [CommitMode::InPlace, CommitMode::Indirect];

fn start(commit: CommitMode, verify: Verify) -> Start {
    let shape = ModelShape::new(LAYERS, EXPERTS, 1).unwrap();
    let topology = Topology::uniform(3, 3, 1).unwrap();
    Start { verify, ..Start::new(shape, topology, options(commit)) }
}

/// Compares all live slots of a layer on all ranks, as after a commit.
fn check(cluster: &mut Cluster, layer: LayerId) -> Vec<Result<(), ExecutorError>> {
    let placement = cluster.placement.layer(layer).clone();
    let mut results = Vec::new();
    for rank in &mut cluster.ranks {
        if let Err(error) = rank.migrator.begin_check(9, layer, &placement) {
            results.push(Err(error));
            continue;
        }
        assert!(!rank.migrator.is_idle());
        let mut patience = Patience::new();
        let result = loop {
            if let Some((token, result)) = rank.migrator.poll_checks().pop() {
                assert_eq!(token, 9);
                break result;
            }
            patience.pause().expect("every check ends");
        };
        assert!(rank.migrator.is_idle());
        results.push(result);
    }
    results
}

#[test]
fn right_bytes_never_give_an_alarm() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(commit, Verify::Canary)).unwrap();
        for round in 1..=25u64 {
            let layer = LayerId((round % 2) as u32);
            let to = cluster.layer_placement(layer, &random_table(6, 9, round * 77), round);
            cluster.change(layer, &to).unwrap();
            assert!(check(&mut cluster, layer).iter().all(Result::is_ok));
            cluster.verify();
        }
        cluster.end();
    }
}

#[test]
fn two_layers_are_verified_at_the_same_time() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(commit, Verify::Arrivals)).unwrap();
        let from = [LayerId(0), LayerId(1)].map(|layer| cluster.placement.layer(layer).clone());
        let to = [LayerId(0), LayerId(1)]
            .map(|layer| cluster.layer_placement(layer, &random_table(6, 9, 5), 1));
        for rank in &mut cluster.ranks {
            for layer in [0, 1] {
                let (from, to) = (&from[layer], &to[layer]);
                rank.migrator.begin(layer as u64, LayerId(layer as u32), from, to).unwrap();
            }
            let mut ended = 0;
            let mut patience = Patience::new();
            while ended < 2 {
                for (_, outcome) in rank.migrator.poll() {
                    let change = outcome.unwrap();
                    let figures = change.figures();
                    assert!(figures.received_slots > 0);
                    assert!(figures.verified_slots >= figures.received_slots, "{figures:?}");
                    rank.switcher.accept(change);
                    ended += 1;
                }
                patience.pause().expect("every change ends");
            }
        }
        cluster.commit(LayerId(1), 1, &to[1]).unwrap();
        cluster.commit(LayerId(0), 0, &to[0]).unwrap();
        cluster.release(1);
        cluster.release(0);
        cluster.verify();
        cluster.end();
    }
}

/// Damages a byte of the nth copy between ranks of a rebalance, or of the nth buffer that they receive in
/// rounds, for every n up to the last.
fn damage_every_copy(options: ExecutorOptions) {
    let mut damaged = 0;
    for nth in 1.. {
        let start = start(options.commit, Verify::Arrivals);
        let has_communicator = options.transport == TransportChoice::Collective;
        let mut cluster = Cluster::start(Start { options, has_communicator, ..start }).unwrap();
        // Within the first tensor: what stands between packed tensors belongs to nobody.
        let byte = (nth * 37 % TENSORS[0].1 as u64) as usize;
        cluster.faults.inject(if has_communicator {
            Fault::spoil_received(cluster.faults.count_of("received") + nth, byte)
        } else {
            Fault::spoil(cluster.faults.count_of("peer_copy") + nth, byte)
        });
        let layer = LayerId((nth % 2) as u32);
        let before = cluster.placement.layer(layer).clone();
        let to = cluster.layer_placement(layer, &random_table(6, 9, 90), 1);
        let result = cluster.change(layer, &to);
        if cluster.faults.fired() == 0 {
            result.unwrap();
            cluster.verify();
            cluster.end();
            break;
        }
        let Err(ExecutorError::Corrupt { layer: of, slot, tensor, expert, from, .. }) = result
        else {
            panic!("copy {nth} was damaged and not found: {result:?}");
        };
        // It names what was damaged.
        assert_eq!(of, layer);
        assert_eq!(to.expert_at(slot), expert);
        assert!(TENSORS.iter().any(|(name, _)| *name == tensor));
        let held = before.replicas(expert, &cluster.topology);
        let holders: Vec<_> = held.map(|slot| cluster.topology.rank_of(slot).to_string()).collect();
        assert!(holders.contains(&from), "{from} does not hold {expert}");
        // The old epoch stands, and the next attempt gets through.
        assert_eq!(cluster.placement.layer(layer), &before);
        cluster.verify();
        cluster.faults.clear();
        cluster.change(layer, &to).unwrap();
        cluster.verify();
        cluster.end();
        damaged += 1;
    }
    assert!(damaged >= 3, "only {damaged} copies between ranks");
}

#[test]
fn in_place_every_damaged_copy_is_found() {
    damage_every_copy(options(CommitMode::InPlace));
}

#[test]
fn in_place_every_damaged_round_is_found() {
    damage_every_copy(by_rounds(CommitMode::InPlace));
}

#[test]
fn indirect_every_damaged_round_is_found() {
    damage_every_copy(by_rounds(CommitMode::Indirect));
}

#[test]
fn indirect_every_damaged_copy_is_found() {
    damage_every_copy(options(CommitMode::Indirect));
}

#[test]
fn a_damaged_copy_stays_unseen_when_nothing_is_verified() {
    // The counterpart: without it the tests above might find what was never damaged.
    let mut cluster = Cluster::start(start(CommitMode::InPlace, Verify::Off)).unwrap();
    let copies = cluster.faults.count_of("peer_copy");
    cluster.faults.inject(Fault::spoil(copies + 1, 100));
    let to = cluster.layer_placement(LayerId(0), &random_table(6, 9, 90), 1);
    cluster.change(LayerId(0), &to).unwrap();
    assert_eq!(cluster.faults.fired(), 1);
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cluster.verify()));
    assert!(seen.is_err());
    cluster.end();
}

#[test]
fn a_live_slot_that_is_overwritten_is_found_after_the_commit() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(commit, Verify::Canary)).unwrap();
        let layer = LayerId(1);
        let to = cluster.layer_placement(layer, &random_table(6, 9, 12), 1);
        cluster.change(layer, &to).unwrap();
        for (rank, index, tensor) in [(0, 0, 0), (1, 2, 1), (2, 1, 2)] {
            let slot = SlotId::from_index(
                cluster.topology.slots_of(cluster.ranks[rank].rank).start + index,
            );
            let memory =
                cluster.ranks[rank].switcher.slot(layer, slot).unwrap().swap_remove(tensor);
            let last = memory.slice(memory.bytes() - 1, 1).unwrap();
            let expert = to.expert_at(slot);
            let right = expert_bytes(layer, expert, tensor);
            let write = |cluster: &Cluster, value| {
                let stream = cluster.ranks[rank].switcher.stream();
                stream.fill(&last, value).unwrap();
                stream.wait(&mut Patience::new()).unwrap();
            };
            write(&cluster, right[right.len() - 1] ^ 0x10);
            for (index, result) in check(&mut cluster, layer).into_iter().enumerate() {
                match result {
                    Ok(()) => assert_ne!(index, rank),
                    Err(error) => {
                        assert_eq!(index, rank);
                        let name = TENSORS[tensor].0;
                        let expected =
                            format!("{layer}, {slot}: tensor {name} of {expert} from rank {rank}");
                        assert!(error.to_string().starts_with(&expected), "{error}");
                    }
                }
            }
            write(&cluster, right[right.len() - 1]);
            assert!(check(&mut cluster, layer).iter().all(Result::is_ok));
        }
        cluster.end();
    }
}

#[test]
fn a_check_is_given_up_and_needs_checksums() {
    let mut cluster = Cluster::start(start(CommitMode::InPlace, Verify::Canary)).unwrap();
    let placement = cluster.placement.layer(LayerId(0)).clone();
    let migrator = &mut cluster.ranks[0].migrator;
    migrator.begin_check(3, LayerId(0), &placement).unwrap();
    assert!(!migrator.abort_check(4));
    assert!(migrator.abort_check(3));
    assert!(migrator.is_idle() && migrator.poll_checks().is_empty());
    cluster.end();
    let mut cluster = Cluster::start(start(CommitMode::InPlace, Verify::Off)).unwrap();
    let error = check(&mut cluster, LayerId(0)).swap_remove(0).unwrap_err();
    assert_eq!(error.to_string(), "token 9 is without checksums; a check needs it with checksums");
    cluster.end();
}

#[test]
fn ranks_that_hold_different_bytes_of_an_expert_are_refused() {
    // Initially: 0 1 2 | 2 3 4 | 4 5 0.
    for (slot, said) in [
        (2, "layer 1, expert 2: tensor down has other bytes on rank 1 than on rank 0"),
        (8, "layer 1, expert 0: tensor down has other bytes on rank 2 than on rank 0"),
    ] {
        let damaged = Some((LayerId(1), SlotId(slot), 1));
        let start = Start { damaged, ..start(CommitMode::InPlace, Verify::Arrivals) };
        let error = Cluster::start(start).err().unwrap();
        assert!(error.to_string().starts_with(said), "{error}");
    }
    // Two slots of one rank.
    let damaged = Some((LayerId(0), SlotId(1), 2));
    let mut start = Start { damaged, ..start(CommitMode::InPlace, Verify::Arrivals) };
    let table = [0, 0, 1, 2, 3, 4, 5, 5, 1].map(ExpertId);
    start.placement =
        eplb_core::Placement::new(&[table, table], start.shape, &start.topology).unwrap();
    let error = Cluster::start(start).err().unwrap();
    let said = "layer 0, expert 0: tensor scale has other bytes on rank 0 than on rank 0";
    assert!(error.to_string().starts_with(said), "{error}");
}

/// A pool of a checkpoint that differs from what the ranks loaded, in two experts.
#[derive(Debug)]
struct Changed(SafetensorsPool);

impl ExpertPool for Changed {
    fn layout(&self) -> &ExpertLayout {
        self.0.layout()
    }

    fn identity(&self) -> u64 {
        !self.0.identity()
    }

    fn read(
        &self,
        layer: LayerId,
        tensor: &str,
        expert: ExpertId,
        into: &mut [u8],
    ) -> Result<(), PoolError> {
        self.0.read(layer, tensor, expert, into)?;
        if layer == LayerId(0) && tensor == "down" && [3, 4].contains(&expert.0) {
            into[200] ^= 4;
        }
        Ok(())
    }
}

#[test]
fn a_pool_with_other_bytes_than_the_ranks_is_found() {
    for commit in BOTH {
        // Rank 0 does not reach rank 1. Initially: 0 1 2 | 2 3 4 | 4 5 0.
        let unconnected = vec![(eplb_core::RankId(0), eplb_core::RankId(1))];
        let pool: Arc<dyn ExpertPool> = Arc::new(Changed(sharded().unwrap()));
        let start = Start { unconnected, pool: Some(pool), ..start(commit, Verify::Arrivals) };
        let mut cluster = Cluster::start(start).unwrap();
        let mut change = |table: &[u32], epoch| {
            let to = cluster.layer_placement(LayerId(0), table, epoch);
            cluster.change(LayerId(0), &to)
        };
        // It knows from rank 2 what expert 4 must be.
        let error = change(&[0, 1, 4, 2, 3, 4, 4, 5, 0], 1).unwrap_err().to_string();
        let said = "layer 0, slot 2: tensor down of expert 4 from the pool has checksum";
        assert!(error.starts_with(said), "{error}");
        // What expert 3 must be, nobody told it; but the next who gets it from there knows.
        change(&[0, 1, 3, 2, 3, 4, 4, 5, 0], 2).unwrap();
        change(&[0, 1, 3, 2, 1, 4, 4, 5, 0], 3).unwrap();
        let error = change(&[0, 1, 3, 2, 1, 4, 3, 5, 4], 4).unwrap_err().to_string();
        let said = "layer 0, slot 6: tensor down of expert 3 from rank 0 has checksum";
        assert!(error.starts_with(said), "{error}");
        cluster.end();
    }
}
