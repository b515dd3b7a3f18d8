//! Chance, and a network that treats messages badly.

use eplb_core::{ExpertLoad, RankId, Step};
use eplb_manager::{RankReport, Status, Token, TokenStatus};

/// SplitMix64: a small generator whose sequence is fixed by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index as u64 + 1) as usize);
        }
    }
}

/// How often things go wrong, in percent of messages or actions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) reports_lost: u64,
    pub(crate) reports_late: u64,
    pub(crate) reports_repeated: u64,
    pub(crate) reports_damaged: u64,
    pub(crate) reports_forged: u64,
    pub(crate) headers_lost: u64,
    pub(crate) headers_repeated: u64,
    pub(crate) prepares_failed: u64,
    pub(crate) prepares_slow: u64,
    pub(crate) commits_failed: u64,
    pub(crate) reverts_failed: u64,
    pub(crate) ranks_silent: u64,
    pub(crate) plans_bad: u64,
    pub(crate) engine_idle: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        reports_lost: 0,
        reports_late: 0,
        reports_repeated: 0,
        reports_damaged: 0,
        reports_forged: 0,
        headers_lost: 0,
        headers_repeated: 0,
        prepares_failed: 0,
        prepares_slow: 0,
        commits_failed: 0,
        reverts_failed: 0,
        ranks_silent: 0,
        plans_bad: 0,
        engine_idle: 0,
    };

    /// Some faults often, some never: a mix of its own for each seed.
    pub(crate) fn mixed(chance: &mut Chance) -> Self {
        let mut often = |most: u64| if chance.percent(50) { chance.below(most + 1) } else { 0 };
        Self {
            reports_lost: often(20),
            reports_late: often(20),
            reports_repeated: often(30),
            reports_damaged: often(10),
            reports_forged: often(30),
            headers_lost: often(10),
            headers_repeated: often(30),
            prepares_failed: often(15),
            prepares_slow: often(30),
            commits_failed: often(25),
            reverts_failed: often(40),
            ranks_silent: often(2),
            plans_bad: often(30),
            engine_idle: often(5),
        }
    }
}

/// A report on its way.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) sender: RankId,
    pub(crate) bytes: Vec<u8>,
    arrives: u64,
}

/// Reports on their way to the manager.
#[derive(Default)]
pub(crate) struct Network {
    under_way: Vec<Parcel>,
}

impl Network {
    /// Sends a report after a step, and whatever else the faults add to it.
    pub(crate) fn send(
        &mut self,
        report: &RankReport,
        step: u64,
        faults: &Faults,
        chance: &mut Chance,
    ) {
        let sender = report.rank;
        let parcel = |bytes: Vec<u8>, arrives| Parcel { sender, bytes, arrives };
        if chance.percent(faults.reports_forged) {
            let (sender, forged) = forged(report, chance);
            self.under_way.push(Parcel { sender, bytes: forged.encode(), arrives: step });
        }
        if chance.percent(faults.reports_lost) {
            return;
        }
        let late = if chance.percent(faults.reports_late) { 1 + chance.below(4) } else { 0 };
        if chance.percent(faults.reports_repeated) {
            self.under_way.push(parcel(report.encode(), step + chance.below(6)));
        }
        let mut bytes = report.encode();
        if chance.percent(faults.reports_damaged) {
            let index = chance.below(bytes.len() as u64) as usize;
            bytes[index] ^= 1 + chance.below(255) as u8;
        }
        self.under_way.push(parcel(bytes, step + late));
    }

    /// What arrives after a step, in any order.
    pub(crate) fn receive(&mut self, step: u64, chance: &mut Chance) -> Vec<Parcel> {
        let (mut here, later) = std::mem::take(&mut self.under_way)
            .into_iter()
            .partition::<Vec<_>, _>(|parcel| parcel.arrives <= step);
        self.under_way = later;
        chance.shuffle(&mut here);
        here
    }
}

/// A report that no honest rank sends, and who sends it.
fn forged(report: &RankReport, chance: &mut Chance) -> (RankId, RankReport) {
    let mut forged = report.clone();
    let mut sender = report.rank;
    let says = |token, status| TokenStatus { token, status };
    match chance.below(9) {
        // In another rank's name: every change it has under way is committed, which would be believed.
        0 => {
            sender = RankId((sender.0 + 1) % 4);
            let step = forged.step;
            let statuses = forged.statuses.iter_mut();
            statuses.for_each(|says| says.status = Status::Committed { step });
        }
        1 => {
            sender = RankId(77);
            forged.rank = sender;
        }
        2 => forged.step = Step(forged.step.0 + 1_000),
        3 => forged.statuses.push(says(Token(u64::MAX), Status::Prepared)),
        4 => {
            let first = forged.statuses.first().map_or(Token(u64::MAX), |status| status.token);
            let status = Status::Prepared;
            forged.statuses = vec![says(first, status.clone()), says(first, status)];
        }
        5 => forged.statuses.push(says(Token(1 << 40), Status::Reverted)),
        kind => match forged.loads.first_mut() {
            Some(load) if kind == 6 => load.counts[0] = ExpertLoad::MOST_TOKENS + 1,
            Some(load) if kind == 7 => load.last_step = Step(load.last_step.0 + 9),
            Some(load) => load.counts.truncate(1),
            None => forged.step = Step(u64::MAX),
        },
    }
    (sender, forged)
}
