//! Communicators: one rank's end.

use std::ffi::c_int;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eplb_cuda_sys::{Nccl, cudaStream_t, ncclComm_t, ncclDataType_t, ncclRedOp_t, ncclResult_t};
use eplb_device::raw::{
    Address, CommunicatorDriver, CommunicatorHandle, CommunicatorId, CommunicatorOptions,
    PeerBuffer, Progress, StreamHandle,
};
use eplb_device::{DeviceError, ErrorKind, Result};

use crate::context::Context;
use crate::driver::Shared;
use crate::error::{c_number, invalid, nccl_error};
use crate::lock::lock;
use crate::memory::{pointer, stream as handle_of};
use crate::nccl;
use crate::round::{distance, groups, of_group};
use crate::scratch::Scratch;
use crate::siblings::Siblings;
use crate::stream::{Lane, Launch};

/// How long setting up links may take (R17); an abort from another thread ends it before. A backstop:
/// deadlines are the caller's.
const LINK_LIMIT: Duration = Duration::from_secs(120);
/// How long an orderly end may take before the communicator is aborted instead, and how long the library
/// may take to release it before that is left to a thread. It usually takes half a second.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// How long the release is watched when it may wait for other ranks of this process.
const SIBLING_PATIENCE: Duration = Duration::from_millis(50);
/// Polls before the first pause: most launches take a few dozen microseconds.
const EAGER_POLLS: u32 = 200;
/// So many times the library may refuse to say whether it is done.
const MOST_UNANSWERED: usize = 100;
const PAUSE: Duration = Duration::from_micros(50);

/// One rank's end.
#[derive(Debug)]
pub(crate) struct CudaCommunicator {
    shared: Arc<Shared>,
    nccl: Nccl,
    end: End,
    rank: u32,
    size: u32,
    reserved: u64,
    /// The byte that a barrier reduces.
    scratch: Mutex<Option<Address>>,
    /// Streams that have had work of it.
    used: Mutex<Vec<Arc<Lane>>>,
}

/// The library's handle, as an address.
#[derive(Debug)]
enum End {
    /// Ours, until it is aborted or destroyed.
    Own(Mutex<Option<usize>>, Siblings),
    /// The engine's.
    Borrowed(usize),
}

