//! What the backend knows of a stream beyond what ACL does: which of its work was given up or has failed.
//!
//! An aborted stream is as good as new for ACL, and the record of an event may have been dropped with the
//! rest. So each stream counts what is put on it, remembers from where on that has failed, and for which
//! points of other streams it waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use eplb_device::raw::{Progress, StreamHandle};
use eplb_device::{DeviceError, Result};

use crate::lock::lock;

/// The account of one stream.
#[derive(Debug)]
pub(crate) struct Lane {
    stream: StreamHandle,
    is_own: bool,
    /// Locked while the library is asked of the stream by somebody who was not promised its life.
    gone: Mutex<bool>,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// Tasks queued so far.
    queued: u64,
    /// How many of them are known to have ended well.
    over: u64,
    /// Tasks that are about to be put on the stream.
    entering: u32,
    /// From which one on the work has failed, and why.
    failed: Option<(u64, DeviceError)>,
    waits: Vec<Wait>,
}

/// A wait, by its number in this stream, for a point of another one.
#[derive(Clone, Debug)]
struct Wait {
    number: u64,
    lane: Arc<Lane>,
    point: u64,
}

/// A task that is being put on a stream.
pub(crate) struct Entry {
    lane: Arc<Lane>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.lane.account).entering -= 1;
    }
}

impl Entry {
    /// Notes that the task waits for a point of another stream.
    pub(crate) fn wait_for(&self, lane: &Arc<Lane>, point: u64) {
        // Not needed: within one stream order says it, and what is over cannot fail.
        if Arc::ptr_eq(&self.lane, lane) || lane.is_over(point) {
            return;
        }
        let mut waits = std::mem::take(&mut lock(&self.lane.account).waits);
        // Locks of two lanes are never held together.
        waits.retain(|wait| !wait.lane.is_over(wait.point));
        waits.push(Wait { number: self.number, lane: Arc::clone(lane), point });
        lock(&self.lane.account).waits.append(&mut waits);
    }
}

impl Lane {
    fn new(stream: StreamHandle, is_own: bool) -> Arc<Self> {
        let (gone, account) = (Mutex::new(false), Mutex::default());
        Arc::new(Self { stream, is_own, gone, account })
    }

    pub(crate) fn stream(&self) -> StreamHandle {
        self.stream
    }

    /// Whether the stream is ours: it stops at failures, and may be aborted.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Asks, while the stream cannot be destroyed; nothing if it has been.
    pub(crate) fn while_alive<T>(&self, ask: impl FnOnce() -> T) -> Option<T> {
        let gone = lock(&self.gone);
        (!*gone).then(ask)
    }

    /// Why the stream has failed, if it has.
    pub(crate) fn failure(&self) -> Option<DeviceError> {
        lock(&self.account).failed.as_ref().map(|(_, error)| error.clone())
    }

    /// Counts a task, unless the stream has failed (R5). The stream is not done while the result lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Entry> {
        let mut account = lock(&self.account);
        if let Some((_, error)) = &account.failed {
            return Err(error.clone());
        }
        account.queued += 1;
        account.entering += 1;
        Ok(Entry { lane: Arc::clone(self), number: account.queued })
    }

    fn is_over(&self, point: u64) -> bool {
        point <= lock(&self.account).over
    }

    /// The point that a record captures.
    pub(crate) fn point(&self) -> u64 {
        lock(&self.account).queued
    }

    /// The point that a query is about; nothing while the stream has still to get a task.
    pub(crate) fn settled_point(&self) -> Option<u64> {
        let account = lock(&self.account);
        (account.entering == 0).then_some(account.queued)
    }

    /// Whether it is known already how the work up to a point has ended. Of a stream of the engine it is
    /// not, because others queue work on it, too.
    pub(crate) fn is_settled(&self, point: u64) -> bool {
        let account = lock(&self.account);
        account.failed.is_some() || self.is_own && point <= account.over
    }

    /// The library has come to this point; how that is to be seen.
    pub(crate) fn ended(&self, point: u64) -> Progress {
        let waits: Vec<Wait> = {
            let account = lock(&self.account);
            account.waits.iter().filter(|wait| wait.number <= point).cloned().collect()
        };
        let inherited = waits.iter().find_map(|wait| {
            let error = wait.lane.failure_at(wait.point)?;
            Some((wait.number, error))
        });
        let mut account = lock(&self.account);
        if account.failed.is_none() {
            account.failed = inherited;
        }
        if let Some((from, error)) = &account.failed
            && *from <= point
        {
            return Progress::Failed(error.clone());
        }
        account.over = account.over.max(point);
        account.waits.retain(|wait| wait.number > point);
        Progress::Complete
    }

    /// The whole stream has come to its end at this point; how that is to be seen.
    pub(crate) fn stream_ended(&self, point: u64) -> Progress {
        let ended = self.ended(point);
        self.failure().map_or(ended, Progress::Failed)
    }

    /// Why the work up to a point has failed, if it has.
    pub(crate) fn failure_at(&self, point: u64) -> Option<DeviceError> {
        let account = lock(&self.account);
        account.failed.as_ref().filter(|(from, _)| *from <= point).map(|(_, error)| error.clone())
    }

    /// What is not over yet has failed; whether there is any such work.
    pub(crate) fn fail(&self, error: &DeviceError) -> bool {
        let mut account = lock(&self.account);
        let is_busy = account.over < account.queued;
        if account.failed.is_none() && is_busy {
            account.failed = Some((account.over + 1, error.clone()));
        }
        is_busy
    }

    /// The stream has failed from here on, also if nothing is on it.
    pub(crate) fn give_up(&self, error: &DeviceError) {
        let mut account = lock(&self.account);
        if account.failed.is_none() {
            account.failed = Some((account.over + 1, error.clone()));
        }
    }
}

