//! A manager on every rank: the same reports in, the same headers out.

use std::collections::BTreeSet;
use std::time::Duration;

use eplb_core::{Account, Ensemble, EnsembleSettings, LayerId, RankId, Step, Verdict};
use eplb_manager::{
    Carriage, Command, Event, LoadReport, Manager, ManagerConfig, Note, PlanDigest, PlanJob,
    PlannedLayer, RankReport, RoundAbort, StepHeader, Timestamp,
};

use crate::rig::{
    RANKS, counted, done, eager, initial, load, planned, shape, shared, table, topology,
};

/// Every rank's manager, its open plan job, and the notes of all.
struct Group {
    managers: Vec<Manager>,
    jobs: Vec<Option<PlanJob>>,
    notes: Vec<Vec<Note>>,
    step: u64,
    clock: Timestamp,
}

impl Group {
    fn new(config: &ManagerConfig) -> Self {
        let manager = |rank| {
            let carriage = Carriage::Spmd { own_rank: RankId(rank) };
            let config = ManagerConfig { carriage, ..config.clone() };
            Manager::new(config, shape(), topology(), initial()).expect("valid settings")
        };
        Self {
            managers: (0..RANKS).map(manager).collect(),
            jobs: vec![None; RANKS as usize],
            notes: vec![Vec::new(); RANKS as usize],
            step: 0,
            clock: Timestamp(0),
        }
    }

    /// An event for one manager, at a time of that rank's own that must not matter.
    fn event(&mut self, rank: usize, event: Event) -> Option<StepHeader> {
        let own_clock = Timestamp(u64::MAX / 2 + 1_000 * rank as u64);
        self.managers[rank].handle_event(own_clock, event);
        assert_eq!(self.managers[rank].poll_timeout(), None, "time passes with reports");
        let mut header = None;
        while let Some(command) = self.managers[rank].poll_command() {
            match command {
                Command::Header(found) => header = Some(found),
                Command::Plan(job) => self.jobs[rank] = Some(job),
                Command::Note(note) => self.notes[rank].push(note),
            }
        }
        header
    }

    /// One step: headers made locally, reports gathered by all. `silent` ranks give no digest.
    fn step(&mut self, silent: &[u32]) -> StepHeader {
        let step = Step(self.step);
        self.step += 1;
        self.clock = self.clock.plus(Duration::from_secs(1));
        let begin = |group: &mut Self, rank| {
            group.event(rank, Event::StepBegins { step, allow_changes: true }).expect("a header")
        };
        let headers: Vec<StepHeader> = (0..RANKS as usize).map(|rank| begin(self, rank)).collect();
        assert!(headers.iter().all(|header| *header == headers[0]), "ranks made other headers");
        let report = |rank: u32| {
            let manager = &self.managers[rank as usize];
            let counts = counted(manager.placement(), &load(1), &topology(), RankId(rank));
            RankReport {
                rank: RankId(rank),
                step,
                clock: self.clock.plus(Duration::from_millis(rank.into())),
                loads: vec![LoadReport::of_step(step, counts)],
                statuses: headers[0].directives.iter().map(done).collect(),
                plan_digest: manager.plan_digest().filter(|_| !silent.contains(&rank)),
            }
        };
        let gathered: Vec<RankReport> = (0..RANKS).map(report).collect();
        for rank in 0..RANKS as usize {
            for report in &gathered {
                let event = Event::Report { sender: report.rank, report: report.clone() };
                assert_eq!(self.event(rank, event), None);
            }
        }
        headers.into_iter().next().expect("one header")
    }

    fn plan(&mut self, rank: usize, after: f64) {
        let job = self.jobs[rank].take().expect("a plan was asked for");
        let layers = job.layers.iter();
        let plan = layers.map(|&layer| planned(&job.present, layer, after)).collect();
        self.event(rank, Event::Planned { round: job.round, plan: Ok(plan) });
    }

