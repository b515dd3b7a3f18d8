//! `[run]`: the settings of `eplb run`'s engine.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{ExpertDimensions, ExpertError};

/// The section `[run]` of a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// The trace to serve, relative to the working directory.
    pub trace: PathBuf,
    /// How many of its windows to serve; 0 for all.
    pub windows: usize,
    /// Seconds of virtual time that a window takes.
    pub seconds_per_window: f64,
    /// Tokens of each window that are computed; all of them are counted.
    pub sample_tokens: usize,
    /// Values of a token.
    pub hidden: usize,
    /// Values between an expert's two matrix products.
    pub intermediate: usize,
    /// Draws weights and tokens.
    pub seed: u64,
    /// Whether ranks report load as prefix sums over their slots, as xLLM's workers do.
    pub prefix_sums: bool,
    /// Seconds that ranks that are processes may take to come together.
    pub join_timeout: f64,
    /// Seconds that such a rank may keep the others waiting, or not be heard of, until it counts as gone.
    pub rank_timeout: f64,
}

/// A setting of `[run]` that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// An unknown key, or a value of another type.
    #[error("{key}: {message}")]
    Syntax {
        /// The key with its section, or the section alone.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A value that is not allowed.
    #[error("run.{key} = {value} is not allowed; allowed: {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            trace: PathBuf::new(),
            windows: 0,
            seconds_per_window: 100.0,
            sample_tokens: 32,
            hidden: 32,
            intermediate: 32,
            seed: 1,
            prefix_sums: true,
            join_timeout: 60.0,
            rank_timeout: 30.0,
        }
    }
}

impl RunSettings {
    /// Reads the section from the table that the configuration kept of it.
    ///
    /// # Errors
    /// An unknown key, a value of another type, or one that is not allowed.
    pub fn from_table(table: &toml::Table) -> Result<Self, SettingsError> {
        let settings: Self =
            table.clone().try_into().map_err(|error| SettingsError::syntax(&error))?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether every value is one that is allowed.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn check(&self) -> Result<(), SettingsError> {
        within("seconds_per_window", self.seconds_per_window, 0.001, 1e6)?;
        within("sample_tokens", self.sample_tokens, 1, 65_536)?;
        within("join_timeout", self.join_timeout, 0.1, 86_400.0)?;
        within("rank_timeout", self.rank_timeout, 0.1, 86_400.0)?;
        within("hidden", self.hidden, 1, 8_192)?;
        within("intermediate", self.intermediate, 1, 8_192)
    }

    /// The sizes of the experts.
    pub(crate) fn dimensions(&self) -> Result<ExpertDimensions, ExpertError> {
        ExpertDimensions::new(self.hidden, self.intermediate)
    }
}

impl SettingsError {
    /// With Rust's names of types in words.
    fn syntax(error: &toml::de::Error) -> Self {
        let text = error.to_string();
        // The place is on a line of its own: in `key`.
        let place = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
        let key = place.map_or("[run]".to_owned(), |key| format!("run.{key}"));
        let mut message = error.message().trim().replace('\n', "; ");
        for (name, words) in [
            ("expected usize", "allowed: a whole number of at least 0"),
            ("expected u64", "allowed: a whole number of at least 0"),
            ("expected f64", "allowed: a number"),
            ("expected a boolean", "allowed: true or false"),
            ("expected path string", "allowed: a text in quotes"),
        ] {
            message = message.replace(name, words);
        }
        Self::Syntax { key, message }
    }
}

fn within<T: PartialOrd + fmt::Display>(
    key: &'static str,
    given: T,
    least: T,
    most: T,
) -> Result<(), SettingsError> {
    // Written so that NaN is refused.
    if given >= least && given <= most {
        return Ok(());
    }
    let allowed = format!("{least} to {most}");
    Err(SettingsError::Value { key, value: given.to_string(), allowed })
}
