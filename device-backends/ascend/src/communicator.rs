//! Communicators: one rank's end.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use eplb_ascend_sys::{
    Hccl, HcclComm, HcclDataType, HcclResult, HcclSendRecvItem, HcclSendRecvType, aclrtStream,
};
use eplb_device::raw::{
    Address, CommunicatorDriver, CommunicatorHandle, CommunicatorId, CommunicatorOptions,
    PeerBuffer, Progress, StreamHandle,
};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::context::Context;
use crate::creation::{self, End, Plan, wait_turn};
use crate::error::{hccl_error, invalid};
use crate::hccl;
use crate::memory::{pointer, stream as handle_of};
use crate::round::{MOST_BYTES, cuts, of_cut, piece};
use crate::shared::Shared;

/// How long a call may wait for the others of its device, which may be setting up links (R17): the
/// library's own limit for that, and some more. A backstop: deadlines are the caller's.
const LINK_LIMIT: Duration = Duration::from_secs(150);
/// How long the library may say that a communicator is in use, or take to release it, before it is left
/// alone.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// Elements are bytes.
const BYTE: HcclDataType = HcclDataType::HCCL_DATA_TYPE_INT8;

/// One rank's end.
#[derive(Debug)]
pub(crate) struct AscendCommunicator {
    shared: Arc<Shared>,
    hccl: Hccl,
    end: Arc<End>,
    is_borrowed: bool,
    reserved: u64,
}

impl AscendCommunicator {
    pub(crate) fn create(
        shared: &Arc<Shared>,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Self> {
        let hccl = hccl::of(&shared.context, "communicator")?;
        let name = hccl::read_id(id)?;
        let megabytes = hccl::buffer_megabytes(options);
        let plan = Plan { id: id.clone(), name, rank, size, megabytes };
        Ok(Self {
            shared: Arc::clone(shared),
            hccl,
            end: creation::begin(shared, hccl, plan)?,
            is_borrowed: false,
            reserved: hccl::buffer_bytes(&hccl, megabytes),
        })
    }

    /// # Safety
    ///
    /// `handle` is a live communicator of this device, while the result lives.
    pub(crate) unsafe fn borrow(
        shared: &Arc<Shared>,
        handle: CommunicatorHandle,
        rank: u32,
        size: u32,
    ) -> Result<Self> {
        let operation = "borrow_communicator";
        if handle.0 == 0 {
            return Err(invalid(operation, "the communicator is null"));
        }
        let context = &shared.context;
        let hccl = hccl::of(context, operation)?;
        {
            let _bound = context.bind(operation)?;
            // SAFETY: alive by the caller's promise.
            unsafe {
                let communicator = handle.0 as HcclComm;
                hccl::check_rank(context, &hccl, operation, communicator, rank, size)?;
            }
        }
        Ok(Self {
            shared: Arc::clone(shared),
            hccl,
            end: Arc::new(End::of(handle.0)),
            is_borrowed: true,
            reserved: 0,
        })
    }

    fn context(&self) -> &Context {
        &self.shared.context
    }

    /// Queues what `queue` calls, when it is this communicator's turn on the device. May block inside the
    /// library while links are set up.
    fn launch(
        &self,
        operation: &'static str,
        stream: StreamHandle,
        queue: impl FnOnce(&Hccl, HcclComm, aclrtStream) -> HcclResult,
    ) -> Result<()> {
        let stop = || self.end.failure();
        let _turn = wait_turn(operation, &self.shared.turns.operation, Some(LINK_LIMIT), stop)?;
        self.shared.queue(operation, stream, |lane, _| {
            let call = self.end.enter(operation, lane)?;
            let _bound = self.context().bind(operation)?;
            let status = queue(&self.hccl, call.handle(), handle_of(stream));
            self.accept(operation, status)
        })
    }

    fn accept(&self, operation: &'static str, status: HcclResult) -> Result<()> {
        if status == HcclResult::HCCL_SUCCESS {
            return Ok(());
        }
        Err(hccl_error(self.context().runtime(), &self.hccl, operation, status))
    }

    /// Ends the use of the communicator; streams of ours with its work are aborted and fail. Its memory
    /// is released later, when none of its work is left, but for one that a call is stuck with.
    fn give_up(&self, error: &DeviceError) -> Result<()> {
        let Some(left) = self.end.close(error) else {
            return Ok(());
        };
        let mut result = Ok(());
        for lane in left.lanes {
            // Before the library lets the work go, so that nobody sees it succeed.
            self.shared.sweep(&lane);
            if !lane.fail(error) {
                continue;
            }
            result = result.and(if lane.is_own() {
                let dropped = lane.while_alive(|| self.shared.drop_tasks("abort", lane.stream()));
                dropped.unwrap_or(Ok(()))
            } else {
                Err(invalid(
                    "abort",
                    "work of it is on a stream of the engine, which has to abort it",
                ))
            });
        }
        if left.is_stuck
            && let Some(handle) = self.end.take()
        {
            result = result.and(self.release("abort", handle));
        }
        result
    }

    /// Releases a handle that was taken, on a thread of its own: the library may wait inside. When that
    /// takes too long the thread is left alone with it.
    fn release(&self, operation: &'static str, handle: usize) -> Result<()> {
        let (shared, hccl) = (Arc::clone(&self.shared), self.hccl);
        let deadline = Instant::now() + RELEASE_LIMIT;
        let (sender, receiver) = mpsc::channel();
        let work = move || {
            let released = creation::destroy(&shared.context, &hccl, operation, handle, deadline);
            // Nobody may be waiting for it any more.
            let _ = sender.send(released);
        };
        let thread = std::thread::Builder::new().name("eplb-ascend-release".to_owned());
        if let Err(error) = thread.spawn(work) {
            let text = format!("no thread to release the communicator on: {error}");
            return Err(DeviceError::new(ErrorKind::Failed, operation, text));
        }
        // Somewhat longer, so that an attempt at the deadline can still say what is wrong.
        receiver.recv_timeout(RELEASE_LIMIT + Duration::from_secs(1)).unwrap_or_else(|_| {
            let seconds = RELEASE_LIMIT.as_secs();
            let text = format!("the library has not let go of the communicator in {seconds} s");
            Err(DeviceError::new(ErrorKind::TimedOut, operation, text))
        })
    }
}

impl Drop for AscendCommunicator {
    fn drop(&mut self) {
        // Only if its user did not destroy it: then work may be pending, so that its use is ended and
        // the rest is left alone.
        if !self.is_borrowed {
            let _ = self.give_up(&aborted("drop"));
        }
    }
}

fn aborted(operation: &'static str) -> DeviceError {
    DeviceError::new(ErrorKind::Aborted, operation, "the communicator was aborted")
}

fn item(direction: HcclSendRecvType, buffer: &PeerBuffer) -> HcclSendRecvItem {
    HcclSendRecvItem {
        sendRecvType: direction,
        buf: pointer(buffer.address),
        count: buffer.bytes as u64,
        dataType: BYTE,
        remoteRank: buffer.peer,
    }
}

// SAFETY: work is on its stream when a call returns, so that the stream's queries tell of it, and streams
// whose work was given up are accounted as failed before the library lets go of it.
unsafe impl CommunicatorDriver for AscendCommunicator {
    fn progress(&self) -> Result<Progress> {
        Ok(self.end.progress())
    }

