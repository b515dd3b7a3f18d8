//! A trace served twice, without and with balancing.

use eplb::core::{ModelShape, Topology};
use eplb::{Config, initial_placement};

use crate::engine::{EngineOutcome, EngineSetup, serve};
use crate::report::{BalancednessPair, MovedBy, PairGroup, RunReport, Verification};
use crate::{Devices, RunError, RunSettings, Trace};

/// What a run is made from.
#[derive(Debug)]
pub struct RunInput<'a> {
    /// The configuration; its section `[run]` has been read into `settings`.
    pub config: &'a Config,
    /// The engine's settings.
    pub settings: &'a RunSettings,
    /// The windows to serve.
    pub trace: &'a Trace,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whether this is the run with balancing, which comes second.
    pub balanced: bool,
    /// Windows served.
    pub done: usize,
    /// Windows of the trace.
    pub windows: usize,
}

/// Serves a trace without and with balancing, each on devices that `devices` gives for a
/// number of ranks, and compares the outputs bit for bit.
///
/// # Errors
/// A configuration that doesn't fit the trace, or an engine that fails; see [`RunError`].
pub fn run(
    input: &RunInput<'_>,
    devices: &dyn Fn(u32) -> Result<Devices, RunError>,
    progress: &mut dyn FnMut(Progress),
) -> Result<RunReport, RunError> {
    let RunInput { config, settings, trace } = input;
    config.check()?;
    settings.check()?;
    let shape = shape_of(config, trace)?;
    let topology = config.topology(shape.experts() as u32)?;
    check_size(settings, shape, &topology)?;
    let placement = initial_placement(config, shape, &topology)?;
    let windows = trace.windows.len();

    let mut serve_with = |config: &Config, balanced: bool| {
        let setup = EngineSetup {
            config,
            settings,
            trace,
            shape,
            topology: &topology,
            placement: &placement,
            devices: devices(config.ep_size)?,
        };
        serve(&setup, &mut |done| progress(Progress { balanced, done, windows }))
    };
    let unbalanced = serve_with(&Config { enable_eplb: false, ..(*config).clone() }, false)?;
    let balanced = serve_with(config, true)?;

    Ok(RunReport {
        enable_eplb: config.enable_eplb,
        policy: config.policy()?.name().to_owned(),
        backend: devices(1)?.backend().name().to_owned(),
        trace: trace.name.clone(),
        layers: shape.layers(),
        experts: shape.experts(),
        ranks: topology.ranks(),
        nodes: topology.nodes(),
        slots_per_rank: config.slots_per_rank(shape.experts() as u32) as usize,
        windows,
        tokens_per_window: trace.tokens_per_window,
        balancedness: BalancednessPair::mean_of(&balanced.windows),
        rebalances: balanced.rebalances,
        layers_updated: balanced.layers_updated,
        slots_moved: balanced.slots_moved,
        bytes_moved: balanced.bytes_moved,
        moved_by: MovedBy::new((balanced.slots_moved, balanced.bytes_moved), balanced.by_rounds),
        transports: PairGroup::all(&balanced.transports),
        collective: balanced.collective,
        collective_lost: balanced.lost.clone(),
        verified: verification(&unbalanced, &balanced),
        steps_refused: balanced.steps_refused,
        digest: format!("{:032x}", balanced.digest),
        series: balanced.windows.iter().map(Into::into).collect(),
    })
}

/// Most bytes of weights over all ranks: a mistyped size must not take the machine's memory.
const MOST_WEIGHTS: u64 = 8 << 30;

fn check_size(
    settings: &RunSettings,
    shape: ModelShape,
    topology: &Topology,
) -> Result<(), RunError> {
    let dimensions = settings.dimensions()?;
    let expert = dimensions.gate_up_bytes() + dimensions.down_bytes() + dimensions.scale_bytes();
    let slots = (topology.slots() * shape.layers()) as u64;
    let bytes = slots.saturating_mul(expert as u64);
    if bytes <= MOST_WEIGHTS {
        return Ok(());
    }
    let RunSettings { hidden, intermediate, .. } = *settings;
    Err(RunError::TooLarge { hidden, intermediate, bytes, most: MOST_WEIGHTS })
}

fn verification(unbalanced: &EngineOutcome, balanced: &EngineOutcome) -> Verification {
    // Compared as bits: a NaN on both sides is equal, a zero of another sign is not.
    let bits = |outcome: &EngineOutcome| -> Vec<Vec<u32>> {
        let of_window = |window: &Vec<f32>| window.iter().map(|value| value.to_bits()).collect();
        outcome.outputs.iter().map(of_window).collect()
    };
    Verification {
        slots: unbalanced.slots_verified + balanced.slots_verified,
        mismatches: unbalanced.mismatches + balanced.mismatches,
        outputs_equal: bits(unbalanced) == bits(balanced),
    }
}

/// The trace's shape, after a comparison with what the configuration says of the model.
fn shape_of(config: &Config, trace: &Trace) -> Result<ModelShape, RunError> {
    let model = &config.model;
    for (key, configured, found) in [
        ("model.layers", model.layers, trace.shape.layers()),
        ("model.experts", model.experts, trace.shape.experts()),
    ] {
        if configured != 0 && configured as usize != found {
            return Err(RunError::OtherModel { key, configured, found });
        }
    }
    let (layers, experts) = (trace.shape.layers() as u32, trace.shape.experts() as u32);
    Ok(ModelShape::new(layers, experts, model.groups)?)
}
