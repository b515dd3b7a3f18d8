//! Loads of an ensemble of windows.

use crate::LayerRequest;

use super::cost::{LANES, cost, eighth_root};
use super::objective::Objective;

/// For each expert its load in each window, in units of that window's mean rank load while no expert
/// has a second replica, times the eighth root of the window's weight: so a window's cost is in
/// proportion to its weight.
#[derive(Debug)]
pub(super) struct WindowLoads {
    /// experts × `width`
    loads: Vec<f32>,
    /// Windows, filled up with empty ones to a multiple of [`LANES`].
    width: usize,
    experts: usize,
    objective: Objective,
    /// For each window what a load of one replica is to be multiplied with, see [`Objective::load`].
    scales: Vec<f32>,
    /// The sum of the windows' weights, the largest being 1.
    mass: f32,
    /// Tokens of all windows, each times its weight.
    tokens: f32,
}

impl WindowLoads {
    /// Windows without load or weight say nothing and are left out.
    pub(super) fn new(request: &LayerRequest<'_>, objective: Objective) -> Self {
        let experts = request.shape.experts();
        let weights = request.weights.iter().copied().chain(std::iter::repeat(1.0));
        let mut windows: Vec<_> = request
            .windows
            .iter()
            .zip(weights)
            .map(|(window, weight)| (*window, window.iter().sum::<u64>(), weight))
            .filter(|&(_, total, weight)| total > 0 && weight > 0.0)
            .collect();
        // Weights count relative to each other.
        let largest = windows.iter().fold(0.0f32, |largest, &(.., weight)| largest.max(weight));
        windows.iter_mut().for_each(|(.., weight)| *weight /= largest);
        let width = windows.len().next_multiple_of(LANES);
        let ranks = request.topology.live_ranks().count() as f32;
        let mut loads = vec![0.0; experts * width];
        let mut scales = vec![0.0; width];
        for (index, (window, total, weight)) in windows.iter().enumerate() {
            let unit = objective.unit(*total);
            for (expert, &tokens) in window.iter().enumerate() {
                loads[expert * width + index] = tokens as f32 * unit;
            }
            let column = (0..experts).map(|expert| loads[expert * width + index]);
            let sum = column.fold(0.0, |sum, load| sum + objective.load(load, 1.0));
            scales[index] = ranks / sum * eighth_root(*weight);
        }
        let (mut mass, mut tokens) = (0.0, 0.0);
        for (_, total, weight) in &windows {
            mass += weight;
            tokens += weight * *total as f32;
        }
        Self { loads, width, experts, objective, scales, mass, tokens }
    }

    /// Whether no window has any load.
    pub(super) fn is_idle(&self) -> bool {
        self.width == 0
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn experts(&self) -> usize {
        self.experts
    }

    /// The expected largest rank load behind a cost of all ranks together, smoothed and in units of the
    /// mean rank load: the eighth root of the mean eighth power, over ranks and windows.
    pub(super) fn smoothed(&self, cost: f32, ranks: usize) -> f32 {
        eighth_root(cost / (self.mass * ranks as f32))
    }

    /// The least that all ranks together can cost: no placement is more even than perfectly even, and
    /// an expert is on no more than `most_replicas` ranks.
    pub(super) fn least_cost(&self, ranks: usize, most_replicas: u32) -> f32 {
        let mut even = vec![0.0f32; self.width];
        let mut hottest = 0.0f32;
        // More replicas are always better for tokens, and not always for what is read.
        let fewest = if self.objective == Objective::Tokens { most_replicas.max(1) } else { 1 };
        let mut share = vec![0.0; self.width];
        for expert in 0..self.experts {
            self.fill_share(expert, 1, &mut share);
            for (sum, load) in even.iter_mut().zip(&share) {
                *sum += load / ranks as f32;
            }
            let mut least = f32::INFINITY;
            for replicas in fewest..=most_replicas.max(1) {
                self.fill_share(expert, replicas, &mut share);
                least = least.min(cost(&share) * replicas as f32);
            }
            hottest = hottest.max(least);
        }
        (cost(&even) * ranks as f32).max(hottest)
    }

    /// The sum of the windows' weights, the largest being 1.
    pub(super) fn mass(&self) -> f32 {
        self.mass
    }

    /// Tokens of all windows, each times its weight.
    pub(super) fn tokens(&self) -> f32 {
        self.tokens
    }

    /// Writes what a replica that takes `part` of an expert's tokens loads its rank with.
    pub(super) fn fill_part(&self, expert: usize, part: f32, share: &mut [f32]) {
        let loads = &self.loads[expert * self.width..][..self.width];
        self.objective.fill(loads, &self.scales, 1.0 / part, share);
    }

    /// Writes what one replica of an expert loads its rank with in each window, when it is one of
    /// `replicas`.
    pub(super) fn fill_share(&self, expert: usize, replicas: u32, share: &mut [f32]) {
        let loads = &self.loads[expert * self.width..][..self.width];
        self.objective.fill(loads, &self.scales, replicas.max(1) as f32, share);
    }
}
