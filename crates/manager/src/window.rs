//! Load windows, layer by layer.

use std::collections::VecDeque;

use eplb_core::{ExpertLoad, LayerId, ModelShape};

/// The load windows of all layers. A layer's windows know nothing of placements: loads are by logical
/// expert, so they outlive every commit, their own layer's too.
#[derive(Debug)]
pub(crate) struct LoadWindows {
    shape: ModelShape,
    samples_wanted: u32,
    windows_kept: usize,
    layers: Vec<LayerWindows>,
}

#[derive(Debug)]
struct LayerWindows {
    current: Vec<u64>,
    samples: u32,
    complete: VecDeque<Vec<u64>>,
}

/// What became of a sample of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// Part of the current window.
    Kept,
    /// The last part of a window, which is complete now.
    CompletedWindow,
    /// More tokens than a load can hold; dropped.
    TooMany,
}

impl LoadWindows {
    pub(crate) fn new(shape: ModelShape, samples_wanted: u32, windows_kept: usize) -> Self {
        let layer = || LayerWindows {
            current: vec![0; shape.experts()],
            samples: 0,
            complete: VecDeque::with_capacity(windows_kept),
        };
        let layers = (0..shape.layers()).map(|_| layer()).collect();
        Self { shape, samples_wanted, windows_kept, layers }
    }

    /// Adds one sample, the tokens of each logical expert of a layer.
    pub(crate) fn add(&mut self, layer: LayerId, sample: &[u64]) -> Added {
        let windows = &mut self.layers[layer.index()];
        let both = windows.current.iter().chain(sample);
        let total = both.copied().try_fold(0u64, u64::checked_add);
        if total.is_none_or(|total| total > ExpertLoad::MOST_TOKENS) {
            return Added::TooMany;
        }
        for (sum, count) in windows.current.iter_mut().zip(sample) {
            *sum += count;
        }
        windows.samples += 1;
        if windows.samples < self.samples_wanted {
            return Added::Kept;
        }
        windows.samples = 0;
        // The oldest window's memory becomes the next one's.
        let mut next = if windows.complete.len() == self.windows_kept {
            windows.complete.pop_front().unwrap_or_default()
        } else {
            Vec::new()
        };
        next.clear();
        next.resize(self.shape.experts(), 0);
        windows.complete.push_back(std::mem::replace(&mut windows.current, next));
        Added::CompletedWindow
    }

    /// Whether every layer has a complete window.
    pub(crate) fn all_complete(&self) -> bool {
        self.layers.iter().all(|layer| !layer.complete.is_empty())
    }

    /// A layer's present load: the sum of its complete windows, by logical expert.
    pub(crate) fn present(&self, layer: LayerId) -> Vec<u64> {
        let mut sum = vec![0u64; self.shape.experts()];
        for window in &self.layers[layer.index()].complete {
            for (sum, count) in sum.iter_mut().zip(window) {
                *sum += count;
            }
        }
        sum
    }

    /// The windows that all layers have, oldest first. Layers that switched lately may have fewer than
    /// others; the newest ones count.
    pub(crate) fn ensemble(&self) -> Vec<ExpertLoad> {
        let common = self.layers.iter().map(|layer| layer.complete.len()).min().unwrap_or(0);
        (0..common)
            .map(|window| {
                let mut load = ExpertLoad::zeros(self.shape);
                for (layer, windows) in self.shape.layer_ids().zip(&self.layers) {
                    let row = &windows.complete[windows.complete.len() - common + window];
                    let set = load.set_layer(layer, row);
                    debug_assert!(set.is_ok(), "rows were bounded as they were added");
                }
                load
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_fill_and_the_oldest_goes() {
        let shape = ModelShape::new(2, 2, 1).unwrap();
        let mut windows = LoadWindows::new(shape, 2, 2);
        assert_eq!(windows.add(LayerId(0), &[1, 2]), Added::Kept);
        assert!(!windows.all_complete());
        for round in 1..=3 {
            for _ in 0..2 {
                windows.add(LayerId(1), &[round, 10 * round]);
            }
        }
        assert!(windows.ensemble().is_empty(), "layer 0 has none yet");
        assert_eq!(windows.add(LayerId(0), &[1, 2]), Added::CompletedWindow);
        assert!(windows.all_complete());
        assert_eq!(windows.present(LayerId(1)), [10, 100]);
        let ensemble = windows.ensemble();
        assert_eq!(ensemble.len(), 1);
        assert_eq!(ensemble[0].layer(LayerId(0)), [2, 4]);
        assert_eq!(ensemble[0].layer(LayerId(1)), [6, 60]);
    }

    #[test]
    fn impossible_sums_are_dropped() {
        let shape = ModelShape::new(1, 2, 1).unwrap();
        let mut windows = LoadWindows::new(shape, 2, 1);
        assert_eq!(windows.add(LayerId(0), &[ExpertLoad::MOST_TOKENS, 0]), Added::Kept);
        assert_eq!(windows.add(LayerId(0), &[0, 1]), Added::TooMany);
        assert_eq!(windows.add(LayerId(0), &[u64::MAX, u64::MAX]), Added::TooMany);
        assert_eq!(windows.add(LayerId(0), &[0, 0]), Added::CompletedWindow);
    }
}
