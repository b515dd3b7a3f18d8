//! The experts of the small engine: feed-forward networks whose weights are plain bytes.

use eplb_core::{ExpertId, LayerId};
use ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis, Zip};
use thiserror::Error;

use crate::split_mix::SplitMix64;

/// Bytes of a value of weights.
const VALUE_BYTES: usize = size_of::<f32>();

/// Rows of each matrix product; see [`ExpertWeights::feed_forward`].
const BLOCK_ROWS: usize = 8;

/// The sizes of a model's experts, in values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertDimensions {
    hidden: usize,
    intermediate: usize,
}

/// Why an expert cannot compute.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExpertError {
    /// A size of zero or beyond any model's.
    #[error("{name} is {value}, allowed is 1 to {}", ExpertDimensions::MOST)]
    Dimension {
        /// `hidden` or `intermediate`.
        name: &'static str,
        /// Its value.
        value: usize,
    },
    /// A tensor of another length.
    #[error("tensor {tensor} has {found} bytes, the dimensions need {expected}")]
    TensorBytes {
        /// Its name.
        tensor: &'static str,
        /// Its bytes.
        found: usize,
        /// The bytes it should have.
        expected: usize,
    },
    /// Tokens of another width.
    #[error("the tokens have {found} values each, the expert takes {expected}")]
    TokenWidth {
        /// Values of a token.
        found: usize,
        /// Hidden size of the expert.
        expected: usize,
    },
}

impl ExpertDimensions {
    /// Most values of a dimension.
    pub const MOST: usize = 65_536;

    /// Experts that take and give `hidden` values a token and have `intermediate` in between.
    ///
    /// # Errors
    /// A size of 0 or more than [`ExpertDimensions::MOST`].
    pub fn new(hidden: usize, intermediate: usize) -> Result<Self, ExpertError> {
        for (name, value) in [("hidden", hidden), ("intermediate", intermediate)] {
            if !(1..=Self::MOST).contains(&value) {
                return Err(ExpertError::Dimension { name, value });
            }
        }
        Ok(Self { hidden, intermediate })
    }

    /// Values of a token.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Values between the two products.
    pub fn intermediate(&self) -> usize {
        self.intermediate
    }

    /// Bytes of tensor `gate_up`: `[2 * intermediate, hidden]`, `f32` little-endian.
    pub fn gate_up_bytes(&self) -> usize {
        2 * self.intermediate * self.hidden * VALUE_BYTES
    }

    /// Bytes of tensor `down`: `[hidden, intermediate]`, `f32` little-endian.
    pub fn down_bytes(&self) -> usize {
        self.hidden * self.intermediate * VALUE_BYTES
    }

    /// Bytes of tensor `scale`: `[hidden]`, `f32` little-endian.
    pub fn scale_bytes(&self) -> usize {
        self.hidden * VALUE_BYTES
    }
}

/// The weights of an expert as an engine registers them: three tensors whose slots have different
/// strides, all of which must move with the expert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpertBytes {
    /// `[2 * intermediate, hidden]`: the rows of the gate, then those of the up projection.
    pub gate_up: Vec<u8>,
    /// `[hidden, intermediate]`.
    pub down: Vec<u8>,
    /// `[hidden]`: a factor for each value of the result, between 1/2 and 3/2.
    pub scale: Vec<u8>,
}

/// The weights of an expert: the same for the same arguments, different for every expert.
///
/// They are uniform with a variance of 1 over the values that a product sums up, so that a
/// [`normalise`]d token gives results of its own magnitude.
pub fn expert_weights(
    layer: LayerId,
    expert: ExpertId,
    dimensions: ExpertDimensions,
    seed: u64,
) -> ExpertBytes {
    let tensor = |number: u64, values: usize, centre: f32, spread: f32| {
        let mut random =
            SplitMix64::for_coordinates(seed, &[layer.0.into(), expert.0.into(), number]);
        let value = |_| (centre + spread * random.symmetric_f32()).to_le_bytes();
        (0..values).flat_map(value).collect()
    };
    let ExpertDimensions { hidden, intermediate } = dimensions;
    // A uniform value in [-a, a) has a variance of a^2 / 3.
    let spread = |summed: usize| (3.0 / summed as f32).sqrt();
    ExpertBytes {
        gate_up: tensor(0, 2 * intermediate * hidden, 0.0, spread(hidden)),
        down: tensor(1, hidden * intermediate, 0.0, spread(intermediate)),
        scale: tensor(2, hidden, 1.0, 0.5),
    }
}

/// Weights of an expert, ready to compute with.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertWeights {
    /// `[2 * intermediate, hidden]`.
    gate_up: Array2<f32>,
    /// `[hidden, intermediate]`.
    down: Array2<f32>,
    /// `[hidden]`.
    scale: Vec<f32>,
}

