//! Load collection: whatever the device's pace, every load given out is what was counted.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb_core::Step;
use eplb_device::{
    Backend, Device, ErrorKind, Expired, Fault, FaultyBackend, Memory, Stream, StreamPriority, Wait,
};
use eplb_executor::{
    CollectedLoad, Collector, CounterForm, CounterLife, CounterWidth, LoadCounters, LoadError,
    LoadFigures, Padding,
};
use eplb_host::{Hold, HostBackend};
use proptest::prelude::*;

const LAYERS: usize = 2;
const SLOTS: usize = 3;
const NUMBERS: usize = LAYERS * SLOTS;

type Counts = [u64; NUMBERS];

struct Patience(Instant);

impl Wait for Patience {
    fn pause(&mut self) -> Result<(), Expired> {
        std::thread::sleep(Duration::from_micros(20));
        if Instant::now() < self.0 { Ok(()) } else { Err(Expired) }
    }
}

/// An engine whose kernels count.
struct Engine {
    host: Arc<HostBackend>,
    faults: FaultyBackend,
    stream: Stream,
    counters: LoadCounters,
    collector: Collector<char>,
    /// What the counters hold, in the order of the stream.
    held: Counts,
    cleared: u64,
}

/// Two kinds of steps are a third.
fn together(a: char, b: char) -> char {
    if a == b { a } else { 'x' }
}

impl Engine {
    fn start(settings: impl FnOnce(&mut LoadCounters)) -> Self {
        Self::try_start(settings).unwrap()
    }

    fn try_start(settings: impl FnOnce(&mut LoadCounters)) -> Result<Self, LoadError> {
        let host = HostBackend::new(1);
        let faults = FaultyBackend::new(host.clone());
        let backend: Arc<dyn Backend> = Arc::clone(faults.backend());
        let device = Device::open(&backend, 0).unwrap();
        let stream = device.stream(StreamPriority::High).unwrap();
        // Longer than needed, as an engine's tensor may be.
        let memory = device.allocate(8 * NUMBERS + 8).unwrap();
        stream.fill(&memory, 0).unwrap();
        let mut counters = LoadCounters::new(memory, CounterWidth::Int64);
        settings(&mut counters);
        let collector = Collector::open(counters.clone(), LAYERS, SLOTS, together, &stream)?;
        let cleared = faults.count_of("fill");
        let held = [0; NUMBERS];
        Ok(Self { host, faults, stream, counters, collector, held, cleared })
    }

    /// A kernel writes these bits over the counters.
    fn write(&mut self, numbers: &[i64]) {
        let width = self.counters.width.bytes();
        let bytes: Vec<u8> =
            numbers.iter().flat_map(|number| number.to_le_bytes()[..width].to_vec()).collect();
        let device = self.stream.device();
        let memory: Memory = self.counters.memory.slice(0, bytes.len()).unwrap();
        self.stream.upload(&memory, &device.pin(&bytes).unwrap()).unwrap();
    }

    /// A forward pass counts these tokens.
    fn forward(&mut self, tokens: Counts) {
        for (held, tokens) in self.held.iter_mut().zip(tokens) {
            *held = match self.counters.life {
                CounterLife::Overwritten => tokens,
                _ => held.wrapping_add(tokens),
            };
        }
        let mut numbers = self.held.map(|held| held as i64);
        if self.counters.form == CounterForm::PrefixSums {
            for row in numbers.chunks_exact_mut(SLOTS) {
                for slot in 1..SLOTS {
                    row[slot] = row[slot].wrapping_add(row[slot - 1]);
                }
            }
        }
        self.write(&numbers);
    }

    fn collect(&mut self, step: u64, kind: char) -> Result<(), LoadError> {
        let collected = self.collector.collect(&self.stream, Step(step), kind);
        let cleared = self.faults.count_of("fill");
        if cleared > self.cleared {
            self.held = [0; NUMBERS];
        }
        self.cleared = cleared;
        collected
    }

    fn step(&mut self, step: u64, tokens: Counts) {
        self.forward(tokens);
        self.collect(step, 'd').unwrap();
    }

    fn hold(&self) -> Hold {
        self.host.hold(self.stream.handle()).unwrap()
    }

    fn finish(&self) {
        let patience = &mut Patience(Instant::now() + Duration::from_secs(20));
        self.stream.wait(patience).unwrap();
    }

    /// All that has arrived once the device has caught up.
    fn arrived(&mut self) -> Vec<Result<CollectedLoad<char>, LoadError>> {
        self.finish();
        std::iter::from_fn(|| self.collector.poll()).collect()
    }

