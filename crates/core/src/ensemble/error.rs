//! Why there is no ensemble.

use thiserror::Error;

use super::{Ensemble, WindowWeight};

/// Why windows are no [`Ensemble`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnsembleError {
    /// No recent window, or too many windows.
    #[error(
        "{recent} recent windows and {representatives} representatives; allowed are 1 or more \
         recent ones, and {} windows in all",
        Ensemble::MOST_WINDOWS
    )]
    Size {
        /// Recent windows asked for.
        recent: usize,
        /// Representatives asked for.
        representatives: usize,
    },
    /// A window of another model.
    #[error(
        "a window has load for {found_layers} layers of {found_experts} experts, the model has \
         {layers} of {experts}"
    )]
    Shape {
        /// Layers of the window.
        found_layers: usize,
        /// Experts of the window.
        found_experts: usize,
        /// Layers of the model.
        layers: usize,
        /// Experts of the model.
        experts: usize,
    },
    /// A part of a window's weight that is none.
    #[error("{name} is {value}, allowed is {least} to {}", WindowWeight::MOST_COUNT)]
    Weight {
        /// Which part: `recent`, `lasting` or `count`.
        name: &'static str,
        /// Its value.
        value: String,
        /// The least that is allowed.
        least: u32,
    },
}