    fn reserved_bytes(&self) -> u64 {
        self.reserved
    }

    unsafe fn exchange(
        &self,
        sends: &[PeerBuffer],
        receives: &[PeerBuffer],
        stream: StreamHandle,
    ) -> Result<()> {
        for cut in cuts(&[sends, receives], MOST_BYTES) {
            let mut items: Vec<_> = of_cut(sends, cut, MOST_BYTES)
                .map(|buffer| item(HcclSendRecvType::HCCL_SEND, &buffer))
                .chain(
                    of_cut(receives, cut, MOST_BYTES)
                        .map(|buffer| item(HcclSendRecvType::HCCL_RECV, &buffer)),
                )
                .collect();
            let count = u32::try_from(items.len())
                .map_err(|_| invalid("exchange", format!("{} buffers in a round", items.len())))?;
            self.launch("exchange", stream, |hccl, communicator, stream| {
                // SAFETY: communicator and stream are alive and of this device, and the list outlives
                // the call; the ranges are live device memory until the work has ended, and nothing
                // else uses those of receives, as the caller has promised.
                unsafe { (hccl.HcclBatchSendRecv)(items.as_mut_ptr(), count, communicator, stream) }
            })?;
        }
        Ok(())
    }

    unsafe fn all_gather(
        &self,
        send: Address,
        receive: Address,
        bytes: usize,
        stream: StreamHandle,
    ) -> Result<()> {
        if bytes > MOST_BYTES {
            return Err(invalid(
                "all_gather",
                format!("{bytes} bytes of each rank; allowed are {MOST_BYTES}, so split them"),
            ));
        }
        self.launch("all_gather", stream, |hccl, communicator, stream| {
            // SAFETY: as in `exchange`; `receive` is as many times as long as there are ranks.
            unsafe {
                (hccl.HcclAllGather)(
                    pointer(send),
                    pointer(receive),
                    bytes as u64,
                    BYTE,
                    communicator,
                    stream,
                )
            }
        })
    }

    unsafe fn broadcast(
        &self,
        buffer: Address,
        bytes: usize,
        root: u32,
        stream: StreamHandle,
    ) -> Result<()> {
        for (offset, bytes) in (0..).map_while(|cut| piece(bytes, cut, MOST_BYTES)) {
            self.launch("broadcast", stream, |hccl, communicator, stream| {
                // SAFETY: as in `exchange`.
                unsafe {
                    (hccl.HcclBroadcast)(
                        pointer(Address(buffer.0 + offset)),
                        bytes as u64,
                        BYTE,
                        root,
                        communicator,
                        stream,
                    )
                }
            })?;
        }
        Ok(())
    }

    unsafe fn barrier(&self, stream: StreamHandle) -> Result<()> {
        self.launch("barrier", stream, |hccl, communicator, stream| {
            // SAFETY: communicator and stream are alive and of this device.
            unsafe { (hccl.HcclBarrier)(communicator, stream) }
        })
    }

    fn async_error(&self) -> Result<Option<DeviceError>> {
        if let Some(error) = self.end.failure() {
            return Ok(Some(error));
        }
        let _bound = self.context().bind("async_error")?;
        let mut found = HcclResult::HCCL_SUCCESS;
        let asked = self.end.ask(|communicator| {
            // SAFETY: writes one number, which lives; the communicator is alive: the engine's by its
            // promise, ours because it cannot be released meanwhile.
            unsafe { (self.hccl.HcclGetCommAsyncError)(communicator, &raw mut found) }
        });
        self.accept("async_error", asked.unwrap_or(HcclResult::HCCL_SUCCESS))?;
        Ok(self.accept("async_error", found).err())
    }

    fn abort(&self) -> Result<()> {
        if self.is_borrowed {
            return Err(invalid("abort", "the communicator is the engine's to abort"));
        }
        self.give_up(&aborted("abort"))
    }

    unsafe fn destroy(&self) -> Result<()> {
        if self.is_borrowed {
            return Ok(());
        }
        // One that is still being created is destroyed by the thread that does so.
        self.end.close(&aborted("destroy"));
        self.end.take().map_or(Ok(()), |handle| self.release("destroy", handle))
    }
}
