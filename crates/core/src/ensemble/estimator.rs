//! What a policy plans from, out of what was seen.

use crate::{Ensemble, ExpertLoad};

/// How windows become what a policy plans from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimator {
    /// The last window alone.
    Last,
    /// All windows of the ensemble, added up.
    Sum,
    /// The last few windows, added up.
    Sliding {
        /// How many, at least 1.
        windows: usize,
    },
    /// The recent windows' exponential average.
    Exponential {
        /// The part of the newest window, above 0 and at most 1; each older one has `1 - newest` times
        /// the part of the one after it.
        newest: f64,
    },
    /// Every window for itself, with its weight.
    Ensemble,
}

/// What a policy plans from: windows, oldest first, and how much each counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The windows; none when the ensemble has none.
    pub windows: Vec<ExpertLoad>,
    /// A weight for each window.
    pub weights: Vec<f32>,
}

/// Averages are given in 256ths of a token, so that rounding does not show.
const FRACTION: f64 = 256.0;

impl Estimator {
    /// What is to be planned from after what `ensemble` has seen.
    pub fn estimate(&self, ensemble: &Ensemble) -> Estimate {
        if ensemble.is_empty() {
            return Estimate::default();
        }
        match *self {
            Self::Last => Self::sum(ensemble, 1),
            Self::Sliding { windows } => Self::sum(ensemble, windows.max(1)),
            Self::Sum => Self::sum(ensemble, usize::MAX),
            Self::Exponential { newest } => Self::exponential(ensemble, newest.clamp(0.0, 1.0)),
            Self::Ensemble => {
                let windows = ensemble.windows();
                Estimate {
                    windows: windows.clone().map(|window| window.load.clone()).collect(),
                    weights: windows.map(|window| window.weight.value() as f32).collect(),
                }
            }
        }
    }

    /// The sum of the newest `count` windows, in which a representative counts as one.
    fn sum(ensemble: &Ensemble, count: usize) -> Estimate {
        let windows = ensemble.windows();
        let skipped = windows.len().saturating_sub(count);
        let mut sum = ExpertLoad::zeros(ensemble.shape());
        for window in windows.skip(skipped) {
            sum.add_saturating(&window.load);
        }
        Estimate { windows: vec![sum], weights: vec![1.0] }
    }

    fn exponential(ensemble: &Ensemble, newest: f64) -> Estimate {
        let mut sum = ExpertLoad::zeros(ensemble.shape());
        let mut part = newest;
        for load in ensemble.recent().rev() {
            sum.add_saturating(&load.scaled(part * FRACTION));
            part *= 1.0 - newest;
        }
        Estimate { windows: vec![sum], weights: vec![1.0] }
    }
}
