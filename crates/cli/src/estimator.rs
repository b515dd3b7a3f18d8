//! Estimators on the command line.

use eplb::core::Estimator;

/// The estimator that a flag names; else what is allowed, as the failure of a command line tells it.
pub(crate) fn estimator(text: &str) -> Result<Estimator, &'static str> {
    text.parse().map_err(|_| Estimator::ALLOWED)
}
