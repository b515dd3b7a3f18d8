//! Ranks that don't do the same: what is agreed at roll calls, and what a lost rank costs.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod cluster;

use std::collections::BTreeMap;

use cluster::{Cluster, Patience, Rank, Start, by_rounds, options, random_table};
use eplb_core::{LayerId, LayerPlacement, ModelShape, RankId, Topology};
use eplb_device::{ErrorKind, Fault, FaultAt, FaultKind, Wait};
use eplb_executor::{
    CollectiveState, CommitMode, ExecutorError, ExecutorOptions, RollCallRefusal, Transport,
};

const BOTH: [CommitMode; 2] = [CommitMode::InPlace, CommitMode::Indirect];

/// Two layers of six experts on three ranks of three slots.
fn start(options: ExecutorOptions) -> Start {
    let shape = ModelShape::new(2, 6, 1).unwrap();
    Start::new(shape, Topology::uniform(3, 3, 1).unwrap(), options)
}

/// What became of changes, by rank and token.
type Ends = BTreeMap<(RankId, u64), Result<(), ExecutorError>>;

/// Begins a change on some ranks.
fn begin(cluster: &mut Cluster, ranks: &[usize], token: u64, layer: LayerId, to: &LayerPlacement) {
    let from = cluster.placement.layer(layer).clone();
    for &rank in ranks {
        cluster.ranks[rank].migrator.begin(token, layer, &from, to).unwrap();
    }
}

fn poll(rank: &mut Rank, ends: &mut Ends) {
    rank.watch();
    for (token, outcome) in rank.migrator.poll() {
        let ended = outcome.map(|change| rank.switcher.accept(change));
        assert!(ends.insert((rank.rank, token), ended).is_none());
    }
}

/// Polls some ranks until so many changes have ended, and all of these ranks are idle.
fn await_ends(cluster: &mut Cluster, ranks: &[usize], count: usize) -> Ends {
    let mut ends = Ends::new();
    let mut patience = Patience::new();
    let is_idle =
        |cluster: &Cluster| ranks.iter().all(|&rank| cluster.ranks[rank].migrator.is_idle());
    while ends.len() < count || !is_idle(cluster) {
        for &rank in ranks {
            poll(&mut cluster.ranks[rank], &mut ends);
        }
        patience.pause().unwrap_or_else(|_| panic!("ended are only {ends:?}"));
    }
    ends
}

fn assert_refused(ends: &Ends, rank: u32, token: u64, by: u32, expected: RollCallRefusal) {
    match &ends[&(RankId(rank), token)] {
        Err(ExecutorError::RollCall { rank, refusal, .. }) => {
            assert_eq!((*rank, *refusal), (RankId(by), expected));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_that_one_rank_has_given_up_fails_on_all() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(by_rounds(commit))).unwrap();
        let layer = LayerId(0);
        let to = cluster.layer_placement(layer, &random_table(6, 9, 5), 1);
        begin(&mut cluster, &[0, 1, 2], 1, layer, &to);
        assert!(cluster.ranks[1].migrator.abort(1));
        let ends = await_ends(&mut cluster, &[0, 1, 2], 2);
        for rank in [0, 2] {
            assert_refused(&ends, rank, 1, 1, RollCallRefusal::GivenUp);
        }
        let error = ends[&(RankId(0), 1)].as_ref().unwrap_err().to_string();
        assert_eq!(error, "layer 0 was not brought by rounds: rank 1 has given the change up");
        assert_eq!(cluster.ranks[0].transports().figures().refused, 1);
        cluster.verify();
        go_on(&mut cluster, 2);
        cluster.end();
    }
}

/// The next changes of both layers come through.
fn go_on(cluster: &mut Cluster, token: u64) {
    for layer in [LayerId(0), LayerId(1)] {
        let token = token + u64::from(layer.0);
        let to = cluster.layer_placement(layer, &random_table(6, 9, 70 + token), 50 + token);
        begin(cluster, &[0, 1, 2], token, layer, &to);
        for (_, ended) in await_ends(cluster, &[0, 1, 2], 3) {
            ended.unwrap();
        }
        cluster.commit(layer, token, &to).unwrap();
        cluster.release(token);
    }
    cluster.verify();
}

