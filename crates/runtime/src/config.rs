//! Configuration: xLLM's names at the top level, sections of our own below.

use std::fmt;
use std::path::{Path, PathBuf};

use eplb_core::{Estimator, ModelShape, Topology, TopologyError};
use eplb_manager::PlannedPhases;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{ExecutorSection, PolicySection, PoolSection};

/// The whole configuration, as read from TOML; [`Config::check`] says whether its values fit.
///
/// The names at the top level are xLLM's flags, with xLLM's defaults, so that its users find theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether experts are moved at all.
    pub enable_eplb: bool,
    /// xLLM's level of expert parallelism: 0 none, 1 by all-gather, 2 by dispatch and combine. The
    /// balancer is the same under each; it is carried for the engine.
    pub expert_parallel_degree: u32,
    /// Ranks of the expert-parallel group.
    pub ep_size: u32,
    /// Seconds between two rebalances.
    pub eplb_update_interval: u64,
    /// A layer is updated when the cosine similarity between its load at the last update and now is
    /// below this: 0 never updates, 1 updates on any change.
    pub eplb_update_threshold: f64,
    /// Redundant experts of each rank, for each layer.
    pub redundant_experts_num: u32,
    /// The model's shape.
    pub model: ModelSection,
    /// Where the ranks stand.
    pub cluster: ClusterSection,
    /// How experts are placed.
    pub policy: PolicySection,
    /// When layers are updated.
    pub manager: ManagerSection,
    /// How weights are moved.
    pub executor: ExecutorSection,
    /// Where all experts are kept on the host.
    pub pool: PoolSection,
    /// The devices, left unread here, where no vendor is known; `eplb run` opens what it names.
    pub backend: toml::Table,
    /// Settings of the program that embeds the library, left unread here; `eplb run` keeps its own in
    /// it.
    pub run: toml::Table,
}

/// `[model]`: the Mixture-of-Experts part of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSection {
    /// A name for people.
    pub name: String,
    /// MoE layers; 0 takes the number from the load that is replayed.
    pub layers: u32,
    /// Logical experts of each layer; 0 takes the number from the load that is replayed.
    pub experts: u32,
    /// Expert groups of group-limited routing, 1 for models without.
    pub groups: u32,
}

/// `[cluster]`: the nodes that the ranks stand on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// Nodes; the ranks divide over them in order.
    pub nodes: u32,
}

/// `[manager]`: the decision when a layer is worth an update, and the deadlines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManagerSection {
    /// Steps between two rebalances; 0 leaves it to `eplb_update_interval`.
    pub update_interval_steps: u64,
    /// A new placement is used when its gain, less the price of the moves, is more than this: in units
    /// of the layer's mean rank load with policies that weigh both, else in balancedness.
    pub min_gain: f64,
    /// The load that is planned for: of all steps, or only of those that the engine reports as prefill
    /// or as decode.
    pub phases: PlannedPhases,
    /// Steps summed to one load window.
    pub window_samples: u32,
    /// Recent windows that a plan is made from.
    pub windows_kept: usize,
    /// Representatives of older windows that a plan is made from too.
    pub representative_windows: usize,
    /// A file with what was known of the traffic before ([`eplb_core::formats::profile`]), relative to
    /// the working directory. It is planned for from the start, in the place of representatives. Load
    /// the first weights by [`crate::initial_placement`], which plans from it too. In spmd all ranks
    /// must read the same.
    pub profile: Option<PathBuf>,
    /// Layers whose weights move at the same time.
    pub layers_in_flight: usize,
    /// Seconds that a plan may take.
    pub plan_timeout: f64,
    /// Seconds until all ranks of an spmd group must agree on a plan.
    pub agreement_timeout: f64,
    /// Seconds until all ranks must hold a layer's new weights.
    pub prepare_timeout: f64,
    /// Seconds until all ranks must have confirmed a switch-over.
    pub commit_timeout: f64,
    /// Seconds until all ranks must have gone back to the old epoch.
    pub revert_timeout: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enable_eplb: false,
            expert_parallel_degree: 0,
            ep_size: 1,
            eplb_update_interval: 1_000,
            eplb_update_threshold: 1.0,
            redundant_experts_num: 1,
            model: ModelSection::default(),
            cluster: ClusterSection::default(),
            policy: PolicySection::default(),
            manager: ManagerSection::default(),
            executor: ExecutorSection::default(),
            pool: PoolSection::default(),
            backend: toml::Table::new(),
            run: toml::Table::new(),
        }
    }
}

