//! One manager, fed by hand, and what it said.

use std::time::Duration;

use eplb_core::{
    Epoch, ExpertId, ExpertLoad, LayerId, LayerPlacement, ModelShape, Placement, RankId, SHARE_ONE,
    Step, Topology,
};
use eplb_manager::{
    Command, Directive, Event, LoadReport, Manager, ManagerConfig, Note, PlanJob, PlannedLayer,
    RankReport, Status, StepHeader, Timestamp, Token, TokenStatus,
};

pub(crate) const LAYERS: u32 = 3;
pub(crate) const EXPERTS: u32 = 6;
pub(crate) const RANKS: u32 = 4;
pub(crate) const SLOTS: u32 = 2;

/// A manager for 3 layers of 6 experts on 4 ranks with 2 slots each; a step takes a second.
pub(crate) struct Rig {
    pub(crate) manager: Manager,
    pub(crate) topology: Topology,
    pub(crate) now: Timestamp,
    /// The step that begins next.
    pub(crate) next_step: u64,
    pub(crate) notes: Vec<Note>,
    pub(crate) jobs: Vec<PlanJob>,
}

pub(crate) fn shape() -> ModelShape {
    ModelShape::new(LAYERS, EXPERTS, 1).expect("a small model")
}

pub(crate) fn topology() -> Topology {
    Topology::uniform(RANKS, SLOTS, 1).expect("a small group")
}

pub(crate) fn initial() -> Placement {
    Placement::initial(shape(), &topology()).expect("enough slots")
}

/// Short windows and no interval, so that each sample may open a round.
pub(crate) fn eager() -> ManagerConfig {
    ManagerConfig {
        update_interval: Duration::ZERO,
        window_samples: 1,
        windows_kept: 1,
        refusal_backoff: 0,
        ..ManagerConfig::default()
    }
}

/// A load with other proportions on each layer, `factor` times.
pub(crate) fn load(factor: u64) -> ExpertLoad {
    // Multiples of 6, so that replicas share them without a remainder.
    let row =
        |layer: u64| (0..6).map(|expert| 6 * factor * (1 + layer + expert * expert)).collect();
    let rows: Vec<Vec<u64>> = (0..u64::from(LAYERS)).map(row).collect();
    ExpertLoad::from_rows(shape(), &rows).expect("a small load")
}

/// The same load with one layer's experts rotated by half.
pub(crate) fn rotated(load: &ExpertLoad, layer: LayerId) -> ExpertLoad {
    let mut row = load.layer(layer).to_vec();
    row.rotate_left(3);
    let mut rotated = load.clone();
    rotated.set_layer(layer, &row).expect("the same tokens");
    rotated
}

/// What one rank counts of a load that is routed by a placement.
pub(crate) fn counted(
    placement: &Placement,
    load: &ExpertLoad,
    topology: &Topology,
    rank: RankId,
) -> Vec<u64> {
    let of_layer = |(row, layer): (&[u64], &LayerPlacement)| {
        let slots = layer.routing(topology).slot_loads(row, topology);
        slots[topology.slots_of(rank)].to_vec()
    };
    load.rows().zip(placement.layers()).flat_map(of_layer).collect()
}

/// Plain counts as xLLM's workers send them.
pub(crate) fn prefix_sums(counts: &[u64], slots: usize) -> Vec<u64> {
    let sums = |row: &[u64]| {
        let sum = |sum: &mut u64, count: &u64| {
            *sum += count;
            Some(*sum)
        };
        row.iter().scan(0, sum).collect::<Vec<u64>>()
    };
    counts.chunks(slots).flat_map(sums).collect()
}

/// The table of a layer with every slot's expert moved one slot on.
pub(crate) fn turned(placement: &Placement, layer: LayerId) -> Vec<ExpertId> {
    let mut experts = placement.layer(layer).experts().to_vec();
    experts.rotate_right(1);
    experts
}

pub(crate) fn planned(placement: &Placement, layer: LayerId, after: f64) -> PlannedLayer {
    PlannedLayer {
        layer,
        placement: table(layer, &turned(placement, layer)),
        balancedness_before: 0.5,
        balancedness_after: after,
        account: None,
    }
}

/// A placement of a layer in epoch 0, with even shares.
pub(crate) fn table(layer: LayerId, experts: &[ExpertId]) -> LayerPlacement {
    LayerPlacement::new(layer, experts, Epoch(0), shape(), &topology()).expect("all are placed")
}

/// The same table with uneven shares: of each expert that has several replicas the first takes `first`
/// tokens of 65,535 and the last the rest.
pub(crate) fn shared(placement: &LayerPlacement, first: u16) -> LayerPlacement {
    let mut shares = vec![0; placement.experts().len()];
    for expert in (0..EXPERTS).map(ExpertId) {
        let topology = topology();
        let slots: Vec<_> = placement.replicas(expert, &topology).collect();
        shares[slots[0].index()] = first;
        shares[slots[slots.len() - 1].index()] += SHARE_ONE - first;
        if slots.len() == 1 {
            shares[slots[0].index()] = SHARE_ONE;
        }
    }
    placement.with_shares(&shares, &topology()).expect("they add up")
}