    fn loads(&mut self) -> Vec<(u64, u64, Vec<u64>)> {
        let loads = self.arrived().into_iter().map(Result::unwrap);
        loads.map(|load| (load.first_step.0, load.last_step.0, load.counts)).collect()
    }

    fn figures(&self) -> LoadFigures {
        self.collector.figures()
    }
}

fn ones(factor: u64) -> Counts {
    [1, 0, 3, 4, 5, 6].map(|count| count * factor)
}

#[test]
fn what_the_device_counts_arrives_late_and_under_its_own_steps() {
    let mut engine = Engine::start(|counters| {
        counters.form = CounterForm::PrefixSums;
        counters.life = CounterLife::Overwritten;
    });
    let hold = engine.hold();
    for step in 0..4 {
        engine.step(step, ones(step + 1));
        assert!(engine.collector.poll().is_none(), "the device has not come to it");
    }
    hold.release();
    let expected: Vec<_> = (0..4).map(|step| (step, step, ones(step + 1).to_vec())).collect();
    assert_eq!(engine.loads(), expected);
    assert_eq!(engine.loads(), []);
    assert_eq!(engine.figures(), LoadFigures { collected: 4, ..LoadFigures::default() });
}

#[test]
fn a_full_ring_drops_samples_and_waits_for_nothing() {
    for life in [CounterLife::Overwritten, CounterLife::Cleared, CounterLife::Rising] {
        let mut engine = Engine::start(|counters| {
            counters.life = life;
            counters.ring = 2;
        });
        engine.step(0, ones(1));
        engine.loads();
        let hold = engine.hold();
        for step in 1..5 {
            engine.step(step, ones(step));
        }
        hold.release();
        let before = [1, 2].map(|step| (step, step, ones(step).to_vec()));
        assert_eq!(engine.loads(), before, "{life:?}");
        assert_eq!(engine.figures().dropped, 2, "{life:?}");
        // What the lost steps counted is in no sample: of counters that rise, the next is lost too.
        engine.step(5, ones(50));
        engine.step(6, ones(60));
        let skipped = usize::from(life == CounterLife::Rising);
        let after = [5, 6].map(|step| (step, step, ones(10 * step).to_vec()));
        assert_eq!(engine.loads(), after[skipped..], "{life:?}");
        engine.step(7, ones(7));
        assert_eq!(engine.loads(), [(7, 7, ones(7).to_vec())], "{life:?}");
    }
}

#[test]
fn counters_that_add_up_are_read_every_few_steps() {
    for life in [CounterLife::Cleared, CounterLife::Rising] {
        let mut engine = Engine::start(|counters| {
            counters.life = life;
            counters.every = 4;
        });
        let copies = |engine: &Engine| {
            // Each forward pass here makes one copy itself.
            engine.faults.count_of("copy")
        };
        let before = copies(&engine);
        for step in 0..12 {
            engine.forward(ones(1));
            engine.collect(step, if step < 9 { 'd' } else { 'p' }).unwrap();
        }
        assert_eq!(copies(&engine) - before, 12 + 3, "{life:?}");
        let loads: Vec<_> = engine.arrived().into_iter().map(Result::unwrap).collect();
        let of = |load: &CollectedLoad<char>| (load.first_step.0, load.last_step.0, load.kind);
        let mut expected = vec![(0, 3, 'd'), (4, 7, 'd'), (8, 11, 'x')];
        if life == CounterLife::Rising {
            // The first reading tells where they stood.
            expected.remove(0);
        }
        assert_eq!(loads.iter().map(of).collect::<Vec<_>>(), expected, "{life:?}");
        assert!(loads.iter().all(|load| load.counts == ones(4)), "{life:?}");
        // Step 15 is not run here, so that what 12 to 14 counted is still there at 19.
        for step in [12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23] {
            engine.step(step, ones(1));
        }
        assert_eq!(engine.loads(), [(20, 23, ones(4).to_vec())], "{life:?}");
    }
}

#[test]
fn rising_counters_of_four_bytes_wrap_around() {
    for form in [CounterForm::Plain, CounterForm::PrefixSums] {
        let mut engine = Engine::start(|counters| {
            counters.width = CounterWidth::Int32;
            counters.form = form;
        });
        engine.held = [u64::from(u32::MAX) - 5; NUMBERS];
        for step in 0..4 {
            engine.step(step, ones(2));
        }
        let expected: Vec<_> = (1..4).map(|step| (step, step, ones(2).to_vec())).collect();
        assert_eq!(engine.loads(), expected, "{form:?}");
    }
}

