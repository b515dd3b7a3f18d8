//! The conformance suite for backends of the device trait: a vendor's CI runs it on a new driver, SDK
//! or device.
//!
//! Cases are data: TOML files, one for each topic, combine a small vocabulary of steps (allocate, copy,
//! record, exchange, abort, expect this error, …) with sizes, patterns and ranks. Each case names the
//! rules of [the contract](eplb::device::raw) that it covers and the capabilities that it needs. What a
//! device can't do is skipped, and a skip is never a pass. Cases prove order by order, never by time:
//! they say nothing of speed.
//!
//! [`Suite::standard`] has all cases, [`Suite::run`] runs them on a [`Subject`] and gives a [`Report`].
//! Every case runs under a deadline and has to give back all that it took; ranks run as threads and,
//! where keys reach other processes, as processes.
//!
//! ```
//! use std::sync::Arc;
//! use eplb::device::Backend;
//! use eplb_conformance::{Expectations, Subject, Suite};
//!
//! let backend: Arc<dyn Backend> = eplb_host::HostBackend::new(2); // the one under test
//! let subject = Subject { backend, device: None, ranks: vec![2], processes: None };
//! let suite = Suite::standard().only("memory");
//! let report = suite.run(&subject, &Expectations::default(), &mut |_| ())?;
//! assert!(report.is_success());
//! let junit = report.junit(); // for the CI
//! assert!(junit.contains("<testsuite"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// `deny`, not `forbid`: one module lends handles, which is a promise that the compiler can't check.
#![deny(unsafe_code)]

mod board;
mod case;
mod engine_case;
mod expectations;
mod hold;
mod junit;
mod lent;
mod number;
mod outcome;
mod pattern;
mod perform;
mod processes;
mod rank;
mod rank_process;
mod report;
mod requirement;
mod runner;
mod scope;
mod step;
mod subject;
mod suite;

pub use case::Rule;
pub use expectations::{Expectations, ExpectationsError};
pub use outcome::Outcome;
pub use rank_process::{RankError, serve_rank};
pub use report::{Counts, Entry, Report};
pub use subject::{Processes, RankOrder, Subject, SubjectError};
pub use suite::{Progress, Suite, SuiteError};
