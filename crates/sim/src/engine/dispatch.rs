//! Dispatch and combine: what ranks' experts gave for the tokens, as bytes that ranks hand each other.

use eplb::core::RankId;
use ndarray::ArrayViewMut1;

use crate::{LayerTokens, RunError, normalise};

/// Bytes of a number in a message.
const NUMBER: usize = 4;

/// What the experts of one rank gave in one layer: for each token and choice, a row of `width` values.
#[derive(Debug)]
pub(super) struct Results {
    bytes: Vec<u8>,
}

impl Results {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Adds what a token's `choice`th expert gave.
    pub(super) fn add<'a>(
        &mut self,
        token: usize,
        choice: usize,
        row: impl IntoIterator<Item = &'a f32>,
    ) {
        self.bytes.extend((token as u32).to_le_bytes());
        self.bytes.extend((choice as u32).to_le_bytes());
        for value in row {
            self.bytes.extend(value.to_le_bytes());
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Adds to each token's hidden state what its experts gave, in top-k order, given all ranks' results.
/// All ranks do this for all tokens, and so hold the same states bit for bit.
///
/// # Errors
/// A token's expert was computed by no rank or by two: their routing tables differ, which must not be.
pub(super) fn combine(
    of_ranks: &[Vec<u8>],
    tokens: &LayerTokens,
    hidden: &mut [Vec<f32>],
) -> Result<(), RunError> {
    let width = hidden.first().map_or(0, Vec::len);
    let top_k = tokens.top_k();
    let mut rows: Vec<Option<&[u8]>> = vec![None; tokens.tokens() * top_k];
    for (rank, bytes) in of_ranks.iter().enumerate() {
        let damaged = || RunError::Message {
            sender: RankId::from_index(rank),
            problem: "its experts' results are damaged".to_owned(),
        };
        let results = bytes.chunks_exact((2 + width) * NUMBER);
        if !results.remainder().is_empty() {
            return Err(damaged());
        }
        for result in results {
            let (token, rest) = result.split_first_chunk().ok_or_else(damaged)?;
            let (choice, row) = rest.split_first_chunk().ok_or_else(damaged)?;
            let (token, choice) =
                (u32::from_le_bytes(*token) as usize, u32::from_le_bytes(*choice) as usize);
            if token >= tokens.tokens() || choice >= top_k {
                return Err(damaged());
            }
            if rows[token * top_k + choice].replace(row).is_some() {
                return Err(RunError::Routing { token, choice, computed: 2 });
            }
        }
    }
    for (token, state) in hidden.iter_mut().enumerate() {
        for (choice, &gate) in tokens.gate_weights(token).iter().enumerate() {
            let row = rows[token * top_k + choice];
            let row = row.ok_or(RunError::Routing { token, choice, computed: 0 })?;
            for (value, result) in state.iter_mut().zip(row.chunks_exact(NUMBER)) {
                *value += gate * f32::from_le_bytes([result[0], result[1], result[2], result[3]]);
            }
        }
        normalise(ArrayViewMut1::from(&mut state[..]));
    }
    Ok(())
}
