//! The threads that plans are made on.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Kind;

/// The pool, and the process that it was made in: a process that was forked has the memory of its
/// parent and none of its threads, and would wait for them for ever.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// The pool of this process. It is taken with the interpreter's lock held, so that no fork finds the
/// mutex locked by a thread that is gone in the child.
///
/// # Errors
/// The system gives no threads.
pub(crate) fn pool(_py: Python<'_>) -> PyResult<Arc<ThreadPool>> {
    let process = std::process::id();
    let mut held = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, pool)) = held.as_ref().filter(|(made_in, _)| *made_in == process) {
        return Ok(Arc::clone(pool));
    }
    let pool = ThreadPoolBuilder::new()
        .thread_name(|index| format!("eplb-plan-{index}"))
        .build()
        .map(Arc::new)
        .map_err(|error| Kind::System.says(format!("no threads to plan on: {error}")))?;
    // A parent's pool is left alone: to drop it would be to wait for its threads.
    std::mem::forget(held.replace((process, Arc::clone(&pool))));
    Ok(pool)
}
