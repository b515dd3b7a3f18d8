//! Load collection: what the engine's kernels count on the device, brought to the host.
//!
//! Kernels count tokens in [`LoadCounters`]. After a forward pass the [`Collector`] queues one copy of
//! them, on the engine's stream, into a ring of pinned memory, and records an event; steps later, when
//! the event is found to be over, the counts are read, checked and credited to the steps in which they
//! were counted. The step path sees no synchronisation, no allocation of the device, no collective and
//! no lock that planning holds. A device that is further behind than the ring is long costs samples,
//! which are counted, and never time.

mod collector;
mod counters;
mod error;
mod figures;
mod numbers;

pub use collector::{CollectedLoad, Collector};
pub use counters::{CounterForm, CounterLife, CounterWidth, LoadCounters, Padding};
pub use error::LoadError;
pub use figures::LoadFigures;