#[test]
fn a_rank_that_cannot_begin_says_so() {
    let mut cluster = Cluster::start(start(by_rounds(CommitMode::InPlace))).unwrap();
    let layer = LayerId(0);
    let to = cluster.layer_placement(layer, &random_table(6, 9, 5), 1);
    begin(&mut cluster, &[0, 2], 1, layer, &to);
    let copies = cluster.faults.count_of("copy");
    cluster.faults.inject(Fault::error_of("copy", copies + 1, ErrorKind::Failed));
    let from = cluster.placement.layer(layer).clone();
    cluster.ranks[1].migrator.begin(1, layer, &from, &to).unwrap_err();
    let ends = await_ends(&mut cluster, &[0, 1, 2], 2);
    for rank in [0, 2] {
        assert_refused(&ends, rank, 1, 1, RollCallRefusal::Failed);
    }
    cluster.verify();
    go_on(&mut cluster, 2);
    cluster.end();
}

#[test]
fn a_rank_that_gives_up_after_its_roll_was_called_goes_through_unheeded() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(by_rounds(commit))).unwrap();
        let layer = LayerId(0);
        let to = cluster.layer_placement(layer, &random_table(6, 9, 5), 1);
        begin(&mut cluster, &[0, 1, 2], 1, layer, &to);
        // It has said that it is ready.
        assert!(cluster.ranks[1].migrator.poll().is_empty());
        assert!(cluster.ranks[1].migrator.abort(1));
        let ends = await_ends(&mut cluster, &[0, 1, 2], 2);
        assert!(ends.values().all(Result::is_ok), "{ends:?}");
        // The manager has given it up everywhere.
        cluster.release(1);
        cluster.verify();
        go_on(&mut cluster, 2);
        cluster.end();
    }
}

#[test]
fn what_a_given_up_change_still_receives_is_not_brought_into_the_next_ones_room() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(by_rounds(commit))).unwrap();
        let layer = LayerId(0);
        // Initially 0 1 2 | 2 3 4 | 4 5 0: slot 3 of rank 1 would get expert 5.
        let to = cluster.layer_placement(layer, &[0, 1, 2, 5, 3, 4, 4, 5, 0], 1);
        begin(&mut cluster, &[0, 1, 2], 1, layer, &to);
        // It has said that it is ready, and gives up; a slot of its own takes the room that this frees.
        assert!(cluster.ranks[1].migrator.poll().is_empty());
        assert!(cluster.ranks[1].migrator.abort(1));
        let to = cluster.layer_placement(layer, &[0, 1, 2, 2, 3, 2, 4, 5, 0], 2);
        begin(&mut cluster, &[1], 2, layer, &to);
        let ends = await_ends(&mut cluster, &[0, 1, 2], 3);
        assert!(ends.values().all(Result::is_ok), "{ends:?}");
        cluster.release(1);
        let rank = &mut cluster.ranks[1];
        rank.switcher.commit(2).unwrap();
        let mut patience = Patience::new();
        while rank.switcher.is_switching() {
            rank.switcher.poll();
            patience.pause().expect("the switch ends");
        }
        // Seen from this rank alone: its slots hold what its last change says.
        cluster.placement.set_layer(layer, to);
        cluster.verify();
        cluster.release(2);
        cluster.end();
    }
}

#[test]
fn a_rank_that_never_heard_of_a_change_ends_it_with_the_next() {
    let mut cluster = Cluster::start(start(by_rounds(CommitMode::InPlace))).unwrap();
    let to = cluster.layer_placement(LayerId(0), &random_table(6, 9, 5), 1);
    begin(&mut cluster, &[0, 1], 1, LayerId(0), &to);
    let to = cluster.layer_placement(LayerId(1), &random_table(6, 9, 6), 1);
    begin(&mut cluster, &[0, 1, 2], 2, LayerId(1), &to);
    let ends = await_ends(&mut cluster, &[0, 1, 2], 5);
    for rank in [0, 1] {
        assert_refused(&ends, rank, 1, 2, RollCallRefusal::WentOn { token: 2 });
    }
    assert!((0..3).all(|rank| ends[&(RankId(rank), 2)].is_ok()), "{ends:?}");
    cluster.commit(LayerId(1), 2, &to).unwrap();
    cluster.release(2);
    cluster.verify();
    cluster.end();
}

