//! The manager: watches load, decides, and leads layers through their changes.

mod changes;
mod reports;
mod rounds;
mod steps;

use std::collections::VecDeque;

use eplb_core::{
    Ensemble, EnsembleSettings, LayerId, ModelShape, Placement, PlacementError, RankId, Step,
    Topology,
};

use crate::change::Change;
use crate::history::LayerHistory;
use crate::layer_state::LayerState;
use crate::round::Round;
use crate::samples::SampleAssembler;
use crate::window::LoadWindows;
use crate::{
    Carriage, Command, Counters, Event, LayerPhase, ManagerConfig, ManagerError, Note, PlanDigest,
    RoundId, StepHeader, Timestamp, Token, epochs_digest,
};

/// Commands that may wait to be fetched before notes are dropped.
const COMMANDS_WAITING: usize = 4_096;

/// The state machine that decides which layers change, and when.
///
/// Feed it with [`Manager::handle_event`], fetch what it wants with [`Manager::poll_command`] until
/// there is nothing left, and call [`Manager::handle_timeout`] when the time of
/// [`Manager::poll_timeout`] has come. It never fails once made: events that cannot be are counted
/// ([`Manager::counters`]) and change nothing.
///
/// ```
/// use eplb_core::{ModelShape, Placement, Step, Topology};
/// use eplb_manager::{Command, Event, Manager, ManagerConfig, Timestamp};
///
/// let shape = ModelShape::new(2, 8, 1)?;
/// let topology = Topology::uniform(4, 3, 1)?;
/// let placement = Placement::initial(shape, &topology)?;
/// let mut manager = Manager::new(ManagerConfig::default(), shape, topology, placement)?;
/// manager.handle_event(Timestamp(0), Event::StepBegins { step: Step(0), allow_changes: true });
/// let Some(Command::Header(header)) = manager.poll_command() else { panic!("one header a step") };
/// let bytes = header.encode(); // travels with the engine's own message of step 0
/// assert_eq!(eplb_manager::StepHeader::decode(&bytes)?, header);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Manager {
    config: ManagerConfig,
    shape: ModelShape,
    topology: Topology,
    /// The latest time seen; in spmd carriage the shared time.
    now: Timestamp,
    /// The step that began last.
    step: Option<Step>,
    /// What the step that began last is routed with.
    placement: Placement,
    epochs_digest: u64,
    last_header: Option<StepHeader>,
    histories: Vec<LayerHistory>,
    layers: Vec<LayerState>,
    ranks: Vec<RankState>,
    samples: SampleAssembler,
    windows: LoadWindows,
    /// Whether a window was completed since the last interval ended.
    fresh_windows: bool,
    /// Where the present interval began; not before there is a window.
    interval_start: Option<(Timestamp, Step)>,
    /// Intervals that ended.
    intervals: u64,
    round: Option<Round>,
    /// Changes in flight, in token order.
    changes: Vec<Change>,
    next_token: Token,
    next_round: RoundId,
    commands: VecDeque<Command>,
    counters: Counters,
}

/// How far a rank's reports got.
#[derive(Clone, Copy, Debug, Default)]
struct RankState {
    reported: Option<Step>,
    load_reported: Option<Step>,
}

impl Manager {
    /// A manager that starts with `placement` live on all ranks.
    ///
    /// # Errors
    /// A setting out of its range, or a placement of another model or topology.
    pub fn new(
        config: ManagerConfig,
        shape: ModelShape,
        topology: Topology,
        placement: Placement,
    ) -> Result<Self, ManagerError> {
        config.validate(&topology)?;
        check_placement(&placement, shape, &topology)?;
        let (recent, representatives) = (config.windows_kept, config.representative_windows);
        let kept = EnsembleSettings { recent, representatives };
        let windows = LoadWindows::new(shape, config.window_samples, kept)?;
        Ok(Self {
            shape,
            now: Timestamp::default(),
            step: None,
            epochs_digest: epochs_digest(&placement),
            last_header: None,
            histories: placement.layers().cloned().map(LayerHistory::new).collect(),
            layers: placement.layers().map(|layer| LayerState::new(layer.epoch())).collect(),
            ranks: vec![RankState::default(); topology.ranks()],
            samples: SampleAssembler::new(shape, &topology),
            windows,
            fresh_windows: false,
            interval_start: None,
            intervals: 0,
            round: None,
            changes: Vec::new(),
            next_token: Token(0),
            next_round: RoundId(0),
            commands: VecDeque::new(),
            counters: Counters::default(),
            config,
            topology,
            placement,
        })
    }

