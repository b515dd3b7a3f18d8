//! A virtual cluster: manager and followers over a bad network, with invariants after every step.

use std::collections::BTreeMap;
use std::time::Duration;

use eplb_core::{
    Account, Epoch, ExpertId, ExpertLoad, LayerId, LayerPlacement, ModelShape, RankId, Step,
    Topology, Verdict,
};
use eplb_manager::{
    Carriage, Command, Directive, Event, LayerPhase, Manager, ManagerConfig, Note, Phase, PlanJob,
    PlannedLayer, PlannedPhases, RankReport, RoundId, StepHeader, Timestamp, Token,
};

use crate::member::Member;
use crate::network::{Chance, Faults, Network};
use crate::rig::{LAYERS, RANKS, initial, load, rotated, shape, shared, table, topology};

const WINDOW: u32 = 2;
const SECOND: Duration = Duration::from_secs(1);

/// A table and its shares.
type Table = (Vec<ExpertId>, Option<Vec<u16>>);

/// What a manager is asked for and when the answer comes.
struct Planning {
    manager: usize,
    ready: u64,
    job: PlanJob,
    spoiled: bool,
}

pub(crate) struct Cluster {
    chance: Chance,
    pub(crate) faults: Faults,
    topology: Topology,
    /// One in leader carriage, one for each rank in spmd.
    pub(crate) managers: Vec<Manager>,
    pub(crate) members: Vec<Member>,
    network: Network,
    planning: Vec<Planning>,
    now: Timestamp,
    step: u64,
    /// Everything that the first manager said.
    pub(crate) log: Vec<Command>,
    /// What each epoch stands for: a table and its shares.
    tables: BTreeMap<(LayerId, Epoch), Table>,
    /// The time that managers go by: in spmd carriage what rank 0 last said and was believed.
    shared_now: Timestamp,
    /// Since when each layer is in its phase, and the attempt.
    phases: Vec<(LayerPhase, Option<Token>, Timestamp)>,
    round_since: Option<(RoundId, Timestamp)>,
    /// Layers whose revert nobody waits for any more.
    unconfirmed: Vec<LayerId>,
    /// Ranks that ran the last step.
    pub(crate) ran: Vec<RankId>,
    /// Layers that a round without faults commits: all, where none can be too large to change.
    least_committed: u32,
}

pub(crate) fn config(seed: u64) -> ManagerConfig {
    // Some plans are done in parts, some come in none that are small enough.
    let most_changed_slots = [None, Some(1), Some(2), None, Some(3)][(seed % 5) as usize];
    ManagerConfig {
        // Longer than a round of parts takes, so that there are times without one.
        update_interval: if most_changed_slots.is_some() { 40 * SECOND } else { 3 * SECOND },
        window_samples: WINDOW,
        windows_kept: 2,
        planned_phases: if seed.is_multiple_of(4) {
            PlannedPhases::Decode
        } else {
            PlannedPhases::All
        },
        layers_in_flight: 1 + (seed % 3) as usize,
        most_changed_slots,
        plan_timeout: 5 * SECOND,
        agreement_timeout: 4 * SECOND,
        prepare_timeout: 6 * SECOND,
        commit_timeout: 5 * SECOND,
        revert_timeout: 4 * SECOND,
        refusal_backoff: 1,
        ..ManagerConfig::default()
    }
}

impl Cluster {
    pub(crate) fn new(seed: u64, is_spmd: bool) -> Self {
        let mut chance = Chance::new(seed);
        let faults = Faults::mixed(&mut chance);
        let topology = topology();
        let manager = |carriage| {
            let config = ManagerConfig { carriage, ..config(seed) };
            Manager::new(config, shape(), topology.clone(), initial()).expect("valid settings")
        };
        let managers = if is_spmd {
            topology.rank_ids().map(|own_rank| manager(Carriage::Spmd { own_rank })).collect()
        } else {
            vec![manager(Carriage::Leader)]
        };
        let member = |rank| Member::new(rank, &topology, &initial());
        Self {
            members: topology.rank_ids().map(member).collect(),
            chance,
            faults,
            managers,
            network: Network::default(),
            planning: Vec::new(),
            now: Timestamp(0),
            step: 0,
            log: Vec::new(),
            tables: BTreeMap::new(),
            shared_now: Timestamp(0),
            phases: vec![(LayerPhase::Idle, None, Timestamp(0)); LAYERS as usize],
            round_since: None,
            unconfirmed: Vec::new(),
            ran: Vec::new(),
            least_committed: if config(seed).most_changed_slots.is_some() { 1 } else { LAYERS },
            topology,
        }
    }

