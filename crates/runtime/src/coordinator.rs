//! The deciding side: a manager with a clock and a planning thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use eplb_core::formats::profile;
use eplb_core::{Ensemble, ModelShape, Placement, RankId, Step, Topology};
use eplb_manager::{
    Carriage, Command, Counters, Event, Manager, ManagerConfig, Note, PlanDigest, RankReport,
    StepHeader,
};

use crate::planner::Planner;
use crate::{Clock, Config, ConfigError, Error, read_profile_of};

/// Notes kept for whoever asks; older ones are dropped.
const NOTES: usize = 1_024;

/// Decides which layers change and leads the ranks through it.
///
/// With [`Carriage::Leader`] an engine has one, in its master process: it carries
/// [`Coordinator::begin_step`]'s bytes to every rank with the step's input, and every rank's report
/// back. With [`Carriage::Spmd`] every rank has one and feeds it the reports of all ranks.
///
/// No call waits: planning runs on a thread of its own.
#[derive(Debug)]
pub struct Coordinator {
    manager: Manager,
    planner: Planner,
    clock: Arc<dyn Clock>,
    enabled: bool,
    notes: VecDeque<Note>,
}

impl Coordinator {
    /// Starts to watch a model that runs with `placement` on `topology`. With `manager.profile` it plans
    /// for what is known from there too; `placement` is best the one of [`crate::initial_placement`] then.
    ///
    /// # Errors
    /// Settings out of range, a profile that can't be read or is of another model, a placement of another
    /// model or topology, or no thread to be had. Nothing is started then.
    pub fn start(
        config: &Config,
        shape: ModelShape,
        topology: &Topology,
        placement: Placement,
        carriage: Carriage,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        config.check()?;
        let mut settings = manager_config(config, carriage)?;
        settings.most_changed_slots = Some(most_changed_slots(config, topology));
        let mut manager = Manager::new(settings, shape, topology.clone(), placement)?;
        if let Some(path) = &config.manager.profile {
            manager = manager.with_ensemble(&read_profile_of(path, shape)?)?;
        }
        let planner =
            Planner::start(config.policy()?, config.policy.budget(), shape, topology.clone())?;
        Ok(Self { manager, planner, clock, enabled: config.enable_eplb, notes: VecDeque::new() })
    }

    /// The same coordinator with what was known of the traffic before; see
    /// [`Manager::with_ensemble`]. In spmd all ranks must be given the same.
    ///
    /// # Errors
    /// Windows of another model.
    pub fn with_ensemble(mut self, known: &Ensemble) -> Result<Self, Error> {
        self.manager = self.manager.with_ensemble(known)?;
        Ok(self)
    }

    /// Begins a step and gives the header that every rank needs to run it, as bytes to carry. With
    /// `allow_changes` false nothing new is switched at this step (graph warm-up, or a phase in which
    /// the engine can't).
    ///
    /// # Errors
    /// A step that is not after the last one; the last one may be begun again and gives the same
    /// header.
    pub fn begin_step(&mut self, step: Step, allow_changes: bool) -> Result<Vec<u8>, Error> {
        self.take_plans();
        self.handle(Event::StepBegins { step, allow_changes });
        match self.pump() {
            Some(header) => Ok(header.encode()),
            None => Err(Error::StepOrder { step }),
        }
    }

    /// Takes a rank's report, as the bytes that its session made. `sender` is the rank that the
    /// engine received them from.
    ///
    /// # Errors
    /// Bytes that are no report; they change nothing. A report that lies is counted, not an error.
    pub fn accept_report(&mut self, sender: RankId, bytes: &[u8]) -> Result<(), Error> {
        let mut report =
            RankReport::decode(bytes).map_err(|source| Error::Report { sender, source })?;
        if !self.enabled {
            report.loads.clear();
        }
        self.handle(Event::Report { sender, report });
        self.pump();
        Ok(())
    }