impl ExpertWeights {
    /// Reads the weights from the three tensors of a slot; see [`ExpertBytes`].
    ///
    /// Every bit pattern is taken, as a device would: wrong bytes show in the results.
    ///
    /// # Errors
    /// A tensor of another length than `dimensions` say.
    pub fn from_bytes(
        dimensions: ExpertDimensions,
        gate_up: &[u8],
        down: &[u8],
        scale: &[u8],
    ) -> Result<Self, ExpertError> {
        let ExpertDimensions { hidden, intermediate } = dimensions;
        Ok(Self {
            gate_up: matrix("gate_up", gate_up, 2 * intermediate, hidden)?,
            down: matrix("down", down, hidden, intermediate)?,
            scale: values("scale", scale, hidden)?,
        })
    }

    /// Computes `down · (silu(gate · x) * (up · x)) * scale` for each row `x` of `tokens`
    /// (`[tokens, hidden]`).
    ///
    /// The result of a token does not depend, not in a single bit, on how many and which other
    /// tokens are computed with it: a rebalance changes which tokens meet in a batch and must not
    /// change what they become. Matrix products may pick kernels, and with them the order of their
    /// additions, by the sizes of the matrices (`ndarray`'s product with a vector has other bits
    /// than its product with a matrix), so tokens are computed in blocks of always eight rows, the
    /// last one filled up with zeros. All products of an expert have one size then and take one
    /// path on any machine; within it, a row of the result is computed from its own row alone.
    ///
    /// # Errors
    /// Tokens of another width.
    pub fn feed_forward(&self, tokens: ArrayView2<'_, f32>) -> Result<Array2<f32>, ExpertError> {
        let hidden = self.scale.len();
        if tokens.ncols() != hidden {
            return Err(ExpertError::TokenWidth { found: tokens.ncols(), expected: hidden });
        }
        let mut results = Array2::zeros(tokens.dim());
        let mut block = Array2::zeros((BLOCK_ROWS, hidden));
        for (tokens, mut results) in tokens
            .axis_chunks_iter(Axis(0), BLOCK_ROWS)
            .zip(results.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS))
        {
            block.fill(0.0);
            // Zipping ends with the rows that are tokens.
            for (mut row, token) in block.rows_mut().into_iter().zip(tokens.rows()) {
                row.assign(&token);
            }
            let block_results = self.feed_block(&block);
            for (mut result, row) in results.rows_mut().into_iter().zip(block_results.rows()) {
                result.assign(&row);
            }
        }
        Ok(results)
    }

    fn feed_block(&self, block: &Array2<f32>) -> Array2<f32> {
        let both = block.dot(&self.gate_up.t());
        let intermediate = self.down.ncols();
        let (gate, up) = both.view().split_at(Axis(1), intermediate);
        let mut activated = Array2::zeros((BLOCK_ROWS, intermediate));
        Zip::from(&mut activated).and(gate).and(up).for_each(|activated, &gate, &up| {
            *activated = silu(gate) * up;
        });
        let mut results = activated.dot(&self.down.t());
        for mut row in results.rows_mut() {
            for (value, scale) in row.iter_mut().zip(&self.scale) {
                *value *= scale;
            }
        }
        results
    }
}

/// The sigmoid linear unit.
fn silu(value: f32) -> f32 {
    value / (1.0 + (-value).exp())
}

/// Divides a token's hidden state by its root mean square, as the norm in front of each layer of a
/// model does; keeps values within `sqrt(width)` however many layers follow.
///
/// The sum is taken in the order of the values, so equal tokens stay equal bit for bit.
pub fn normalise(mut hidden_state: ArrayViewMut1<'_, f32>) {
    let width = hidden_state.len().max(1) as f32;
    let sum = hidden_state.iter().fold(0.0, |sum: f32, value| sum + value * value);
    // Keeps a state of zeros at zero.
    let factor = 1.0 / (sum / width + 1e-6).sqrt();
    for value in &mut hidden_state {
        *value *= factor;
    }
}

fn matrix(
    tensor: &'static str,
    bytes: &[u8],
    rows: usize,
    columns: usize,
) -> Result<Array2<f32>, ExpertError> {
    let expected = rows * columns * VALUE_BYTES;
    let wrong = ExpertError::TensorBytes { tensor, found: bytes.len(), expected };
    Array2::from_shape_vec((rows, columns), values(tensor, bytes, rows * columns)?)
        .map_err(|_| wrong)
}

fn values(tensor: &'static str, bytes: &[u8], count: usize) -> Result<Vec<f32>, ExpertError> {
    let expected = count * VALUE_BYTES;
    let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
    if values.len() != count || !rest.is_empty() {
        return Err(ExpertError::TensorBytes { tensor, found: bytes.len(), expected });
    }
    Ok(values.iter().map(|&value| f32::from_le_bytes(value)).collect())
}