    /// The load of a step: two loads take turns, so that there is always a reason to plan.
    fn load(step: u64) -> ExpertLoad {
        let mut load = load(1);
        if step / 16 % 2 == 1 {
            for layer in shape().layer_ids() {
                load = rotated(&load, layer);
            }
        }
        load
    }

    pub(crate) fn run_step(&mut self) {
        self.pass_time();
        self.answer_plans();
        let header = self.begin_managers();
        self.begin_members(&header);
        self.check_routing();
        self.report();
        self.check_waits(&header);
        self.step += 1;
    }

    fn pass_time(&mut self) {
        let idle = self.chance.percent(self.faults.engine_idle);
        self.now = self.now.plus(if idle { 20 * SECOND } else { SECOND });
        for manager in 0..self.managers.len() {
            self.managers[manager].handle_timeout(self.now);
            let header = self.drain(manager);
            assert!(header.is_none());
        }
        let ranks = self.members.len() as u64;
        if self.chance.percent(self.faults.ranks_silent) {
            let rank = self.chance.below(ranks) as usize;
            self.members[rank].silent_until = self.step + 1 + self.chance.below(25);
        }
    }

    fn answer_plans(&mut self) {
        let (ready, rest) = std::mem::take(&mut self.planning)
            .into_iter()
            .partition::<Vec<_>, _>(|planning| planning.ready <= self.step);
        self.planning = rest;
        for Planning { manager, job, spoiled, .. } in ready {
            let mut plan = plan(&job);
            if spoiled {
                match self.chance.below(4) {
                    0 => {
                        self.event(
                            manager,
                            Event::Planned { round: job.round, plan: Err("no".into()) },
                        );
                        continue;
                    }
                    1 => plan[0].placement = of_another_model(plan[0].layer),
                    2 => {
                        plan[0].placement = shared(&plan[0].placement, 30_000 + job.round.0 as u16)
                    }
                    _ => plan[0].balancedness_after = f64::INFINITY,
                }
            }
            self.event(manager, Event::Planned { round: job.round, plan: Ok(plan) });
        }
    }

    fn event(&mut self, manager: usize, event: Event) {
        self.managers[manager].handle_event(self.now, event);
        let header = self.drain(manager);
        assert!(header.is_none(), "headers come with steps only");
        let timeout = self.managers[manager].poll_timeout();
        assert!(timeout.is_none_or(|timeout| timeout > self.now), "a wait outlived its deadline");
    }

    /// Takes what a manager wants; gives the header if it gave one.
    fn drain(&mut self, manager: usize) -> Option<StepHeader> {
        let mut found = None;
        while let Some(command) = self.managers[manager].poll_command() {
            if manager == 0 {
                self.log.push(command.clone());
                self.see(&command);
            }
            match command {
                Command::Header(header) => assert!(found.replace(header).is_none()),
                Command::Plan(job) => {
                    check_windows(&job);
                    let slow = self.chance.percent(self.faults.plans_bad);
                    let steps = if slow { 3 + self.chance.below(12) } else { self.chance.below(3) };
                    let spoiled = self.chance.percent(self.faults.plans_bad);
                    let ready = self.step + steps;
                    self.planning.push(Planning { manager, ready, job, spoiled });
                }
                Command::Note(_) => {}
            }
        }
        found
    }

    fn see(&mut self, command: &Command) {
        match command {
            Command::Note(Note::RevertUnconfirmed { layer, .. }) => self.unconfirmed.push(*layer),
            Command::Note(Note::LayerReverted { layer, .. }) => {
                self.unconfirmed.retain(|other| other != layer);
            }
            _ => {}
        }
    }

    /// Every manager's header for the step; all must be the same.
    fn begin_managers(&mut self) -> StepHeader {
        let allow_changes = self.faults.engine_idle == 0 || self.chance.percent(80);
        let begins = Event::StepBegins { step: Step(self.step), allow_changes };
        let mut headers = Vec::new();
        for manager in 0..self.managers.len() {
            self.managers[manager].handle_event(self.now, begins.clone());
            headers.extend(self.drain(manager));
            if self.chance.percent(self.faults.headers_repeated) {
                self.managers[manager].handle_event(self.now, begins.clone());
                let again = self.drain(manager);
                assert_eq!(again.as_ref(), headers.last(), "a retry gives the same header");
            }
        }
        assert_eq!(headers.len(), self.managers.len());
        assert!(headers.iter().all(|header| *header == headers[0]), "managers differ");
        for directive in &headers[0].directives {
            if let Directive::Prepare { layer, epoch, experts, shares, .. } = directive {
                let table = (experts.clone(), shares.clone());
                let known = self.tables.entry((*layer, *epoch)).or_insert_with(|| table.clone());
                assert_eq!(known, &table, "an epoch stands for one table and its shares");
            }
        }
        headers.swap_remove(0)
    }