    /// The same manager with what was known of the traffic before, as far as
    /// [`ManagerConfig::representative_windows`] keeps it. It is planned for, and opens no round by
    /// itself.
    ///
    /// # Errors
    /// Windows of another model.
    pub fn with_ensemble(mut self, known: &Ensemble) -> Result<Self, ManagerError> {
        self.windows.merge(known)?;
        Ok(self)
    }

    /// Takes an event that happened at `now`. Time that goes back counts as standing still. In spmd
    /// carriage `now` is not used: time is what the lowest live rank's reports say.
    pub fn handle_event(&mut self, now: Timestamp, event: Event) {
        self.handle_timeout(now);
        match event {
            Event::StepBegins { step, allow_changes } => self.begin_step(step, allow_changes),
            Event::Report { sender, report } => self.take_report(sender, &report),
            Event::Planned { round, plan } => self.take_plan(round, plan),
        }
        self.advance();
    }

    /// Ends the waits whose deadline has come, and begins what the interval's end allows.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.config.carriage == Carriage::Leader {
            self.pass_time(now);
        }
    }

    /// The next thing to do, in order; `None` when there is none for now.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`Manager::handle_timeout`] has something to do next, if nothing else happens. `None` in
    /// spmd carriage, where time passes only with reports.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.config.carriage != Carriage::Leader {
            return None;
        }
        let changes = self.changes.iter().filter_map(|change| change.deadline);
        let planning = self.round.iter().filter_map(|round| round.planning.as_ref());
        changes.chain(planning.map(|planning| planning.deadline)).chain(self.interval_end()).min()
    }

    /// The placement that the step that began last is routed with.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The load windows that plans are made from: complete recent ones, and representatives of older
    /// ones and of what was known before.
    pub fn ensemble(&self) -> &Ensemble {
        self.windows.ensemble()
    }

    /// What was seen and done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings.
    pub fn config(&self) -> &ManagerConfig {
        &self.config
    }

    /// The round that is open, if one is.
    pub fn open_round(&self) -> Option<RoundId> {
        self.round.as_ref().map(|round| round.id)
    }

    /// Where a layer stands.
    ///
    /// # Panics
    /// The layer is not of this model.
    pub fn layer_phase(&self, layer: LayerId) -> LayerPhase {
        assert!(layer.index() < self.shape.layers(), "{layer} is not of this model");
        if let Some(change) = self.changes.iter().find(|change| change.layer == layer) {
            return change.phase;
        }
        let mut queued = self.round.iter().flat_map(|round| &round.queue);
        if queued.any(|queued| queued.layer == layer) {
            LayerPhase::Queued
        } else {
            LayerPhase::Idle
        }
    }

    /// In spmd carriage: what this rank's next report has to carry as its `plan_digest`.
    pub fn plan_digest(&self) -> Option<PlanDigest> {
        let round = self.round.as_ref()?;
        let digest = round.planning.as_ref()?.own_digest()?;
        Some(PlanDigest { round: round.id, digest })
    }

    fn pass_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.expire();
        self.advance();
    }

    fn advance(&mut self) {
        self.close_round();
        self.open_round_when_due();
    }

    fn note(&mut self, note: Note) {
        if self.commands.len() < COMMANDS_WAITING {
            self.commands.push_back(Command::Note(note));
        } else {
            self.counters.notes_dropped += 1;
        }
    }

    fn lowest_live_rank(&self) -> RankId {
        // A topology has at least one live rank.
        self.topology.live_ranks().next().unwrap_or_default()
    }
}

/// Checks that a placement is one of this model on these ranks.
pub(crate) fn check_placement(
    placement: &Placement,
    shape: ModelShape,
    topology: &Topology,
) -> Result<(), PlacementError> {
    let tables: Vec<_> = placement.layers().map(|layer| layer.experts()).collect();
    Placement::new(&tables, shape, topology).map(|_| ())
}
