//! The rounds of a change: the same on all ranks, derived from the same plan.

use eplb_core::{Epoch, LayerId, RankId, SlotId, Source, Topology, TransferPlan};
use xxhash_rust::xxh3::Xxh3;

use super::Transports;

/// One slot's bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Parcel {
    /// The rank at the other end.
    pub(crate) peer: RankId,
    /// The slot that gets the bytes.
    pub(crate) slot: SlotId,
    /// The slot that holds them, under the old placement.
    pub(crate) source: SlotId,
}

/// This rank's part of one round. Parcels of one peer stand together, in the order of the slots that get
/// them, so that both ends pack alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) sends: Vec<Parcel>,
    pub(crate) receives: Vec<Parcel>,
}

/// What a change is for all ranks, and this rank's part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoundPlan {
    /// Whether no rank sends anything.
    pub(crate) is_empty: bool,
    /// Equal on ranks that are about to make the same rounds.
    pub(crate) digest: u64,
    /// The rounds in which this rank has something to do.
    pub(crate) rounds: Vec<Round>,
}

/// What the rounds of a change depend on, besides the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) layer: LayerId,
    /// The old epoch and the new one.
    pub(crate) epochs: (Epoch, Epoch),
    /// Bytes of one packed expert.
    pub(crate) expert_bytes: usize,
    /// Slots that a rank sends in one round at most, and that it receives.
    pub(crate) round_slots: usize,
}

impl RoundPlan {
    /// Deals the slots that travel between ranks without peer memory out to rounds: each, in the order of
    /// the slots that get them, to the first round in which its sender and its receiver have room.
    pub(crate) fn new(
        plan: &TransferPlan,
        terms: &Terms,
        own: RankId,
        topology: &Topology,
        transports: &Transports,
    ) -> Self {
        let mut hasher = Xxh3::new();
        let mut tell = |number: u64| hasher.update(&number.to_le_bytes());
        tell(terms.layer.0.into());
        tell(terms.epochs.0.0);
        tell(terms.epochs.1.0);
        tell(terms.expert_bytes as u64);
        tell(terms.round_slots as u64);
        // By round and rank: slots sent, and received.
        let mut taken: Vec<Vec<[usize; 2]>> = Vec::new();
        let mut rounds: Vec<Round> = Vec::new();
        for receiver in topology.rank_ids() {
            for change in plan.changes(receiver) {
                let Source::Remote(source) = change.source else { continue };
                let sender = topology.rank_of(source);
                if !transports.is_collective(receiver, sender) {
                    continue;
                }
                let has_room = |taken: &Vec<[usize; 2]>| {
                    taken[sender.index()][0] < terms.round_slots
                        && taken[receiver.index()][1] < terms.round_slots
                };
                let index = taken.iter().position(has_room).unwrap_or(taken.len());
                if index == taken.len() {
                    taken.push(vec![[0; 2]; topology.ranks()]);
                    rounds.push(Round::default());
                }
                taken[index][sender.index()][0] += 1;
                taken[index][receiver.index()][1] += 1;
                for number in [index, source.index(), change.slot.index(), change.expert.index()] {
                    tell(number as u64);
                }
                let slot = change.slot;
                if sender == own {
                    rounds[index].sends.push(Parcel { peer: receiver, slot, source });
                }
                if receiver == own {
                    rounds[index].receives.push(Parcel { peer: sender, slot, source });
                }
            }
        }
        let is_empty = rounds.is_empty();
        rounds.retain(|round| !round.sends.is_empty() || !round.receives.is_empty());
        for round in &mut rounds {
            round.sends.sort_unstable();
            round.receives.sort_unstable();
        }
        Self { is_empty, digest: hasher.digest(), rounds }
    }
}

