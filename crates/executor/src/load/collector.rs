//! Readings of the counters, from the stream of the engine to the host.

use std::collections::VecDeque;

use eplb_core::{ExpertLoad, LayerId, Step};
use eplb_device::{Device, Event, Memory, PinnedMemory, Stream};

use super::numbers::{plain_row, rise};
use super::{CounterLife, LoadCounters, LoadError, LoadFigures, Padding};

/// Reads counters without waiting for them. `Kind` is what the engine says of a step (prefill or
/// decode); the collector only carries it along.
///
/// The calls of the device are, of a step whose counters are read: one copy, one fill if they are
/// cleared, and one record, each copy and fill with a record of the layer below; of any other step
/// none. Polling queries the event of the oldest reading.
#[derive(Debug)]
pub struct Collector<Kind> {
    counters: LoadCounters,
    /// The part of the memory that is read.
    memory: Memory,
    slots: usize,
    together: fn(Kind, Kind) -> Kind,
    ring: Box<[Place]>,
    /// The first place that is under way; as many as `flying` are, from it on.
    oldest: usize,
    flying: VecDeque<Reading<Kind>>,
    last_step: Option<Step>,
    open: Option<Interval<Kind>>,
    /// Counts of steps before the present interval are in the counters: the next reading is a baseline.
    is_stale: bool,
    /// Where rising counters stood, [layers, slots]; `None` if that isn't known.
    has_base: bool,
    base: Vec<u64>,
    /// Memory that readings are worked on in.
    bytes: Vec<u8>,
    plain: Vec<u64>,
    spare: Vec<Vec<u64>>,
    figures: LoadFigures,
}

/// What a rank's slots counted over some steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedLoad<Kind> {
    /// The first step counted.
    pub first_step: Step,
    /// The last step counted.
    pub last_step: Step,
    /// What the engine said of these steps, together.
    pub kind: Kind,
    /// Tokens of each slot, [layers, local slots], row-major.
    pub counts: Vec<u64>,
}

/// One place of the ring.
#[derive(Debug)]
struct Place {
    pinned: PinnedMemory,
    arrived: Event,
}

/// One reading that is under way.
#[derive(Clone, Copy, Debug)]
struct Reading<Kind> {
    first: Step,
    last: Step,
    kind: Kind,
    is_baseline: bool,
}

/// Steps that are read together.
#[derive(Clone, Copy, Debug)]
struct Interval<Kind> {
    first: Step,
    kind: Kind,
}

impl<Kind: Copy> Collector<Kind> {
    /// A collector for `layers` layers of `slots` local slots. `together` says what steps of two kinds
    /// are together. All memory is reserved here; counters to be cleared are filled with zeros, on
    /// `stream`.
    ///
    /// # Errors
    /// Counters that don't fit, settings out of range, or a device that refuses a call.
    pub fn open(
        counters: LoadCounters,
        layers: usize,
        slots: usize,
        together: fn(Kind, Kind) -> Kind,
        stream: &Stream,
    ) -> Result<Self, LoadError> {
        let device = stream.device();
        counters.check(device, layers, slots)?;
        let numbers = layers * slots;
        let bytes = numbers * counters.width.bytes();
        let memory = counters.memory.slice(0, bytes)?;
        let ring = Place::ring(device, counters.ring, bytes)?;
        if counters.life == CounterLife::Cleared {
            stream.fill(&memory, 0)?;
        }
        let depth = counters.ring;
        Ok(Self {
            memory,
            slots,
            together,
            ring,
            oldest: 0,
            flying: VecDeque::with_capacity(depth),
            last_step: None,
            open: None,
            is_stale: false,
            has_base: false,
            base: vec![0; numbers],
            bytes: vec![0; bytes],
            plain: vec![0; numbers],
            spare: (0..depth).map(|_| Vec::with_capacity(numbers)).collect(),
            figures: LoadFigures::default(),
            counters,
        })
    }

