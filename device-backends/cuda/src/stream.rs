//! What the backend knows of a stream beyond what CUDA does: work that failed without CUDA's notice.
//!
//! NCCL ends the work of an aborted communicator early, and CUDA takes that for success. So each stream
//! counts what is put on it that can fail in this way: collectives, and waits for other streams' events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use eplb_device::raw::{Progress, StreamHandle};
use eplb_device::{DeviceError, Result};

use crate::lock::lock;

/// The account of one stream.
#[derive(Debug, Default)]
pub(crate) struct Lane(Mutex<Account>);

#[derive(Debug, Default)]
struct Account {
    /// Collectives and waits queued so far.
    queued: u64,
    /// How many of them are known to have ended well.
    over: u64,
    /// Collectives that NCCL is about to put on the stream.
    launching: u32,
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

/// A collective that is being put on a stream.
pub(crate) struct Launch(Arc<Lane>);

impl Drop for Launch {
    fn drop(&mut self) {
        lock(&self.0.0).launching -= 1;
    }
}

impl Lane {
    /// Refuses work after a failure (R5).
    pub(crate) fn check(&self) -> Result<()> {
        lock(&self.0).failed.clone().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Counts a collective. The stream is not done while the result lives.
    pub(crate) fn launch(self: &Arc<Self>) -> Result<Launch> {
        self.check()?;
        let mut account = lock(&self.0);
        account.queued += 1;
        account.launching += 1;
        Ok(Launch(Arc::clone(self)))
    }

    /// Counts a wait for a point of another stream.
    pub(crate) fn wait_for(&self, lane: &Arc<Self>, point: u64) {
        // Not needed: within one stream order says it, and what is over cannot fail.
        if std::ptr::eq(self, &raw const **lane) || lane.is_over(point) {
            return;
        }
        let mut account = lock(&self.0);
        account.queued += 1;
        let number = account.queued;
        let mut waits = std::mem::take(&mut account.waits);
        drop(account);
        // Locks of two lanes are never held together.
        waits.retain(|wait| !wait.lane.is_over(wait.point));
        waits.push(Wait { number, lane: Arc::clone(lane), point });
        lock(&self.0).waits.append(&mut waits);
    }

    fn is_over(&self, point: u64) -> bool {
        point <= lock(&self.0).over
    }

    /// The point that a record captures.
    pub(crate) fn point(&self) -> u64 {
        lock(&self.0).queued
    }

    /// The point that a query is about; nothing while the stream has still to get a collective.
    pub(crate) fn settled_point(&self) -> Option<u64> {
        let account = lock(&self.0);
        (account.launching == 0).then_some(account.queued)
    }

    /// CUDA has come to this point; how that is to be seen.
    pub(crate) fn ended(&self, point: u64) -> Progress {
        let waits: Vec<Wait> = {
            let account = lock(&self.0);
            account.waits.iter().filter(|wait| wait.number <= point).cloned().collect()
        };
        let inherited = waits.iter().find_map(|wait| {
            let error = wait.lane.failure_at(wait.point)?;
            Some((wait.number, error))
        });
        let mut account = lock(&self.0);
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

    fn failure_at(&self, point: u64) -> Option<DeviceError> {
        let account = lock(&self.0);
        account.failed.as_ref().filter(|(from, _)| *from <= point).map(|(_, error)| error.clone())
    }

    /// What is not over yet has failed.
    pub(crate) fn fail(&self, error: &DeviceError) {
        let mut account = lock(&self.0);
        if account.failed.is_none() && account.over < account.queued {
            account.failed = Some((account.over + 1, error.clone()));
        }
    }
}

/// The streams of an open device.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<usize, Arc<Lane>>>);

impl Lanes {
    /// The account of a stream, ours or the engine's.
    pub(crate) fn of(&self, stream: StreamHandle) -> Arc<Lane> {
        Arc::clone(lock(&self.0).entry(stream.0).or_default())
    }

    /// The stream is gone, or a new one has got its handle.
    pub(crate) fn forget(&self, stream: StreamHandle) {
        lock(&self.0).remove(&stream.0);
    }
}

#[cfg(test)]
mod tests {
    use eplb_device::ErrorKind;

    use super::*;

    fn aborted() -> DeviceError {
        DeviceError::new(ErrorKind::Aborted, "exchange", "given up")
    }

    #[test]
    fn a_failure_counts_from_the_first_collective_that_is_not_over() {
        let lane = Arc::new(Lane::default());
        drop(lane.launch().unwrap());
        assert_eq!(lane.ended(1), Progress::Complete);
        drop(lane.launch().unwrap());
        lane.fail(&aborted());
        assert_eq!(lane.ended(1), Progress::Complete);
        assert_eq!(lane.ended(2), Progress::Failed(aborted()));
        assert!(lane.launch().is_err());
        assert_eq!(lane.check(), Err(aborted()));
    }

    #[test]
    fn an_abort_leaves_a_stream_alone_that_is_done() {
        let lane = Arc::new(Lane::default());
        drop(lane.launch().unwrap());
        assert_eq!(lane.ended(1), Progress::Complete);
        lane.fail(&aborted());
        assert_eq!(lane.check(), Ok(()));
    }

    #[test]
    fn a_stream_is_not_done_while_a_collective_is_on_its_way() {
        let lane = Arc::new(Lane::default());
        let launch = lane.launch().unwrap();
        assert_eq!(lane.settled_point(), None);
        drop(launch);
        assert_eq!(lane.settled_point(), Some(1));
    }

    #[test]
    fn what_waits_for_failed_work_has_failed_too() {
        let [first, second, third] = [(); 3].map(|()| Arc::new(Lane::default()));
        drop(first.launch().unwrap());
        second.wait_for(&first, first.point());
        third.wait_for(&second, second.point());
        let before = third.point();
        first.fail(&aborted());
        assert_eq!(second.ended(second.point()), Progress::Failed(aborted()));
        assert_eq!(third.ended(before), Progress::Failed(aborted()));
        assert_eq!(second.ended(0), Progress::Complete);
    }
}
