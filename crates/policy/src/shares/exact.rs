//! The split that is best for known counts.

use eplb_core::{LayerPlacement, Topology};

use super::flow::Flow;
use super::rounding::write_shares;
use super::{Replicas, SharesError};

/// Parts of a token that amounts are counted in, as a power of two, where the load leaves room for
/// them: far finer than shares, so that only these round.
const MOST_FRACTION_BITS: u32 = 20;

/// Bits that a layer's load takes with the fraction bits, at most, unless the tokens alone take more.
const LOAD_BITS: u32 = 48;

/// The shares that minimise the largest rank time (rank load / rank speed) for one load, by slot in
/// units of 1/[`SHARE_ONE`](eplb_core::SHARE_ONE). See [`ExactShares`].
///
/// # Errors
/// A placement of another topology, an expert without a live replica, or a load for another number of
/// experts or with more than [`eplb_core::ExpertLoad::MOST_TOKENS`] tokens.
pub fn exact_shares(
    load: &[u64],
    placement: &LayerPlacement,
    topology: &Topology,
) -> Result<Vec<u16>, SharesError> {
    let replicas = Replicas::new(placement, topology)?;
    let mut shares = vec![0; replicas.slots()];
    ExactShares::default().solve(load, &replicas, &mut shares)?;
    Ok(shares)
}

/// Computes exact shares for one load after the other, in the memory of the one before: fast enough
/// for the counts of every step.
///
/// Only experts on several ranks have a choice. The least time T that all ranks can keep to is the
/// largest load / speed of any set of ranks, counting the load that can go nowhere else. Starting
/// from a lower bound of T and even shares, a maximum flow moves what ranks hold above T times their
/// speed to ranks with room; where it cannot, the ranks that are stuck are such a set, and T rises to
/// theirs (discrete Newton). All in whole units, so the result is the same on every machine. Of the
/// many splits that reach T it is one that the flow reaches from even shares: where no rank is above T
/// under even shares, they stay.
#[derive(Clone, Debug, Default)]
pub struct ExactShares {
    pub(super) flow: Flow,
    /// By rank: the load that can go nowhere else.
    pub(super) fixed: Vec<u64>,
    scratch: Vec<(u64, u32)>,
}

/// A rank time: load units over speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) load: u64,
    pub(super) speed: u64,
}

impl Time {
    /// No load at all.
    pub(super) const ZERO: Self = Self { load: 0, speed: 1 };

    fn max(self, other: Self) -> Self {
        let is_longer = u128::from(other.load) * u128::from(self.speed)
            > u128::from(self.load) * u128::from(other.speed);
        if is_longer { other } else { self }
    }

    /// What a rank may hold, rounded up to a whole unit.
    pub(super) fn bound(self, speed: u64) -> u64 {
        match self.load.checked_mul(speed) {
            Some(product) => product.div_ceil(self.speed),
            None => {
                let product = u128::from(self.load) * u128::from(speed);
                product.div_ceil(u128::from(self.speed)) as u64
            }
        }
    }
}

impl ExactShares {
    /// Writes the shares for `load`, the tokens of each logical expert, to `shares`, one for each
    /// slot. Experts without load keep even shares.
    ///
    /// # Errors
    /// A load for another number of experts, with more than
    /// [`eplb_core::ExpertLoad::MOST_TOKENS`] tokens, or `shares` for another number of slots; they
    /// are unchanged then.
    pub fn solve(
        &mut self,
        load: &[u64],
        replicas: &Replicas,
        shares: &mut [u16],
    ) -> Result<(), SharesError> {
        let total = replicas.checked_total(0, load)?;
        if shares.len() != replicas.slots() {
            let (found, expected) = (shares.len(), replicas.slots());
            return Err(SharesError::Slots { found, expected });
        }
        shares.copy_from_slice(replicas.even_shares());
        if total == 0 || !replicas.has_choice() {
            return Ok(());
        }
        self.balance(load, total, replicas);
        for divided in 0..replicas.divided.len() {
            let amounts = &self.flow.amounts[replicas.edges(divided)];
            write_shares(replicas, divided, amounts, &mut self.scratch, shares);
        }
        Ok(())
    }

    /// Leaves the best split in `self.flow`, and tells the least time and the fraction bits of its
    /// units.
    pub(super) fn balance(&mut self, load: &[u64], total: u64, replicas: &Replicas) -> (Time, u32) {
        let bits = LOAD_BITS.saturating_sub(64 - total.leading_zeros()).min(MOST_FRACTION_BITS);
        let mut time = self.start(load, bits, replicas);
        loop {
            self.bound_ranks(time, replicas);
            if self.flow.push(replicas) {
                return (time, bits);
            }
            let mut stuck = Time { load: 0, speed: 0 };
            for (rank, &speed) in replicas.speeds.iter().enumerate() {
                if self.flow.is_stuck(rank) {
                    stuck.load += self.flow.loads[rank];
                    stuck.speed += speed;
                }
            }
            // Longer than `time`: together they hold more than their bounds.
            time = stuck;
        }
    }

    /// Lays out even shares, and tells a time that no split goes below.
    fn start(&mut self, load: &[u64], bits: u32, replicas: &Replicas) -> Time {
        self.flow.reset(replicas);
        let flow = &mut self.flow;
        for &(expert, rank) in &replicas.fixed {
            flow.loads[rank as usize] += load[expert as usize] << bits;
        }
        self.fixed.clone_from(&flow.loads);
        let mut all = Time { load: 0, speed: 0 };
        let mut least = Time::ZERO;
        for (&load, &speed) in self.fixed.iter().zip(&replicas.speeds) {
            if speed > 0 {
                least = least.max(Time { load, speed });
                all = Time { load: all.load + load, speed: all.speed + speed };
            }
        }
        for (divided, &expert) in replicas.divided.iter().enumerate() {
            let amount = load[expert as usize] << bits;
            all.load += amount;
            let edges = replicas.edges(divided);
            let mut own = Time { load: amount, speed: 0 };
            let slots: usize = edges.clone().map(|edge| replicas.slots_of(edge).len()).sum();
            let (mut slots_before, mut before) = (0, 0);
            for edge in edges {
                let rank = replicas.edge_ranks[edge] as usize;
                own.load += self.fixed[rank];
                own.speed += replicas.speeds[rank];
                slots_before += replicas.slots_of(edge).len() as u64;
                let until = part(amount, slots_before, slots as u64);
                flow.amounts[edge] = until - before;
                flow.loads[rank] += until - before;
                before = until;
            }
            least = least.max(own);
        }
        least.max(all)
    }

    fn bound_ranks(&mut self, time: Time, replicas: &Replicas) {
        let (mut last_speed, mut last_bound) = (0, 0);
        for (bound, &speed) in self.flow.bounds.iter_mut().zip(&replicas.speeds) {
            if speed != last_speed {
                (last_speed, last_bound) = (speed, time.bound(speed));
            }
            *bound = last_bound;
        }
    }
}

/// `amount` times `count` over `of`.
fn part(amount: u64, count: u64, of: u64) -> u64 {
    match amount.checked_mul(count) {
        Some(product) => product / of,
        None => (u128::from(amount) * u128::from(count) / u128::from(of)) as u64,
    }
}
