//! Serving a whole trace, with all ranks in this process or with one of them.

use std::time::Duration;

use eplb::core::{ModelShape, Placement, RankId, Topology};
use eplb::{CollectiveFigures, Config, PairTransport};
use eplb_launch::{Group, ThreadGroup};

use super::interruption::Interruption;
use super::leader::Leader;
use super::membership::Membership;
use super::rank::Rank;
use super::windows::Windows;
use crate::{Devices, RunError, RunSettings, Trace};

/// How long anything that is waited for in virtual time may take in real time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long ranks that are threads wait for each other: far longer than any part of a step takes, so that
/// a defect ends a run with an error instead of stopping it for ever.
const PATIENCE_OF_THREADS: Duration = Duration::from_secs(120);

/// What an engine serves, and with what.
#[derive(Debug)]
pub struct EngineSetup<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The engine's own settings.
    pub settings: &'a RunSettings,
    /// The windows to serve.
    pub trace: &'a Trace,
    /// The model.
    pub shape: ModelShape,
    /// The ranks.
    pub topology: &'a Topology,
    /// The placement to start with.
    pub placement: &'a Placement,
    /// The devices that the ranks are on.
    pub devices: Devices,
    /// Whether ranks that are left confirm the old epoch when others are gone. Where all are in one
    /// process, a rank that fails is an error of the program, and ends the run as such.
    pub confirms_losses: bool,
}

/// What became of serving a trace.
#[derive(Clone, Debug, Default)]
pub struct EngineOutcome {
    /// For each window the final hidden states of its sampled tokens.
    pub outputs: Vec<Vec<f32>>,
    /// For each window how its load lay on the ranks.
    pub windows: Vec<WindowFigures>,
    /// Rounds of the manager that moved something.
    pub rebalances: u64,
    /// Layers switched over to what was planned for them, in however many parts.
    pub layers_updated: u64,
    /// Slots whose expert came from another rank, over all ranks.
    pub slots_moved: u64,
    /// Bytes that came from other ranks, over all ranks.
    pub bytes_moved: u64,
    /// Of these slots and bytes, those that came by rounds of the communicator.
    pub by_rounds: (u64, u64),
    /// How each rank reaches each other one, receivers in order.
    pub transports: Vec<PairTransport>,
    /// What the collective transports of all ranks did.
    pub collective: CollectiveFigures,
    /// Why ranks lost the communicator, if any did: what the first of them said.
    pub lost: Option<String>,
    /// Slots compared with the expert that the placement names.
    pub slots_verified: u64,
    /// Of these, slots that held other bytes.
    pub mismatches: u64,
    /// Steps that ranks refused, and that were served again.
    pub steps_refused: u64,
    /// xxh3-128 of every epoch, routing table and slot's bytes of every rank, in the order of steps.
    pub digest: u128,
    /// How the run ended before the trace did, if ranks are gone.
    pub interruption: Option<Interruption>,
}

/// One window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowFigures {
    /// Mean balancedness of the layers under the placement at the start.
    pub before: f64,
    /// Mean balancedness of the layers under the placement in force.
    pub after: f64,
    /// Layers switched over at this window's step, also to a part of what was planned.
    pub layers_switched: u32,
}

/// Serves all windows of a trace in virtual time, with a thread for each rank.
///
/// # Errors
/// A device fails, ranks disagree, or ranks refuse steps again and again.
pub fn serve(
    setup: &EngineSetup<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<EngineOutcome, RunError> {
    let windows = Windows::new(setup.trace, setup.settings);
    let mut members = ThreadGroup::of(setup.topology.ranks() as u32, PATIENCE_OF_THREADS);
    let leader = members.remove(0);
    let patience = PATIENCE_OF_THREADS;
    std::thread::scope(|scope| {
        let mut others = Vec::new();
        for member in members {
            let windows = &windows;
            let named = std::thread::Builder::new().name(format!("rank-{}", member.rank()));
            others.push(named.spawn_scoped(scope, move || {
                serve_with(setup, windows, Membership { group: &member, patience }, &mut |_| {})
            })?);
        }
        let membership = Membership { group: &leader, patience };
        let served = serve_with(setup, &windows, membership, progress);
        drop(leader);
        let ended = others.into_iter().map(|other| other.join().unwrap_or(Err(RunError::Panicked)));
        // The first failure is the cause; what ranks say that missed others is not.
        let is_cause = |error: &RunError| {
            !error.leaves_a_group() && !matches!(error, RunError::NoLeader { .. })
        };
        let mut failures: Vec<_> = ended.filter_map(Result::err).collect();
        match served {
            Err(error) if is_cause(&error) => Err(error),
            served => match failures.iter().position(is_cause) {
                Some(cause) => Err(failures.swap_remove(cause)),
                None => served,
            },
        }
    })
}

/// Serves all windows of a trace as one rank of a group, whose other ranks do the same with the same
/// setup: `group.size()` is the number of ranks. Ranks wait at most `patience` for each other. What came
/// of it is known to rank 0; the others get a default outcome with its [`EngineOutcome::interruption`].
///
/// # Errors
/// As for [`serve`], or the leader is gone. The others are told that this rank leaves, and why.
pub fn serve_as_member(
    setup: &EngineSetup<'_>,
    group: &dyn Group,
    patience: Duration,
    progress: &mut dyn FnMut(usize),
) -> Result<EngineOutcome, RunError> {
    let windows = Windows::new(setup.trace, setup.settings);
    serve_with(setup, &windows, Membership { group, patience }, progress)
}

/// Whether all ranks of a group were given the same input, by a number for it.
pub(crate) fn compare_inputs(
    own: u128,
    group: &dyn Group,
    patience: Duration,
) -> Result<(), RunError> {
    let all = Membership { group, patience }.all_gather(&own.to_le_bytes())?;
    match all.iter().position(|other| *other != all[0]) {
        Some(rank) => Err(RunError::OtherInput { rank: RankId::from_index(rank) }),
        None => Ok(()),
    }
}

fn serve_with(
    setup: &EngineSetup<'_>,
    windows: &Windows<'_>,
    membership: Membership<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<EngineOutcome, RunError> {
    let served = serve_open(setup, windows, membership, progress);
    if let Err(error) = &served {
        membership.group.leave(&format!("it has failed: {error}"));
    }
    served
}

fn serve_open(
    setup: &EngineSetup<'_>,
    windows: &Windows<'_>,
    membership: Membership<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<EngineOutcome, RunError> {
    let opened = Rank::open(setup, windows, membership)
        .and_then(|rank| rank.gather_pairs().map(|transports| (rank, transports)));
    let (mut rank, transports) = match opened {
        Err(error) if setup.confirms_losses && error.leaves_a_group() => {
            let enabled = setup.config.enable_eplb;
            let interruption =
                Interruption::before_the_first_step(membership.group, enabled, setup.placement);
            return Ok(EngineOutcome { interruption: Some(interruption), ..Default::default() });
        }
        opened => opened?,
    };
    let outcome = if membership.is_leader() {
        let served = Leader::start(setup, windows, membership, &mut rank)?.serve(progress)?;
        EngineOutcome { transports, ..served }
    } else {
        EngineOutcome { interruption: rank.follow()?, ..EngineOutcome::default() }
    };
    rank.close()?;
    Ok(outcome)
}
