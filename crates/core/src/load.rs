//! How many tokens were routed to each expert.

use std::sync::Arc;

use thiserror::Error;

use crate::{LayerId, ModelShape};

/// Tokens routed to each logical expert of each layer: layers × experts, in tokens. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpertLoad {
    shape: ModelShape,
    counts: Arc<[u64]>,
}

/// Why numbers are no [`ExpertLoad`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Not one row for each layer.
    #[error("{found} rows of load, the model has {expected} layers")]
    Layers {
        /// Rows given.
        found: usize,
        /// Layers of the model.
        expected: usize,
    },
    /// A row with another number of experts.
    #[error("{layer} has load for {found} experts, the model has {expected}")]
    Experts {
        /// The row.
        layer: LayerId,
        /// Counts in the row.
        found: usize,
        /// Logical experts of the model.
        expected: usize,
    },
    /// More tokens in a layer than any engine counts; exact arithmetic ends here.
    #[error(
        "{layer} has more than {} tokens in all; give shorter windows",
        ExpertLoad::MOST_TOKENS
    )]
    TooManyTokens {
        /// The layer.
        layer: LayerId,
    },
}

impl ExpertLoad {
    /// Most tokens of a layer in one load. Products of two such sums with a replica count fit `u128`.
    pub const MOST_TOKENS: u64 = 1 << 56;

    /// No tokens at all.
    pub fn zeros(shape: ModelShape) -> Self {
        Self { shape, counts: vec![0; shape.layers() * shape.experts()].into() }
    }

    /// The load of `rows`, one row of counts for each layer.
    ///
    /// # Errors
    /// Another number of rows or counts than `shape` says, or more than
    /// [`ExpertLoad::MOST_TOKENS`] in a layer.
    pub fn from_rows<Row: AsRef<[u64]>>(
        shape: ModelShape,
        rows: &[Row],
    ) -> Result<Self, LoadError> {
        if rows.len() != shape.layers() {
            return Err(LoadError::Layers { found: rows.len(), expected: shape.layers() });
        }
        let mut counts = Vec::with_capacity(shape.layers() * shape.experts());
        for (layer, row) in shape.layer_ids().zip(rows) {
            let row = row.as_ref();
            Self::check_row(shape, layer, row)?;
            counts.extend_from_slice(row);
        }
        Ok(Self { shape, counts: counts.into() })
    }

    fn check_row(shape: ModelShape, layer: LayerId, row: &[u64]) -> Result<(), LoadError> {
        if row.len() != shape.experts() {
            return Err(LoadError::Experts { layer, found: row.len(), expected: shape.experts() });
        }
        let total = row.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
        match total {
            Some(total) if total <= Self::MOST_TOKENS => Ok(()),
            _ => Err(LoadError::TooManyTokens { layer }),
        }
    }

    /// The model this is a load of.
    pub fn shape(&self) -> ModelShape {
        self.shape
    }

    /// The counts of one layer, by logical expert.
    pub fn layer(&self, layer: LayerId) -> &[u64] {
        let experts = self.shape.experts();
        &self.counts[layer.index() * experts..][..experts]
    }

    /// The rows of all layers, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.shape.experts())
    }

    /// Replaces one layer's counts.
    ///
    /// # Errors
    /// As [`ExpertLoad::from_rows`]; the load is unchanged then.
    pub fn set_layer(&mut self, layer: LayerId, row: &[u64]) -> Result<(), LoadError> {
        Self::check_row(self.shape, layer, row)?;
        let experts = self.shape.experts();
        let counts = Arc::make_mut(&mut self.counts);
        counts[layer.index() * experts..][..experts].copy_from_slice(row);
        Ok(())
    }

    /// Adds another load of the same model, layer by layer. A layer whose sum would exceed
    /// [`ExpertLoad::MOST_TOKENS`] is scaled down first, both parts alike.
    pub(crate) fn add_saturating(&mut self, other: &Self) {
        let experts = self.shape.experts();
        let rows = Arc::make_mut(&mut self.counts).chunks_exact_mut(experts).zip(other.rows());
        for (row, other) in rows {
            let total = |row: &[u64]| row.iter().sum::<u64>();
            // Two sums within the bound need at most one halving.
            let halved = u32::from(total(row) + total(other) > Self::MOST_TOKENS);
            for (count, more) in row.iter_mut().zip(other) {
                *count = (*count >> halved) + (more >> halved);
            }
        }
    }

    /// The load with every count times `factor` (0 or more), rounded; a layer that would exceed
    /// [`ExpertLoad::MOST_TOKENS`] is scaled to just that.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        let mut scaled = self.clone();
        let experts = self.shape.experts();
        for row in Arc::make_mut(&mut scaled.counts).chunks_exact_mut(experts) {
            let total = row.iter().sum::<u64>() as f64;
            // Rounding up may add half a token an expert.
            let most = (Self::MOST_TOKENS - experts as u64) as f64;
            let factor = if total * factor > most { most / total } else { factor };
            for count in row {
                *count = (*count as f64 * factor).round() as u64;
            }
        }
        scaled
    }
}