#[test]
fn what_is_no_count_is_refused_and_the_next_sample_is_right() {
    let (plain, sums) = (CounterForm::Plain, CounterForm::PrefixSums);
    let (over, rising) = (CounterLife::Overwritten, CounterLife::Rising);
    let cases: [(CounterLife, CounterForm, [i64; NUMBERS], &str); 6] = [
        (over, plain, [0, 0, 0, 0, -7, 0], "layer 1, local slot 1: the number is negative"),
        (over, plain, [9, 992, 0, 0, 0, 0], "layer 0, local slot 1: more tokens than can be"),
        (over, plain, [i64::MAX; NUMBERS], "layer 0, local slot 0: more tokens than can be"),
        (over, sums, [1, 2, 3, 5, 5, 4], "layer 1, local slot 2: prefix sums fall"),
        (rising, plain, [9, 9, 9, 9, 0, 9], "layer 1, local slot 1: the counter fell"),
        (
            rising,
            sums,
            [900, 901, 1_801, 9, 10, 11],
            "layer 0, local slot 2: more tokens than can be",
        ),
    ];
    for (life, form, numbers, text) in cases {
        let mut engine = Engine::start(|counters| {
            counters.life = life;
            counters.form = form;
            counters.most_tokens = 1_000;
        });
        engine.step(0, [1; NUMBERS]);
        engine.loads();
        engine.write(&numbers);
        engine.collect(1, 'd').unwrap();
        let error = engine.arrived().remove(0).unwrap_err();
        assert!(matches!(error, LoadError::Impossible { first: Step(1), .. }));
        let expected = format!("counters of step 1 to step 1 are no counts: {text};");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(engine.figures().impossible, 1);
        if life == rising {
            // The engine's counters go on from what it wrote.
            let mut plain = numbers;
            if form == sums {
                plain = [900, 1, 900, 9, 1, 1];
            }
            engine.held = plain.map(|number| number as u64);
        }
        engine.step(2, ones(3));
        assert_eq!(engine.loads(), [(2, 2, ones(3).to_vec())], "{text}");
    }
}

#[test]
fn slots_that_take_padding_are_no_load() {
    let mut engine = Engine::start(|counters| {
        counters.life = CounterLife::Overwritten;
        counters.form = CounterForm::PrefixSums;
        counters.most_tokens = 100;
        let mask = [false, false, true, true, false, false];
        counters.padding = Padding::Slots(mask.into());
    });
    engine.step(0, [10, 20, 5_000, 5_000, 30, 40]);
    assert_eq!(engine.loads(), [(0, 0, vec![10, 20, 0, 0, 30, 40])]);
}

#[test]
fn a_step_is_collected_once() {
    let mut engine = Engine::start(|counters| counters.life = CounterLife::Cleared);
    engine.step(3, ones(1));
    for step in [3, 2] {
        let error = engine.collect(step, 'd').unwrap_err();
        assert!(matches!(error, LoadError::StepOrder { last: Step(3), .. }), "{error}");
    }
    engine.step(4, ones(2));
    assert_eq!(engine.loads(), [(3, 3, ones(1).to_vec()), (4, 4, ones(2).to_vec())]);
}

#[test]
fn every_refused_call_costs_samples_and_never_a_wrong_one() {
    let mut fired = 0;
    for life in [CounterLife::Overwritten, CounterLife::Cleared, CounterLife::Rising] {
        for call in ["copy", "fill", "record_event", "query_event"] {
            for nth in 1..=6 {
                let name = format!("{life:?} {call} {nth}");
                let mut engine = Engine::start(|counters| counters.life = life);
                let mut lost = 0;
                for step in 0..8 {
                    engine.forward(ones(step + 1));
                    if step == 3 {
                        let at = engine.faults.count_of(call) + nth;
                        engine.faults.inject(Fault::error_of(call, at, ErrorKind::Failed));
                    }
                    lost += u64::from(engine.collect(step, 'd').is_err());
                    engine.finish();
                    while let Some(load) = engine.collector.poll() {
                        let Ok(load) = load else {
                            lost += 1;
                            continue;
                        };
                        assert_eq!(load.first_step, load.last_step, "{name}");
                        assert_eq!(load.counts, ones(load.first_step.0 + 1), "{name}");
                    }
                    engine.faults.clear();
                }
                let figures = engine.figures();
                assert!(lost <= 1, "{name}: {lost} errors of one fault");
                assert_eq!(figures.failed, lost, "{name}");
                assert_eq!(figures.collected + figures.baselines + lost, 8, "{name}");
                assert!(figures.collected >= 5, "{name}: {figures:?}");
                fired += engine.faults.fired();
            }
        }
    }
    assert!(fired >= 15, "only {fired} faults fired");
}