impl CudaCommunicator {
    pub(crate) fn create(
        shared: &Arc<Shared>,
        id: &CommunicatorId,
        rank: u32,
        size: u32,
        options: CommunicatorOptions,
    ) -> Result<Self> {
        let context = &shared.context;
        let nccl = nccl::of(context, "communicator")?;
        let unique_id = nccl::read_id(id)?;
        let c_rank = c_number("communicator", "rank", rank)?;
        let c_size = c_number("communicator", "size", size)?;
        let mut version = 0;
        // SAFETY: writes one number, which lives.
        let status = unsafe { (nccl.ncclGetVersion)(&raw mut version) };
        accept(&nccl, "communicator", std::ptr::null_mut(), status)?;
        let channels = nccl::channels(size, options);
        let mut config = nccl::config(version, channels);
        let scratch = Scratch::allocate(context)?;
        let siblings = Siblings::join(id);
        let mut communicator: ncclComm_t = std::ptr::null_mut();
        {
            let _bound = context.bind("communicator")?;
            // SAFETY: writes one pointer, which lives, and reads the settings, which it copies. The
            // communicator does not block, so creation goes on on a thread of the library.
            let status = unsafe {
                (nccl.ncclCommInitRankConfig)(
                    &raw mut communicator,
                    c_size,
                    unique_id,
                    c_rank,
                    &raw mut config,
                )
            };
            accept(&nccl, "communicator", std::ptr::null_mut(), status)?;
        }
        Ok(Self {
            shared: Arc::clone(shared),
            nccl,
            end: End::Own(Mutex::new(Some(communicator as usize)), siblings),
            rank,
            size,
            reserved: nccl::buffer_bytes(size, channels),
            scratch: scratch.keep(),
            used: Mutex::default(),
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
        let context = &shared.context;
        let nccl = nccl::of(context, "borrow_communicator")?;
        let communicator = handle.0 as ncclComm_t;
        let ask = |question: unsafe extern "C" fn(ncclComm_t, *mut c_int) -> ncclResult_t| {
            let mut answer = -1;
            // SAFETY: writes one number, which lives; the communicator is alive by the caller's promise.
            let status = unsafe { question(communicator, &raw mut answer) };
            accept(&nccl, "borrow_communicator", communicator, status).map(|()| answer)
        };
        let known = {
            let _bound = context.bind("borrow_communicator")?;
            [ask(nccl.ncclCommCuDevice)?, ask(nccl.ncclCommUserRank)?, ask(nccl.ncclCommCount)?]
        };
        if known.map(u32::try_from) != [Ok(context.ordinal()), Ok(rank), Ok(size)] {
            return Err(invalid(
                "borrow_communicator",
                format!("the communicator has device, rank and size {known:?}"),
            ));
        }
        Ok(Self {
            shared: Arc::clone(shared),
            nccl,
            end: End::Borrowed(handle.0),
            rank,
            size,
            reserved: 0,
            scratch: Scratch::allocate(context)?.keep(),
            used: Mutex::default(),
        })
    }

    fn context(&self) -> &Context {
        &self.shared.context
    }

    /// Calls the library with the handle, which an abort does not take away meanwhile; `None` if one
    /// has. What is called returns at once, unless the engine's communicator blocks.
    fn with<T>(&self, call: impl FnOnce(ncclComm_t) -> T) -> Option<T> {
        match &self.end {
            End::Borrowed(handle) => Some(call(*handle as ncclComm_t)),
            End::Own(handle, _) => {
                let handle = lock(handle);
                (*handle).map(|handle| call(handle as ncclComm_t))
            }
        }
    }

    /// What the library says of the communicator; `None` for "in progress".
    fn status(
        &self,
        operation: &'static str,
        communicator: ncclComm_t,
    ) -> Result<Option<Result<()>>> {
        let nccl = &self.nccl;
        let mut found = ncclResult_t::ncclSuccess;
        // SAFETY: writes one number, which lives; the communicator is alive: the engine's by its
        // promise, ours because its handle is locked or was taken by the caller.
        let status = unsafe { (nccl.ncclCommGetAsyncError)(communicator, &raw mut found) };
        accept(nccl, operation, communicator, status)?;
        Ok(match found {
            ncclResult_t::ncclSuccess => Some(Ok(())),
            ncclResult_t::ncclInProgress => None,
            other => Some(Err(nccl_error(nccl, operation, communicator, other))),
        })
    }

    /// Waits until the library is done with what it was given, or `limit` is over.
    fn settle(
        &self,
        operation: &'static str,
        limit: Duration,
        mut ask: impl FnMut() -> Result<Option<Result<()>>>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut polls = 0;
        loop {
            if let Some(settled) = ask()? {
                return settled;
            }
            if Instant::now() >= deadline {
                let text = format!("the library was not done within {} s", limit.as_secs());
                return Err(DeviceError::new(ErrorKind::TimedOut, operation, text));
            }
            polls += 1;
            if polls < EAGER_POLLS {
                std::thread::yield_now();
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Queues what `queue` calls as one group, and returns when it is on the stream: a record that
    /// follows would else capture the stream without it.
    fn launch(
        &self,
        operation: &'static str,
        stream: StreamHandle,
        queue: impl FnOnce(&Nccl, ncclComm_t, cudaStream_t) -> ncclResult_t,
    ) -> Result<()> {
        let _bound = self.context().bind(operation)?;
        let lane = self.shared.lanes.of(stream);
        let nccl = &self.nccl;
        let gone = || aborted(operation);
        let launched = self.with(|communicator| {
            // With the handle held, so that an abort sees either the count or no work at all.
            let launch = lane.launch()?;
            self.note(&lane);
            // SAFETY: opens a group of this thread, which is closed below.
            let status = unsafe { (nccl.ncclGroupStart)() };
            accept(nccl, operation, communicator, status)?;
            let queued = queue(nccl, communicator, handle_of(stream));
            // SAFETY: closes the group opened above.
            let ended = unsafe { (nccl.ncclGroupEnd)() };
            let queued = accept(nccl, operation, communicator, queued);
            Ok((launch, queued.and_then(|()| accept(nccl, operation, communicator, ended))))
        });
        let (launch, queued) = launched.unwrap_or_else(|| Err(gone()))?;
        // Also after a failure: what the library has taken must not come on the stream later, when nobody
        // expects it.
        queued.and(self.settle_launch(operation, launch))
    }

    /// Waits until the library has put on the stream what it was given, or never will.
    fn settle_launch(&self, operation: &'static str, launch: Launch) -> Result<()> {
        let (mut is_known, mut unanswered) = (false, Vec::new());
        let settled = self.settle(operation, LINK_LIMIT, || {
            let asked = self.with(|communicator| self.status(operation, communicator));
            match asked.unwrap_or_else(|| Ok(Some(Err(aborted(operation))))) {
                // Which says nothing of the work.
                Err(error) if unanswered.len() < MOST_UNANSWERED => {
                    unanswered.push(error);
                    Ok(None)
                }
                asked => {
                    is_known = matches!(asked, Ok(Some(_)));
                    asked
                }
            }
        });
        if !is_known {
            let ended = match self.end {
                End::Own(..) => self.give_up(&aborted(operation)),
                End::Borrowed(_) => Err(aborted(operation)),
            };
            if ended.is_err() {
                // The work may still come on the stream, which so is not done for good.
                std::mem::forget(launch);
            }
        }
        settled.and(unanswered.into_iter().next().map_or(Ok(()), Err))
    }

    fn note(&self, lane: &Arc<Lane>) {
        let mut used = lock(&self.used);
        // A lane that nobody else has is of a stream that is gone.
        used.retain(|other| Arc::strong_count(other) > 1);
        if !used.iter().any(|other| Arc::ptr_eq(other, lane)) {
            used.push(Arc::clone(lane));
        }
    }

    fn take(&self) -> Option<ncclComm_t> {
        match &self.end {
            End::Borrowed(_) => None,
            End::Own(handle, _) => lock(handle).take().map(|handle| handle as ncclComm_t),
        }
    }

    /// Ends the communicator if it is ours and has not ended; streams with its work fail.
    fn give_up(&self, error: &DeviceError) -> Result<()> {
        let Some(communicator) = self.take() else {
            return Ok(());
        };
        // Before the library lets the work end, so that nobody sees it succeed.
        for lane in lock(&self.used).iter() {
            let is_over = |event| matches!(self.shared.event_is_over(event), Ok(true));
            self.shared.captures.sweep(lane, is_over);
            lane.fail(error);
        }
        self.end(communicator)
    }

    /// Aborts a communicator that was taken.
    fn end(&self, communicator: ncclComm_t) -> Result<()> {
        let released = self.release("abort", self.nccl.ncclCommAbort, communicator)?;
        Self::wait_released("abort", &released)
    }

    /// Ends a communicator in good order, with all of its work over.
    fn finish(&self, communicator: ncclComm_t) -> Result<()> {
        let nccl = &self.nccl;
        let finalized = {
            let _bound = self.context().bind("destroy")?;
            // SAFETY: alive and taken, so that nobody else calls with it any more.
            let status = unsafe { (nccl.ncclCommFinalize)(communicator) };
            let begun = accept(nccl, "destroy", communicator, status);
            begun.and_then(|()| {
                self.settle("destroy", RELEASE_LIMIT, || self.status("destroy", communicator))
            })
        };
        if let Err(error) = finalized {
            return self.end(communicator).and(Err(error));
        }
        let released = self.release("destroy", nccl.ncclCommDestroy, communicator)?;
        match &self.end {
            End::Own(_, siblings) if siblings.are_none() => {
                Self::wait_released("destroy", &released)
            }
            // Longer than a refusal takes, so that it is told.
            _ => released.recv_timeout(SIBLING_PATIENCE).unwrap_or(Ok(())),
        }
    }

    /// Calls what releases a communicator that was taken, on a thread of its own, which tells the outcome:
    /// the library waits inside for its threads, and for work that is queued before that of the
    /// communicator.
    fn release(
        &self,
        operation: &'static str,
        call: unsafe extern "C" fn(ncclComm_t) -> ncclResult_t,
        communicator: ncclComm_t,
    ) -> Result<Receiver<Result<()>>> {
        let (shared, nccl) = (Arc::clone(&self.shared), self.nccl);
        let handle = communicator as usize;
        let (sender, receiver) = mpsc::channel();
        let work = move || {
            let released = shared.context.bind(operation).and_then(|_bound| {
                // SAFETY: alive and taken, so that nobody else calls with it any more. The library ends
                // what it does on threads of its own and the work on streams, by a flag that these look
                // at.
                let status = unsafe { call(handle as ncclComm_t) };
                accept(&nccl, operation, std::ptr::null_mut(), status)
            });
            // Nobody may be waiting for it any more.
            let _ = sender.send(released);
        };
        let thread = std::thread::Builder::new().name("eplb-cuda-release".to_owned());
        if let Err(error) = thread.spawn(work) {
            let text = format!("no thread to release the communicator on: {error}");
            return Err(DeviceError::new(ErrorKind::Failed, operation, text));
        }
        Ok(receiver)
    }

    /// When it takes too long the thread is left alone with it.
    fn wait_released(operation: &'static str, released: &Receiver<Result<()>>) -> Result<()> {
        released.recv_timeout(RELEASE_LIMIT).unwrap_or_else(|_| {
            let seconds = RELEASE_LIMIT.as_secs();
            let text = format!("the library has not let go of the communicator in {seconds} s");
            Err(DeviceError::new(ErrorKind::TimedOut, operation, text))
        })
    }
}

impl Drop for CudaCommunicator {
    fn drop(&mut self) {
        // Only if its user did not destroy it: then work may be pending, so nothing but the library's
        // own threads is ended, and the byte of barriers is left alone.
        let _ = self.give_up(&aborted("drop"));
    }
}

fn accept(
    nccl: &Nccl,
    operation: &'static str,
    communicator: ncclComm_t,
    status: ncclResult_t,
) -> Result<()> {
    match status {
        ncclResult_t::ncclSuccess | ncclResult_t::ncclInProgress => Ok(()),
        other => Err(nccl_error(nccl, operation, communicator, other)),
    }
}

fn aborted(operation: &'static str) -> DeviceError {
    DeviceError::new(ErrorKind::Aborted, operation, "the communicator was aborted")
}

// SAFETY: work is on its stream when a call returns, so that the stream's queries tell of it, and
// streams whose work was given up are accounted as failed before the library lets go of it.
unsafe impl CommunicatorDriver for CudaCommunicator {
    fn progress(&self) -> Result<Progress> {
        if matches!(self.end, End::Borrowed(_)) {
            return Ok(Progress::Complete);
        }
        let _bound = self.context().bind("communicator")?;
        let status = self.with(|communicator| self.status("communicator", communicator));
        Ok(match status.unwrap_or_else(|| Ok(Some(Err(aborted("communicator")))))? {
            None => Progress::Pending,
            Some(Ok(())) => Progress::Complete,
            Some(Err(error)) => Progress::Failed(error),
        })
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
        for group in groups(self.size) {
            let (rank, size) = (self.rank, self.size);
            let sends = || of_group(sends, group, move |peer| distance(rank, peer, size));
            let receives = || of_group(receives, group, move |peer| distance(peer, rank, size));
            if sends().next().is_none() && receives().next().is_none() {
                continue;
            }
            self.launch("exchange", stream, |nccl, communicator, stream| {
                for buffer in sends() {
                    // SAFETY: communicator and stream are alive and of this device; the range is live
                    // device memory until the work has ended, as the caller has promised.
                    let status = unsafe {
                        (nccl.ncclSend)(
                            pointer(buffer.address),
                            buffer.bytes,
                            ncclDataType_t::ncclUint8,
                            buffer.peer.cast_signed(),
                            communicator,
                            stream,
                        )
                    };
                    if !is_queued(status) {
                        return status;
                    }
                }
                for buffer in receives() {
                    // SAFETY: as above, and nothing else uses the range.
                    let status = unsafe {
                        (nccl.ncclRecv)(
                            pointer(buffer.address),
                            buffer.bytes,
                            ncclDataType_t::ncclUint8,
                            buffer.peer.cast_signed(),
                            communicator,
                            stream,
                        )
                    };
                    if !is_queued(status) {
                        return status;
                    }
                }
                ncclResult_t::ncclSuccess
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
        self.launch("all_gather", stream, |nccl, communicator, stream| {
            // SAFETY: as in `exchange`; `receive` is `size` times as long.
            unsafe {
                (nccl.ncclAllGather)(
                    pointer(send),
                    pointer(receive),
                    bytes,
                    ncclDataType_t::ncclUint8,
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
        self.launch("broadcast", stream, |nccl, communicator, stream| {
            // SAFETY: as in `exchange`; both buffers are one, which the library allows.
            unsafe {
                (nccl.ncclBroadcast)(
                    pointer(buffer),
                    pointer(buffer),
                    bytes,
                    ncclDataType_t::ncclUint8,
                    root.cast_signed(),
                    communicator,
                    stream,
                )
            }
        })
    }

    unsafe fn barrier(&self, stream: StreamHandle) -> Result<()> {
        let scratch = *lock(&self.scratch);
        let scratch = scratch.ok_or_else(|| aborted("barrier"))?;
        self.launch("barrier", stream, |nccl, communicator, stream| {
            // SAFETY: as in `exchange`; the byte is ours until `destroy`. Its value means nothing, so
            // that barriers on two streams may share it.
            unsafe {
                (nccl.ncclAllReduce)(
                    pointer(scratch),
                    pointer(scratch),
                    1,
                    ncclDataType_t::ncclUint8,
                    ncclRedOp_t::ncclMax,
                    communicator,
                    stream,
                )
            }
        })
    }

    fn async_error(&self) -> Result<Option<DeviceError>> {
        let _bound = self.context().bind("async_error")?;
        let status = self.with(|communicator| self.status("async_error", communicator));
        Ok(status.unwrap_or_else(|| Ok(Some(Err(aborted("async_error")))))?.and_then(Result::err))
    }

    fn abort(&self) -> Result<()> {
        if matches!(self.end, End::Borrowed(_)) {
            return Err(invalid("abort", "the communicator is the engine's to abort"));
        }
        self.give_up(&aborted("abort"))
    }

    unsafe fn destroy(&self) -> Result<()> {
        let finished = self.take().map_or(Ok(()), |communicator| self.finish(communicator));
        let address = lock(&self.scratch).take();
        let freed = Scratch::of(self.context(), address).free();
        finished.and(freed)
    }
}

fn is_queued(status: ncclResult_t) -> bool {
    matches!(status, ncclResult_t::ncclSuccess | ncclResult_t::ncclInProgress)
}
