//! What a policy plans from, out of what was seen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Ensemble, ExpertLoad};

/// How windows become what a policy plans from.
///
/// In texts, as configurations and command lines have them: `last`, `sum`, `sliding:K` (K windows),
/// `exponential:A` (A the part of the newest window) and `ensemble`.
///
/// ```
/// use eplb_core::Estimator;
///
/// assert_eq!("sliding:8".parse(), Ok(Estimator::Sliding { windows: 8 }));
/// assert_eq!(Estimator::Exponential { newest: 0.25 }.to_string(), "exponential:0.25");
/// assert!("sliding:0".parse::<Estimator>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

/// A text that names no [`Estimator`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no estimator is called {text:?}, allowed are {}", Estimator::ALLOWED)]
pub struct UnknownEstimator {
    /// The text.
    pub text: String,
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
    /// The texts that name one, for messages.
    pub const ALLOWED: &str = "last, sum, ensemble, sliding:K (the last K windows, 1 to 1024) and \
                               exponential:A (A is the newest window's part, above 0 and at most 1)";

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

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => write!(f, "last"),
            Self::Sum => write!(f, "sum"),
            Self::Sliding { windows } => write!(f, "sliding:{windows}"),
            Self::Exponential { newest } => write!(f, "exponential:{newest}"),
            Self::Ensemble => write!(f, "ensemble"),
        }
    }
}

impl FromStr for Estimator {
    type Err = UnknownEstimator;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownEstimator { text: text.to_owned() };
        match text.split_once(':') {
            None => match text {
                "last" => Ok(Self::Last),
                "sum" => Ok(Self::Sum),
                "ensemble" => Ok(Self::Ensemble),
                _ => Err(unknown()),
            },
            Some(("sliding", windows)) => {
                let windows = windows.parse().ok();
                let windows = windows.filter(|count| (1..=Ensemble::MOST_WINDOWS).contains(count));
                windows.map(|windows| Self::Sliding { windows }).ok_or_else(unknown)
            }
            Some(("exponential", newest)) => {
                let newest = newest.parse().ok().filter(|&newest| newest > 0.0 && newest <= 1.0);
                newest.map(|newest| Self::Exponential { newest }).ok_or_else(unknown)
            }
            Some(_) => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Estimator {
    type Error = UnknownEstimator;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Estimator> for String {
    fn from(estimator: Estimator) -> Self {
        estimator.to_string()
    }
}
