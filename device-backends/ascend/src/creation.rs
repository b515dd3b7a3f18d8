//! One rank's end of a communicator, from the beginning of its creation to its release.
//!
//! HCCL creates in a call that blocks until all ranks have come, and cannot be told to stop. So the call
//! is made on a thread of its own. Who gives the creation up does not wait for the call: when it comes
//! back, however late, the thread destroys what it has made.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::{Duration, Instant};

use eplb_ascend_sys::{Hccl, HcclComm, HcclResult};
use eplb_device::raw::{CommunicatorId, Progress};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::context::Context;
use crate::error::hccl_error;
use crate::hccl::{self, Name};
use crate::lock::lock;
use crate::shared::Shared;
use crate::stream::Lane;

/// Between two looks whether it is this thread's turn.
const PAUSE: Duration = Duration::from_micros(200);
/// Between two attempts to destroy what the library says is in use.
const AGAIN_PAUSE: Duration = Duration::from_millis(10);

/// What is to be created.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: CommunicatorId,
    pub(crate) name: Name,
    pub(crate) rank: u32,
    pub(crate) size: u32,
    pub(crate) megabytes: u32,
}

/// One rank's end.
#[derive(Debug, Default)]
pub(crate) struct End(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The library's handle: nothing until it is created, and from its release on.
    handle: Option<usize>,
    /// Why it is not to be used any more.
    over: Option<DeviceError>,
    /// Calls that are inside the library with the handle.
    inside: u32,
    /// Streams that have had work of it.
    used: Vec<Arc<Lane>>,
}

/// A call with the handle.
pub(crate) struct Call<'a> {
    end: &'a End,
    handle: usize,
}

impl Call<'_> {
    pub(crate) fn handle(&self) -> HcclComm {
        self.handle as HcclComm
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        lock(&self.end.0).inside -= 1;
    }
}

/// What there is to end when an end is given up.
pub(crate) struct Left {
    /// Streams that have had its work.
    pub(crate) lanes: Vec<Arc<Lane>>,
    /// Whether a call is inside the library, perhaps for good.
    pub(crate) is_stuck: bool,
}

impl End {
    /// One that is there already.
    pub(crate) fn of(handle: usize) -> Self {
        Self(Mutex::new(State { handle: Some(handle), ..State::default() }))
    }

    pub(crate) fn progress(&self) -> Progress {
        let state = lock(&self.0);
        match (&state.over, state.handle) {
            (Some(error), _) => Progress::Failed(error.clone()),
            (None, Some(_)) => Progress::Complete,
            (None, None) => Progress::Pending,
        }
    }

    /// Why it is not to be used any more, if that is so.
    pub(crate) fn failure(&self) -> Option<DeviceError> {
        lock(&self.0).over.clone()
    }

    /// Begins a call that puts work on a stream. The handle is destroyed before its end only to end it.
    pub(crate) fn enter(&self, operation: &'static str, lane: &Arc<Lane>) -> Result<Call<'_>> {
        let mut state = lock(&self.0);
        if let Some(error) = &state.over {
            return Err(error.clone());
        }
        let Some(handle) = state.handle else {
            let text = "the communicator is not ready yet";
            return Err(DeviceError::new(ErrorKind::InvalidUse, operation, text));
        };
        state.inside += 1;
        // A lane that nobody else has is of a stream that is gone.
        state.used.retain(|other| Arc::strong_count(other) > 1);
        if !state.used.iter().any(|other| Arc::ptr_eq(other, lane)) {
            state.used.push(Arc::clone(lane));
        }
        Ok(Call { end: self, handle })
    }

    /// Asks the library, which does not block, while the handle cannot be released; nothing if there is
    /// no handle.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(HcclComm) -> T) -> Option<T> {
        let state = lock(&self.0);
        state.handle.map(|handle| ask(handle as HcclComm))
    }

    /// Ends its use; nothing if that has been done before.
    pub(crate) fn close(&self, error: &DeviceError) -> Option<Left> {
        let mut state = lock(&self.0);
        if state.over.is_some() {
            return None;
        }
        state.over = Some(error.clone());
        let lanes = std::mem::take(&mut state.used);
        Some(Left { lanes, is_stuck: state.inside > 0 })
    }