#[test]
fn counters_that_do_not_fit_are_refused() {
    let refused = |settings: fn(&mut LoadCounters)| match Engine::try_start(settings) {
        Ok(_) => panic!("these counters must be refused"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        refused(|counters| counters.memory = counters.memory.slice(0, 47).unwrap()),
        "load counters: 47 bytes of counters, 2 layers of 3 local slots need 48"
    );
    assert_eq!(
        refused(|counters| counters.ring = 65),
        "load counters: ring is 65, allowed is 1 to 64"
    );
    assert_eq!(
        refused(|counters| counters.every = 0),
        "load counters: every is 0, allowed is 1 or more"
    );
    assert_eq!(
        refused(|counters| counters.most_tokens = 0),
        "load counters: most_tokens is 0, allowed is 1 to 72057594037927936"
    );
    assert_eq!(
        refused(|counters| counters.padding = Padding::Slots([true; 5].into())),
        "load counters: length of the mask of padding slots is 5, allowed is 2 layers times 3 \
         local slots"
    );
    let elsewhere = |counters: &mut LoadCounters| {
        let backend: Arc<dyn Backend> = HostBackend::new(1);
        counters.memory = Device::open(&backend, 0).unwrap().allocate(48).unwrap();
    };
    assert_eq!(
        refused(elsewhere),
        "load counters: the counters are on another device than the weights"
    );
}

/// What happens in a step.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// The step runs and is polled.
    Polled,
    /// It runs and nobody looks.
    Unseen,
    /// The device stops, or goes on, and the step runs.
    Toggled,
    /// The rank does not run the step.
    NotRun,
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens::{NotRun, Polled, Toggled, Unseen};
    prop::sample::select(vec![Polled, Polled, Polled, Unseen, Unseen, Toggled, NotRun])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn every_load_is_what_its_steps_counted(
        steps in prop::collection::vec(happens(), 1..60),
        life in prop::sample::select(vec![
            CounterLife::Overwritten, CounterLife::Cleared, CounterLife::Rising,
        ]),
        (is_wide, is_plain) in any::<(bool, bool)>(),
        every in 1..5_u64,
        ring in 1..5_usize,
    ) {
        let mut engine = Engine::start(|counters| {
            counters.width = if is_wide { CounterWidth::Int64 } else { CounterWidth::Int32 };
            counters.form = if is_plain { CounterForm::Plain } else { CounterForm::PrefixSums };
            (counters.life, counters.every, counters.ring) = (life, every, ring);
        });
        let tokens = |step: u64| ones(step * step % 97 + 1);
        let mut hold = None;
        let mut loads = Vec::new();
        for (step, &happens) in (0_u64..).zip(&steps) {
            match happens {
                Happens::NotRun => continue,
                Happens::Toggled => hold = if hold.is_none() { Some(engine.hold()) } else { None },
                Happens::Polled => loads.extend(std::iter::from_fn(|| engine.collector.poll())),
                Happens::Unseen => {}
            }
            engine.step(step, tokens(step));
        }
        drop(hold);
        loads.extend(engine.arrived());
        let mut last = None;
        for load in loads {
            let load = load.unwrap();
            let (first, end) = (load.first_step.0, load.last_step.0);
            prop_assert!(last.is_none_or(|last| last < first));
            last = Some(end);
            prop_assert_eq!(end % every, every - 1);
            let is_one = life == CounterLife::Overwritten;
            prop_assert_eq!(first, if is_one { end } else { end + 1 - every });
            let mut expected = [0; NUMBERS];
            for step in first..=end {
                if !matches!(steps[step as usize], Happens::NotRun) {
                    for (sum, tokens) in expected.iter_mut().zip(tokens(step)) {
                        *sum += tokens;
                    }
                }
            }
            prop_assert_eq!(&load.counts[..], &expected[..]);
        }
        // Each reading that was due is accounted for.
        let due = (0_u64..).zip(&steps).filter(|(step, happens)| {
            step % every == every - 1 && !matches!(happens, Happens::NotRun)
        });
        let LoadFigures { collected, dropped, baselines, impossible, failed } = engine.figures();
        prop_assert_eq!(collected + dropped + baselines, due.count() as u64);
        prop_assert_eq!((impossible, failed), (0, 0));
    }
}
