//! Load windows to plan for: recent ones, and representatives of older traffic.

mod error;
mod estimator;
mod shift;
mod window;

use std::collections::VecDeque;

pub use error::EnsembleError;
pub use estimator::{Estimate, Estimator, UnknownEstimator};
pub use window::{Weighted, WindowWeight};

use crate::{ExpertLoad, ModelShape};
use shift::ShiftWatch;
use window::squared_distance;

/// How many windows an [`Ensemble`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnsembleSettings {
    /// Recent windows, each for itself.
    pub recent: usize,
    /// Representatives of windows that are older than these.
    pub representatives: usize,
}

impl Default for EnsembleSettings {
    fn default() -> Self {
        Self { recent: 32, representatives: 32 }
    }
}

/// A bounded set of load windows that stands for the traffic to come.
///
/// The newest windows are kept as they are. A window that is no longer recent becomes a
/// representative, and when there are too many of these, the two most alike become one (the pair whose
/// union raises the spread within representatives least, J. H. Ward, *Hierarchical grouping to optimize
/// an objective function*, 1963; loads compared layer by layer, each as parts of its sum). So bursts
/// and rare mixes of traffic stay visible for long, at the price of a few windows. When a window is
/// much further from those before it than windows usually are, the traffic has shifted: all before
/// lose most of what they count for as recent ones.
///
/// The same windows in the same order give the same ensemble, on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    shape: ModelShape,
    settings: EnsembleSettings,
    /// Oldest first.
    recent: VecDeque<Weighted>,
    /// In the order in which they came to be.
    representatives: Vec<Weighted>,
    /// Of each pair of representatives what uniting them costs: row by row, below the diagonal.
    costs: Vec<Vec<f64>>,
    shifts: ShiftWatch,
}

impl Ensemble {
    /// Most windows of an ensemble.
    pub const MOST_WINDOWS: usize = 1_024;

    /// An ensemble without windows.
    ///
    /// # Errors
    /// No recent window, or more windows than [`Ensemble::MOST_WINDOWS`].
    pub fn new(shape: ModelShape, settings: EnsembleSettings) -> Result<Self, EnsembleError> {
        let windows = settings.recent.saturating_add(settings.representatives);
        if settings.recent == 0 || windows > Self::MOST_WINDOWS {
            let EnsembleSettings { recent, representatives } = settings;
            return Err(EnsembleError::Size { recent, representatives });
        }
        let (recent, representatives, costs) = (VecDeque::new(), Vec::new(), Vec::new());
        let shifts = ShiftWatch::default();
        Ok(Self { shape, settings, recent, representatives, costs, shifts })
    }

    /// An ensemble of windows with the weights that they had in another one, oldest first. The newest
    /// become the recent ones, as far as there is room; older ones become representatives, of which the
    /// most alike are united when there are too many.
    ///
    /// # Errors
    /// As [`Ensemble::new`], or a window of another model.
    pub fn from_windows(
        shape: ModelShape,
        settings: EnsembleSettings,
        windows: Vec<Weighted>,
    ) -> Result<Self, EnsembleError> {
        let mut ensemble = Self::new(shape, settings)?;
        windows.iter().try_for_each(|window| ensemble.check(&window.load))?;
        let older = windows.len().saturating_sub(settings.recent);
        for (index, window) in windows.into_iter().enumerate() {
            match index < older {
                true => ensemble.add_representative(window),
                false => ensemble.recent.push_back(window),
            }
        }
        Ok(ensemble)
    }

    /// Adds a window, newer than all before.
    ///
    /// # Errors
    /// A window of another model; the ensemble is unchanged then.
    pub fn push(&mut self, load: ExpertLoad) -> Result<(), EnsembleError> {
        self.check(&load)?;
        let recent = self.recent.iter().map(|window| &window.load);
        let is_shift = self.shifts.is_shift(recent, &load);
        for window in self.recent.iter_mut().chain(&mut self.representatives) {
            window.weight.age();
            if is_shift {
                window.weight.outdate();
            }
        }
        if self.recent.len() == self.settings.recent
            && let Some(oldest) = self.recent.pop_front()
        {
            self.add_representative(oldest);
        }
        self.recent.push_back(Weighted { load, weight: WindowWeight::NEW });
        Ok(())
    }

    /// Takes another ensemble's windows in as representatives, with the weights that they have there:
    /// what another instance of the service has seen, or this one before it was restarted.
    ///
    /// # Errors
    /// An ensemble of another model; this one is unchanged then.
    pub fn merge(&mut self, other: &Self) -> Result<(), EnsembleError> {
        other.windows().try_for_each(|window| self.check(&window.load))?;
        for window in other.windows() {
            self.add_representative(window.clone());
        }
        Ok(())
    }

    /// The model.
    pub fn shape(&self) -> ModelShape {
        self.shape
    }

    /// How many windows it may keep.
    pub fn settings(&self) -> EnsembleSettings {
        self.settings
    }

    /// All windows: representatives, then recent ones, oldest first.
    pub fn windows(&self) -> impl ExactSizeIterator<Item = &Weighted> + Clone {
        let count = self.representatives.len() + self.recent.len();
        (0..count).map(|index| match index.checked_sub(self.representatives.len()) {
            None => &self.representatives[index],
            Some(recent) => &self.recent[recent],
        })
    }

    /// The recent windows, oldest first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &ExpertLoad> + DoubleEndedIterator {
        self.recent.iter().map(|window| &window.load)
    }

    /// Whether it has no window at all.
    pub fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.representatives.is_empty()
    }

    fn check(&self, load: &ExpertLoad) -> Result<(), EnsembleError> {
        let (found, expected) = (load.shape(), self.shape);
        if (found.layers(), found.experts()) == (expected.layers(), expected.experts()) {
            return Ok(());
        }
        Err(EnsembleError::Shape {
            found_layers: found.layers(),
            found_experts: found.experts(),
            layers: expected.layers(),
            experts: expected.experts(),
        })
    }

    fn add_representative(&mut self, window: Weighted) {
        if self.settings.representatives == 0 {
            return;
        }
        let costs = self.representatives.iter().map(|known| union_cost(known, &window)).collect();
        self.costs.push(costs);
        self.representatives.push(window);
        if self.representatives.len() > self.settings.representatives {
            self.unite_most_alike();
        }
    }

    /// Unites the pair that is cheapest to unite; of equal ones the first.
    fn unite_most_alike(&mut self) {
        let mut best: Option<(f64, usize, usize)> = None;
        for (later, costs) in self.costs.iter().enumerate() {
            for (earlier, &cost) in costs.iter().enumerate() {
                if best.is_none_or(|(least, ..)| cost < least) {
                    best = Some((cost, earlier, later));
                }
            }
        }
        let Some((_, earlier, later)) = best else { return };
        let united = self.representatives.remove(later);
        self.costs.remove(later);
        for costs in &mut self.costs[later..] {
            costs.remove(later);
        }
        self.representatives[earlier].unite(&united);
        for other in 0..self.representatives.len() {
            if other != earlier {
                let (low, high) = (earlier.min(other), earlier.max(other));
                let pair = (&self.representatives[low], &self.representatives[high]);
                self.costs[high][low] = union_cost(pair.0, pair.1);
            }
        }
    }
}

/// By how much the spread within representatives grows when two become one.
fn union_cost(one: &Weighted, other: &Weighted) -> f64 {
    let (one_count, other_count) = (one.weight.count(), other.weight.count());
    let mass = one_count * other_count / (one_count + other_count);
    mass * squared_distance(&one.load, &other.load)
}