    /// Reads the counters of `step`, if they are due: queues the copy on `stream`, behind the forward
    /// pass of the step, which has been queued. To be called once for each forward pass.
    ///
    /// # Errors
    /// A step that is not after the last one; nothing is done then. Or a device that refuses a call:
    /// this reading is lost, and with counters that add up the next one as well.
    pub fn collect(&mut self, stream: &Stream, step: Step, kind: Kind) -> Result<(), LoadError> {
        if let Some(last) = self.last_step
            && step <= last
        {
            return Err(LoadError::StepOrder { step, last });
        }
        self.last_step = Some(step);
        let Some(interval) = self.pass(step, kind) else { return Ok(()) };
        let adds_up = self.counters.life != CounterLife::Overwritten;
        if self.is_full() {
            self.figures.dropped += 1;
            return match self.counters.life {
                CounterLife::Overwritten => Ok(()),
                CounterLife::Rising => {
                    self.is_stale = true;
                    Ok(())
                }
                // As if it had been read: the next reading counts from here.
                CounterLife::Cleared => {
                    let cleared = stream.fill(&self.memory, 0);
                    self.is_stale = cleared.is_err();
                    Ok(cleared?)
                }
            };
        }
        let place = &self.ring[(self.oldest + self.flying.len()) % self.ring.len()];
        if let Err(error) = place.read(stream, &self.memory, self.counters.life) {
            self.figures.failed += 1;
            self.is_stale = adds_up;
            return Err(error);
        }
        let is_baseline = std::mem::take(&mut self.is_stale);
        let Interval { first, kind } = interval;
        self.flying.push_back(Reading { first, last: step, kind, is_baseline });
        Ok(())
    }

    /// Notes that `step` was run. Gives the steps to be read, if it was the last of them.
    fn pass(&mut self, step: Step, kind: Kind) -> Option<Interval<Kind>> {
        let every = self.counters.every;
        let is_due = (step.0 % every) + 1 == every;
        if self.counters.life == CounterLife::Overwritten {
            return is_due.then_some(Interval { first: step, kind });
        }
        let first = Step(step.0 - step.0 % every);
        let kind = match self.open.take() {
            Some(open) if open.first == first => (self.together)(open.kind, kind),
            Some(_) => {
                // The last step of those was not run here: their counts are still in the counters.
                self.is_stale = true;
                kind
            }
            None => kind,
        };
        let interval = Interval { first, kind };
        if is_due {
            return Some(interval);
        }
        self.open = Some(interval);
        None
    }

    /// The oldest reading that has arrived and was not given out. Never waits.
    ///
    /// # Errors
    /// A reading that is lost: its copy failed, or what it brought are no counts. Later ones may have
    /// arrived all the same.
    pub fn poll(&mut self) -> Option<Result<CollectedLoad<Kind>, LoadError>> {
        loop {
            let reading = *self.flying.front()?;
            let place = &self.ring[self.oldest];
            let read = match place.arrived.is_complete() {
                Ok(false) => return None,
                Ok(true) => place.pinned.read(&mut self.bytes),
                Err(error) => Err(error),
            };
            self.flying.pop_front();
            self.oldest = (self.oldest + 1) % self.ring.len();
            if let Err(error) = read {
                self.figures.failed += 1;
                self.has_base = false;
                return Some(Err(error.into()));
            }
            match self.tokens(&reading) {
                Err(error) => {
                    self.figures.impossible += 1;
                    return Some(Err(error));
                }
                Ok(false) => self.figures.baselines += 1,
                Ok(true) => {
                    self.figures.collected += 1;
                    return Some(Ok(self.give(reading)));
                }
            }
        }
    }

