//! Load windows of all layers together.

use eplb_core::{
    Ensemble, EnsembleError, EnsembleSettings, Estimate, Estimator, ExpertLoad, LayerId, ModelShape,
};

use crate::samples::Credit;

/// The load windows. They know nothing of placements: loads are by logical expert, so windows outlive
/// every commit.
///
/// All layers' windows end with the same sample, so that each window is one stretch of traffic. A
/// sample that is of no use for a layer leaves that layer's window shorter: loads are judged by their
/// proportions, and a layer that is left with no token at all in a window has nothing to say there.
#[derive(Debug)]
pub(crate) struct LoadWindows {
    shape: ModelShape,
    samples_wanted: u32,
    current: ExpertLoad,
    /// Samples in the current window.
    samples: u32,
    complete: Ensemble,
    /// Room for one layer's sums.
    row: Vec<u64>,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// It was the last one of a window, which is complete now.
    pub(crate) completed_window: bool,
    /// Layers that it was of no use for: a switch of placement divides it.
    pub(crate) uncredited: u64,
    /// Layers in which there would have been more tokens than a load can hold.
    pub(crate) overflowing: u64,
}

impl LoadWindows {
    /// # Errors
    /// Numbers of windows that no ensemble can have.
    pub(crate) fn new(
        shape: ModelShape,
        samples_wanted: u32,
        settings: EnsembleSettings,
    ) -> Result<Self, EnsembleError> {
        Ok(Self {
            shape,
            samples_wanted,
            current: ExpertLoad::zeros(shape),
            samples: 0,
            complete: Ensemble::new(shape, settings)?,
            row: Vec::with_capacity(shape.experts()),
        })
    }

    /// Takes over what was known of the traffic before.
    ///
    /// # Errors
    /// Windows of another model; nothing has changed then.
    pub(crate) fn merge(&mut self, known: &Ensemble) -> Result<(), EnsembleError> {
        self.complete.merge(known)
    }

    /// Adds one sample: for each layer the tokens of each logical expert and what they are worth. A
    /// sample without a token of use is not counted in.
    pub(crate) fn add<'a>(
        &mut self,
        sample: impl Iterator<Item = (LayerId, &'a [u64], Credit)>,
    ) -> Added {
        let mut added = Added::default();
        let mut is_of_use = false;
        for (layer, counts, credit) in sample {
            match credit {
                Credit::Divided => added.uncredited += 1,
                Credit::TooMany => added.overflowing += 1,
                Credit::Whole if self.add_layer(layer, counts) => {
                    is_of_use |= counts.iter().any(|&count| count > 0);
                }
                Credit::Whole => added.overflowing += 1,
            }
        }
        self.samples += u32::from(is_of_use);
        if self.samples == self.samples_wanted {
            added.completed_window = true;
            self.complete_window();
        }
        added
    }

    fn add_layer(&mut self, layer: LayerId, counts: &[u64]) -> bool {
        let both = self.current.layer(layer).iter().zip(counts);
        self.row.clear();
        // A sum that saturates is more than a load can hold.
        self.row.extend(both.map(|(sum, &count)| sum.saturating_add(count)));
        self.current.set_layer(layer, &self.row).is_ok()
    }

    fn complete_window(&mut self) {
        self.samples = 0;
        let next = ExpertLoad::zeros(self.shape);
        let pushed = self.complete.push(std::mem::replace(&mut self.current, next));
        debug_assert!(pushed.is_ok(), "both are of this model");
    }

    /// A layer's present load: the sum of the recent windows, by logical expert.
    pub(crate) fn present(&self, layer: LayerId) -> Vec<u64> {
        let mut sum = vec![0u64; self.shape.experts()];
        for window in self.complete.recent() {
            for (sum, count) in sum.iter_mut().zip(window.layer(layer)) {
                *sum += count;
            }
        }
        sum
    }

    /// What to plan for, as `estimator` makes it of the complete windows.
    pub(crate) fn estimate(&self, estimator: Estimator) -> Estimate {
        estimator.estimate(&self.complete)
    }

