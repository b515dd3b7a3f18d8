//! What an open device and its communicators share, and how work is queued and asked about.

use std::sync::Arc;

use eplb_ascend_sys::{aclError, aclrtEvent, aclrtEventRecordedStatus, aclrtStreamStatus};
use eplb_device::raw::{EventHandle, Progress, StreamHandle};
use eplb_device::{DeviceError, ErrorKind, Result, VendorCode};

use crate::context::Context;
use crate::error::{is_of_a_task, need};
use crate::event::Captures;
use crate::hccl::Turns;
use crate::memory::stream as handle_of;
use crate::stream::{Entry, Lane, Lanes};

/// How long a stream that is done is waited for, to hear of its failures, in milliseconds: one to which
/// somebody adds work at this moment is not done after all.
const CONFIRMATION: i32 = 1;
const SYNC_TIMEOUT: aclError = aclError::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT;

/// What an open device and its communicators share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) context: Context,
    pub(crate) lanes: Lanes,
    pub(crate) captures: Captures,
    pub(crate) turns: Arc<Turns>,
}

/// What waiting for a stream has told.
enum Heard {
    /// There is work on it.
    Busy,
    /// There is none, and why some has failed.
    Ended(Option<DeviceError>),
}

impl Shared {
    /// Whether the work that an event captured has ended on the device.
    pub(crate) fn event_is_over(&self, event: EventHandle) -> Result<bool> {
        let mut status = aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_NOT_READY;
        self.context.call("query_event", |runtime| {
            // SAFETY: writes one number, which lives. The event is alive: the caller's promise, or it
            // stands in the table of captures, which is locked.
            unsafe { (runtime.aclrtQueryEventStatus)(event.0 as aclrtEvent, &raw mut status) }
        })?;
        match status {
            aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_NOT_READY => Ok(false),
            aclrtEventRecordedStatus::ACL_EVENT_RECORDED_STATUS_COMPLETE => Ok(true),
            other => Err(nonsense("query_event", &other)),
        }
    }

    /// Where the work of a stream that is alive stands.
    pub(crate) fn stream_progress(&self, lane: &Arc<Lane>) -> Result<Progress> {
        let Some(point) = lane.settled_point() else {
            return Ok(Progress::Pending);
        };
        let stream = handle_of(lane.stream());
        let mut status = aclrtStreamStatus::ACL_STREAM_STATUS_RESERVED;
        let asked = self.context.call("query_stream", |runtime| {
            // SAFETY: writes one number, which lives; the stream is alive, as the caller has promised.
            unsafe { (runtime.aclrtStreamQuery)(stream, &raw mut status) }
        });
        let failure = match asked {
            Ok(()) => match status {
                aclrtStreamStatus::ACL_STREAM_STATUS_NOT_READY => return Ok(Progress::Pending),
                aclrtStreamStatus::ACL_STREAM_STATUS_COMPLETE if lane.is_settled(point) => None,
                aclrtStreamStatus::ACL_STREAM_STATUS_COMPLETE => match self.hear_failure(lane)? {
                    Heard::Busy => return Ok(Progress::Pending),
                    Heard::Ended(failure) => failure,
                },
                other => return Err(nonsense("query_stream", &other)),
            },
            // Nothing runs any more (R26).
            Err(error) if error.kind() == ErrorKind::Lost => return Ok(Progress::Failed(error)),
            Err(error) if !is_of_a_task(&error) => return Err(error),
            Err(error) if lane.is_own() => Some(error),
            // The engine's stream may go on behind a failed task.
            Err(error) => match self.hear_failure(lane)? {
                Heard::Busy => return Ok(Progress::Pending),
                Heard::Ended(failure) => failure.or(Some(error)),
            },
        };
        if let Some(error) = failure {
            // What has ended before the failure has ended well.
            self.sweep(lane);
            lane.give_up(&error);
        }
        Ok(lane.stream_ended(point))
    }

    /// Failures of tasks are certain to show only when a stream is waited for. One that is done is not
    /// waited for long.
    fn hear_failure(&self, lane: &Lane) -> Result<Heard> {
        let heard = self.context.call("query_stream", |runtime| {
            // SAFETY: the stream is alive, as the caller has promised.
            unsafe {
                (runtime.aclrtSynchronizeStreamWithTimeout)(handle_of(lane.stream()), CONFIRMATION)
            }
        });
        let busy = VendorCode(SYNC_TIMEOUT.0.into());
        match heard {
            Ok(()) => Ok(Heard::Ended(None)),
            Err(error) if error.code() == Some(busy) => Ok(Heard::Busy),
            // The question was wrong, not the work.
            Err(error) if error.kind() == ErrorKind::InvalidUse => Err(error),
            Err(error) => Ok(Heard::Ended(Some(error))),
        }
    }

    /// Queues a task by `queue` on a stream that may be given more work.
    pub(crate) fn queue<T>(
        &self,
        operation: &'static str,
        stream: StreamHandle,
        queue: impl FnOnce(&Arc<Lane>, &Entry) -> Result<T>,
    ) -> Result<T> {
        let lane = self.lanes.of(stream);
        let entry = lane.enter()?;
        let queued = queue(&lane, &entry);
        let Some(error) = lane.failure() else {
            return queued;
        };
        // An abort came in between, and this may have got on the stream behind it.
        if lane.is_own() {
            self.drop_tasks(operation, stream)?;
        }
        Err(error)
    }

    /// Makes the library give up what is on a stream of ours.
    pub(crate) fn drop_tasks(&self, operation: &'static str, stream: StreamHandle) -> Result<()> {
        let abort = need(operation, self.context.runtime().aclrtStreamAbort, "aclrtStreamAbort")?;
        self.context.call(operation, |_| {
            // SAFETY: ours and alive: the caller's promise, or it cannot be destroyed meanwhile.
            unsafe { abort(handle_of(stream)) }
        })
    }

    /// Notes what of a stream's work is over, by the events that captured it.
    pub(crate) fn sweep(&self, lane: &Arc<Lane>) {
        self.captures.sweep(lane, |event| matches!(self.event_is_over(event), Ok(true)));
    }
}

fn nonsense(operation: &'static str, status: &dyn std::fmt::Debug) -> DeviceError {
    DeviceError::new(ErrorKind::Failed, operation, format!("the library answers {status:?}"))
}