#[test]
fn ranks_that_were_told_other_things_notice() {
    let mut cluster = Cluster::start(start(by_rounds(CommitMode::InPlace))).unwrap();
    let layer = LayerId(0);
    let tables = [5, 5, 6].map(|seed| cluster.layer_placement(layer, &random_table(6, 9, seed), 1));
    for (rank, to) in tables.iter().enumerate() {
        begin(&mut cluster, &[rank], 1, layer, to);
    }
    let ends = await_ends(&mut cluster, &[0, 1, 2], 3);
    for (rank, by) in [(0, 2), (1, 2), (2, 0)] {
        assert_refused(&ends, rank, 1, by, RollCallRefusal::OtherPlan);
    }
    cluster.verify();
    go_on(&mut cluster, 2);
    cluster.end();
}

#[test]
fn changes_in_flight_at_the_same_time_take_turns() {
    for seed in 1..=12usize {
        let commit = BOTH[seed % 2];
        let mut cluster = Cluster::start(start(by_rounds(commit))).unwrap();
        let layers = [LayerId(0), LayerId(1)];
        let to = layers.map(|layer| {
            cluster.layer_placement(
                layer,
                &random_table(6, 9, (seed * 7) as u64 + layer.index() as u64),
                1,
            )
        });
        let mut ends = Ends::new();
        let mut patience = Patience::new();
        let mut begun = [0; 3];
        let mut turn = seed;
        // Each rank hears of the changes, and is polled, at moments of its own.
        while ends.len() < 6 {
            turn = (turn * 1_103_515_245 + 12_345) % (1 << 31);
            let rank = (turn >> 8) % 3;
            if begun[rank] < 2 && (turn >> 16).is_multiple_of(2) {
                let next = begun[rank];
                begin(&mut cluster, &[rank], next as u64 + 1, layers[next], &to[next]);
                begun[rank] += 1;
            }
            poll(&mut cluster.ranks[rank], &mut ends);
            if (turn >> 12).is_multiple_of(8) {
                patience.pause().unwrap_or_else(|_| panic!("seed {seed}: only {ends:?}"));
            }
        }
        assert!(ends.values().all(Result::is_ok), "seed {seed}: {ends:?}");
        cluster.commit(layers[1], 2, &to[1]).unwrap();
        cluster.commit(layers[0], 1, &to[0]).unwrap();
        cluster.release(1);
        cluster.release(2);
        cluster.verify();
        cluster.end();
    }
}

