//! What a rank of a case has: where it stands, and the objects that its steps made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb::Patience;
use eplb::device::{
    Backend, Communicator, CommunicatorId, Device, DeviceError, Event, Expired, FaultyBackend,
    Memory, PinnedMemory, Stream, Wait,
};

use crate::board::Board;
use crate::hold::Hold;
use crate::number::{Names, Number, NumberError};

/// The device that a rank opens by itself.
pub(crate) const OWN: &str = "d";

/// Why a step did not do what it should.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The device said so.
    Device(DeviceError),
    /// It is seen from outside, or the case itself is wrong.
    Seen(String),
}

impl From<DeviceError> for Trouble {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl From<NumberError> for Trouble {
    fn from(error: NumberError) -> Self {
        Self::Seen(error.to_string())
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Seen(text)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(error) => error.fmt(formatter),
            Self::Seen(text) => formatter.write_str(text),
        }
    }
}

/// Where a rank stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Counts what is alive, and makes calls fail.
    pub(crate) faults: FaultyBackend,
    /// The ordinals of the devices under test.
    pub(crate) devices: Arc<[u32]>,
    pub(crate) rank: u32,
    pub(crate) ranks: u32,
    pub(crate) board: Arc<Board>,
    /// When everything has to be over.
    pub(crate) until: Instant,
    /// Tells the runs of a case with its parameters apart.
    pub(crate) run: String,
    /// Tells the times apart that a step is done, as in a repetition.
    pub(crate) prefix: String,
    pub(crate) names: Names,
}

impl Place {
    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        self.faults.backend()
    }

    /// The ordinal of the rank's own device.
    pub(crate) fn ordinal(&self) -> u32 {
        self.devices[self.rank as usize % self.devices.len()]
    }

    /// Waits for so long, or until everything has to be over, or until another rank has failed.
    pub(crate) fn patience(&self, within: Option<Duration>) -> impl Wait + use<> {
        let left = self.until.saturating_duration_since(Instant::now());
        let limit = within.map_or(left, |within| within.min(left));
        Together { patience: Patience::new(limit), board: Arc::clone(&self.board) }
    }
}

/// Waits no longer than the other ranks are well.
struct Together {
    patience: Patience,
    board: Arc<Board>,
}

impl Wait for Together {
    fn pause(&mut self) -> Result<(), Expired> {
        if self.board.failure().is_some() {
            return Err(Expired);
        }
        self.patience.pause()
    }
}

/// What steps make and name.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Device(Device),
    Stream(Arc<Stream>),
    Event(Arc<Event>),
    Memory(Memory),
    Pinned(PinnedMemory),
    Communicator(Arc<Communicator>, CommunicatorId),
    Hold(Arc<Hold>),
    /// A round with every rank: what comes from whom, and the seed of what belongs there.
    Round(Vec<(Memory, u64)>),
    /// Bytes that were free.
    Free(u64),
}

impl Object {
    fn kind(&self) -> &'static str {
        match self {
            Self::Device(_) => "an opened device",
            Self::Stream(_) => "a stream",
            Self::Event(_) => "an event",
            Self::Memory(_) => "memory",
            Self::Pinned(_) => "pinned memory",
            Self::Communicator(..) => "a communicator",
            Self::Hold(_) => "a hold",
            Self::Round(_) => "a round",
            Self::Free(_) => "a number of bytes",
        }
    }

    /// Whether it has to go before others: an import before its export, what is lent before it is
    /// given back.
    fn goes_first(&self) -> bool {
        match self {
            Self::Memory(memory) => memory.is_peer() || memory.is_borrowed(),
            // Lent pinned memory can't be told from own memory.
            Self::Pinned(_) | Self::Hold(_) | Self::Event(_) | Self::Stream(_) => true,
            _ => false,
        }
    }
}

/// The objects of a rank, or of one of its threads.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) place: Place,
    objects: BTreeMap<String, Object>,
    /// What is lent stays until nobody can use it any more.
    lenders: Vec<Object>,
}

