//! One round: from the layers worth a plan to the last of them settled.

use std::collections::VecDeque;

use eplb_core::{Epoch, ExpertLoad, LayerId, LayerPlacement, Placement, RankId, Topology};
use xxhash_rust::xxh3::Xxh3;

use crate::{PlanDigest, PlanJob, PlannedLayer, Reason, RoundAbort, RoundId, Timestamp};

/// The round that is open.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) id: RoundId,
    /// The layers to plan and the load of each, in layer order.
    pub(crate) layers: Vec<(LayerId, Vec<u64>)>,
    /// There until the plan is in use.
    pub(crate) planning: Option<Planning>,
    /// Layers to move that have not begun, the one that gains most first.
    pub(crate) queue: VecDeque<Move>,
    /// Why the round is being given up, once it is; what was committed is still seen through.
    pub(crate) abort: Option<RoundAbort>,
    /// Layers settled on their new epoch.
    pub(crate) committed: u32,
}

/// A layer that a plan moves.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) layer: LayerId,
    /// The placements that lead to the new one, the last of them; never empty. Their epochs are given
    /// when each change begins.
    pub(crate) parts: VecDeque<LayerPlacement>,
    /// The load that the plan was made for.
    pub(crate) load: Vec<u64>,
}

/// A plan, divided.
#[derive(Debug)]
pub(crate) struct Divided {
    /// The layers to move, the one that gains most first.
    pub(crate) moves: VecDeque<Move>,
    /// The layers that are better left where they are, with the load of each.
    pub(crate) unchanged: Vec<(LayerId, Vec<u64>)>,
    /// The layers whose change is too large for one part and comes in no smaller ones.
    pub(crate) indivisible: Vec<(LayerId, Vec<u64>)>,
}

/// The wait for a plan and, in spmd carriage, for every rank's agreement to it.
#[derive(Debug)]
pub(crate) struct Planning {
    pub(crate) deadline: Timestamp,
    /// Digest of the load windows that the plan is made for, and of their weights.
    loads_digest: u64,
    /// This rank's plan and its digest; no plan when it failed.
    own: Option<(Option<Vec<PlannedLayer>>, u64)>,
    /// Each rank's digest as it reported it.
    digests: Vec<Option<u64>>,
}

/// What ranks say to each other's plans.
#[derive(Debug, PartialEq)]
pub(crate) enum Agreement {
    /// Some rank has not spoken yet.
    Open,
    /// All have the same plan, this one.
    Agreed(Vec<PlannedLayer>),
    /// This rank differs from the lowest live one, or failed to plan.
    Differs(RankId),
}

impl Planning {
    pub(crate) fn new(deadline: Timestamp, job: &PlanJob, topology: &Topology) -> Self {
        let mut hasher = Xxh3::new();
        hash_length(&mut hasher, job.windows.len());
        for row in job.windows.iter().flat_map(ExpertLoad::rows) {
            for count in row {
                hasher.update(&count.to_le_bytes());
            }
        }
        hash_length(&mut hasher, job.weights.len());
        for weight in &job.weights {
            hasher.update(&weight.to_bits().to_le_bytes());
        }
        let digests = vec![None; topology.ranks()];
        Self { deadline, loads_digest: hasher.digest(), own: None, digests }
    }

    /// Remembers this rank's plan, if it has none yet.
    pub(crate) fn set_own(&mut self, round: RoundId, plan: Option<Vec<PlannedLayer>>) -> bool {
        if self.own.is_some() {
            return false;
        }
        let digest = match &plan {
            None => PlanDigest::FAILED,
            Some(plan) => plan_digest(round, self.loads_digest, plan),
        };
        self.own = Some((plan, digest));
        true
    }

    pub(crate) fn own_digest(&self) -> Option<u64> {
        self.own.as_ref().map(|(_, digest)| *digest)
    }

    /// Remembers a rank's digest; what it said first stands.
    pub(crate) fn set_digest(&mut self, rank: RankId, digest: u64) {
        self.digests[rank.index()].get_or_insert(digest);
    }

    /// The first live rank that has not reported its digest.
    pub(crate) fn first_silent(&self, topology: &Topology) -> Option<RankId> {
        topology.live_ranks().find(|rank| self.digests[rank.index()].is_none())
    }

    /// Compares the ranks' digests, and takes the plan out once all agree.
    pub(crate) fn agreement(&mut self, own_rank: RankId, topology: &Topology) -> Agreement {
        if self.first_silent(topology).is_some() {
            return Agreement::Open;
        }
        let digest_of = |rank: RankId| self.digests[rank.index()].unwrap_or(PlanDigest::FAILED);
        let reference = topology.live_ranks().next().map_or(PlanDigest::FAILED, digest_of);
        let differs =
            |rank: &RankId| digest_of(*rank) == PlanDigest::FAILED || digest_of(*rank) != reference;
        if let Some(rank) = topology.live_ranks().find(differs) {
            return Agreement::Differs(rank);
        }
        match self.own.take() {
            Some((Some(plan), digest)) if digest == reference => Agreement::Agreed(plan),
            _ => Agreement::Differs(own_rank),
        }
    }
}