    fn begin_members(&mut self, header: &StepHeader) {
        let bytes = header.encode();
        self.ran.clear();
        for member in &mut self.members {
            if member.silent_until > self.step || self.chance.percent(self.faults.headers_lost) {
                continue;
            }
            if self.chance.percent(self.faults.headers_repeated) {
                // The last header turns up again, and one from before it.
                if let Some(last) = member.last_header.clone().filter(|last| last.step.0 > 0) {
                    member.begin(&last, &self.faults, &mut self.chance);
                    let older = StepHeader { step: Step(last.step.0 - 1), ..last };
                    assert!(!member.begin(&older, &self.faults, &mut self.chance));
                }
            }
            let header = StepHeader::decode(&bytes).expect("undamaged");
            let ran = member.begin(&header, &self.faults, &mut self.chance);
            if self.chance.percent(self.faults.headers_repeated) {
                let again = member.begin(&header, &self.faults, &mut self.chance);
                assert_eq!(again, ran, "a repeated header changes nothing");
            }
            if ran {
                self.ran.push(member.follower.rank());
            }
        }
    }

    /// No rank routes a step with another epoch or table than the others and the manager.
    fn check_routing(&self) {
        for rank in &self.ran {
            let member = &self.members[rank.index()];
            assert_eq!(member.follower.placement(), self.managers[0].placement(), "{rank}");
        }
        for manager in &self.managers {
            assert_eq!(manager.placement(), self.managers[0].placement());
        }
    }

    fn report(&mut self) {
        // Prefill has a load of its own, which must not be seen where only decode is planned for.
        let config = self.managers[0].config();
        let is_other = config.planned_phases == PlannedPhases::Decode && self.step % 5 == 3;
        let phase = if is_other { Phase::Prefill } else { Phase::Decode };
        let load = if is_other { load(31) } else { Self::load(self.step) };
        for index in 0..self.members.len() {
            let member = &mut self.members[index];
            if member.silent_until > self.step {
                continue;
            }
            member.finish_prepares(self.step);
            let ran = self.ran.contains(&member.follower.rank());
            let load = ran.then(|| member.load(self.step, phase, &load, &self.topology));
            let mut report =
                member.follower.report(Step(self.step), self.now, load.into_iter().collect());
            if let Some(manager) = self.managers.get(index).filter(|_| self.managers.len() > 1) {
                report.plan_digest = manager.plan_digest();
            }
            self.network.send(&report, self.step, &self.faults, &mut self.chance);
        }
        for parcel in self.network.receive(self.step, &mut self.chance) {
            let Ok(report) = RankReport::decode(&parcel.bytes) else { continue };
            let accepted = self.managers[0].counters().reports_accepted;
            for manager in 0..self.managers.len() {
                let event = Event::Report { sender: parcel.sender, report: report.clone() };
                self.event(manager, event);
            }
            let was_accepted = self.managers[0].counters().reports_accepted > accepted;
            if was_accepted && report.rank == RankId(0) {
                self.shared_now = self.shared_now.max(report.clock);
            }
        }
    }

    /// No wait outlives its deadline.
    fn check_waits(&mut self, header: &StepHeader) {
        let now = if self.managers.len() > 1 { self.shared_now } else { self.now };
        let config = self.managers[0].config();
        // Times are seen once a step, and an idle engine makes one step long.
        let slack = 21 * SECOND;
        for (layer, seen) in shape().layer_ids().zip(&mut self.phases) {
            let phase = self.managers[0].layer_phase(layer);
            let mut named = header.directives.iter();
            let token = named.find(|named| named.layer() == layer).map(Directive::token);
            if (phase, token) != (seen.0, seen.1) {
                *seen = (phase, token, now);
            }
            let most = match phase {
                LayerPhase::Preparing => config.prepare_timeout,
                LayerPhase::Prepared | LayerPhase::Committing { .. } => config.commit_timeout,
                LayerPhase::RevertDue => config.revert_timeout,
                LayerPhase::Reverting { .. } if !self.unconfirmed.contains(&layer) => {
                    config.revert_timeout
                }
                _ => continue,
            };
            assert!(seen.2.plus(most + slack) > now, "{layer} stays {phase:?}");
        }
        let open = self.managers[0].open_round();
        if open != self.round_since.map(|(round, _)| round) {
            self.round_since = open.map(|round| (round, now));
        }
        if let Some((round, since)) = self.round_since {
            let planning = config.plan_timeout + config.agreement_timeout;
            let layer = config.prepare_timeout + 2 * config.commit_timeout + config.revert_timeout;
            // A layer has no more parts than slots that change.
            let parts = config.most_changed_slots.map_or(1, |_| self.topology.slots() as u32);
            let most = planning + LAYERS * parts * layer + 4 * slack;
            assert!(since.plus(most) > now, "{round} never ends");
        }
    }

