//! Made-up loads of the size of large models, for timing policies where no recording is at hand.

use eplb_core::{ExpertLoad, LoadError, ModelShape, ShapeError};
use thiserror::Error;

use crate::{SplitMix64, Trace};

/// Loads that drift between domains.
///
/// Each layer has a popularity of its own for every expert and, on top of it, one for each of eight
/// domains: p ∝ exp(b + 0.75 x) with b ~ U(0.35, 0.9) · N(0, 1) and x ~ N(0, 1). The mix of domains,
/// common to all layers, is softmax(1.5 z) with z autoregressive (0.9 a window), and each window
/// counts 65,536 tokens with 8 experts each. The numbers were chosen from recorded traffic; the loads
/// are those of no model.
///
/// Normal numbers are sums of twelve uniform ones, and no function of the platform is used, so equal
/// values give equal loads on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticLoad {
    /// Name of the trace.
    pub name: String,
    /// Mixture-of-Experts layers.
    pub layers: u32,
    /// Logical experts of each layer.
    pub experts: u32,
    /// Expert groups of each layer.
    pub groups: u32,
    /// Windows, at least 1.
    pub windows: usize,
    /// Starts the random numbers.
    pub seed: u64,
}

/// Why a [`SyntheticLoad`] can't be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// A shape that is none.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Counts that are no load.
    #[error(transparent)]
    Load(#[from] LoadError),
}

const DOMAINS: usize = 8;
const TOP_K: usize = 8;
const TOKENS_PER_WINDOW: u64 = 65_536;
/// Spread of the popularity that all domains share, in units of 1/100.
const LEAST_SPREAD: u64 = 35;
const MOST_SPREAD: u64 = 90;
const DOMAIN_SPREAD: f64 = 0.75;
const MIX_SPREAD: f64 = 1.5;
/// How much of a domain's weight is kept from window to window; the rest is new.
const KEPT: f64 = 0.9;
/// The first coordinate of each stream of random numbers.
const MIX: u64 = 0;
const POPULARITY: u64 = 1;
const COUNTS: u64 = 2;

impl SyntheticLoad {
    /// The windows.
    ///
    /// # Errors
    /// Layers, experts or groups that no [`ModelShape`] has.
    pub fn trace(&self) -> Result<Trace, SyntheticError> {
        let shape = ModelShape::new(self.layers, self.experts, self.groups)?;
        let mut windows = vec![ExpertLoad::zeros(shape); self.windows.max(1)];
        let mixes = self.mixes();
        for layer in shape.layer_ids() {
            let domains = self.popularity(u64::from(layer.0));
            let mut random = SplitMix64::for_coordinates(self.seed, &[COUNTS, u64::from(layer.0)]);
            for (window, mix) in windows.iter_mut().zip(&mixes) {
                let mixed: Vec<f64> = (0..shape.experts())
                    .map(|expert| {
                        mix.iter().zip(&domains).map(|(part, domain)| part * domain[expert]).sum()
                    })
                    .collect();
                window.set_layer(layer, &counts(&mixed, &mut random))?;
            }
        }
        Ok(Trace {
            name: self.name.clone(),
            shape,
            windows,
            top_k: TOP_K.min(shape.experts()),
            tokens_per_window: TOKENS_PER_WINDOW,
            model: None,
            schedule: Some("drift".to_owned()),
        })
    }

    /// The part of each domain in every window.
    fn mixes(&self) -> Vec<[f64; DOMAINS]> {
        let mut random = SplitMix64::for_coordinates(self.seed, &[MIX]);
        let new = (1.0 - KEPT * KEPT).sqrt();
        let mut state = [0.0; DOMAINS].map(|_: f64| normal(&mut random));
        (0..self.windows.max(1))
            .map(|_| {
                let parts = state.map(|z| exponential(MIX_SPREAD * z));
                state = state.map(|z| KEPT * z + new * normal(&mut random));
                let sum: f64 = parts.iter().sum();
                parts.map(|part| part / sum)
            })
            .collect()
    }

    /// The probability of each expert of a layer, by domain.
    fn popularity(&self, layer: u64) -> Vec<Vec<f64>> {
        let mut random = SplitMix64::for_coordinates(self.seed, &[POPULARITY, layer]);
        let spread = (LEAST_SPREAD + random.below(MOST_SPREAD - LEAST_SPREAD + 1)) as f64 / 100.0;
        let common: Vec<f64> = (0..self.experts).map(|_| spread * normal(&mut random)).collect();
        (0..DOMAINS)
            .map(|_| {
                let of_expert = |&common| exponential(common + DOMAIN_SPREAD * normal(&mut random));
                let weights: Vec<f64> = common.iter().map(of_expert).collect();
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / sum).collect()
            })
            .collect()
    }
}