    /// The complete windows, and what was known before.
    pub(crate) fn ensemble(&self) -> &Ensemble {
        &self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [LayerId; 2] = [LayerId(0), LayerId(1)];

    fn windows(samples_wanted: u32, recent: usize) -> LoadWindows {
        let shape = ModelShape::new(2, 2, 1).unwrap();
        let settings = EnsembleSettings { recent, representatives: 0 };
        LoadWindows::new(shape, samples_wanted, settings).unwrap()
    }

    fn loads(windows: &LoadWindows, layer: LayerId) -> Vec<Vec<u64>> {
        let estimate = windows.estimate(Estimator::Ensemble);
        estimate.windows.iter().map(|load| load.layer(layer).to_vec()).collect()
    }

    fn add(windows: &mut LoadWindows, rows: [([u64; 2], Credit); 2]) -> Added {
        windows.add(
            BOTH.into_iter().zip(&rows).map(|(layer, (row, credit))| (layer, &row[..], *credit)),
        )
    }

    fn whole(row: [u64; 2]) -> ([u64; 2], Credit) {
        (row, Credit::Whole)
    }

    #[test]
    fn windows_fill_and_the_oldest_goes() {
        let mut windows = windows(2, 2);
        for sample in 1..=6 {
            assert_eq!(loads(&windows, LayerId(0)).is_empty(), sample <= 2);
            let added = add(&mut windows, [whole([1, sample]), whole([10 * sample, 0])]);
            assert_eq!(added.completed_window, sample % 2 == 0);
        }
        assert_eq!(loads(&windows, LayerId(0)), [[2, 3 + 4], [2, 5 + 6]]);
        assert_eq!(loads(&windows, LayerId(1)), [[70, 0], [110, 0]]);
        assert_eq!(windows.present(LayerId(1)), [180, 0]);
        let Estimate { weights, .. } = windows.estimate(Estimator::Ensemble);
        assert!(weights.len() == 2 && weights[0] < weights[1], "{weights:?}");
        let both = windows.estimate(Estimator::Sliding { windows: 2 });
        assert_eq!(both.windows.len(), 1);
        assert_eq!(both.windows[0].layer(LayerId(0)), [4, 18]);
    }

    #[test]
    fn what_was_known_before_is_planned_for_but_is_not_the_present() {
        let mut before = windows(1, 2);
        add(&mut before, [whole([9, 1]), whole([1, 9])]);
        let settings = EnsembleSettings { recent: 1, representatives: 1 };
        let mut windows = LoadWindows::new(before.shape, 1, settings).unwrap();
        windows.merge(&before.complete).unwrap();
        add(&mut windows, [whole([1, 1]), whole([2, 2])]);
        assert_eq!(loads(&windows, LayerId(0)), [[9, 1], [1, 1]]);
        assert_eq!(windows.present(LayerId(0)), [1, 1]);
    }

    #[test]
    fn windows_of_all_layers_end_together() {
        let mut windows = windows(2, 1);
        let divided = ([7, 7], Credit::Divided);
        assert_eq!(add(&mut windows, [whole([1, 2]), divided]).uncredited, 1);
        let added = add(&mut windows, [whole([3, 4]), divided]);
        assert_eq!(added, Added { completed_window: true, uncredited: 1, overflowing: 0 });
        assert_eq!(windows.present(LayerId(0)), [4, 6]);
        assert_eq!(windows.present(LayerId(1)), [0, 0], "nothing is known of it in this window");
    }

    #[test]
    fn samples_of_no_use_for_any_layer_fill_no_window() {
        let mut windows = windows(1, 1);
        let divided = ([7, 7], Credit::Divided);
        for rows in [[divided, divided], [whole([0, 0]), divided]] {
            assert!(!add(&mut windows, rows).completed_window);
        }
        assert!(windows.complete.is_empty());
        assert!(add(&mut windows, [whole([0, 1]), divided]).completed_window);
    }

    #[test]
    fn impossible_sums_are_dropped_for_their_layer() {
        let most = ExpertLoad::MOST_TOKENS;
        for row in
            [([0, 1], Credit::Whole), ([u64::MAX; 2], Credit::Whole), ([1, 1], Credit::TooMany)]
        {
            let mut windows = windows(2, 1);
            assert_eq!(add(&mut windows, [whole([most, 0]), whole([1, 1])]), Added::default());
            let added = add(&mut windows, [row, whole([1, 1])]);
            assert_eq!(added, Added { completed_window: true, uncredited: 0, overflowing: 1 });
            assert_eq!(windows.present(LayerId(0)), [most, 0]);
            assert_eq!(windows.present(LayerId(1)), [2, 2]);
        }
    }
}