    /// Waits for the plan under way, at most `limit`. For replays in virtual time, whose steps take
    /// no time of their own; a serving engine never needs it.
    pub fn settle(&mut self, limit: Duration) {
        if let Some(event) = self.planner.wait(limit) {
            self.handle(event);
            self.pump();
        }
    }

    /// The digest of this rank's plan, for its own report. Only in spmd.
    pub fn plan_digest(&self) -> Option<PlanDigest> {
        self.manager.plan_digest()
    }

    /// The placement that the next step routes with.
    pub fn placement(&self) -> &Placement {
        self.manager.placement()
    }

    /// What is known of the traffic, as the text of a profile: write it to a file from time to time (a
    /// temporary one, renamed when it is whole), and name that as `manager.profile` when the service
    /// starts again. It has at most `manager.windows_kept` and `manager.representative_windows` windows.
    ///
    /// # Errors
    /// No load window was complete yet, and nothing was known before.
    pub fn profile(&self) -> Result<String, Error> {
        Ok(profile::write(self.manager.ensemble())?)
    }

    /// What has been seen and done, in numbers.
    pub fn counters(&self) -> Counters {
        *self.manager.counters()
    }

    /// What happened since the last call, oldest first; the last 1,024 are kept. Among it one
    /// [`Note::LayerPlanned`] for each layer that a plan looked at: the gain that the policy expects, the
    /// price of the moves, the most that could be gained, and why it moves no more. The same in sums is
    /// in the `layers_planned_*` of [`Coordinator::counters`], and each note is a `tracing` event too.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.notes.drain(..).collect()
    }

    fn take_plans(&mut self) {
        while let Some(event) = self.planner.poll() {
            self.handle(event);
            self.pump();
        }
    }

    fn handle(&mut self, event: Event) {
        // In spmd the manager takes the time from the reports, the same on all ranks.
        self.manager.handle_event(self.clock.now(), event);
    }

    /// Does what the manager wants done; gives back the header, if one was made.
    fn pump(&mut self) -> Option<StepHeader> {
        let mut header = None;
        while let Some(command) = self.manager.poll_command() {
            match command {
                Command::Header(made) => header = Some(made),
                Command::Plan(job) => {
                    let round = job.round;
                    if !self.planner.submit(job) {
                        tracing::warn!(%round, "the planner is busy with earlier plans");
                    }
                }
                Command::Note(note) => {
                    tracing::debug!(?note, "eplb");
                    if self.notes.len() == NOTES {
                        self.notes.pop_front();
                    }
                    self.notes.push_back(note);
                }
            }
        }
        header
    }
}

/// What fits the rank with the fewest slots, whose staging memory is the smallest.
fn most_changed_slots(config: &Config, topology: &Topology) -> usize {
    let slots = topology.live_ranks().map(|rank| topology.slots_of(rank).len());
    config.most_changed_slots(slots.min().unwrap_or(1))
}

fn manager_config(config: &Config, carriage: Carriage) -> Result<ManagerConfig, ConfigError> {
    let section = &config.manager;
    Ok(ManagerConfig {
        update_interval: Duration::from_secs(config.eplb_update_interval),
        update_interval_steps: Some(section.update_interval_steps).filter(|&steps| steps > 0),
        update_threshold: config.eplb_update_threshold,
        min_gain: section.min_gain,
        window_samples: section.window_samples,
        windows_kept: section.windows_kept,
        representative_windows: section.representative_windows,
        estimator: config.estimator()?,
        planned_phases: section.phases,
        layers_in_flight: section.layers_in_flight,
        plan_timeout: Duration::from_secs_f64(section.plan_timeout),
        agreement_timeout: Duration::from_secs_f64(section.agreement_timeout),
        prepare_timeout: Duration::from_secs_f64(section.prepare_timeout),
        commit_timeout: Duration::from_secs_f64(section.commit_timeout),
        revert_timeout: Duration::from_secs_f64(section.revert_timeout),
        carriage,
        ..ManagerConfig::default()
    })
}