    fn aborts(&mut self) -> Vec<Option<RoundAbort>> {
        let reason = |note: &Note| match note {
            Note::RoundAborted { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.notes.iter().map(|notes| notes.iter().find_map(reason)).collect()
    }

    /// Runs until all layers are committed.
    fn all_commit(&mut self) {
        for _ in 0..10 {
            self.step(&[]);
        }
        for manager in &self.managers {
            assert_eq!(manager.counters().layers_committed, 3);
            assert_eq!(manager.placement(), self.managers[0].placement());
        }
    }
}

#[test]
fn ranks_that_finish_planning_at_other_moments_move_on_the_same_step() {
    let mut group = Group::new(&eager());
    group.step(&[]);
    assert!(group.jobs.iter().all(Option::is_some));
    assert!(group.jobs.iter().all(|job| *job == group.jobs[0]), "the same thing to plan");
    for rank in [2, 0, 3, 1] {
        assert_eq!(group.step(&[]).directives, [], "not all have planned");
        group.plan(rank, 0.9);
    }
    assert_eq!(group.step(&[]).directives, [], "the last digest travels with this step");
    assert_eq!(group.step(&[]).directives.len(), 1);
    group.all_commit();
}

#[test]
fn a_rank_with_another_plan_stops_the_round_on_all() {
    let mut group = Group::new(&eager());
    group.step(&[]);
    for (rank, after) in [(0, 0.9), (1, 0.9), (2, 0.8), (3, 0.9)] {
        group.plan(rank, after);
    }
    group.step(&[]);
    let differs = Some(RoundAbort::Disagreement { rank: RankId(2) });
    assert_eq!(group.aborts(), vec![differs; 4]);
    assert_eq!(group.managers[0].counters().plans_disagreed, 1);
    // With the next windows, all plan anew and agree.
    (0..4).for_each(|rank| group.plan(rank, 0.9));
    group.all_commit();
}

#[test]
fn a_rank_that_fails_to_plan_stops_the_round_on_all() {
    let mut group = Group::new(&eager());
    group.step(&[]);
    (0..3).for_each(|rank| group.plan(rank, 0.9));
    let job = group.jobs[3].take().unwrap();
    group.event(3, Event::Planned { round: job.round, plan: Err("out of memory".to_owned()) });
    let failed = PlanDigest { round: job.round, digest: PlanDigest::FAILED };
    assert_eq!(group.managers[3].plan_digest(), Some(failed));
    group.step(&[]);
    let differs = Some(RoundAbort::Disagreement { rank: RankId(3) });
    assert_eq!(group.aborts(), vec![differs; 4]);
    (0..4).for_each(|rank| group.plan(rank, 0.9));
    group.all_commit();
}

#[test]
fn a_rank_that_gives_no_digest_is_not_waited_for_longer_than_its_deadline() {
    let config = ManagerConfig {
        plan_timeout: Duration::from_secs(3),
        agreement_timeout: Duration::from_secs(2),
        ..eager()
    };
    let mut group = Group::new(&config);
    group.step(&[]);
    (0..4).for_each(|rank| group.plan(rank, 0.9));
    let opened = group.step;
    while group.managers[0].counters().agreement_timeouts == 0 {
        group.step(&[1]);
        assert!(group.step <= opened + 5, "a step takes a second");
    }
    assert_eq!(group.step, opened + 5);
    let silent = Some(RoundAbort::AgreementTimeout { rank: RankId(1) });
    assert_eq!(group.aborts(), vec![silent; 4]);
    (0..4).for_each(|rank| group.plan(rank, 0.9));
    group.all_commit();
}

fn account(gain: f64, price: f64, bound: f64) -> Option<Account> {
    Some(Account { gain, price, bound, verdict: Verdict::Settled })
}

#[test]
fn a_layers_plan_is_part_of_the_digest() {
    let digest = |layer: u32, change: fn(&mut PlannedLayer)| {
        let mut group = Group::new(&eager());
        group.step(&[]);
        let job = group.jobs[0].take().unwrap();
        let mut planned = planned(&job.present, LayerId(layer), 0.9);
        change(&mut planned);
        group.event(0, Event::Planned { round: job.round, plan: Ok(vec![planned]) });
        group.managers[0].plan_digest().unwrap().digest
    };
    let digests = [
        digest(0, |_| ()),
        digest(1, |_| ()),
        digest(0, |planned| {
            let mut experts = planned.placement.experts().to_vec();
            experts.rotate_right(1);
            planned.placement = table(planned.layer, &experts);
        }),
        digest(0, |planned| planned.placement = shared(&planned.placement, 30_000)),
        digest(0, |planned| planned.placement = shared(&planned.placement, 30_001)),
        digest(0, |planned| planned.balancedness_before = 0.6),
        digest(0, |planned| planned.account = account(0.5, 0.1, 1.0)),
        digest(0, |planned| planned.account = account(0.4, 0.1, 1.0)),
        digest(0, |planned| planned.account = account(0.5, 0.2, 1.0)),
        digest(0, |planned| planned.account = account(0.5, 0.1, 2.0)),
    ];
    assert_eq!(digests[0], digest(0, |_| ()));
    let all: BTreeSet<u64> = digests.into_iter().collect();
    assert_eq!(all.len(), digests.len());
}

#[test]
fn what_a_plan_is_made_for_is_part_of_the_digest() {
    // One rank starts with windows of another service, or with weights that differ.
    let digest = |known: &Ensemble| {
        let config = ManagerConfig { representative_windows: 1, ..eager() };
        let mut group = Group::new(&config);
        let manager = group.managers.swap_remove(0).with_ensemble(known).unwrap();
        group.managers.insert(0, manager);
        group.step(&[]);
        let job = group.jobs[0].take().unwrap();
        assert_eq!(job.weights.len(), job.windows.len());
        group.event(0, Event::Planned { round: job.round, plan: Ok(vec![]) });
        (group.managers[0].plan_digest().unwrap().digest, job)
    };
    let known = |factor: u64, age: u64| {
        let settings = EnsembleSettings { recent: 1, representatives: 1 };
        let mut known = Ensemble::new(shape(), settings).unwrap();
        for _ in 0..=age {
            known.push(load(factor)).unwrap();
        }
        known
    };
    let settings = EnsembleSettings { recent: 1, representatives: 0 };
    let none = digest(&Ensemble::new(shape(), settings).unwrap());
    let (one, other) = (digest(&known(3, 0)), digest(&known(5, 0)));
    assert_eq!(one.1.windows, [load(3), load(1)]);
    let digests = BTreeSet::from([none.0, one.0, other.0]);
    assert_eq!(digests.len(), 3);
    assert_eq!(one, digest(&known(3, 0)));
    // The same window with another weight: it stands for two.
    let scaled = |factor: u64| {
        let settings = EnsembleSettings { recent: 2, representatives: 1 };
        let mut known = Ensemble::new(shape(), settings).unwrap();
        known.push(load(factor)).unwrap();
        known.push(load(6 - factor)).unwrap();
        known
    };
    let (two, three) = (digest(&known(6, 0)), digest(&scaled(1)));
    assert_eq!(two.1.windows, three.1.windows, "load(1) and load(5) united are load(6)");
    assert_ne!(two.1.weights, three.1.weights);
    assert_ne!(two.0, three.0);
}
