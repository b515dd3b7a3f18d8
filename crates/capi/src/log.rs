//! The log: the library's `tracing` events, given to a function of the engine.
//!
//! A process has one subscriber of events, and so one log. This is the one thing here, beside the table
//! of handles and the last error of each thread, that belongs to the process and to no handle.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::boundary::export;
use crate::failure::Failure;
use crate::generated as c;
use crate::status::Status;
use crate::user::User;

/// The engine's function, and its pointer.
#[derive(Clone, Copy)]
struct Log {
    function: unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char),
    user: User,
}

static LOG: RwLock<Option<Log>> = RwLock::new(None);

/// The least urgent level that is wanted, 0 for none: read for every event.
static LEVEL: AtomicI32 = AtomicI32::new(0);

thread_local! {
    static IS_LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Hands events to the engine's function.
struct Subscribed;

impl Subscriber for Subscribed {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change at any time.
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        number(*metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // What arises inside of the callback is dropped: it would wait for the lock that it holds.
        if IS_LOGGING.try_with(|is_logging| is_logging.replace(true)).unwrap_or(true) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let log = LOG.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = *log {
            let target = CString::new(event.metadata().target()).unwrap_or_default();
            let text = CString::new(line.0.replace(['\n', '\0'], " ")).unwrap_or_default();
            let level = number(*event.metadata().level());
            // SAFETY: the engine's function with the pointer that it gave with it; both stay until
            // `eplb_log_set` has replaced them, which waits for this lock. The texts outlive the call.
            unsafe { (log.function)(log.user.0, level, target.as_ptr(), text.as_ptr()) };
        }
        drop(log);
        let _ = IS_LOGGING.try_with(|is_logging| is_logging.set(false));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One event as a line: its message, then its fields.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            let rest = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{rest}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

fn number(level: Level) -> i32 {
    (match level {
        Level::ERROR => c::EPLB_LOG_ERROR,
        Level::WARN => c::EPLB_LOG_WARN,
        Level::INFO => c::EPLB_LOG_INFO,
        Level::DEBUG => c::EPLB_LOG_DEBUG,
        _ => c::EPLB_LOG_TRACE,
    }) as i32
}

export! {
    fn eplb_log_set(_caller, level: i32, log: c::eplb_log_fn, user: *mut c_void) {
        if IS_LOGGING.get() {
            let text = "the log cannot be changed from inside of its callback";
            return Err(Failure::new(Status::Busy, text));
        }
        let allowed = c::EPLB_LOG_ERROR as i32..=c::EPLB_LOG_TRACE as i32;
        if log.is_some() && !allowed.contains(&level) {
            let allowed = "EPLB_LOG_ERROR (1) to EPLB_LOG_TRACE (5)";
            return Err(Failure::argument("level", level, allowed));
        }
        let wanted = log.map(|function| Log { function, user: User(user) });
        LEVEL.store(if wanted.is_some() { level } else { 0 }, Ordering::Relaxed);
        // Waits for the calls of the one before that are under way.
        *LOG.write().unwrap_or_else(PoisonError::into_inner) = wanted;
        if wanted.is_some() {
            // From the second time on it is there already.
            let _ = tracing::subscriber::set_global_default(Subscribed);
        }
        Ok(())
    }
}