/// A draw of all tokens of a window: a multinomial one, taken expert by expert from what is left, in
/// which binomial numbers are normal ones of the same mean and variance.
fn counts(probabilities: &[f64], random: &mut SplitMix64) -> Vec<u64> {
    let top_k = TOP_K.min(probabilities.len()) as u64;
    let mut tokens = TOKENS_PER_WINDOW * top_k;
    let mut weight: f64 = probabilities.iter().sum();
    let last = probabilities.len() - 1;
    let draw = |(expert, &probability): (usize, &f64)| {
        let part = (probability / weight).clamp(0.0, 1.0);
        weight -= probability;
        let mean = tokens as f64 * part;
        let noise = (mean * (1.0 - part)).sqrt() * normal(random);
        // A float's conversion stops at 0.
        let drawn = if expert == last { tokens } else { ((mean + noise + 0.5) as u64).min(tokens) };
        tokens -= drawn;
        drawn
    };
    probabilities.iter().enumerate().map(draw).collect()
}

/// A number of mean 0 and variance 1, normal but for its tails, which end at ±6.
fn normal(random: &mut SplitMix64) -> f64 {
    let sum: f64 = (0..6)
        .map(|_| {
            let bits = random.next_u64();
            f64::from(bits as u32) + f64::from((bits >> 32) as u32)
        })
        .sum();
    sum / f64::from(u32::MAX) - 6.0
}

/// e^x for |x| up to some dozens, of additions and multiplications alone.
fn exponential(x: f64) -> f64 {
    const HALVINGS: i32 = 8;
    let small = x / f64::from(1 << HALVINGS);
    let mut power = (1..=8).rev().fold(1.0, |sum, n| 1.0 + sum * small / f64::from(n));
    for _ in 0..HALVINGS {
        power *= power;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> SyntheticLoad {
        let name = "small".to_owned();
        SyntheticLoad { name, layers: 3, experts: 64, groups: 1, windows: 12, seed: 7 }
    }

    #[test]
    fn every_layer_of_every_window_counts_all_tokens() {
        let trace = small().trace().unwrap();
        assert_eq!(trace.windows.len(), 12);
        for row in trace.windows.iter().flat_map(ExpertLoad::rows) {
            assert_eq!(row.iter().sum::<u64>(), TOKENS_PER_WINDOW * TOP_K as u64);
        }
    }

    #[test]
    fn equal_seeds_give_equal_loads_and_others_do_not() {
        let load = small();
        assert_eq!(load.trace().unwrap(), load.trace().unwrap());
        let other = SyntheticLoad { seed: 8, ..small() };
        assert_ne!(load.trace().unwrap().windows, other.trace().unwrap().windows);
    }

    #[test]
    fn hot_experts_stand_out_and_windows_drift() {
        let trace = small().trace().unwrap();
        let mean = TOKENS_PER_WINDOW * TOP_K as u64 / 64;
        let hottest = trace.windows.iter().flat_map(ExpertLoad::rows).flatten().max().unwrap();
        assert!((2 * mean..30 * mean).contains(hottest), "{hottest} of a mean of {mean}");
        let distance = |a: usize, b: usize| -> u64 {
            let (a, b) = (trace.windows[a].rows(), trace.windows[b].rows());
            a.zip(b).flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| a.abs_diff(*b)).sum()
        };
        assert!(distance(0, 1) < distance(0, 11), "neighbours are nearer than strangers");
        let sampling = 3 * 64 * 90;
        assert!(distance(0, 1) > sampling, "more than noise changes between windows");
    }

    #[test]
    fn the_exponential_is_that_of_the_platform_but_for_rounding() {
        for x in [-20.0, -3.3, -1e-3, 0.0, 0.5, 1.0, 9.7] {
            let (ours, theirs) = (exponential(x), f64::exp(x));
            assert!((ours / theirs - 1.0).abs() < 1e-12, "{x}: {ours} and {theirs}");
        }
    }

    #[test]
    fn normal_numbers_have_their_mean_and_variance() {
        let mut random = SplitMix64::new(1);
        let values: Vec<f64> = (0..20_000).map(|_| normal(&mut random)).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