impl Default for ModelSection {
    fn default() -> Self {
        Self { name: String::new(), layers: 0, experts: 0, groups: 1 }
    }
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self { nodes: 1 }
    }
}

impl Default for ManagerSection {
    fn default() -> Self {
        Self {
            update_interval_steps: 0,
            min_gain: 0.0,
            phases: PlannedPhases::All,
            window_samples: 100,
            windows_kept: 32,
            representative_windows: 32,
            profile: None,
            layers_in_flight: 1,
            plan_timeout: 10.0,
            agreement_timeout: 10.0,
            prepare_timeout: 30.0,
            commit_timeout: 10.0,
            revert_timeout: 10.0,
        }
    }
}

/// Why a configuration can't be used. The message is one line: the file, the key, the value and what
/// is allowed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{origin}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        origin: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of another type.
    #[error("{origin}{}: {message}", At(*line, key))]
    Syntax {
        /// The file.
        origin: String,
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
        /// The key on that line, where there is one.
        key: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// A value that is not allowed.
    #[error("{}{key} = {value} is not allowed; allowed: {allowed}", In(origin))]
    Value {
        /// The file, where the value came from one.
        origin: Option<String>,
        /// The key, with its section.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// The place of a syntax error, for its message.
struct At<'a>(Option<usize>, &'a Option<String>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.0 {
            write!(f, ", line {line}")?;
        }
        match self.1 {
            Some(key) => write!(f, ", {key}"),
            None => Ok(()),
        }
    }
}

/// The file of a value, for its message.
struct In<'a>(&'a Option<String>);

impl fmt::Display for In<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |origin| write!(f, "{origin}: "))
    }
}

impl ConfigError {
    /// The same error, said of a file.
    #[must_use]
    pub fn of_file(mut self, file: &str) -> Self {
        if let Self::Value { origin, .. } = &mut self {
            *origin = Some(file.to_owned());
        }
        self
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// The file can't be read, is no configuration, or holds a value that is not allowed.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let config = Self::read_unchecked(path)?;
        config.check().map_err(|error| error.of_file(&path.display().to_string()))?;
        Ok(config)
    }

    /// Reads a configuration file whose values will be checked later, after changes.
    ///
    /// # Errors
    /// The file can't be read or is no configuration.
    pub fn read_unchecked(path: &Path) -> Result<Self, ConfigError> {
        let origin = path.display().to_string();
        let text = Self::read_text(path)
            .map_err(|source| ConfigError::Unreadable { origin: origin.clone(), source })?;
        Self::from_toml(&text, &origin)
    }