impl Round {
    /// The runs of parcels of one peer: the peer, the first parcel's index and how many there are.
    pub(crate) fn runs(parcels: &[Parcel]) -> impl Iterator<Item = (RankId, usize, usize)> + '_ {
        let mut start = 0;
        parcels.chunk_by(|first, second| first.peer == second.peer).map(move |run| {
            let first = start;
            start += run.len();
            (run[0].peer, first, run.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use eplb_core::{ExpertId, LayerPlacement, ModelShape};
    use proptest::prelude::*;

    use super::super::Reach;
    use super::*;

    const LAYER: LayerId = LayerId(0);

    fn placement(experts: &[u32], epoch: u64, topology: &Topology) -> LayerPlacement {
        let most = experts.iter().max().unwrap() + 1;
        let shape = ModelShape::new(1, most, 1).unwrap();
        let experts: Vec<_> = experts.iter().copied().map(ExpertId).collect();
        LayerPlacement::new(LAYER, &experts, Epoch(epoch), shape, topology).unwrap()
    }

    /// All pairs, of which those in `peers` use peer memory.
    fn transports(own: RankId, topology: &Topology, peers: &[(u32, u32)]) -> Transports {
        let row = |receiver: RankId| {
            let reach = |sender: RankId| match receiver == sender {
                true => None,
                false if peers.contains(&(receiver.0, sender.0)) => Some(Reach::Imported),
                false => Some(Reach::NotImported),
            };
            topology.rank_ids().map(reach).collect::<Vec<_>>()
        };
        let mut transports = Transports::new(own, topology, row(own), BTreeMap::new());
        for receiver in topology.rank_ids() {
            transports.set_row(receiver, row(receiver));
        }
        transports
    }

    fn terms(round_slots: usize) -> Terms {
        Terms { layer: LAYER, epochs: (Epoch(0), Epoch(1)), expert_bytes: 64, round_slots }
    }

    proptest! {
        /// Every slot that has to travel by rounds is sent and received once, in the same round of both
        /// ends, in equal order, and within the room of both.
        #[test]
        fn ranks_that_derive_rounds_alone_meet(
            seed in proptest::collection::vec(0u32..12, 12),
            peers in proptest::collection::vec((0u32..4, 0u32..4), 0..6),
            round_slots in 1usize..4,
        ) {
            let topology = Topology::uniform(4, 6, 2).unwrap();
            let mut old: Vec<u32> = (0..12).collect();
            old.extend(&seed);
            let mut new = old.clone();
            new.rotate_left(5);
            let (old, new) = (placement(&old, 0, &topology), placement(&new, 1, &topology));
            let plan = TransferPlan::new(&old, &new, &topology);
            let ranks: Vec<RankId> = topology.rank_ids().collect();
            let plans: Vec<_> = ranks.iter().map(|&rank| {
                let transports = transports(rank, &topology, &peers);
                RoundPlan::new(&plan, &terms(round_slots), rank, &topology, &transports)
            }).collect();
            let mut travelled = 0;
            // A rank goes on to its next round when all that it exchanges with have come to this one.
            let mut next = vec![0usize; ranks.len()];
            let mut met = vec![BTreeSet::new(); ranks.len()];
            let partners = |rank: RankId, index: usize| -> BTreeSet<RankId> {
                let round = plans[rank.index()].rounds.get(index);
                let parcels = round.iter().flat_map(|round| round.sends.iter().chain(&round.receives));
                parcels.map(|parcel| parcel.peer).collect()
            };
            let between = |from: RankId, to: RankId, next: &[usize]| -> [Vec<(SlotId, SlotId)>; 2] {
                let round = |rank: RankId| plans[rank.index()].rounds.get(next[rank.index()]);
                let of = |parcels: &[Parcel], peer: RankId| {
                    let parcels = parcels.iter().filter(|parcel| parcel.peer == peer);
                    parcels.map(|parcel| (parcel.slot, parcel.source)).collect::<Vec<_>>()
                };
                let sent = round(from).map(|round| of(&round.sends, to)).unwrap_or_default();
                [sent, round(to).map(|round| of(&round.receives, from)).unwrap_or_default()]
            };
            loop {
                for &first in &ranks {
                    for second in partners(first, next[first.index()]) {
                        let [[sent, taken], [back, got]] =
                            [between(first, second, &next), between(second, first, &next)];
                        if sent == taken && back == got {
                            met[first.index()].insert(second);
                            met[second.index()].insert(first);
                        }
                    }
                }
                let mut is_over = true;
                for &rank in &ranks {
                    let partners = partners(rank, next[rank.index()]);
                    if partners.is_empty() || !partners.is_subset(&met[rank.index()]) {
                        continue;
                    }
                    let round = &plans[rank.index()].rounds[next[rank.index()]];
                    prop_assert!(round.sends.len() <= round_slots);
                    prop_assert!(round.receives.len() <= round_slots);
                    travelled += round.receives.len();
                    next[rank.index()] += 1;
                    met[rank.index()].clear();
                    is_over = false;
                }
                if is_over {
                    break;
                }
            }
            for rank in &ranks {
                prop_assert_eq!(next[rank.index()], plans[rank.index()].rounds.len(), "{} waits", rank);
                prop_assert_eq!(plans[rank.index()].digest, plans[0].digest);
            }
            let expected = plan.links(&topology)
                .filter(|(sender, receiver)| !peers.contains(&(receiver.0, sender.0))).count();
            prop_assert_eq!(travelled, expected);
            prop_assert_eq!(plans[0].is_empty, expected == 0);
        }
    }

    #[test]
    fn the_digest_tells_all_that_matters() {
        let topology = Topology::uniform(3, 2, 1).unwrap();
        let old = placement(&[0, 1, 2, 3, 4, 5], 0, &topology);
        let digest = |table: &[u32], terms: Terms, peers: &[(u32, u32)]| {
            let plan = TransferPlan::new(&old, &placement(table, 1, &topology), &topology);
            let transports = transports(RankId(0), &topology, peers);
            RoundPlan::new(&plan, &terms, RankId(0), &topology, &transports).digest
        };
        let table = [2, 1, 0, 3, 5, 4];
        let plain = digest(&table, terms(1), &[]);
        assert_eq!(plain, digest(&table, terms(1), &[]));
        for other in [
            digest(&[4, 1, 2, 3, 0, 5], terms(1), &[]),
            digest(&table, terms(2), &[]),
            digest(&table, terms(1), &[(0, 1)]),
            digest(&table, Terms { layer: LayerId(1), ..terms(1) }, &[]),
            digest(&table, Terms { epochs: (Epoch(0), Epoch(2)), ..terms(1) }, &[]),
            digest(&table, Terms { expert_bytes: 128, ..terms(1) }, &[]),
        ] {
            assert_ne!(plain, other);
        }
    }
}
