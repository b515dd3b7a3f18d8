//! Weights arrive where placements say, bit for bit, in both commit modes.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use cluster::{Cluster, Patience, Rank, expert_bytes, options, random_table};
use eplb_core::{
    Epoch, LayerId, LayerPlacement, ModelShape, NodeId, RankSpec, SHARE_ONE, SlotId, Topology,
};
use eplb_device::{PinnedMemory, Wait};
use eplb_executor::{CommitMode, ExecutorError, ExecutorOptions};

const BOTH: [CommitMode; 2] = [CommitMode::InPlace, CommitMode::Indirect];

fn small(commit: CommitMode) -> Cluster {
    let shape = ModelShape::new(3, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 2).unwrap();
    Cluster::new(shape, topology, options(commit))
}

#[test]
fn random_placements_arrive_bit_for_bit() {
    for commit in BOTH {
        let mut cluster = small(commit);
        cluster.verify();
        for round in 1..=25u64 {
            let layer = LayerId((round % 3) as u32);
            let table = random_table(8, 12, round * 77);
            let to = cluster.layer_placement(layer, &table, round);
            cluster.change(layer, &to).unwrap();
            cluster.verify();
        }
        cluster.end();
    }
}

#[test]
fn slots_of_a_rank_trade_places() {
    for commit in BOTH {
        let mut cluster = small(commit);
        let layer = LayerId(1);
        let mut table: Vec<u32> =
            cluster.placement.layer(layer).experts().iter().map(|expert| expert.0).collect();
        for rank in table.chunks_mut(3) {
            rank.rotate_left(1);
        }
        let to = cluster.layer_placement(layer, &table, 1);
        let token = cluster.prepare(layer, &to).unwrap();
        cluster.commit(layer, token, &to).unwrap();
        cluster.release(token);
        cluster.verify();
        cluster.end();
    }
}

#[test]
fn a_committed_change_goes_back() {
    for commit in BOTH {
        let mut cluster = small(commit);
        let layer = LayerId(0);
        let before = cluster.placement.layer(layer).clone();
        for round in 1..=6 {
            let to = cluster.layer_placement(layer, &random_table(8, 12, round), round);
            let token = cluster.prepare(layer, &to).unwrap();
            cluster.commit(layer, token, &to).unwrap();
            cluster.verify();
            cluster.revert(token);
            cluster.placement.set_layer(layer, before.clone());
            cluster.release(token);
            cluster.verify();
        }
        cluster.end();
    }
}

#[test]
fn a_change_of_shares_alone_copies_nothing_and_goes_both_ways() {
    for commit in BOTH {
        let mut cluster = small(commit);
        let layer = LayerId(1);
        let before = cluster.placement.layer(layer).clone();
        let shares: Vec<u16> = (0..12).map(|slot| shares_of_the_last(&before, slot)).collect();
        for epoch in [1, 2] {
            let to = before.with_shares(&shares, &cluster.topology).unwrap();
            let to = to.with_epoch(Epoch(epoch));
            assert!(to.shares().is_some());
            let copies = cluster.faults.count_of("copy");
            let token = cluster.prepare(layer, &to).unwrap();
            cluster.commit(layer, token, &to).unwrap();
            if epoch == 1 {
                cluster.revert(token);
                cluster.placement.set_layer(layer, before.clone());
            }
            cluster.release(token);
            assert_eq!(cluster.faults.count_of("copy"), copies, "{commit:?}");
            cluster.verify();
        }
        // Weights move as before afterwards.
        let to = cluster.layer_placement(layer, &random_table(8, 12, 3), 3);
        cluster.change(layer, &to).unwrap();
        cluster.verify();
        cluster.end();
    }
}

/// All tokens of an expert go to its last replica.
fn shares_of_the_last(placement: &LayerPlacement, slot: usize) -> u16 {
    let expert = placement.experts()[slot];
    if placement.experts()[slot + 1..].contains(&expert) { 0 } else { SHARE_ONE }
}

#[test]
fn a_prepared_change_that_is_dropped_leaves_no_trace() {
    for commit in BOTH {
        let mut cluster = small(commit);
        for round in 1..=6 {
            let layer = LayerId(2);
            let to = cluster.layer_placement(layer, &random_table(8, 12, round), round);
            let token = cluster.prepare(layer, &to).unwrap();
            cluster.release(token);
            cluster.verify();
        }
        cluster.end();
    }
}

#[test]
fn two_layers_change_at_the_same_time() {
    for commit in BOTH {
        let mut cluster = small(commit);
        let (first, second) = (LayerId(0), LayerId(2));
        let to_first = cluster.layer_placement(first, &random_table(8, 12, 5), 1);
        let to_second = cluster.layer_placement(second, &random_table(8, 12, 6), 1);
        let token_first = cluster.prepare(first, &to_first).unwrap();
        let token_second = cluster.prepare(second, &to_second).unwrap();
        cluster.commit(second, token_second, &to_second).unwrap();
        cluster.verify();
        cluster.commit(first, token_first, &to_first).unwrap();
        cluster.verify();
        cluster.release(token_second);
        cluster.release(token_first);
        cluster.verify();
        cluster.end();
    }
}