    /// Regular files only: reading from a pipe may wait for ever.
    fn read_text(path: &Path) -> std::io::Result<String> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is not a regular file"));
        }
        std::fs::read_to_string(path)
    }

    /// Reads a configuration from TOML. `origin` names it in messages.
    ///
    /// # Errors
    /// The text is no configuration, or holds a value that is not allowed.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let config = Self::from_toml(text, origin)?;
        config.check().map_err(|error| error.of_file(origin))?;
        Ok(config)
    }

    fn from_toml(text: &str, origin: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| Self::syntax_error(text, origin, &error))
    }

    fn syntax_error(text: &str, origin: &str, error: &toml::de::Error) -> ConfigError {
        let start = error.span().map(|span| span.start.min(text.len()));
        let line = start.map(|start| text[..start].matches('\n').count() + 1);
        let (key, value) = line.and_then(|line| Self::pair_of_line(text, line)).unzip();
        let message = match value {
            Some("") => "the value is missing".to_owned(),
            Some(value) if error.message() == "wanted string or table" => {
                format!("invalid type: {value}, allowed: a text in quotes")
            }
            _ => readable(&error.message().replace('\n', "; ")),
        };
        ConfigError::Syntax { origin: origin.to_owned(), line, key, message }
    }

    /// The key on a line (counted from 1), with the section that the line is in, and its value.
    fn pair_of_line(text: &str, line: usize) -> Option<(String, &str)> {
        let (key, value) = text.lines().nth(line - 1)?.split_once('=')?;
        if key.trim().is_empty() {
            return None;
        }
        let above = text.lines().take(line).filter_map(|line| line.trim().strip_prefix('['));
        let section = above.filter_map(|line| line.split(']').next()).last();
        let section = section.map_or(String::new(), |section| format!("{section}."));
        Some((section + key.trim(), value.trim()))
    }

    /// Whether every value is one that is allowed.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        within("expert_parallel_degree", self.expert_parallel_degree, 0, 2)?;
        within("ep_size", self.ep_size, 1, Topology::MOST_RANKS as u32)?;
        within("eplb_update_threshold", self.eplb_update_threshold, 0.0, 1.0)?;
        within("eplb_update_interval", self.eplb_update_interval, 0, 1_000_000_000)?;
        within("redundant_experts_num", self.redundant_experts_num, 0, 4_096)?;
        within("model.layers", self.model.layers, 0, ModelShape::MOST_LAYERS)?;
        within("model.experts", self.model.experts, 0, ModelShape::MOST_EXPERTS)?;
        within("model.groups", self.model.groups, 1, ModelShape::MOST_EXPERTS)?;
        within("cluster.nodes", self.cluster.nodes, 1, self.ep_size)?;
        if !self.ep_size.is_multiple_of(self.cluster.nodes) {
            let allowed = format!("a divisor of ep_size, which is {}", self.ep_size);
            return Err(value("cluster.nodes", self.cluster.nodes, allowed));
        }
        self.policy()?;
        self.manager.check()?;
        self.executor.check()?;
        self.pool.check()
    }

    /// The policy that is configured.
    ///
    /// # Errors
    /// As [`PolicySection::policy`].
    pub fn policy(&self) -> Result<std::sync::Arc<dyn eplb_policy::Policy>, ConfigError> {
        self.policy.policy()
    }

    /// What the policy plans from: what the configuration says, or else what the policy plans from by
    /// itself. For policies that plan from one load, and by themselves from the last window alone, it is
    /// the sum of as many windows as `manager.windows_kept` says: the recent ones, and until there are so
    /// many also representatives. A plan for one window fits that window, and the next one less than a
    /// plan for several does.
    ///
    /// # Errors
    /// A name that no policy has.
    pub fn estimator(&self) -> Result<Estimator, ConfigError> {
        if let Some(estimator) = self.policy.estimator {
            return Ok(estimator);
        }
        Ok(match self.policy()?.estimator() {
            Estimator::Last => Estimator::Sliding { windows: self.manager.windows_kept },
            other => other,
        })
    }

    /// Slots of each rank and layer: an equal share of the experts and the redundant ones.
    pub fn slots_per_rank(&self, experts: u32) -> u32 {
        experts.div_ceil(self.ep_size.max(1)) + self.redundant_experts_num
    }

    /// Slots of a rank that one change of a layer replaces at most, for ranks of so many slots.
    pub fn most_changed_slots(&self, slots_of_rank: usize) -> usize {
        self.executor.most_changed_slots(slots_of_rank, self.manager.layers_in_flight)
    }

    /// The topology for a model of `experts` logical experts.
    ///
    /// # Errors
    /// More slots than tables hold.
    pub fn topology(&self, experts: u32) -> Result<Topology, ConfigError> {
        let slots = self.slots_per_rank(experts);
        Topology::uniform(self.ep_size, slots, self.cluster.nodes)
            .map_err(|error| self.topology_error(experts, &error))
    }

    /// Too many slots are named by the redundant experts, where fewer of them would do.
    fn topology_error(&self, experts: u32, error: &TopologyError) -> ConfigError {
        let ranks = self.ep_size.max(1);
        let most_of_rank = Topology::MOST_SLOTS / u64::from(ranks);
        match most_of_rank.checked_sub(experts.div_ceil(ranks).into()) {
            Some(most) if matches!(error, TopologyError::TooLarge { .. }) => {
                let allowed =
                    format!("at most {most} with ep_size = {ranks} and {experts} experts");
                value("redundant_experts_num", self.redundant_experts_num, allowed)
            }
            _ => value("ep_size", self.ep_size, error.to_string()),
        }
    }
}

