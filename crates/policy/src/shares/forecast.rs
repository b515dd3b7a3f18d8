//! What the windows themselves tell about the next one.

use std::f32::consts::FRAC_1_SQRT_2;

use super::flow::refill;

/// By this a window counts less than the one after it: half-lives of no end, 32, 16, 8, 4, 2, 1 and a
/// half window.
const DECAYS: [f32; 8] =
    [1.0, 0.978_572, 0.957_603, 0.917_004, 0.840_896, FRAC_1_SQRT_2, 0.5, 0.25];

/// With fewer windows there is nothing to compare.
const FEWEST_WINDOWS: usize = 4;

/// The noise assumed while there are too few windows to measure it.
const PRIOR_NOISE: f64 = 0.3;

const LANES: usize = 8;

/// How the next window is best told from those before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlook {
    /// By this each window counts less than the one after it.
    pub(super) decay: f32,
    /// The mean squared error of such forecasts, relative to the squared loads.
    pub(super) noise: f64,
}

/// Tries forecasts on recorded windows: for each decay the weighted mean of the windows before each
/// window, against that window.
#[derive(Clone, Debug, Default)]
pub(super) struct Forecast {
    /// windows × `width`, each window with a mean of 1 an expert.
    rows: Vec<f32>,
    width: usize,
    mean: Vec<f32>,
}

impl Forecast {
    /// The decay that would have told the windows from those before with the least error; errors are
    /// summed as lengths, not as squares, so that a few leaps of the load do not decide alone.
    ///
    /// `windows` holds loads with their sums, oldest first, none of them empty.
    pub(super) fn outlook<'a>(
        &mut self,
        windows: impl ExactSizeIterator<Item = (&'a [u64], u64)>,
    ) -> Outlook {
        let count = windows.len();
        let mut best = Outlook { decay: 1.0, noise: PRIOR_NOISE };
        if count < FEWEST_WINDOWS {
            return best;
        }
        self.rows.clear();
        for (window, total) in windows {
            let unit = window.len() as f32 / total as f32;
            self.rows.extend(window.iter().map(|&tokens| tokens as f32 * unit));
            self.width = window.len().next_multiple_of(LANES);
            self.rows.resize(self.rows.len().next_multiple_of(self.width), 0.0);
        }
        let mut least = f32::INFINITY;
        for decay in DECAYS {
            let (error, noise) = self.try_decay(decay);
            if error < least {
                least = error;
                best = Outlook { decay, noise };
            }
        }
        best
    }

    /// The sum of the lengths of the errors, and their mean square relative to the last forecast's.
    fn try_decay(&mut self, decay: f32) -> (f32, f64) {
        refill(&mut self.mean, self.width, 0.0);
        let (mut weight, mut lengths, mut squares) = (0.0f32, 0.0f32, 0.0f32);
        for (index, row) in self.rows.chunks_exact(self.width).enumerate() {
            weight = weight * decay + 1.0;
            let square = approach(&mut self.mean, row, 1.0 / weight);
            // A forecast from one window alone says little of any decay.
            if index >= 2 {
                lengths += square.sqrt();
                squares += square;
            }
        }
        let tried = self.rows.len() / self.width - 2;
        let size = sum(self.mean.iter().map(|load| load * load));
        (lengths, f64::from(squares) / tried as f64 / f64::from(size))
    }
}

/// Moves `mean` towards `row`, and tells the squared distance between them before.
fn approach(mean: &mut [f32], row: &[f32], factor: f32) -> f32 {
    let mut squares = [0.0f32; LANES];
    for (mean, row) in mean.chunks_exact_mut(LANES).zip(row.chunks_exact(LANES)) {
        for lane in 0..LANES {
            let error = row[lane] - mean[lane];
            squares[lane] += error * error;
            mean[lane] += error * factor;
        }
    }
    sum(squares.into_iter())
}

fn sum(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |sum, value| sum + value)
}
