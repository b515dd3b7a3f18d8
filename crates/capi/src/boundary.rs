//! What stands around every function of the interface.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::Failure;
use crate::generated as c;
use crate::status::Status;

/// The last failure of a thread.
#[derive(Default)]
struct Last {
    status: i32,
    vendor_code: i64,
    text: CString,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

/// Runs the body of an exported function: no panic leaves it, and a failure is kept for
/// `eplb_last_error`.
pub(crate) fn run(
    function: &'static str,
    body: impl FnOnce() -> Result<(), Failure>,
) -> c::eplb_status {
    // A handle in the middle of a change is poisoned by its lock, and so found broken from then on.
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        let said = said.unwrap_or_else(|| "no text".to_owned());
        // What was thrown may fail again when it is dropped.
        std::mem::forget(panic);
        Err(Failure::new(Status::Panic, format!("a failure inside the library: {said}")))
    });
    match outcome {
        Ok(()) => Status::Ok as i32,
        Err(failure) => keep(function, &failure),
    }
}

fn keep(function: &str, failure: &Failure) -> i32 {
    let text = format!("{function}: {}", failure.text).replace(['\n', '\0'], " ");
    let last = Last {
        status: failure.status as i32,
        vendor_code: failure.vendor_code,
        text: CString::new(text).unwrap_or_default(),
    };
    // A thread that is ending has no place left for it.
    let _ = LAST.try_with(|kept| kept.replace(last));
    failure.status as i32
}

/// Defines exported functions. Each gives a status, gets a [`crate::caller::Caller`] for its pointers,
/// and has just the type that the header declares: the constant does not compile otherwise.
macro_rules! export {
    ($(
        fn $name:ident($caller:ident $(, $argument:ident: $kind:ty)* $(,)?) $body:block
    )*) => { $(
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            $($argument: $kind),*
        ) -> $crate::generated::eplb_status {
            // SAFETY: these are the arguments of a call of the interface, whose caller keeps what
            // `eplb.h` says of them, until it returns.
            let $caller = &unsafe { $crate::caller::Caller::trusted() };
            $crate::boundary::run(stringify!($name), || -> Result<(), $crate::failure::Failure> {
                $body
            })
        }

        const _: unsafe extern "C" fn($($kind),*) -> $crate::generated::eplb_status =
            $crate::generated::$name;
    )* };
}
pub(crate) use export;

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn eplb_last_error() -> *const c_char {
    // The text stays where it is until this thread keeps the next one.
    LAST.try_with(|last| last.borrow().text.as_ptr()).unwrap_or(c"".as_ptr())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn eplb_last_error_code() -> c::eplb_status {
    LAST.try_with(|last| last.borrow().status).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn eplb_last_vendor_code() -> i64 {
    LAST.try_with(|last| last.borrow().vendor_code).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn eplb_status_name(status: c::eplb_status) -> *const c_char {
    let known = Status::ALL.iter().find(|known| **known as i32 == status);
    known.map_or(c"unknown", |known| CStr::as_ref(known.name())).as_ptr()
}

const _: unsafe extern "C" fn() -> *const c_char = c::eplb_last_error;
const _: unsafe extern "C" fn() -> c::eplb_status = c::eplb_last_error_code;
const _: unsafe extern "C" fn() -> i64 = c::eplb_last_vendor_code;
const _: unsafe extern "C" fn(c::eplb_status) -> *const c_char = c::eplb_status_name;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn last() -> String {
        // SAFETY: the function has no conditions.
        let text = unsafe { eplb_last_error() };
        // SAFETY: the text stays until this thread keeps another one, and is copied at once.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_becomes_an_error_of_the_thread_that_made_the_call() {
        assert_eq!(run("eplb_test", || panic!("of a {}", "test")), 5);
        assert_eq!(last(), "eplb_test: a failure inside the library: of a test");
        std::thread::spawn(|| assert_eq!(last(), "")).join().unwrap();
        assert_eq!(run("eplb_test", || Ok(())), 0);
        assert_eq!(last(), "eplb_test: a failure inside the library: of a test");
        assert_eq!(run("eplb_test", || Err(Failure::new(Status::State, "one\ntwo\0"))), 11);
        assert_eq!(last(), "eplb_test: one two ");
    }
}