#[test]
fn ranks_may_hold_different_numbers_of_slots() {
    for commit in BOTH {
        let specs = [4, 2, 5, 1].map(|slots| RankSpec::new(NodeId(0), slots));
        let topology = Topology::new(specs.to_vec()).unwrap();
        let shape = ModelShape::new(1, 9, 1).unwrap();
        let mut cluster = Cluster::new(shape, topology, options(commit));
        for round in 1..=10 {
            let to = cluster.layer_placement(LayerId(0), &random_table(9, 12, round), round);
            cluster.change(LayerId(0), &to).unwrap();
            cluster.verify();
        }
        cluster.end();
    }
}

#[test]
fn more_layers_than_were_reserved_are_refused() {
    let mut cluster = small(CommitMode::InPlace);
    let mut tokens = Vec::new();
    for layer in 0..2 {
        let to = cluster.layer_placement(LayerId(layer), &random_table(8, 12, 9), 1);
        tokens.push(cluster.prepare(LayerId(layer), &to).unwrap());
    }
    let to = cluster.layer_placement(LayerId(2), &random_table(8, 12, 9), 1);
    let error = cluster.prepare(LayerId(2), &to).unwrap_err();
    assert!(matches!(error, ExecutorError::NoLane { layer: LayerId(2), lanes: 2 }), "{error}");
    assert!(error.to_string().contains("raise manager.layers_in_flight"), "{error}");
    for token in tokens {
        cluster.release(token);
    }
    cluster.change(LayerId(2), &to).unwrap();
    cluster.verify();
    cluster.end();
}

#[test]
fn a_change_that_needs_more_spare_slots_is_refused_and_changes_nothing() {
    let shape = ModelShape::new(1, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 1).unwrap();
    let options =
        ExecutorOptions { spare_slots: 1, layers_in_flight: 1, ..options(CommitMode::Indirect) };
    let mut cluster = Cluster::new(shape, topology, options);
    // Every rank gets three experts that it does not hold.
    let to = cluster.layer_placement(LayerId(0), &[4, 5, 6, 6, 7, 0, 0, 1, 2, 2, 3, 4], 1);
    let error = cluster.prepare(LayerId(0), &to).unwrap_err();
    assert!(error.to_string().contains("raise executor.spare_slots"), "{error}");
    cluster.verify();
    // One slot a rank fits.
    let mut table: Vec<u32> =
        cluster.placement.layer(LayerId(0)).experts().iter().map(|expert| expert.0).collect();
    table[2] = 7;
    let to = cluster.layer_placement(LayerId(0), &table, 2);
    cluster.change(LayerId(0), &to).unwrap();
    cluster.verify();
    cluster.end();
}

#[test]
fn unknown_and_wrong_tokens_are_refused() {
    let mut cluster = small(CommitMode::InPlace);
    let switcher = &mut cluster.ranks[0].switcher;
    let error = switcher.commit(99).unwrap_err();
    assert_eq!(error.to_string(), "token 99 is unknown; commit needs it prepared");
    assert!(switcher.revert(99).is_err());
    switcher.release(99);
    let to = cluster.layer_placement(LayerId(0), &random_table(8, 12, 3), 1);
    let token = cluster.prepare(LayerId(0), &to).unwrap();
    cluster.commit(LayerId(0), token, &to).unwrap();
    let error = cluster.ranks[0].switcher.commit(token).unwrap_err();
    assert_eq!(error.to_string(), "token 1 is committed; commit needs it prepared");
    cluster.release(token);
    cluster.verify();
    cluster.end();
}

#[test]
fn forward_passes_queued_before_a_switch_read_the_old_weights() {
    for commit in BOTH {
        let mut cluster = small(commit);
        let layer = LayerId(0);
        let to = cluster.layer_placement(layer, &random_table(8, 12, 21), 1);
        let old = cluster.placement.layer(layer).clone();
        let token = cluster.prepare(layer, &to).unwrap();
        let mut passes = Vec::new();
        for rank in &mut cluster.ranks {
            let slots = cluster.topology.slots_of(rank.rank).map(SlotId::from_index);
            // The device is busy: everything below is queued and has not begun.
            let busy = cluster.host.hold(rank.switcher.stream().handle()).unwrap();
            for slot in slots.clone() {
                let read = queue_read(rank, layer, slot);
                passes.push((rank.rank, slot, old.expert_at(slot), read));
            }
            rank.switcher.commit(token).unwrap();
            for slot in slots {
                let read = queue_read(rank, layer, slot);
                passes.push((rank.rank, slot, to.expert_at(slot), read));
            }
            busy.release();
        }
        for rank in &cluster.ranks {
            rank.switcher.stream().wait(&mut Patience::new()).unwrap();
        }
        for (rank, slot, expert, read) in passes {
            let bytes = read.to_vec().unwrap();
            assert!(bytes == expert_bytes(layer, expert, 0), "{rank} {slot} is not {expert}");
        }
        cluster.placement.set_layer(layer, to);
        cluster.release(token);
        cluster.verify();
        cluster.end();
    }
}