impl ManagerSection {
    fn check(&self) -> Result<(), ConfigError> {
        within("manager.min_gain", self.min_gain, 0.0, 1.0)?;
        within("manager.window_samples", self.window_samples, 1, 1_000_000)?;
        within("manager.windows_kept", self.windows_kept, 1, 128)?;
        within("manager.representative_windows", self.representative_windows, 0, 128)?;
        if self.profile.is_some() && self.representative_windows == 0 {
            let allowed = "at least 1 with manager.profile".to_owned();
            return Err(value("manager.representative_windows", 0, allowed));
        }
        within("manager.layers_in_flight", self.layers_in_flight, 1, 64)?;
        for (key, seconds) in [
            ("manager.plan_timeout", self.plan_timeout),
            ("manager.agreement_timeout", self.agreement_timeout),
            ("manager.prepare_timeout", self.prepare_timeout),
            ("manager.commit_timeout", self.commit_timeout),
            ("manager.revert_timeout", self.revert_timeout),
        ] {
            within(key, seconds, 0.001, 86_400.0)?;
        }
        Ok(())
    }
}

/// The message with Rust's names of types in words.
fn readable(message: &str) -> String {
    let mut message = message.to_owned();
    for (name, words) in [
        ("expected u32", "allowed: a whole number from 0 to 4294967295"),
        ("expected u64", "allowed: a whole number of at least 0"),
        ("expected usize", "allowed: a whole number of at least 0"),
        ("expected f64", "allowed: a number"),
        ("expected a boolean", "allowed: true or false"),
        ("expected a string", "allowed: a text in quotes"),
        ("expected path string", "allowed: a text in quotes"),
        ("expected struct ModelSection", "allowed: a section [model]"),
        ("expected struct ClusterSection", "allowed: a section [cluster]"),
        ("expected struct PolicySection", "allowed: a section [policy]"),
        ("expected struct ManagerSection", "allowed: a section [manager]"),
        ("expected struct ExecutorSection", "allowed: a section [executor]"),
        ("expected struct PoolSection", "allowed: a section [pool]"),
        ("expected a sequence", "allowed: a list in brackets"),
        ("expected a map", "allowed: a section"),
        ("` as i128, expected any valid TOML value", "`, allowed: at most 9223372036854775807"),
        ("` as i128", "`"),
    ] {
        message = message.replace(name, words);
    }
    message
}

pub(crate) fn value(key: &'static str, value: impl fmt::Display, allowed: String) -> ConfigError {
    ConfigError::Value { origin: None, key, value: value.to_string(), allowed }
}

pub(crate) fn within<T: PartialOrd + fmt::Display>(
    key: &'static str,
    given: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    // Written so that NaN is refused.
    if given >= least && given <= most {
        Ok(())
    } else {
        Err(value(key, given, format!("{least} to {most}")))
    }
}
