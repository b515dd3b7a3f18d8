//! Rank times of a layer in every window of an ensemble, and what they cost.

use super::Replicas;
use super::flow::refill;

/// Windows are handled in groups of this many, side by side.
const LANES: usize = 4;

/// A window of an ensemble.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    /// Tokens of each expert.
    pub(super) load: &'a [u64],
    /// Their sum, not 0.
    pub(super) total: u64,
    /// How much it counts, above 0.
    pub(super) weight: f64,
}

/// For each rank its time in each window, in units of a perfect split's, under shares that change.
/// Costs are sums over windows of weight × time^8; the weight is kept inside of the times, as its
/// eighth root.
///
/// Rows have one entry for each window, filled up with zeros to a multiple of [`LANES`].
#[derive(Clone, Debug, Default)]
pub(super) struct Ensemble {
    width: usize,
    /// By rank: mean speed over its speed, 0 for dead ranks.
    slowness: Vec<f64>,
    /// By divided expert: its load in each window, in units of the mean rank load.
    rows: Vec<f64>,
    /// By rank: the time that experts on that rank alone take.
    fixed: Vec<f64>,
    /// By rank.
    times: Vec<f64>,
    /// By rank, of `times`: 6th and 7th powers.
    sixth: Vec<f64>,
    seventh: Vec<f64>,
    trial: Vec<f64>,
}

/// A change of one expert's parts: `size` of its load goes from the edge of one rank to another's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift {
    pub(super) divided: usize,
    pub(super) from_rank: usize,
    pub(super) to_rank: usize,
    pub(super) size: f64,
}

impl Ensemble {
    /// Takes in new windows.
    pub(super) fn reset(&mut self, windows: &[Window<'_>], replicas: &Replicas) {
        let (ranks, divided) = (replicas.ranks(), replicas.divided.len());
        let width = windows.len().next_multiple_of(LANES);
        self.width = width;
        let live = replicas.speeds.iter().filter(|&&speed| speed > 0).count() as f64;
        let mean_speed = replicas.speeds.iter().sum::<u64>() as f64 / live;
        self.slowness.clear();
        self.slowness.extend(replicas.speeds.iter().map(|&speed| match speed {
            0 => 0.0,
            _ => mean_speed / speed as f64,
        }));
        refill(&mut self.rows, divided * width, 0.0);
        refill(&mut self.fixed, ranks * width, 0.0);
        refill(&mut self.sixth, ranks * width, 0.0);
        refill(&mut self.seventh, ranks * width, 0.0);
        for (lane, window) in windows.iter().enumerate() {
            let unit = live / window.total as f64 * window.weight.sqrt().sqrt().sqrt();
            for &(expert, rank) in &replicas.fixed {
                let rank = rank as usize;
                let time = window.load[expert as usize] as f64 * unit * self.slowness[rank];
                self.fixed[rank * width + lane] += time;
            }
            for (divided, &expert) in replicas.divided.iter().enumerate() {
                self.rows[divided * width + lane] = window.load[expert as usize] as f64 * unit;
            }
        }
    }

    /// Computes all times for the given part of its expert on each edge, and tells their cost.
    pub(super) fn lay_out(&mut self, parts: &[f64], replicas: &Replicas) -> f64 {
        let width = self.width;
        self.times.clone_from(&self.fixed);
        for (edge, &part) in parts.iter().enumerate() {
            let rank = replicas.edge_ranks[edge] as usize;
            let factor = part * self.slowness[rank];
            let row = &self.rows[replicas.edge_experts[edge] as usize * width..][..width];
            for (time, load) in self.times[rank * width..][..width].iter_mut().zip(row) {
                *time += load * factor;
            }
        }
        (0..replicas.ranks()).fold(0.0, |cost, rank| {
            self.power(rank);
            cost + cost_of(&self.times[rank * width..][..width])
        })
    }

    /// How fast the cost rises with an expert's part on a rank.
    pub(super) fn slope(&self, divided: usize, rank: usize) -> f64 {
        let pairs = self.row(divided).chunks_exact(LANES).zip(self.seventh_of(rank));
        8.0 * self.slowness[rank] * sum_lanes(pairs, |load, seventh| load * seventh)
    }

    /// How fast that slope rises.
    pub(super) fn bend(&self, divided: usize, rank: usize) -> f64 {
        let sixth = self.sixth[rank * self.width..][..self.width].chunks_exact(LANES);
        let pairs = self.row(divided).chunks_exact(LANES).zip(sixth);
        let slowness = self.slowness[rank];
        56.0 * slowness * slowness * sum_lanes(pairs, |load, sixth| load * load * sixth)
    }

    /// By how much the cost falls with a shift; below 0 when it rises.
    pub(super) fn gain(&mut self, shift: Shift) -> f64 {
        let width = self.width;
        self.trial.clear();
        let row = &self.rows[shift.divided * width..][..width];
        let mut gain = 0.0;
        for (rank, size) in [(shift.from_rank, -shift.size), (shift.to_rank, shift.size)] {
            let factor = size * self.slowness[rank];
            let times = &self.times[rank * width..][..width];
            let start = self.trial.len();
            self.trial.extend(times.iter().zip(row).map(|(time, load)| time + load * factor));
            gain += cost_of(times) - cost_of(&self.trial[start..]);
        }
        gain
    }

    /// Carries out the shift that [`Ensemble::gain`] was asked for last.
    pub(super) fn apply(&mut self, shift: Shift) {
        let width = self.width;
        for (index, rank) in [shift.from_rank, shift.to_rank].into_iter().enumerate() {
            self.times[rank * width..][..width]
                .copy_from_slice(&self.trial[index * width..][..width]);
            self.power(rank);
        }
    }

    fn row(&self, divided: usize) -> &[f64] {
        &self.rows[divided * self.width..][..self.width]
    }

    fn seventh_of(&self, rank: usize) -> std::slice::ChunksExact<'_, f64> {
        self.seventh[rank * self.width..][..self.width].chunks_exact(LANES)
    }

    fn power(&mut self, rank: usize) {
        let range = rank * self.width..(rank + 1) * self.width;
        let powers = self.sixth[range.clone()].iter_mut().zip(&mut self.seventh[range.clone()]);
        for (&time, (sixth, seventh)) in self.times[range].iter().zip(powers) {
            let square = time * time;
            *sixth = square * square * square;
            *seventh = *sixth * time;
        }
    }
}

/// The sum of the eighth powers.
fn cost_of(times: &[f64]) -> f64 {
    let chunks = times.chunks_exact(LANES);
    sum_lanes(chunks.map(|lanes| (lanes, lanes)), |time, _| {
        let square = time * time;
        let fourth = square * square;
        fourth * fourth
    })
}

/// Adds up lane by lane, then the lanes: the same order on every machine.
fn sum_lanes<'a>(
    pairs: impl Iterator<Item = (&'a [f64], &'a [f64])>,
    term: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut sums = [0.0; LANES];
    for (left, right) in pairs {
        for lane in 0..LANES {
            sums[lane] += term(left[lane], right[lane]);
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}