/// Queues what a forward pass does with a slot: it reads the slot's memory as it is bound now.
fn queue_read(rank: &Rank, layer: LayerId, slot: SlotId) -> PinnedMemory {
    let memory = rank.switcher.slot(layer, slot).unwrap().swap_remove(0);
    let pinned = rank.device.allocate_pinned(memory.bytes()).unwrap();
    rank.switcher.stream().download(&pinned, &memory).unwrap();
    pinned
}

#[test]
fn a_change_that_is_given_up_makes_room_for_the_next_at_once() {
    let shape = ModelShape::new(2, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 2).unwrap();
    let options = ExecutorOptions { layers_in_flight: 1, ..options(CommitMode::InPlace) };
    let mut cluster = Cluster::new(shape, topology, options);
    for round in 1..=40 {
        let layer = LayerId(0);
        let from = cluster.placement.layer(layer).clone();
        let dropped = cluster.layer_placement(layer, &random_table(8, 12, round), 1);
        for rank in &mut cluster.ranks {
            // Its copies are still queued when the next change takes its lane.
            rank.migrator.begin(1_000 + round, layer, &from, &dropped).unwrap();
            assert!(rank.migrator.abort(1_000 + round));
        }
        let to = cluster.layer_placement(LayerId(1), &random_table(8, 12, 100 + round), round);
        cluster.change(LayerId(1), &to).unwrap();
        cluster.verify();
    }
    cluster.end();
}

#[test]
fn a_capped_migrator_queues_no_more_than_it_was_granted() {
    let shape = ModelShape::new(2, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 2).unwrap();
    let options = ExecutorOptions { is_capped: true, ..options(CommitMode::InPlace) };
    let mut cluster = Cluster::new(shape, topology, options);
    let layer = LayerId(0);
    let from = cluster.placement.layer(layer).clone();
    let to = cluster.layer_placement(layer, &random_table(8, 12, 7), 1);
    for token in [1, 2] {
        let layer = LayerId(token as u32 - 1);
        for rank in &mut cluster.ranks {
            rank.migrator.begin(token, layer, &from, &to).unwrap();
        }
    }
    let copies = |cluster: &Cluster| cluster.faults.count_of("copy");
    let before = copies(&cluster);
    for rank in &mut cluster.ranks {
        assert!(rank.migrator.poll().is_empty());
    }
    assert_eq!(copies(&cluster), before, "nothing was granted");
    // One byte lets one copy go, which is owed for; so each further copy takes as much as it is long.
    for rank in &mut cluster.ranks {
        for _ in 0..3 {
            rank.migrator.grant(1, 1);
            rank.migrator.poll();
        }
    }
    assert!(copies(&cluster) > before);
    assert!(copies(&cluster) <= before + cluster.ranks.len() as u64, "one copy a rank");
    let mut order = Vec::new();
    let mut patience = Patience::new();
    while order.len() < 2 * cluster.ranks.len() {
        for rank in &mut cluster.ranks {
            rank.migrator.grant(500, 500);
            for (token, outcome) in rank.migrator.poll() {
                order.push((rank.rank, token));
                rank.switcher.accept(outcome.unwrap());
            }
        }
        patience.pause().expect("granted bit by bit, every copy ends");
    }
    for rank in &cluster.ranks {
        let of_rank: Vec<_> = order.iter().filter(|(number, _)| *number == rank.rank).collect();
        assert_eq!(of_rank.iter().map(|(_, token)| *token).collect::<Vec<_>>(), [1, 2]);
    }
    cluster.commit(layer, 1, &to).unwrap();
    cluster.release(1);
    cluster.release(2);
    cluster.verify();
    cluster.end();
}

#[test]
fn a_commit_in_place_makes_three_calls_and_asks_for_its_end_at_the_next_step() {
    let shape = ModelShape::new(1, 8, 1).unwrap();
    let topology = Topology::uniform(4, 3, 2).unwrap();
    let mut cluster = Cluster::new(shape, topology, options(CommitMode::InPlace));
    let layer = LayerId(0);
    let to = cluster.layer_placement(layer, &random_table(8, 12, 7), 1);
    let token = cluster.prepare(layer, &to).unwrap();
    for rank in 0..cluster.ranks.len() {
        let before = cluster.faults.calls().len();
        let switcher = &mut cluster.ranks[rank].switcher;
        switcher.commit(token).unwrap();
        assert!(switcher.poll().is_empty(), "the poll of the same step");
        assert_eq!(cluster.faults.calls()[before..], ["copy", "record_event", "record_event"]);
        // The next one asks.
        cluster.ranks[rank].switcher.poll();
        assert!(cluster.faults.calls().len() > before + 3);
    }
}