    /// From here on nothing goes wrong, and within some steps everything must work again.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::NONE;
        self.members.iter_mut().for_each(|member| member.silent_until = 0);
        let mut finished = false;
        let mut steps = 0;
        while !(finished && self.is_quiet()) {
            let before = self.log.len();
            self.run_step();
            steps += 1;
            assert!(steps < 1_000, "no whole round after the faults ended");
            if steps > 20 {
                assert_eq!(self.ran.len(), RANKS as usize, "a rank does not come back");
                finished |= self.log[before..].iter().any(|command| {
                    matches!(command, Command::Note(Note::RoundFinished { committed, .. })
                        if *committed >= self.least_committed)
                });
            }
        }
    }

    /// Nothing is under way, and every rank has the manager's placement.
    fn is_quiet(&self) -> bool {
        self.managers[0].open_round().is_none()
            && self.members.iter().all(|member| {
                member.is_settled() && member.follower.placement() == self.managers[0].placement()
            })
    }
}

/// Each layer's slots shuffled, or its shares changed, or both; the same for all who plan the same round.
fn plan(job: &PlanJob) -> Vec<PlannedLayer> {
    let planned = |&layer: &LayerId| {
        let mut chance = Chance::new(job.round.0 << 8 | u64::from(layer.0));
        let present = job.present.layer(layer);
        let mut placement = table(layer, present.experts());
        if chance.percent(75) {
            let mut experts = present.experts().to_vec();
            chance.shuffle(&mut experts);
            experts.rotate_left(1);
            placement = table(layer, &experts);
        }
        if chance.percent(50) || placement.experts() == present.experts() {
            // A number of its own for each round, so that no plan is what stands already.
            placement = shared(&placement, 10 + job.round.0 as u16);
        }
        let gain = 0.01 + chance.below(100) as f64 / 250.0;
        let (balancedness_before, mut balancedness_after) = (0.5, 0.5 + gain);
        let verdicts = [Verdict::Idle, Verdict::Settled, Verdict::NotWorthIt, Verdict::Budget];
        let verdict = verdicts[chance.below(4) as usize];
        let price = chance.below(3) as f64;
        let account = Account { gain: gain + price, price, bound: 9.0, verdict };
        let account = chance.percent(60).then_some(account);
        if account.is_some() {
            // What a policy that weighs gain and price says of the sum of the load decides nothing.
            balancedness_after = 0.25;
        }
        PlannedLayer { layer, placement, balancedness_before, balancedness_after, account }
    };
    job.layers.iter().map(planned).collect()
}

/// A table for as many slots that leaves out experts of this model.
fn of_another_model(layer: LayerId) -> LayerPlacement {
    let shape = ModelShape::new(LAYERS, 1, 1).expect("a small model");
    let experts = vec![ExpertId(0); topology().slots()];
    LayerPlacement::new(layer, &experts, Epoch(0), shape, &topology()).expect("one expert")
}

/// Every window must be made of whole samples of the two loads: a token that was credited to another
/// expert than the one it was routed to, or counted twice, or a rank left out, would show.
fn check_windows(job: &PlanJob) {
    let (first, second) = (Cluster::load(0), Cluster::load(16));
    assert!(!job.windows.is_empty());
    for window in &job.windows {
        for layer in shape().layer_ids() {
            let is_sum = |part: u32| {
                let (part, rest) = (u64::from(part), u64::from(WINDOW - part));
                let rows = first.layer(layer).iter().zip(second.layer(layer));
                let sums = rows.map(|(first, second)| part * first + rest * second);
                sums.eq(window.layer(layer).iter().copied())
            };
            assert!((0..=WINDOW).any(is_sum), "{layer}: {:?}", window.layer(layer));
        }
    }
}
