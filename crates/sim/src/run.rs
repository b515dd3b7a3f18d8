//! A trace served twice, without and with balancing.

use std::time::Duration;

use eplb::core::{ModelShape, Placement, Topology};
use eplb::{Config, initial_placement};
use eplb_launch::Group;
use xxhash_rust::xxh3::Xxh3;

use crate::engine::{self, EngineOutcome, EngineSetup, Interruption, serve, serve_as_member};
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
/// number of ranks, and compares the outputs bit for bit. Ranks are threads.
///
/// # Errors
/// A configuration that doesn't fit the trace, or an engine that fails; see [`RunError`].
pub fn run(
    input: &RunInput<'_>,
    devices: &dyn Fn(u32) -> Result<Devices, RunError>,
    progress: &mut dyn FnMut(Progress),
) -> Result<RunReport, RunError> {
    let plan = RunPlan::new(input)?;
    let mut serve_with = |config: &Config, balanced: bool| {
        let devices = devices(config.ep_size)?;
        let windows = input.trace.windows.len();
        let mut progress = |done| progress(Progress { balanced, done, windows });
        serve(&plan.setup(input, config, devices, false), &mut progress)
    };
    let unbalanced = serve_with(&without_balancing(input.config), false)?;
    let balanced = serve_with(input.config, true)?;
    plan.report(input, devices(1)?.backend().name(), &unbalanced, &balanced)
}

/// The same as one rank of a group, whose other ranks are processes that do it too, with the same input.
/// Ranks wait at most `settings.rank_timeout` for each other.
///
/// The report is rank 0's, the others get nothing. When ranks are gone, those that are left go back to
/// the placement that all had agreed on, and confirm it: then there is a [`Interruption`] on each.
///
/// # Errors
/// As for [`run`]; ranks that were started with other input; rank 0 is gone.
pub fn run_as_member(
    input: &RunInput<'_>,
    group: &dyn Group,
    devices: Devices,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Option<RunReport>, Option<Interruption>), RunError> {
    let plan = RunPlan::new(input)?;
    let (ranks, members) = (plan.topology.ranks(), group.size());
    if ranks != members as usize {
        return Err(RunError::OtherSize { ranks, members });
    }
    let patience = Duration::from_secs_f64(input.settings.rank_timeout);
    let mut unbalanced = EngineOutcome::default();
    match engine::compare_inputs(plan.fingerprint(input), group, patience) {
        Err(error) if error.leaves_a_group() => {
            let interruption = Interruption::before_the_first_step(group, false, &plan.placement);
            unbalanced.interruption = Some(interruption);
        }
        compared => compared?,
    }
    let mut serve_with = |config: &Config, balanced: bool| {
        let windows = input.trace.windows.len();
        let mut progress = |done| progress(Progress { balanced, done, windows });
        let setup = plan.setup(input, config, devices.clone(), true);
        serve_as_member(&setup, group, patience, &mut progress)
    };
    if unbalanced.interruption.is_none() {
        unbalanced = serve_with(&without_balancing(input.config), false)?;
    }
    let balanced = match unbalanced.interruption {
        None => serve_with(input.config, true)?,
        Some(_) => EngineOutcome::default(),
    };
    let mut interruption = unbalanced.interruption.clone();
    interruption = interruption.or_else(|| balanced.interruption.clone());
    if group.rank() != 0 {
        return Ok((None, interruption));
    }
    let report = plan.report(input, devices.backend().name(), &unbalanced, &balanced)?;
    Ok((Some(report), interruption))
}

/// What a run begins with, as its input says.
#[derive(Debug)]
struct RunPlan {
    shape: ModelShape,
    topology: Topology,
    placement: Placement,
}

impl RunPlan {
    fn new(input: &RunInput<'_>) -> Result<Self, RunError> {
        let RunInput { config, settings, trace } = input;
        config.check()?;
        settings.check()?;
        let shape = shape_of(config, trace)?;
        let topology = config.topology(shape.experts() as u32)?;
        check_size(settings, shape, &topology)?;
        let placement = initial_placement(config, shape, &topology)?;
        Ok(Self { shape, topology, placement })
    }

    fn setup<'a>(
        &'a self,
        input: &'a RunInput<'_>,
        config: &'a Config,
        devices: Devices,
        confirms_losses: bool,
    ) -> EngineSetup<'a> {
        EngineSetup {
            config,
            settings: input.settings,
            trace: input.trace,
            shape: self.shape,
            topology: &self.topology,
            placement: &self.placement,
            devices,
            confirms_losses,
        }
    }

    /// A number for all that has to be the same on all ranks. Paths of libraries and traces may differ.
    fn fingerprint(&self, input: &RunInput<'_>) -> u128 {
        let config =
            Config { backend: Default::default(), run: Default::default(), ..input.config.clone() };
        let settings = RunSettings { trace: Default::default(), ..input.settings.clone() };
        let Trace { shape, windows, top_k, .. } = input.trace;
        let mut hasher = Xxh3::new();
        for part in [
            format!("{config:?}"),
            format!("{settings:?}"),
            format!("{shape:?} {top_k}"),
            format!("{:?}", self.placement),
        ] {
            hasher.update(part.as_bytes());
        }
        for count in windows.iter().flat_map(|window| window.rows().flatten()) {
            hasher.update(&count.to_le_bytes());
        }
        hasher.digest128()
    }

    fn report(
        &self,
        input: &RunInput<'_>,
        backend: &str,
        unbalanced: &EngineOutcome,
        balanced: &EngineOutcome,
    ) -> Result<RunReport, RunError> {
        let RunInput { config, trace, .. } = input;
        let Self { shape, topology, .. } = self;
        let interruption = unbalanced.interruption.as_ref().or(balanced.interruption.as_ref());
        Ok(RunReport {
            enable_eplb: config.enable_eplb,
            policy: config.policy()?.name().to_owned(),
            backend: backend.to_owned(),
            trace: trace.name.clone(),
            layers: shape.layers(),
            experts: shape.experts(),
            ranks: topology.ranks(),
            nodes: topology.nodes(),
            slots_per_rank: config.slots_per_rank(shape.experts() as u32) as usize,
            windows: trace.windows.len(),
            tokens_per_window: trace.tokens_per_window,
            balancedness: BalancednessPair::mean_of(&balanced.windows),
            rebalances: balanced.rebalances,
            layers_updated: balanced.layers_updated,
            slots_moved: balanced.slots_moved,
            bytes_moved: balanced.bytes_moved,
            moved_by: MovedBy::new(
                (balanced.slots_moved, balanced.bytes_moved),
                balanced.by_rounds,
            ),
            transports: PairGroup::all(&balanced.transports),
            collective: balanced.collective,
            collective_lost: balanced.lost.clone(),
            verified: verification(unbalanced, balanced),
            steps_refused: balanced.steps_refused,
            digest: format!("{:032x}", balanced.digest),
            interruption: interruption.cloned(),
            series: balanced.windows.iter().map(Into::into).collect(),
        })
    }
}

fn without_balancing(config: &Config) -> Config {
    Config { enable_eplb: false, ..config.clone() }
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
    // Of a run that was interrupted, as many windows as both have served.
    let both = unbalanced.outputs.len().min(balanced.outputs.len());
    Verification {
        slots: unbalanced.slots_verified + balanced.slots_verified,
        mismatches: unbalanced.mismatches + balanced.mismatches,
        outputs_equal: bits(unbalanced)[..both] == bits(balanced)[..both],
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
