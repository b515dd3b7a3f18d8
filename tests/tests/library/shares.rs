//! Changes of shares alone: nothing is copied, and routing switches on all ranks at the same step.

use eplb::core::{LayerId, LayerPlacement, Placement, SHARE_ONE, Step, Topology};
use eplb::device::{ErrorKind, Fault};
use eplb::{Clock, LoadReport};
use eplb_manager::{
    Command, Event, LayerPhase, Manager, ManagerConfig, PlanJob, PlannedLayer, RankReport,
};

use super::engine::{EXPERTS, Engine, LIMIT};

const LAYER: LayerId = LayerId(1);

/// Sessions on devices, led by a manager whose plans are made here.
struct Group {
    engine: Engine,
    manager: Manager,
    job: Option<PlanJob>,
}

/// The same table, with all tokens of an expert at its first replica, or at its last.
fn reshared(placement: &LayerPlacement, at_last: bool, topology: &Topology) -> LayerPlacement {
    let experts = placement.experts();
    let share = |(slot, expert)| {
        let rest = if at_last { &experts[slot + 1..] } else { &experts[..slot] };
        if rest.contains(expert) { 0 } else { SHARE_ONE }
    };
    let shares: Vec<u16> = experts.iter().enumerate().map(share).collect();
    placement.with_shares(&shares, topology).unwrap()
}

impl Group {
    fn start(executor: &str) -> Self {
        let engine = Engine::start(executor);
        let config = ManagerConfig {
            update_interval: std::time::Duration::ZERO,
            window_samples: 1,
            windows_kept: 1,
            refusal_backoff: 0,
            ..ManagerConfig::default()
        };
        let placement = engine.coordinator.placement().clone();
        let (shape, topology) = (placement.shape(), engine.topology.clone());
        let manager = Manager::new(config, shape, topology, placement).unwrap();
        Self { engine, manager, job: None }
    }

    fn handle(&mut self, event: Event) -> Option<Vec<u8>> {
        self.manager.handle_event(self.engine.clock.now(), event);
        let mut header = None;
        while let Some(command) = self.manager.poll_command() {
            match command {
                Command::Header(made) => header = Some(made.encode()),
                Command::Plan(job) => self.job = Some(job),
                Command::Note(_) => {}
            }
        }
        header
    }

    /// One step of all ranks, or of none; all who run it route by the manager's placement.
    fn step(&mut self, hot: u32) {
        let step = self.engine.step;
        self.engine.step = step.next();
        let header = self.handle(Event::StepBegins { step, allow_changes: true }).unwrap();
        let ranks = self.engine.ranks.iter_mut();
        let begun: Vec<_> = ranks.map(|(_, _, session)| session.begin_step(&header)).collect();
        let ran = begun.iter().all(Result::is_ok);
        let refused = begun.into_iter().filter_map(Result::err).map(|error| error.to_string());
        self.engine.refusals.extend(refused);
        if ran {
            self.check_routing();
        }
        let load: Vec<u64> =
            (0..EXPERTS).map(|expert| if expert == hot { 900 } else { 100 }).collect();
        let mut reports = Vec::new();
        for (rank, _, session) in &mut self.engine.ranks {
            let counts = [LayerId(0), LAYER].into_iter().flat_map(|layer| {
                let slots = session.routing(layer).slot_loads(&load, &self.engine.topology);
                slots[self.engine.topology.slots_of(*rank)].to_vec()
            });
            let load = LoadReport::of_step(step, counts.collect());
            session.settle(LIMIT).unwrap();
            let report = session.end_step(ran.then_some(load), None);
            reports.push((*rank, RankReport::decode(&report).unwrap()));
        }
        for (sender, report) in reports {
            assert_eq!(self.handle(Event::Report { sender, report }), None);
        }
    }

    fn check_routing(&self) {
        for (rank, _, session) in &self.engine.ranks {
            let placement = self.manager.placement();
            for layer in placement.shape().layer_ids() {
                let expected = placement.layer(layer).routing(&self.engine.topology);
                assert_eq!(**session.routing(layer), expected, "{rank} {layer}");
            }
        }
    }