/// Loses rank 2 when its roll has been called and its rounds have not begun; what ranks 0 and 1 say then.
fn lose_a_rank(cluster: &mut Cluster) -> [String; 2] {
    let layer = LayerId(0);
    // Initially 0 1 2 | 2 3 4 | 4 5 0: both other ranks get expert 5 from it.
    let to = cluster.layer_placement(layer, &[0, 3, 5, 2, 1, 5, 4, 2, 0], 1);
    begin(cluster, &[0, 1, 2], 1, layer, &to);
    assert!(cluster.ranks[2].migrator.poll().is_empty());
    let ends = await_ends(cluster, &[0, 1], 2);
    [0, 1].map(|rank| match &ends[&(RankId(rank), 1)] {
        Err(error @ ExecutorError::CollectiveLost { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_rank_lost_in_mid_round_costs_the_communicator_and_nothing_else() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(by_rounds(commit))).unwrap();
        let errors = lose_a_rank(&mut cluster);
        let late = "the collective transport is lost: a round did not end within 0.4 s; ranks";
        assert!(errors.iter().any(|error| error.starts_with(late)), "{errors:?}");
        let is_known = |error: &String| error.starts_with(late) || error.contains("aborted");
        assert!(errors.iter().all(is_known), "{errors:?}");
        for rank in &cluster.ranks[..2] {
            let transports = rank.transports();
            assert!(matches!(transports.collective(), CollectiveState::Lost(_)));
            assert_eq!(transports.figures().losses, 1);
        }
        // It was only slow, and finds that the others have gone.
        let ends = await_ends(&mut cluster, &[2], 1);
        let outcome = &ends[&(RankId(2), 1)];
        assert!(matches!(outcome, Err(ExecutorError::CollectiveLost { .. })), "{outcome:?}");
        cluster.verify();
        // Nothing hangs and nothing moves from now on.
        let to = cluster.layer_placement(LayerId(1), &random_table(6, 9, 3), 1);
        let error = cluster.change(LayerId(1), &to).unwrap_err();
        assert!(matches!(error, ExecutorError::CollectiveLost { .. }), "{error}");
        // What stays on its rank needs nobody.
        let to = cluster.layer_placement(LayerId(1), &[1, 0, 2, 2, 3, 4, 4, 5, 0], 2);
        cluster.change(LayerId(1), &to).unwrap();
        cluster.verify();
        cluster.end();
    }
}

#[test]
fn a_communicator_that_cannot_be_aborted_is_kept_until_its_work_ends() {
    for commit in BOTH {
        let mut cluster = Cluster::start(start(by_rounds(commit))).unwrap();
        let what = FaultKind::Error(ErrorKind::Unsupported, None);
        cluster.faults.inject(Fault { at: FaultAt::EveryOf("abort"), what });
        let errors = lose_a_rank(&mut cluster);
        for error in &errors {
            for part in ["a round did not end within", "it could not be aborted and is kept until"]
            {
                assert!(error.contains(part), "{error}");
            }
        }
        let live = cluster.faults.live();
        assert_eq!(live.communicators, 3);
        cluster.verify();
        // Local moves go on beside the work that hangs.
        let to = cluster.layer_placement(LayerId(1), &[1, 0, 2, 2, 3, 4, 4, 5, 0], 1);
        let from = cluster.placement.layer(LayerId(1)).clone();
        for rank in 0..2 {
            cluster.ranks[rank].migrator.begin(2, LayerId(1), &from, &to).unwrap();
        }
        assert!(await_ends(&mut cluster, &[0, 1], 2).values().all(Result::is_ok));
        cluster.release(2);
        // When the third rank comes after all, its round ends, and with it what the others kept.
        cluster.faults.clear();
        await_ends(&mut cluster, &[2], 1);
        cluster.release(1);
        cluster.verify();
        cluster.end();
    }
}

#[test]
fn peer_memory_goes_on_without_the_communicator() {
    for commit in BOTH {
        // Rank 0 cannot import the memory of rank 1: 6 tensors each of two ranks are imported in turn.
        let mut start = start(options(commit));
        start.has_communicator = true;
        start.faults.push(Fault::error_of("import", 1, ErrorKind::Unsupported));
        let mut cluster = Cluster::start(start).unwrap();
        let rounds = cluster.ranks[0].transports().between(RankId(0), RankId(1)).unwrap();
        assert_eq!(rounds.transport, Transport::Collective);
        let peer = cluster.ranks[0].transports().between(RankId(1), RankId(0)).unwrap();
        assert_eq!(peer.transport, Transport::Peer);
        // Rank 1 is lost between its roll call and the round in which it would send expert 3.
        let to = cluster.layer_placement(LayerId(0), &[0, 3, 2, 2, 1, 4, 4, 5, 0], 1);
        begin(&mut cluster, &[0, 1, 2], 1, LayerId(0), &to);
        assert!(cluster.ranks[1].migrator.poll().is_empty());
        let ends = await_ends(&mut cluster, &[0, 2], 2);
        let outcome = &ends[&(RankId(0), 1)];
        assert!(matches!(outcome, Err(ExecutorError::CollectiveLost { .. })), "{outcome:?}");
        assert!(ends[&(RankId(2), 1)].is_ok(), "it has no part in the round");
        await_ends(&mut cluster, &[1], 1);
        cluster.release(1);
        cluster.verify();
        // Initially 0 1 2 | 2 3 4 | 4 5 0. Rank 0 gets expert 4 from rank 2, though rank 1 is as near.
        let to = cluster.layer_placement(LayerId(0), &[0, 1, 4, 2, 3, 1, 4, 5, 2], 2);
        cluster.change(LayerId(0), &to).unwrap();
        cluster.verify();
        // Expert 3 is on rank 1 alone.
        let to = cluster.layer_placement(LayerId(1), &[0, 1, 3, 2, 3, 4, 4, 5, 0], 1);
        let error = cluster.change(LayerId(1), &to).unwrap_err();
        assert!(matches!(error, ExecutorError::CollectiveLost { .. }), "{error}");
        cluster.verify();
        cluster.end();
    }
}
