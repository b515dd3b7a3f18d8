//! The split that is good for the windows to come.

use eplb_core::{LayerPlacement, SHARE_ONE, Topology};

use super::ensemble::{Ensemble, Shift, Window};
use super::flow::refill;
use super::forecast::Forecast;
use super::rounding::write_shares;
use super::{Replicas, SharesError};

/// Rounds over all divided experts, at most.
const MOST_ROUNDS: usize = 20;

/// A round that lowers the cost by less than this part of it was the last.
const LEAST_ROUND: f64 = 1e-4;

/// A shift that promises to lower the cost by less than this part of it is not tried.
const LEAST_SHIFT: f64 = 1e-6;

/// Times that a shift which raises the cost is halved.
const MOST_HALVINGS: usize = 6;

/// How strongly shares are held to even ones: this much in itself, …
const RESTRAINT: f64 = 1.0;

/// … and this much over the number of windows that count. Found on recorded traffic: with less, some
/// traces end below even shares on the window that follows.
const RESTRAINT_FEW: f64 = 60.0;

/// Parts of an expert that amounts are counted in before they are rounded to shares.
const PART_UNITS: f64 = (1u64 << 40) as f64;

/// Shares that are good for the windows to come, as far as recorded windows tell, by slot in units of
/// 1/[`SHARE_ONE`]. See [`HedgedShares`].
///
/// # Errors
/// A placement of another topology, an expert without a live replica, windows for another number of
/// experts or with more than [`eplb_core::ExpertLoad::MOST_TOKENS`] tokens, or weights that are none
/// or not one for each window.
pub fn hedged_shares(
    windows: &[&[u64]],
    weights: &[f32],
    placement: &LayerPlacement,
    topology: &Topology,
) -> Result<Vec<u16>, SharesError> {
    let replicas = Replicas::new(placement, topology)?;
    let mut shares = vec![0; replicas.slots()];
    HedgedShares::default().solve(windows, weights, &replicas, &mut shares)?;
    Ok(shares)
}

/// Computes hedged shares of one layer after the other, in the memory of the one before.
///
/// The split that is exact for a past load does worse on the next window than even shares, as it
/// leans on every accident of the past. So this minimises over an ensemble of windows the sum over
/// windows and ranks of weight × (rank time / time of a perfect split)^8, a smooth stand-in for the
/// largest rank time, and adds a price for leaving even shares: what random change of an expert's
/// load costs on the ranks that its tokens go to. That is least when they spread evenly. How much
/// loads change is measured as the error of forecasts of each window from those before, and the fewer
/// windows there are, the higher the price. From even shares, shifts between two replicas by
/// safeguarded Newton steps lower the sum until they no longer pay.
///
/// In a fixed order of additions, multiplications, divisions and square roots: the result is the same
/// on every machine.
#[derive(Clone, Debug, Default)]
pub struct HedgedShares {
    ensemble: Ensemble,
    forecast: Forecast,
    /// By edge: the part of its expert's tokens.
    parts: Vec<f64>,
    even: Vec<f64>,
    /// By edge: its slots.
    widths: Vec<f64>,
    /// By divided expert: the price of leaving even parts, for the square of the distance.
    prices: Vec<f64>,
    amounts: Vec<u64>,
    scratch: Vec<(u64, u32)>,
}

