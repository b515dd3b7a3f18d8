//! What ranks hand each other within a step: the engine's dispatch and combine.

use std::sync::{Mutex, PoisonError};

use crate::RunError;

/// The hidden states of a window's sampled tokens, and what experts made of them in the layer at
/// hand. Every cell has one writer between two meetings of the ranks.
#[derive(Debug)]
pub(crate) struct Exchange {
    top_k: usize,
    hidden: Vec<Mutex<Vec<f32>>>,
    results: Vec<Mutex<Option<Vec<f32>>>>,
}

impl Exchange {
    pub(crate) fn new(tokens: usize, top_k: usize) -> Self {
        Self {
            top_k,
            hidden: (0..tokens).map(|_| Mutex::default()).collect(),
            results: (0..tokens * top_k).map(|_| Mutex::default()).collect(),
        }
    }

    /// A token's hidden state.
    pub(crate) fn hidden(&self, token: usize) -> Vec<f32> {
        self.hidden[token].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_hidden(&self, token: usize, state: Vec<f32>) {
        *self.hidden[token].lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Puts down what a token's `choice`th expert gave. Two ranks that both think the token is theirs
    /// have different routing tables, which must not happen.
    pub(crate) fn put(
        &self,
        token: usize,
        choice: usize,
        result: Vec<f32>,
    ) -> Result<(), RunError> {
        let cell = &self.results[token * self.top_k + choice];
        match cell.lock().unwrap_or_else(PoisonError::into_inner).replace(result) {
            None => Ok(()),
            Some(_) => Err(RunError::Routing { token, choice, computed: 2 }),
        }
    }

    /// Takes what a token's `choice`th expert gave.
    pub(crate) fn take(&self, token: usize, choice: usize) -> Result<Vec<f32>, RunError> {
        let cell = &self.results[token * self.top_k + choice];
        let result = cell.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.ok_or(RunError::Routing { token, choice, computed: 0 })
    }
}
