//! Loads of an ensemble of windows, and what a rank's loads cost.

use crate::LayerRequest;

/// Windows are handled in groups of this many, side by side.
pub(super) const LANES: usize = 8;

/// By this a window's loads count less for each window that came after it: 2^(-1/128), so that its
/// cost halves every 16 windows.
const AGEING: f32 = 0.994_599_4;

/// For each expert its load in each window, in units of that window's mean rank load, and less for
/// older windows.
#[derive(Debug)]
pub(super) struct Ensemble {
    /// experts × `width`
    loads: Vec<f32>,
    /// Windows, filled up with empty ones to a multiple of [`LANES`].
    width: usize,
    experts: usize,
    windows: usize,
}

impl Ensemble {
    /// Windows without load say nothing and are left out.
    pub(super) fn new(request: &LayerRequest<'_>) -> Self {
        let experts = request.shape.experts();
        let total = |window: &[u64]| window.iter().sum::<u64>();
        let windows: Vec<_> = request
            .windows
            .iter()
            .map(|window| (*window, total(window)))
            .filter(|&(_, total)| total > 0)
            .collect();
        let width = windows.len().next_multiple_of(LANES);
        let ranks = request.topology.live_ranks().count();
        let mut loads = vec![0.0; experts * width];
        let mut weight = 1.0f32;
        for (index, (window, total)) in windows.iter().enumerate().rev() {
            let unit = ranks as f32 / *total as f32 * weight;
            weight *= AGEING;
            for (expert, &tokens) in window.iter().enumerate() {
                loads[expert * width + index] = tokens as f32 * unit;
            }
        }
        Self { loads, width, experts, windows: windows.len() }
    }

    /// Whether no window has any load.
    pub(super) fn is_idle(&self) -> bool {
        self.windows == 0
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn experts(&self) -> usize {
        self.experts
    }

    pub(super) fn windows(&self) -> usize {
        self.windows
    }

    /// One expert's load in each window.
    pub(super) fn load(&self, expert: usize) -> &[f32] {
        &self.loads[expert * self.width..][..self.width]
    }
}

/// The eighth power.
fn eighth(value: f32) -> f32 {
    let square = value * value;
    let fourth = square * square;
    fourth * fourth
}

/// What a rank with the given loads costs: the sum of their eighth powers.
pub(super) fn cost(loads: &[f32]) -> f32 {
    sum_lanes(loads.chunks_exact(LANES).map(|lanes| {
        let mut costs = [0.0; LANES];
        for (cost, &load) in costs.iter_mut().zip(lanes) {
            *cost = eighth(load);
        }
        costs
    }))
}

/// What a rank costs when its loads change by `factor` times (`plus` − `minus`).
pub(super) fn cost_with(loads: &[f32], plus: &[f32], minus: &[f32], factor: f32) -> f32 {
    let chunks =
        loads.chunks_exact(LANES).zip(plus.chunks_exact(LANES)).zip(minus.chunks_exact(LANES));
    sum_lanes(chunks.map(|((loads, plus), minus)| {
        let mut costs = [0.0; LANES];
        for lane in 0..LANES {
            costs[lane] = eighth(loads[lane] + (plus[lane] - minus[lane]) * factor);
        }
        costs
    }))
}

/// Adds up lane by lane, then the lanes: the same order on every machine.
fn sum_lanes(chunks: impl Iterator<Item = [f32; LANES]>) -> f32 {
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().fold(0.0, |sum, &lane| sum + lane)
}