impl HedgedShares {
    /// Writes the shares to `shares`, one for each slot.
    ///
    /// `windows` hold the tokens of each logical expert. `weights` says how much each counts;
    /// windows without load, and of weight 0, say nothing. Without weights the windows have to be in
    /// order of time, oldest first, and count less the older they are, by as much as would have told
    /// each of them best from those before. Without any load that counts, shares are even.
    ///
    /// # Errors
    /// Windows for another number of experts or with more than
    /// [`eplb_core::ExpertLoad::MOST_TOKENS`] tokens, weights that are none or not one for each
    /// window, or `shares` for another number of slots; they are unchanged then.
    pub fn solve(
        &mut self,
        windows: &[&[u64]],
        weights: &[f32],
        replicas: &Replicas,
        shares: &mut [u16],
    ) -> Result<(), SharesError> {
        let mut used = used_windows(windows, weights, replicas)?;
        if shares.len() != replicas.slots() {
            let (found, expected) = (shares.len(), replicas.slots());
            return Err(SharesError::Slots { found, expected });
        }
        shares.copy_from_slice(replicas.even_shares());
        if used.is_empty() || !replicas.has_choice() {
            return Ok(());
        }
        let outlook = self.forecast.outlook(used.iter().map(|window| (window.load, window.total)));
        if weights.is_empty() {
            let mut weight = 1.0;
            for window in used.iter_mut().rev() {
                window.weight = weight;
                // Kept off zero, where it would only cost time.
                weight = (weight * f64::from(outlook.decay)).max(f64::MIN_POSITIVE);
            }
        }
        self.lay_out_even(replicas);
        self.ensemble.reset(&used, replicas);
        let even_cost = self.ensemble.lay_out(&self.parts, replicas);
        self.set_prices(&used, outlook.noise, even_cost, replicas);
        if !self.descend(even_cost, replicas) {
            return Ok(());
        }
        self.round(replicas, shares);
        if self.ensemble.lay_out(&self.parts, replicas) > even_cost {
            // Rounding took more than there was to gain.
            shares.copy_from_slice(replicas.even_shares());
        }
        Ok(())
    }

    fn lay_out_even(&mut self, replicas: &Replicas) {
        self.parts.clear();
        self.widths.clear();
        for edge in 0..replicas.edge_ranks.len() {
            self.parts.push(part_of(replicas, edge, replicas.even_shares()));
            self.widths.push(replicas.slots_of(edge).len() as f64);
        }
        self.even.clone_from(&self.parts);
    }

