//! The configuration of a run: a file, and flags over it.

use std::path::Path;

use eplb::{Config, ConfigError};
use eplb_backends::BackendSettings;
use eplb_sim::{RunSettings, SettingsError};

use crate::arguments::RunArguments;
use crate::failure::Failure;

/// Reads the configuration file and puts the flags over it. Errors name the flag or the file.
pub(crate) fn configure(arguments: &RunArguments) -> Result<RunConfig, Failure> {
    configure_for(arguments, None)
}

/// The same for a group that has so many ranks by itself, where that is known: it counts as a flag.
pub(crate) fn configure_for(
    arguments: &RunArguments,
    ranks: Option<u32>,
) -> Result<RunConfig, Failure> {
    let mut config = Config::read_unchecked(&arguments.config).map_err(Failure::new)?;
    let mut flags = override_with(&mut config, arguments);
    if let Some(ranks) = ranks {
        if let Some(other) = arguments.ep_size.filter(|&ep_size| ep_size != ranks) {
            let message =
                format!("--ep_size {other} is not allowed; allowed: {ranks}, the processes");
            return Err(Failure::new(message));
        }
        config.ep_size = ranks;
        let flag = if arguments.processes.is_some() { "--processes" } else { "ep_size" };
        flags.push((flag, "ep_size"));
    }
    config.check().map_err(|error| of_flag_or_file(error, &flags, &arguments.config))?;
    let mut settings = RunSettings::from_table(&config.run)
        .map_err(|error: SettingsError| Failure::of_file(&arguments.config, error))?;
    if let Some(trace) = &arguments.trace {
        settings.trace.clone_from(trace);
    }
    if let Some(windows) = arguments.windows {
        settings.windows = windows;
    }
    if settings.trace.as_os_str().is_empty() {
        let error = "[run] names no trace; give run.trace or --trace";
        return Err(Failure::of_file(&arguments.config, error));
    }
    let mut backend = BackendSettings::of(&config.backend)
        .map_err(|error| Failure::of_file(&arguments.config, error))?;
    backend.name = arguments.backend.unwrap_or(backend.name);
    backend.device = arguments.device.or(backend.device);
    Ok(RunConfig { config, settings, backend, flags })
}

/// All that a run is configured by.
#[derive(Debug)]
pub(crate) struct RunConfig {
    pub(crate) config: Config,
    pub(crate) settings: RunSettings,
    pub(crate) backend: BackendSettings,
    pub(crate) flags: Flags,
}

/// Each flag that is set: its name, and the key that it overrides.
pub(crate) type Flags = Vec<(&'static str, &'static str)>;

fn override_with(config: &mut Config, arguments: &RunArguments) -> Flags {
    let mut flags = Flags::new();
    macro_rules! flag {
        ($flag:literal, $key:literal, $given:expr, $target:expr) => {
            if let Some(value) = $given.clone() {
                flags.push(($flag, $key));
                $target = value.into();
            }
        };
    }
    flag!("--enable_eplb", "enable_eplb", arguments.enable_eplb, config.enable_eplb);
    flag!(
        "--expert_parallel_degree",
        "expert_parallel_degree",
        arguments.expert_parallel_degree,
        config.expert_parallel_degree
    );
    flag!("--ep_size", "ep_size", arguments.ep_size, config.ep_size);
    flag!(
        "--eplb_update_interval",
        "eplb_update_interval",
        arguments.eplb_update_interval,
        config.eplb_update_interval
    );
    flag!(
        "--eplb_update_threshold",
        "eplb_update_threshold",
        arguments.eplb_update_threshold,
        config.eplb_update_threshold
    );
    flag!(
        "--redundant_experts_num",
        "redundant_experts_num",
        arguments.redundant_experts_num,
        config.redundant_experts_num
    );
    flag!("--policy", "policy.name", arguments.policy, config.policy.name);
    flag!("--nodes", "cluster.nodes", arguments.nodes, config.cluster.nodes);
    flag!("--commit", "executor.commit", arguments.commit, config.executor.commit);
    flag!("--transport", "executor.transport", arguments.transport, config.executor.transport);
    flags
}

/// An error of the configuration, told by the flag that set the value or else by the file.
pub(crate) fn of_flag_or_file(error: ConfigError, flags: &Flags, file: &Path) -> Failure {
    if let ConfigError::Value { key, value, allowed, .. } = &error
        && let Some((flag, _)) = flags.iter().find(|(_, overridden)| overridden == key)
    {
        return Failure::new(format!("{flag} {value} is not allowed; allowed: {allowed}"));
    }
    Failure::new(error.of_file(&file.display().to_string()))
}