    /// Answers the plan asked for with other shares for one layer.
    fn plan(&mut self, at_last: bool) {
        let job = self.job.take().expect("a plan was asked for");
        assert!(job.layers.contains(&LAYER));
        let placement = reshared(job.present.layer(LAYER), at_last, &self.engine.topology);
        let (balancedness_before, balancedness_after) = (0.5, 0.75);
        let planned = PlannedLayer {
            layer: LAYER,
            placement,
            balancedness_before,
            balancedness_after,
            account: None,
        };
        self.handle(Event::Planned { round: job.round, plan: Ok(vec![planned]) });
        assert_eq!(self.manager.layer_phase(LAYER), LayerPhase::Queued);
    }

    /// Steps until the layer is in this phase.
    fn steps_until(&mut self, is_there: fn(LayerPhase) -> bool, hot: u32) {
        let end = Step(self.engine.step.0 + 20);
        while !is_there(self.manager.layer_phase(LAYER)) {
            assert!(self.engine.step < end, "{:?}", self.manager.layer_phase(LAYER));
            self.step(hot);
        }
    }

    /// What every rank routes the layer's tokens by.
    fn placement(&self) -> &LayerPlacement {
        self.manager.placement().layer(LAYER)
    }
}

fn is_idle(phase: LayerPhase) -> bool {
    phase == LayerPhase::Idle
}

fn shares_change_alone(executor: &str) {
    let mut group = Group::start(executor);
    let start: Placement = group.manager.placement().clone();
    group.step(0);
    group.plan(true);
    let copies = group.engine.faults.count_of("copy");
    group.steps_until(is_idle, 0);
    let expected = reshared(start.layer(LAYER), true, &group.engine.topology);
    assert_eq!(group.placement(), &expected.with_epoch(group.placement().epoch()));
    assert!(group.placement().epoch() > start.layer(LAYER).epoch());
    group.step(0);
    let counters = group.manager.counters();
    assert_eq!((counters.layers_committed, counters.layers_rerouted), (1, 1), "{counters:?}");
    assert_eq!(group.engine.faults.count_of("copy"), copies);
    group.engine.verify_as(group.manager.placement());
    for (rank, _, session) in &group.engine.ranks {
        let figures = session.figures();
        assert_eq!((figures.layers_committed, figures.moved), (1, Default::default()), "{rank}");
    }
    assert_eq!(group.engine.refusals, Vec::<String>::new());
    group.engine.end();
}

fn a_failed_switch_brings_the_old_shares_back(executor: &str) {
    let mut group = Group::start(executor);
    group.step(0);
    group.plan(true);
    group.steps_until(is_idle, 0);
    let before = group.placement().clone();
    group.step(3);
    group.plan(false);
    group.steps_until(|phase| phase == LayerPhase::Prepared, 3);
    let second = group.engine.faults.count_of("record_event") + 2;
    let fault = Fault::error_of("record_event", second, ErrorKind::Failed);
    group.engine.faults.inject(fault);
    group.step(3);
    assert_eq!(group.engine.faults.fired(), 1);
    assert_eq!(group.engine.refusals.len(), 1, "{:?}", group.engine.refusals);
    assert!(group.engine.refusals[0].contains("the switch-over of layer 1 failed"));
    // The other ranks had switched. At the next step all are back, shares included.
    group.step(3);
    assert_eq!(group.placement(), &before);
    group.engine.verify_as(group.manager.placement());
    group.steps_until(is_idle, 3);
    assert_eq!(group.manager.counters().layers_reverted, 1);
    // And the change can be made again.
    group.step(3);
    group.plan(false);
    group.steps_until(is_idle, 3);
    assert_eq!(group.manager.counters().layers_committed, 2);
    let topology = &group.engine.topology;
    assert_eq!(group.placement().shares(), reshared(&before, false, topology).shares());
    group.engine.verify_as(group.manager.placement());
    group.engine.end();
}

#[test]
fn in_place_shares_change_alone() {
    shares_change_alone("commit = \"in_place\"");
}

#[test]
fn indirect_shares_change_alone() {
    shares_change_alone("commit = \"indirect\"\nspare_slots = 3");
}

#[test]
fn in_place_a_failed_switch_brings_the_old_shares_back() {
    a_failed_switch_brings_the_old_shares_back("commit = \"in_place\"");
}

#[test]
fn indirect_a_failed_switch_brings_the_old_shares_back() {
    a_failed_switch_brings_the_old_shares_back("commit = \"indirect\"\nspare_slots = 3");
}