    /// Works out in `plain` what the present bytes say; false if they only say where counters stand.
    fn tokens(&mut self, reading: &Reading<Kind>) -> Result<bool, LoadError> {
        let (width, form) = (self.counters.width, self.counters.form);
        let is_rising = self.counters.life == CounterLife::Rising;
        let (first, last) = (reading.first, reading.last);
        let slots = self.slots;
        let impossible = |index: usize, reason| {
            let layer = LayerId::from_index(index / slots);
            Err(LoadError::Impossible { first, last, layer, slot: index % slots, reason })
        };
        let rows = self.bytes.chunks_exact(slots * width.bytes());
        for (layer, (bytes, row)) in rows.zip(self.plain.chunks_exact_mut(slots)).enumerate() {
            if let Err((slot, reason)) = plain_row(bytes, width, form, is_rising, row) {
                return impossible(layer * slots + slot, reason);
            }
        }
        if is_rising {
            let has_base = std::mem::replace(&mut self.has_base, true);
            let mut fell = None;
            for (index, (plain, base)) in self.plain.iter_mut().zip(&mut self.base).enumerate() {
                // Also of a reading that is refused, so that the next one is right again.
                let from = std::mem::replace(base, *plain);
                match rise(from, *plain, width) {
                    Some(rise) => *plain = rise,
                    None => fell = fell.or(Some(index)),
                }
            }
            if !has_base || reading.is_baseline {
                return Ok(false);
            }
            if let Some(index) = fell {
                return impossible(index, "the counter fell");
            }
        } else if reading.is_baseline {
            return Ok(false);
        }
        if let Padding::Slots(mask) = &self.counters.padding {
            for (plain, _) in self.plain.iter_mut().zip(mask).filter(|(_, is_padding)| **is_padding)
            {
                *plain = 0;
            }
        }
        let steps = last.0 - first.0 + 1;
        let most = self.counters.most_tokens.saturating_mul(steps).min(ExpertLoad::MOST_TOKENS);
        for (layer, row) in self.plain.chunks_exact(slots).enumerate() {
            let mut sum = 0u64;
            for (slot, &tokens) in row.iter().enumerate() {
                sum = sum.saturating_add(tokens);
                if sum > most {
                    return impossible(layer * slots + slot, "more tokens than can be");
                }
            }
        }
        Ok(true)
    }

    fn give(&mut self, reading: Reading<Kind>) -> CollectedLoad<Kind> {
        let mut counts = self.spare.pop().unwrap_or_default();
        counts.clear();
        counts.extend_from_slice(&self.plain);
        let Reading { first: first_step, last: last_step, kind, .. } = reading;
        CollectedLoad { first_step, last_step, kind, counts }
    }

    /// Takes the memory of counts back that are no longer needed, so that the next need none.
    pub fn recycle(&mut self, counts: Vec<u64>) {
        if self.spare.len() < self.ring.len() {
            self.spare.push(counts);
        }
    }

    /// Whether as many readings are under way as may be: the next one would be dropped.
    pub fn is_full(&self) -> bool {
        self.flying.len() == self.ring.len()
    }

    /// Readings that may be under way.
    pub fn depth(&self) -> usize {
        self.ring.len()
    }

    /// What has been done since the start.
    pub fn figures(&self) -> LoadFigures {
        self.figures
    }
}

impl Place {
    fn ring(device: &Device, places: usize, bytes: usize) -> Result<Box<[Self]>, LoadError> {
        let place = |_| {
            let (pinned, arrived) = (device.allocate_pinned(bytes)?, device.event()?);
            Ok(Self { pinned, arrived })
        };
        (0..places).map(place).collect()
    }

    /// Queues one reading. After an error some of it may be queued: then the place is used again
    /// behind it, on the same stream.
    fn read(&self, stream: &Stream, counters: &Memory, life: CounterLife) -> Result<(), LoadError> {
        stream.download(&self.pinned, counters)?;
        if life == CounterLife::Cleared {
            stream.fill(counters, 0)?;
        }
        stream.record(&self.arrived)?;
        Ok(())
    }
}