impl Scope {
    /// Opens the rank's own device.
    pub(crate) fn open(place: Place) -> Result<Self, String> {
        let ordinal = place.ordinal();
        let device = Device::open(place.backend(), ordinal)
            .map_err(|error| format!("the rank's device: {error}"))?;
        let mut place = place;
        let alignment = i64::try_from(device.info().alignment).unwrap_or(i64::MAX);
        for (name, value) in [
            ("rank", i64::from(place.rank)),
            ("ranks", i64::from(place.ranks)),
            ("next", i64::from((place.rank + 1) % place.ranks)),
            ("previous", i64::from((place.rank + place.ranks - 1) % place.ranks)),
            ("alignment", alignment),
        ] {
            place.names.insert(name.to_owned(), value);
        }
        let objects = [(OWN.to_owned(), Object::Device(device))].into();
        Ok(Self { place, objects, lenders: Vec::new() })
    }

    /// The scope of a thread, or of one time of a repetition: it sees everything, and what it makes is
    /// its own.
    pub(crate) fn inner(&self, name: &str, value: i64) -> Self {
        let mut place = self.place.clone();
        place.names.insert(name.to_owned(), value);
        place.prefix = format!("{}{name} {value}/", place.prefix);
        Self { place, objects: self.objects.clone(), lenders: Vec::new() }
    }

    /// Ends an inner scope.
    pub(crate) fn join(&mut self, inner: Self) {
        self.lenders.extend(inner.lenders);
    }

    pub(crate) fn add(&mut self, name: &str, object: Object) {
        self.objects.insert(name.to_owned(), object);
    }