/// The streams of an open device.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<usize, Arc<Lane>>>);

impl Lanes {
    /// A new stream of ours, which may have got the handle of one that is gone.
    pub(crate) fn add(&self, stream: StreamHandle) {
        lock(&self.0).insert(stream.0, Lane::new(stream, true));
    }

    /// The account of a stream, ours or else the engine's.
    pub(crate) fn of(&self, stream: StreamHandle) -> Arc<Lane> {
        let mut lanes = lock(&self.0);
        Arc::clone(lanes.entry(stream.0).or_insert_with(|| Lane::new(stream, false)))
    }

    /// The stream is about to be destroyed.
    pub(crate) fn remove(&self, stream: StreamHandle) -> Option<Arc<Lane>> {
        let lane = lock(&self.0).remove(&stream.0);
        if let Some(lane) = &lane {
            *lock(&lane.gone) = true;
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use eplb_device::ErrorKind;

    use super::*;

    fn aborted() -> DeviceError {
        DeviceError::new(ErrorKind::Aborted, "exchange", "given up")
    }

    fn lane() -> Arc<Lane> {
        Lane::new(StreamHandle(1), true)
    }

    #[test]
    fn a_failure_counts_from_the_first_task_that_is_not_over() {
        let lane = lane();
        drop(lane.enter().unwrap());
        assert_eq!(lane.ended(1), Progress::Complete);
        drop(lane.enter().unwrap());
        assert!(lane.fail(&aborted()));
        assert_eq!(lane.ended(1), Progress::Complete);
        assert_eq!(lane.ended(2), Progress::Failed(aborted()));
        assert_eq!(lane.enter().err(), Some(aborted()));
        assert!(lane.is_settled(2));
    }

    #[test]
    fn an_abort_of_a_communicator_leaves_a_stream_alone_that_is_done() {
        let lane = lane();
        drop(lane.enter().unwrap());
        assert_eq!(lane.ended(1), Progress::Complete);
        assert!(!lane.fail(&aborted()));
        assert_eq!(lane.stream_ended(1), Progress::Complete);
        assert_eq!(lane.failure(), None);
    }

    #[test]
    fn an_aborted_stream_has_failed_though_its_events_are_good() {
        let lane = lane();
        drop(lane.enter().unwrap());
        assert_eq!(lane.ended(1), Progress::Complete);
        lane.give_up(&aborted());
        assert_eq!(lane.ended(1), Progress::Complete);
        assert_eq!(lane.stream_ended(1), Progress::Failed(aborted()));
    }

    #[test]
    fn a_stream_is_not_done_while_a_task_is_on_its_way() {
        let lane = lane();
        let entry = lane.enter().unwrap();
        assert_eq!(lane.settled_point(), None);
        drop(entry);
        assert_eq!(lane.settled_point(), Some(1));
    }

    #[test]
    fn what_waits_for_failed_work_has_failed_too() {
        let [first, second, third] = [(); 3].map(|()| lane());
        drop(first.enter().unwrap());
        let before = third.point();
        second.enter().unwrap().wait_for(&first, first.point());
        third.enter().unwrap().wait_for(&second, second.point());
        first.give_up(&aborted());
        assert_eq!(second.ended(second.point()), Progress::Failed(aborted()));
        assert_eq!(third.ended(third.point()), Progress::Failed(aborted()));
        assert_eq!(third.ended(before), Progress::Complete);
    }

    #[test]
    fn a_stream_that_is_gone_is_not_asked() {
        let lanes = Lanes::default();
        lanes.add(StreamHandle(7));
        let lane = lanes.of(StreamHandle(7));
        assert!(lane.is_own());
        assert_eq!(lane.while_alive(|| 3), Some(3));
        assert!(lanes.remove(StreamHandle(7)).is_some());
        assert_eq!(lane.while_alive(|| 3), None);
        assert!(!lanes.of(StreamHandle(7)).is_own());
    }
}