    /// A change of a rank's time by chance, of variance v, adds 28 × time^6 × v to its time^8. With
    /// the expert's load as the scale of such changes, v grows with the square of its part.
    fn set_prices(
        &mut self,
        windows: &[Window<'_>],
        noise: f64,
        even_cost: f64,
        replicas: &Replicas,
    ) {
        let live = replicas.speeds.iter().filter(|&&speed| speed > 0).count() as f64;
        let (mut weights, mut squares) = (0.0, 0.0);
        for window in windows {
            weights += window.weight;
            squares += window.weight * window.weight;
        }
        let few = squares / (weights * weights);
        let mean_cost = even_cost / (live * weights);
        let factor = 28.0 * noise * (RESTRAINT + RESTRAINT_FEW * few) * mean_cost;
        refill(&mut self.prices, replicas.divided.len(), 0.0);
        for window in windows {
            let unit = live / window.total as f64;
            for (price, &expert) in self.prices.iter_mut().zip(&replicas.divided) {
                let load = window.load[expert as usize] as f64 * unit;
                *price += factor * window.weight * load * load;
            }
        }
    }

    /// Shifts parts while that pays; `false` when none was shifted.
    fn descend(&mut self, mut cost: f64, replicas: &Replicas) -> bool {
        let mut shifted = false;
        for _ in 0..MOST_ROUNDS {
            let mut gained = 0.0;
            for divided in 0..replicas.divided.len() {
                let gain = self.improve(divided, cost, replicas);
                gained += gain;
                cost -= gain;
            }
            shifted |= gained > 0.0;
            if gained <= LEAST_ROUND * cost {
                break;
            }
        }
        shifted
    }

    /// Shifts a part of one expert from where it costs most to where it costs least, and tells by how
    /// much the sum of cost and price falls.
    fn improve(&mut self, divided: usize, cost: f64, replicas: &Replicas) -> f64 {
        let price = self.prices[divided];
        // Slope, edge and rank.
        let mut from: Option<(f64, usize, usize)> = None;
        let mut to: Option<(f64, usize, usize)> = None;
        for edge in replicas.edges(divided) {
            let rank = replicas.edge_ranks[edge] as usize;
            let distance = self.parts[edge] - self.even[edge];
            let slope =
                self.ensemble.slope(divided, rank) + 2.0 * price * distance / self.widths[edge];
            if self.parts[edge] > 0.0 && from.is_none_or(|(steepest, ..)| slope > steepest) {
                from = Some((slope, edge, rank));
            }
            if to.is_none_or(|(flattest, ..)| slope < flattest) {
                to = Some((slope, edge, rank));
            }
        }
        let (Some((high, from, from_rank)), Some((low, to, to_rank))) = (from, to) else {
            return 0.0;
        };
        let bend = self.ensemble.bend(divided, from_rank)
            + self.ensemble.bend(divided, to_rank)
            + 2.0 * price * (1.0 / self.widths[from] + 1.0 / self.widths[to]);
        let drop = high - low;
        // Written so that it holds for what is not a number, too.
        if !(drop > 0.0 && bend > 0.0 && drop * drop > LEAST_SHIFT * cost * bend) {
            return 0.0;
        }
        let mut size = (drop / bend).min(self.parts[from]);
        for _ in 0..=MOST_HALVINGS {
            let shift = Shift { divided, from_rank, to_rank, size };
            let paid = self.distance_price(from, -size) + self.distance_price(to, size);
            let gain = self.ensemble.gain(shift) - price * paid;
            if gain > 0.0 {
                self.ensemble.apply(shift);
                self.parts[from] -= size;
                self.parts[to] += size;
                return gain;
            }
            size *= 0.5;
        }
        0.0
    }

    /// How much the squared distance from even shares grows with a change of an edge's part.
    fn distance_price(&self, edge: usize, change: f64) -> f64 {
        let before = self.parts[edge] - self.even[edge];
        let after = before + change;
        (after * after - before * before) / self.widths[edge]
    }

    /// Writes the shares of all experts whose parts changed, and leaves in `parts` what they stand for.
    fn round(&mut self, replicas: &Replicas, shares: &mut [u16]) {
        for divided in 0..replicas.divided.len() {
            let edges = replicas.edges(divided);
            if self.parts[edges.clone()] == self.even[edges.clone()] {
                continue;
            }
            self.amounts.clear();
            self.amounts
                .extend(self.parts[edges.clone()].iter().map(|part| (part * PART_UNITS) as u64));
            write_shares(replicas, divided, &self.amounts, &mut self.scratch, shares);
            for edge in edges {
                self.parts[edge] = part_of(replicas, edge, shares);
            }
        }
    }
}

/// The part of its expert's tokens that an edge takes.
fn part_of(replicas: &Replicas, edge: usize, shares: &[u16]) -> f64 {
    let slots = replicas.slots_of(edge).iter();
    let share: u64 = slots.map(|&slot| u64::from(shares[slot as usize])).sum();
    share as f64 / f64::from(SHARE_ONE)
}

/// The windows that say anything, all of weight 1 when no weights are given.
fn used_windows<'a>(
    windows: &[&'a [u64]],
    weights: &[f32],
    replicas: &Replicas,
) -> Result<Vec<Window<'a>>, SharesError> {
    if !weights.is_empty() && weights.len() != windows.len() {
        let (found, windows) = (weights.len(), windows.len());
        return Err(SharesError::Weights { found, windows });
    }
    if let Some(window) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0))
    {
        let weight = weights[window].to_string();
        return Err(SharesError::Weight { window, weight });
    }
    // Only relations between weights matter; the largest is 1, so that sums cannot overflow.
    let largest = weights.iter().copied().fold(0.0, f32::max);
    let mut used = Vec::with_capacity(windows.len());
    for (index, &load) in windows.iter().enumerate() {
        let total = replicas.checked_total(index, load)?;
        let weight = weights.get(index).map_or(1.0, |&weight| f64::from(weight / largest));
        if total > 0 && weight > 0.0 {
            used.push(Window { load, total, weight });
        }
    }
    Ok(used)
}