/// The digest of a plan and what it was made for, never [`PlanDigest::FAILED`].
fn plan_digest(round: RoundId, loads_digest: u64, plan: &[PlannedLayer]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&round.0.to_le_bytes());
    hasher.update(&loads_digest.to_le_bytes());
    for planned in plan {
        hasher.update(&planned.layer.0.to_le_bytes());
        hasher.update(&planned.balancedness_before.to_bits().to_le_bytes());
        hasher.update(&planned.balancedness_after.to_bits().to_le_bytes());
        hasher.update(&[u8::from(planned.account.is_some())]);
        // Of an account the verdict decides nothing.
        if let Some(account) = &planned.account {
            for number in [account.gain, account.price, account.bound] {
                hasher.update(&number.to_bits().to_le_bytes());
            }
        }
        for expert in planned.placement.experts() {
            hasher.update(&expert.0.to_le_bytes());
        }
        let shares = planned.placement.shares().unwrap_or_default();
        hash_length(&mut hasher, shares.len());
        for share in shares {
            hasher.update(&share.to_le_bytes());
        }
    }
    hasher.digest().max(PlanDigest::FAILED + 1)
}

/// Lists begin with their length, so that no two plans are hashed as the same bytes.
fn hash_length(hasher: &mut Xxh3, length: usize) {
    hasher.update(&(length as u64).to_le_bytes());
}

/// Checks a plan and puts it into layer order, all placements in epoch 0.
pub(crate) fn check_plan(
    mut plan: Vec<PlannedLayer>,
    layers: &[(LayerId, Vec<u64>)],
    present: &Placement,
    topology: &Topology,
) -> Result<Vec<PlannedLayer>, Reason> {
    plan.sort_by_key(|planned| planned.layer);
    if let Some(pair) = plan.windows(2).find(|pair| pair[0].layer == pair[1].layer) {
        return Err(Reason::new(format!("{} is planned twice", pair[0].layer)));
    }
    for planned in &mut plan {
        let layer = planned.layer;
        if layers.binary_search_by_key(&layer, |&(layer, _)| layer).is_err() {
            return Err(Reason::new(format!("{layer} was not to be planned")));
        }
        check_figures(planned)?;
        planned.placement = check_placement(planned, present, topology)?;
    }
    Ok(plan)
}

fn check_figures(planned: &PlannedLayer) -> Result<(), Reason> {
    let layer = planned.layer;
    for balancedness in [planned.balancedness_before, planned.balancedness_after] {
        if !(0.0..=1.0).contains(&balancedness) {
            let text = format!("{layer} has balancedness {balancedness}, allowed is 0 to 1");
            return Err(Reason::new(text));
        }
    }
    if let Some(account) = &planned.account {
        let numbers = [account.gain, account.price, account.bound];
        if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
            let text = format!("{layer} has an account with {number}, allowed are finite numbers");
            return Err(Reason::new(text));
        }
    }
    Ok(())
}

/// The planned placement in epoch 0, made anew for this model and these ranks: the planner's may be
/// one of others.
fn check_placement(
    planned: &PlannedLayer,
    present: &Placement,
    topology: &Topology,
) -> Result<LayerPlacement, Reason> {
    let (layer, given) = (planned.layer, planned.placement.with_epoch(Epoch(0)));
    if given == present.layer(layer).with_epoch(Epoch(0)) {
        // Shares that were made before a rank died no longer add up, and may stay as they are.
        return Ok(given);
    }
    let table = LayerPlacement::new(layer, given.experts(), Epoch(0), present.shape(), topology)
        .map_err(|error| Reason::new(error.to_string()))?;
    match given.shares() {
        None => Ok(table),
        Some(shares) => table
            .with_shares(shares, topology)
            .map_err(|error| Reason::new(format!("{layer}: {error}"))),
    }
}

/// Divides a plan that passed [`check_plan`]; a change replaces at most `most_slots` slots of a rank.
pub(crate) fn divide(
    plan: &[PlannedLayer],
    layers: Vec<(LayerId, Vec<u64>)>,
    present: &Placement,
    topology: &Topology,
    (min_gain, most_slots): (f64, usize),
) -> Divided {
    let mut moves = Vec::new();
    let (mut unchanged, mut indivisible) = (Vec::new(), Vec::new());
    for (layer, load) in layers {
        let found = plan.binary_search_by_key(&layer, |planned| planned.layer);
        let before = present.layer(layer);
        let worthwhile = found.ok().map(|index| &plan[index]).filter(|planned| {
            let stays = planned.placement == before.with_epoch(Epoch(0));
            planned.gain() > min_gain && !stays
        });
        let Some(planned) = worthwhile else {
            unchanged.push((layer, load));
            continue;
        };
        match before.parts(&planned.placement, topology, most_slots) {
            Some(parts) => {
                moves.push((planned.gain(), Move { layer, parts: parts.into(), load }));
            }
            None => indivisible.push((layer, load)),
        }
    }
    moves.sort_by(|(left_gain, left), (right_gain, right)| {
        right_gain.total_cmp(left_gain).then(left.layer.cmp(&right.layer))
    });
    Divided { moves: moves.into_iter().map(|(_, next)| next).collect(), unchanged, indivisible }
}