    pub(crate) fn keep_lender(&mut self, lender: Object) {
        self.lenders.push(lender);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Trouble> {
        match self.objects.remove(name) {
            Some(_) => Ok(()),
            None => Err(self.missing(name, "an object")),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Result<&Object, Trouble> {
        self.objects.get(name).ok_or_else(|| self.missing(name, "an object"))
    }

    fn missing(&self, name: &str, wanted: &str) -> Trouble {
        let found = self.objects.get(name).map_or("nothing", Object::kind);
        Trouble::Seen(format!("the case is wrong: {name:?} is {found} where {wanted} is needed"))
    }

    pub(crate) fn device(&self, name: &str) -> Result<&Device, Trouble> {
        match self.objects.get(name) {
            Some(Object::Device(device)) => Ok(device),
            _ => Err(self.missing(name, "an opened device")),
        }
    }

    /// The device that a step names, or the rank's own.
    pub(crate) fn device_or_own(&self, name: Option<&String>) -> Result<&Device, Trouble> {
        self.device(name.map_or(OWN, String::as_str))
    }

    pub(crate) fn stream(&self, name: &str) -> Result<&Arc<Stream>, Trouble> {
        match self.objects.get(name) {
            Some(Object::Stream(stream)) => Ok(stream),
            _ => Err(self.missing(name, "a stream")),
        }
    }

    pub(crate) fn event(&self, name: &str) -> Result<&Arc<Event>, Trouble> {
        match self.objects.get(name) {
            Some(Object::Event(event)) => Ok(event),
            _ => Err(self.missing(name, "an event")),
        }
    }

    pub(crate) fn memory(&self, name: &str) -> Result<&Memory, Trouble> {
        match self.objects.get(name) {
            Some(Object::Memory(memory)) => Ok(memory),
            _ => Err(self.missing(name, "memory")),
        }
    }

    pub(crate) fn pinned(&self, name: &str) -> Result<&PinnedMemory, Trouble> {
        match self.objects.get(name) {
            Some(Object::Pinned(pinned)) => Ok(pinned),
            _ => Err(self.missing(name, "pinned memory")),
        }
    }

    pub(crate) fn communicator(
        &self,
        name: &str,
    ) -> Result<(&Arc<Communicator>, &CommunicatorId), Trouble> {
        match self.objects.get(name) {
            Some(Object::Communicator(end, id)) => Ok((end, id)),
            _ => Err(self.missing(name, "a communicator")),
        }
    }

    pub(crate) fn hold(&self, name: &str) -> Result<&Arc<Hold>, Trouble> {
        match self.objects.get(name) {
            Some(Object::Hold(hold)) => Ok(hold),
            _ => Err(self.missing(name, "a hold")),
        }
    }

    pub(crate) fn round(&self, name: &str) -> Result<&[(Memory, u64)], Trouble> {
        match self.objects.get(name) {
            Some(Object::Round(round)) => Ok(round),
            _ => Err(self.missing(name, "a round")),
        }
    }

    pub(crate) fn free_bytes(&self, name: &str) -> Result<u64, Trouble> {
        match self.objects.get(name) {
            Some(Object::Free(bytes)) => Ok(*bytes),
            _ => Err(self.missing(name, "a number of bytes")),
        }
    }

    /// A number of the case, as what it is used for.
    pub(crate) fn number<T: TryFrom<i64>>(&self, number: &Number) -> Result<T, Trouble> {
        Ok(number.of(&self.place.names)?)
    }

    pub(crate) fn number_or<T: TryFrom<i64>>(
        &self,
        number: Option<&Number>,
        otherwise: T,
    ) -> Result<T, Trouble> {
        number.map_or(Ok(otherwise), |number| self.number(number))
    }

    pub(crate) fn milliseconds(
        &self,
        number: Option<&Number>,
    ) -> Result<Option<Duration>, Trouble> {
        number.map(|number| Ok(Duration::from_millis(self.number(number)?))).transpose()
    }

    /// Gives everything back, importers before exporters over all ranks, and looks for errors that had
    /// nobody to be told to.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let (first, rest): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.objects)
            .into_iter()
            .partition(|(_, object)| object.goes_first());
        let devices: Vec<Device> = rest
            .values()
            .filter_map(|object| match object {
                Object::Device(device) => Some(device.clone()),
                _ => None,
            })
            .collect();
        drop(first);
        let drained = self.drain(&devices).and_then(|()| self.meet_at_the_end());
        if let Err(error) = drained {
            // Work may still use what is lent: it stays, for good.
            std::mem::forget(std::mem::take(&mut self.lenders));
            return Err(error);
        }
        drop(rest);
        self.lenders.clear();
        self.drain(&devices)
    }

    fn meet_at_the_end(&self) -> Result<(), String> {
        let Place { board, rank, ranks, until, prefix, .. } = &self.place;
        board.meet(*rank, *ranks, &format!("{prefix}the end of imports"), *until)
    }

    fn drain(&self, devices: &[Device]) -> Result<(), String> {
        for device in devices {
            device
                .drain(&mut self.place.patience(None))
                .map_err(|error| format!("at the end of the case: {error}"))?;
            if let Some(error) = device.take_errors().first() {
                return Err(format!("an error that the case did not see: {error}"));
            }
        }
        Ok(())
    }

    /// After a failure: gives up what is queued, and as much back as goes in a short time.
    pub(crate) fn abandon(mut self, within: Duration) {
        let objects = std::mem::take(&mut self.objects);
        let devices: Vec<Device> = objects
            .values()
            .filter_map(|object| match object {
                Object::Device(device) => Some(device.clone()),
                _ => None,
            })
            .collect();
        for object in objects.values() {
            if let Object::Hold(hold) = object {
                // Its failure is not the one to tell.
                let _ = hold.release();
            }
        }
        for device in &devices {
            let _ = device.abort();
        }
        drop(objects);
        let mut ended = true;
        for device in &devices {
            ended &= device.drain(&mut Patience::new(within)).is_ok();
        }
        if !ended {
            std::mem::forget(std::mem::take(&mut self.lenders));
        }
    }
}
