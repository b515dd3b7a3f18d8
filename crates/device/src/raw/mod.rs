//! What a backend implements: the device trait and its contract.
//!
//! A backend translates between these traits and its vendor's library, and does nothing else: what
//! can be checked without the library is checked above, once, by the safe layer. The rules below
//! are the contract between both sides. They were written from what the libraries in question do,
//! and the table after them says for each known behaviour which rule covers it.
//!
//! # The contract
//!
//! Process and threads
//!
//! - **R1, library.** A backend opens its library at run time and initialises it at most once per
//!   process, on first use; "initialised already" (by the engine) is success. It never finalises
//!   it: not in a destructor, not at exit. No library, no driver, or a stub library means no
//!   devices, not an error; outputs that a call left unwritten are never taken for answers.
//! - **R2, threads.** Every method may be called from any thread, whatever context that thread has
//!   or has not. The backend makes its context current for the calling thread before each call of
//!   the library, and puts back the one it found: the thread may be the engine's.
//! - **R3, borrowed handles.** Contexts, streams, communicators and memory may be the engine's. The
//!   backend uses such a handle and nothing more: it never destroys, aborts, resets, frees or
//!   reconfigures it (no failure mode, no priority, no attribute). The engine keeps it alive as the
//!   `unsafe` call that lent it says. Handles are pointer-sized and opaque on both sides.
//! - **R28, visibility.** Ordinals count the devices that the process sees, in the library's order.
//!   A backend reads no device list from the environment and changes no environment variable.
//!
//! Streams and completion
//!
//! - **R4, order.** Work of one stream runs in the order in which it was queued; different streams
//!   are ordered by events only. A stream never orders itself after a default or null stream.
//!   Priority is a hint. When the library has no stream or event left, that is `OutOfMemory`.
//! - **R5, completion.** `Complete` covers all work queued before (for an event: before its record),
//!   collectives included. After a task of a stream of ours has failed, no later task of it starts,
//!   and queries give `Failed` from then on; an event recorded after the failure gives `Failed` or
//!   stays `Pending`, never `Complete`. A backend whose library goes on after a failure by default
//!   switches that off on its own streams; on a borrowed stream it cannot (R3), and there an event
//!   says only that the work is over, the stream's query whether it succeeded. The safe layer asks
//!   both. `Failed` also promises that the work is over; where that is unknown, the query itself
//!   fails.
//! - **R6, polling.** Nothing in these traits waits for queued work, and no host callback is used:
//!   completion is polled. The exceptions that may wait inside the library are named: `allocate`,
//!   `free` and their pinned forms (R9), `record_event` while the library has no event resource,
//!   communicator calls while links are set up (R17), `destroy_stream` after an abort, and the destroying
//!   of a communicator while other ranks take what it has sent, boundedly (R25).
//! - **R7, failed enqueueing.** When a call that queues work fails, all, some or none of it may be
//!   queued. The safe layer keeps everything it named alive until the stream is known to be done.
//! - **R11, events.** An event captures a point of a stream at its record; recording again captures
//!   anew; a queued wait keeps the capture that it was queued with. Waits and records are within
//!   one device. Queries and waits of events never recorded do not reach the backend. Destroying an
//!   event is legal at any time and touches neither queued waits nor the stream. Events measure no
//!   time.
//!
//! Memory and copies
//!
//! - **R8, memory.** Sizes are never zero. A backend adds the library's padding by itself, so that
//!   all `bytes` are usable; starts are aligned to `DeviceInfo::alignment`. An allocation is one
//!   range of its own, never a piece of a pool that others share (R12 relies on it). Pinned memory
//!   is page-locked host memory of this process.
//! - **R9, free.** Freeing is called only after all work that used the memory has ended: the safe
//!   layer fences, by events, and relies on no implicit synchronisation. Freeing and allocating may
//!   synchronise with the device all the same, therefore neither happens in a drop or in a call
//!   that queues work, only in allocating, collecting and draining, which the caller places.
//! - **R10, copies.** The host side of a copy is always pinned memory, so that each copy is
//!   asynchronous; copies between host ranges, and copies of pageable memory, do not exist here.
//!   The direction is given. Host sides are never imported memory, and imported memory is copied
//!   only from or to this device's memory. A batch has no order inside. Fill is for device memory.
//! - **R12, peer memory.** Whole allocations are exported; offsets travel beside the key. The key is
//!   opaque and carries what the importer needs: a backend switches process checks off or carries
//!   process ids in it, enables peer access on its own side of a pair (each side does, "enabled
//!   already" is success), and gives importers in the exporting process a plain pointer where the
//!   library only serves other processes. For borrowed memory that is a piece of a larger
//!   allocation, the backend exports the larger one and carries the difference in the key. Importers
//!   close before the exporter withdraws and frees: the processes agree on that above; a backend
//!   that can see a violation keeps the memory and reports `InvalidUse`. What the library cannot
//!   export is `Unsupported` or `InvalidUse`. Events are not shared between processes.
//!
//! Communicators
//!
//! - **R13, creation.** The id is made on one rank, with its device open, and carried to all others,
//!   which pass the same id, size and options. Creation is begun by `communicator` and polled:
//!   where the library blocks, the backend calls it on a thread of its own with its context made
//!   current, and for one device creations run one after another. All communicators are created
//!   from an id; splitting is not used. Failure, also of a library without a device, is `Failed`.
//! - **R14, one device, two ranks.** Where the library refuses two ranks on one device,
//!   `DeviceInfo::ranks_share_device` is false and creation fails; the backend sets no switch of
//!   the environment to change that.
//! - **R15, issue order.** The safe layer holds one lock per open device while it queues a
//!   collective of any communicator, so that the library sees one thread at a time and no re-entry;
//!   a process opens a device once and clones it. The same order on all ranks is the caller's duty,
//!   across communicators too, the engine's included.
//! - **R16, rounds.** Point-to-point exists only as a round: a set with at most one contiguous
//!   buffer per peer and direction, the own rank allowed on both sides. Both ends of a pair name
//!   each other in the same call, with equal bytes; array order means nothing. A backend makes it
//!   one batch call or one group, so that two ranks that send to each other progress together, and
//!   cuts a round that its library finds too large. A rank with nothing to do makes no call. If
//!   bytes differ between the ends and the library can see it, both streams fail.
//! - **R17, links.** The library may set up links at first use and block inside the call until the
//!   peer arrives. The backend bounds that by the library's connection time limit, and `abort` from
//!   another thread ends it.
//! - **R18, groups.** Groups of the vendor's library do not show above the backend. One that is
//!   process-wide, blocks, or hides errors is not used at all; none stays open between calls.
//! - **R19, zero.** No call with zero bytes reaches a backend.
//! - **R20, opaque bytes.** Collectives move bytes of any alignment and any value. There are no
//!   reductions: ranks gather, and each sums on its own, in integers. So nothing depends on element
//!   types, alignment of elements or the order of additions.
//! - **R21, barrier.** A barrier is work of the stream and holds no host thread. A backend without
//!   one makes it of its smallest collective on bytes of its own.
//! - **R22, memory cost.** A communicator's buffers are sized by `CommunicatorOptions`, which the
//!   backend always passes on, and are reported by `reserved_bytes`, so that the caller can count
//!   them against its budget.
//! - **R23, deadlines.** Deadlines are the caller's: it polls, and on expiry aborts. The backend
//!   relies on no time limit of the library for this; one that strikes is `TimedOut`.
//! - **R24, asynchronous errors.** `async_error` says what the library noticed by itself. `None`
//!   proves nothing: stream and event queries are the authority, and silence ends by deadline.
//! - **R25, ways out.** `abort` of a communicator may come from any thread at any time, also while
//!   creation or another call is inside the library; a library without abort is made to let go by
//!   destroying the communicator from the aborting thread, and by aborting the streams of ours that
//!   its work is on. "In use" from a destroy is tried again, boundedly. All ranks abort, each on
//!   its own. Abort of a stream gives up its work, and twice is harmless; work of other streams that
//!   waits for it may have to be aborted too, and may see `Aborted`. `destroy` after abort does not release twice. A
//!   borrowed communicator or stream is aborted by the engine only (R3).
//!
//! Errors
//!
//! - **R26, errors.** The vendor's code stays an open number beside a kind; unknown codes are
//!   `Failed`, broken contexts and devices `Lost`. Text is fetched at once, on the thread of the
//!   failed call. "Not ready" is `Pending`; status enumerations, which differ in sign even within
//!   one library, are translated in one place of the backend. `Lost` means that nothing runs any
//!   more.
//! - **R27, destroying.** Calls that destroy, free, close, withdraw or return are made once. If
//!   they fail, the resource counts as released, and the backend makes that safe, by leaking if
//!   need be.
//!
//! # What the libraries do, and the rule that covers it
//!
//! Rows are the topics of the vendors' behaviour table (9.1 to 9.3), its consequences (9.4), and
//! what engines lend.
//!
#![doc = include_str!("behaviour.md")]
#![allow(
    unsafe_code,
    reason = "handles and addresses of vendors' libraries cannot be checked by the compiler; \
              every use of them in this crate is in this module"
)]

mod adopt;
mod backend;
mod block;
mod communicator;
mod driver;
mod intercept;
mod intercept_communicator;
mod link;
mod marker;
mod queue;
mod types;

pub use backend::Backend;
pub use communicator::CommunicatorDriver;
pub use driver::Driver;
pub use intercept::{Intercept, InterceptedBackend, Resource, Spoiled, Verdict};
pub use types::{
    Address, AllocationKey, CommunicatorHandle, CommunicatorId, CommunicatorOptions, ContextHandle,
    Copy, CopyKind, DeviceInfo, EventHandle, MemoryInfo, PeerBuffer, Progress, StreamHandle,
    StreamPriority,
};

pub(crate) use block::{Block, BlockKind, RetiredBlock, Span};
pub(crate) use link::{Link, RetiredLink};
pub(crate) use marker::{EventPool, OwnedEvent};
pub(crate) use queue::{Queue, Task};