impl Rig {
    pub(crate) fn new(config: ManagerConfig) -> Self {
        let topology = topology();
        let manager = Manager::new(config, shape(), topology.clone(), initial());
        Self {
            manager: manager.expect("valid settings"),
            topology,
            now: Timestamp(0),
            next_step: 0,
            notes: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Takes everything that the manager wants; gives the headers.
    pub(crate) fn drain(&mut self) -> Vec<StepHeader> {
        let mut headers = Vec::new();
        while let Some(command) = self.manager.poll_command() {
            match command {
                Command::Header(header) => headers.push(header),
                Command::Plan(job) => self.jobs.push(job),
                Command::Note(note) => self.notes.push(note),
            }
        }
        headers
    }

    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        self.drain();
        std::mem::take(&mut self.notes)
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.manager.handle_event(self.now, event);
        let headers = self.drain();
        assert!(headers.is_empty(), "headers come with steps only");
    }

    pub(crate) fn wait(&mut self, duration: Duration) {
        self.now = self.now.plus(duration);
        self.manager.handle_timeout(self.now);
        self.drain();
        assert!(self.manager.poll_timeout().is_none_or(|next| next > self.now));
    }

    pub(crate) fn step(&mut self, allow_changes: bool) -> StepHeader {
        let step = Step(self.next_step);
        self.next_step += 1;
        self.now = self.now.plus(Duration::from_secs(1));
        self.manager.handle_event(self.now, Event::StepBegins { step, allow_changes });
        let headers = self.drain();
        assert_eq!(headers.len(), 1, "one header a step");
        assert_eq!(headers[0].step, step);
        assert_eq!(headers[0].epochs_digest, eplb_manager::epochs_digest(self.manager.placement()));
        headers.into_iter().next().expect("one header")
    }

    /// The step that began last.
    pub(crate) fn last_step(&self) -> Step {
        Step(self.next_step - 1)
    }

    pub(crate) fn report_of(&self, rank: u32, load: Option<LoadReport>) -> RankReport {
        RankReport {
            rank: RankId(rank),
            step: self.last_step(),
            clock: self.now,
            loads: load.into_iter().collect(),
            statuses: Vec::new(),
            plan_digest: None,
        }
    }

    pub(crate) fn send(&mut self, report: RankReport) {
        self.event(Event::Report { sender: report.rank, report });
    }

    /// What a rank counted on the last step.
    pub(crate) fn load_of(&self, rank: u32, load: &ExpertLoad) -> LoadReport {
        let step = self.last_step();
        let counts = counted(self.manager.placement(), load, &self.topology, RankId(rank));
        LoadReport::of_step(step, counts)
    }

    /// One step on which every rank reports its part of a load.
    pub(crate) fn step_with(&mut self, load: &ExpertLoad) {
        self.step(true);
        for rank in 0..RANKS {
            let report = self.report_of(rank, Some(self.load_of(rank, load)));
            self.send(report);
        }
    }

    /// One step after which ranks report a status of one change.
    pub(crate) fn all_say(&mut self, token: Token, status: &Status) {
        for rank in 0..RANKS {
            self.says(rank, token, status.clone());
        }
    }

    pub(crate) fn says(&mut self, rank: u32, token: Token, status: Status) {
        let mut report = self.report_of(rank, None);
        report.statuses.push(TokenStatus { token, status });
        self.send(report);
    }

    /// Answers the plan that was asked for with turned tables; the first layer gains most.
    pub(crate) fn plan(&mut self) -> Vec<LayerId> {
        let job = self.jobs.pop().expect("a plan was asked for");
        let gain = |index: usize| 0.9 - 0.1 * index as f64;
        let layers = job.layers.iter().enumerate();
        let plan =
            layers.map(|(index, &layer)| planned(&job.present, layer, gain(index))).collect();
        self.event(Event::Planned { round: job.round, plan: Ok(plan) });
        job.layers
    }

    /// Leads every planned layer to its commit.
    pub(crate) fn finish_round(&mut self) -> Vec<LayerId> {
        let mut committed = Vec::new();
        let end = self.next_step + 50;
        while self.manager.open_round().is_some() {
            assert!(self.next_step < end, "the round does not end");
            let header = self.step(true);
            let statuses: Vec<TokenStatus> = header.directives.iter().map(done).collect();
            for directive in &header.directives {
                if matches!(directive, Directive::Commit { .. }) {
                    committed.push(directive.layer());
                }
            }
            for rank in 0..RANKS {
                let mut report = self.report_of(rank, None);
                report.statuses.clone_from(&statuses);
                self.send(report);
            }
        }
        committed
    }
}

/// What a rank says of a directive that went well at once.
pub(crate) fn done(directive: &Directive) -> TokenStatus {
    let status = match directive {
        Directive::Prepare { .. } => Status::Prepared,
        Directive::Commit { at_step, .. } => Status::Committed { step: *at_step },
        Directive::Revert { .. } => Status::Reverted,
    };
    TokenStatus { token: directive.token(), status }
}