    /// Fails a creation that has not come to its end.
    fn fail_creation(&self, error: &DeviceError) {
        let mut state = lock(&self.0);
        if state.handle.is_none() {
            state.over.get_or_insert_with(|| error.clone());
        }
    }

    /// The creation has come to its end; gives back what nobody wants any more.
    fn finish_creation(&self, created: Result<usize>) -> Option<usize> {
        let mut state = lock(&self.0);
        match created {
            Err(error) => {
                state.over.get_or_insert(error);
                None
            }
            Ok(handle) if state.over.is_some() => Some(handle),
            Ok(handle) => {
                state.handle = Some(handle);
                None
            }
        }
    }

    /// Takes the handle, to release it.
    pub(crate) fn take(&self) -> Option<usize> {
        lock(&self.0).handle.take()
    }
}

/// A creation or a communicator of this process, by device, name and rank.
struct Known {
    ordinal: u32,
    id: CommunicatorId,
    rank: u32,
    end: Weak<End>,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// Begins a creation.
pub(crate) fn begin(shared: &Arc<Shared>, hccl: Hccl, plan: Plan) -> Result<Arc<End>> {
    let end = Arc::new(End::default());
    if let Some(error) = note(shared.context.ordinal(), &plan, &end) {
        end.fail_creation(&error);
        return Ok(end);
    }
    let (shared, created) = (Arc::clone(shared), Arc::clone(&end));
    let thread = std::thread::Builder::new().name("eplb-ascend-create".to_owned());
    let work = move || {
        let context = &shared.context;
        let Ok(turn) =
            wait_turn("communicator", &shared.turns.creation, None, || created.failure())
        else {
            return; // given up before it began, which the end says
        };
        let made = create(context, &hccl, &plan);
        if let Some(handle) = created.finish_creation(made) {
            // Nobody is left to be told of a failure.
            let _ = destroy(context, &hccl, "communicator", handle, Instant::now());
        }
        drop(turn);
    };
    if let Err(error) = thread.spawn(work) {
        let text = format!("no thread to create the communicator on: {error}");
        return Err(DeviceError::new(ErrorKind::Failed, "communicator", text));
    }
    Ok(end)
}

/// Notes a creation. Two ranks of one communicator on one device are a failure of both, which the library
/// would not find out: the second waits for its turn until the first one is done.
fn note(ordinal: u32, plan: &Plan, end: &Arc<End>) -> Option<DeviceError> {
    let mut known = lock(&KNOWN);
    known.retain(|other| other.end.strong_count() > 0);
    let other = known
        .iter()
        .find(|other| other.ordinal == ordinal && other.id == plan.id && other.rank != plan.rank)
        .and_then(|other| Some((other.rank, other.end.upgrade()?)));
    let refused = other.map(|(rank, other)| {
        let text = format!(
            "ranks {rank} and {} of the communicator are on device {ordinal}; HCCL takes one rank \
             of a communicator on a device",
            plan.rank
        );
        let error = DeviceError::new(ErrorKind::Failed, "communicator", text);
        other.fail_creation(&error);
        error
    });
    let (id, rank) = (plan.id.clone(), plan.rank);
    known.push(Known { ordinal, id, rank, end: Arc::downgrade(end) });
    refused
}

fn create(context: &Context, hccl: &Hccl, plan: &Plan) -> Result<usize> {
    let _bound = context.bind("communicator")?;
    let handle = hccl::create(context, hccl, &plan.name, plan.rank, plan.size, plan.megabytes)?;
    // SAFETY: just created, and nobody has it.
    let checked = unsafe {
        let communicator = handle as HcclComm;
        hccl::check_rank(context, hccl, "communicator", communicator, plan.rank, plan.size)
    };
    if let Err(error) = checked {
        // The failure above is the one to report.
        let _ = destroy(context, hccl, "communicator", handle, Instant::now());
        return Err(error);
    }
    Ok(handle)
}

/// Releases a handle that was taken, or that nobody has got. One that is in use is tried again, until the
/// deadline.
pub(crate) fn destroy(
    context: &Context,
    hccl: &Hccl,
    operation: &'static str,
    handle: usize,
    deadline: Instant,
) -> Result<()> {
    let _bound = context.bind(operation)?;
    loop {
        // SAFETY: alive and taken, so that nobody calls with it any more but those inside the library,
        // which this is to end.
        let status = unsafe { (hccl.HcclCommDestroy)(handle as HcclComm) };
        match status {
            HcclResult::HCCL_SUCCESS => return Ok(()),
            HcclResult::HCCL_E_AGAIN if Instant::now() < deadline => {
                std::thread::sleep(AGAIN_PAUSE);
            }
            other => return Err(hccl_error(context.runtime(), hccl, operation, other)),
        }
    }
}

/// Waits for the device's turn: until `stop` gives a reason to do so no more, or the limit is over.
pub(crate) fn wait_turn<'a>(
    operation: &'static str,
    turn: &'a Mutex<()>,
    limit: Option<Duration>,
    stop: impl Fn() -> Option<DeviceError>,
) -> Result<MutexGuard<'a, ()>> {
    let began = Instant::now();
    loop {
        if let Some(error) = stop() {
            return Err(error);
        }
        match turn.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        if let Some(limit) = limit.filter(|limit| began.elapsed() >= *limit) {
            let text = format!(
                "another call of HCCL on this device has not come back within {} s",
                limit.as_secs()
            );
            return Err(DeviceError::new(ErrorKind::TimedOut, operation, text));
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> DeviceError {
        DeviceError::new(ErrorKind::Aborted, "abort", text)
    }

    #[test]
    fn a_creation_is_pending_until_it_ends_well_or_badly() {
        let end = End::default();
        assert_eq!(end.progress(), Progress::Pending);
        assert_eq!(end.finish_creation(Ok(7)), None);
        assert_eq!(end.progress(), Progress::Complete);
        let end = End::default();
        assert_eq!(end.finish_creation(Err(error("no"))), None);
        assert_eq!(end.progress(), Progress::Failed(error("no")));
        assert_eq!(end.take(), None);
    }

    #[test]
    fn what_comes_after_it_was_given_up_is_handed_back_to_be_destroyed() {
        let end = End::default();
        assert!(!end.close(&error("given up")).unwrap().is_stuck);
        assert!(end.close(&error("again")).is_none());
        assert_eq!(end.finish_creation(Ok(7)), Some(7));
        assert_eq!(end.progress(), Progress::Failed(error("given up")));
        assert_eq!(end.take(), None);
    }

    #[test]
    fn a_call_inside_the_library_is_seen_by_an_abort() {
        let lanes = crate::stream::Lanes::default();
        let lane = lanes.of(eplb_device::StreamHandle(3));
        let end = End::of(7);
        let call = end.enter("exchange", &lane).unwrap();
        let left = end.close(&error("given up")).unwrap();
        assert!(left.is_stuck);
        assert_eq!(left.lanes.len(), 1);
        drop(call);
        assert!(end.enter("exchange", &lane).is_err());
        assert_eq!(end.take(), Some(7));
        assert_eq!(end.take(), None);
    }

    #[test]
    fn a_second_rank_on_the_device_fails_both() {
        let plan = |rank| Plan {
            id: CommunicatorId::from(b"a name of this test".to_vec()),
            name: Name::Table(c"table".to_owned()),
            rank,
            size: 2,
            megabytes: 1,
        };
        let [first, second, elsewhere] = [(); 3].map(|()| Arc::new(End::default()));
        assert!(note(900, &plan(0), &first).is_none());
        assert!(note(901, &plan(1), &elsewhere).is_none());
        let refused = note(900, &plan(1), &second).unwrap();
        assert_eq!(first.progress(), Progress::Failed(refused));
        assert_eq!(elsewhere.progress(), Progress::Pending);
        drop((first, second));
        assert!(note(900, &plan(0), &Arc::new(End::default())).is_none());
    }

    #[test]
    fn waiting_for_a_turn_ends_by_the_limit_and_by_an_abort() {
        let turn = Mutex::default();
        let held = lock(&turn);
        let limit = Some(Duration::from_millis(2));
        let late = wait_turn("exchange", &turn, limit, || None).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        let stopped = wait_turn("exchange", &turn, None, || Some(error("given up")));
        assert_eq!(stopped.err(), Some(error("given up")));
        drop(held);
        assert!(wait_turn("exchange", &turn, limit, || None).is_ok());
    }
}
