//! The live handles of the process.
//!
//! A handle is a number in the shape of a pointer: its object's type and a count that never comes again.
//! So null, foreign, mistyped and freed handles are found out, and no pointer of a caller is ever
//! followed to an object.
//!
//! Each object has a lock that is tried and never waited for: calls that change the object need it alone,
//! calls that only read share it, and whoever does not get it is told that the handle is busy.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, TryLockError};

use crate::failure::Failure;
use crate::status::Status;

/// What a handle stands for.
pub(crate) trait Object: Send + Sync + 'static {
    /// The type of its handles in the header.
    type Raw;
    /// Its type's name and number, 1 to 127; numbers differ between types.
    const KIND: Kind;
}

/// A type of handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) number: u8,
}

/// An object in its lock; nothing once its handle is freed.
type Slot<T> = RwLock<Option<T>>;

struct Entry {
    kind: Kind,
    slot: Arc<dyn Any + Send + Sync>,
}

static LIVE: RwLock<BTreeMap<usize, Entry>> = RwLock::new(BTreeMap::new());

/// Handles given out since the process began.
static GIVEN: AtomicUsize = AtomicUsize::new(0);

/// Handles that are alive.
pub(crate) fn count() -> usize {
    LIVE.read().unwrap_or_else(PoisonError::into_inner).len()
}

/// Makes a handle of an object.
pub(crate) fn insert<T: Object>(object: T) -> *mut T::Raw {
    let count = GIVEN.fetch_add(1, Ordering::Relaxed) + 1;
    let number = number(count, T::KIND);
    let entry = Entry { kind: T::KIND, slot: Arc::new(Slot::new(Some(object))) };
    LIVE.write().unwrap_or_else(PoisonError::into_inner).insert(number, entry);
    std::ptr::without_provenance_mut(number)
}

/// Calls `body` with the object, beside other calls that only read it.
pub(crate) fn with<T: Object, R>(
    name: &str,
    handle: *const T::Raw,
    body: impl FnOnce(&T) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let slot = find::<T>(name, handle)?;
    let guard = slot.try_read().map_err(|refused| refusal::<T, _>(name, &refused))?;
    body(guard.as_ref().ok_or_else(|| freed::<T>(name))?)
}

/// Calls `body` with the object, alone.
pub(crate) fn with_mut<T: Object, R>(
    name: &str,
    handle: *const T::Raw,
    body: impl FnOnce(&mut T) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let slot = find::<T>(name, handle)?;
    let mut guard = slot.try_write().map_err(|refused| refusal::<T, _>(name, &refused))?;
    body(guard.as_mut().ok_or_else(|| freed::<T>(name))?)
}

/// Ends a handle's life; null is no handle and so is none to free.
pub(crate) fn free<T: Object>(name: &str, handle: *mut T::Raw) -> Result<(), Failure> {
    if handle.is_null() {
        return Ok(());
    }
    let slot = find::<T>(name, handle)?;
    let object = match slot.try_write() {
        Ok(mut guard) => guard.take(),
        // After a failure inside the library freeing is all that can be done with it.
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
        Err(refused) => return Err(refusal::<T, _>(name, &refused)),
    };
    LIVE.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.addr());
    // Another thread was faster by a hair.
    object.map(drop).ok_or_else(|| freed::<T>(name))
}

fn find<T: Object>(name: &str, handle: *const T::Raw) -> Result<Arc<Slot<T>>, Failure> {
    if handle.is_null() {
        return Err(Failure::new(Status::Null, format!("{name} is null")));
    }
    let number = handle.addr();
    let live = LIVE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(entry) = live.get(&number) else {
        drop(live);
        return Err(if was_given::<T>(number) { freed::<T>(name) } else { foreign(name, T::KIND) });
    };
    let found = entry.kind;
    let slot = Arc::clone(&entry.slot);
    drop(live);
    slot.downcast().map_err(|_| {
        let text =
            format!("{name} is a handle of type {}, needed is one of {}", found.name, T::KIND.name);
        Failure::new(Status::Handle, text)
    })
}

const fn number(count: usize, kind: Kind) -> usize {
    // Odd, so that it is no address of an object of C.
    count << 8 | (kind.number as usize) << 1 | 1
}

fn was_given<T: Object>(number: usize) -> bool {
    let count = number >> 8;
    let given = GIVEN.load(Ordering::Relaxed);
    (1..=given).contains(&count) && self::number(count, T::KIND) == number
}

fn freed<T: Object>(name: &str) -> Failure {
    Failure::new(
        Status::Freed,
        format!("{name} is a handle of type {} that was freed", T::KIND.name),
    )
}

fn foreign(name: &str, kind: Kind) -> Failure {
    let text =
        format!("{name} is no handle that this library gave out, needed is one of {}", kind.name);
    Failure::new(Status::Handle, text)
}

fn refusal<T: Object, G>(name: &str, refused: &TryLockError<G>) -> Failure {
    let kind = T::KIND.name;
    match refused {
        TryLockError::WouldBlock => Failure::new(
            Status::Busy,
            format!("another call has {name}, a handle of type {kind}; one thread at a time may"),
        ),
        TryLockError::Poisoned(_) => Failure::new(
            Status::Broken,
            format!(
                "a call with {name}, a handle of type {kind}, failed inside the library; free it"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    struct Number(u32);
    enum RawNumber {}
    struct Other;
    enum RawOther {}

    impl Object for Number {
        type Raw = RawNumber;
        const KIND: Kind = Kind { name: "number", number: 126 };
    }

    impl Object for Other {
        type Raw = RawOther;
        const KIND: Kind = Kind { name: "other", number: 127 };
    }

    fn status<R>(result: Result<R, Failure>) -> Status {
        result.err().map_or(Status::Ok, |failure| failure.status)
    }

    fn read(handle: *const RawNumber) -> Status {
        status(with::<Number, _>("it", handle, |number| Ok(number.0)))
    }

    #[test]
    fn wrong_handles_are_found_out() {
        let handle = insert(Number(7));
        assert_eq!(with::<Number, _>("it", handle, |number| Ok(number.0)).unwrap(), 7);
        assert_eq!(read(std::ptr::null()), Status::Null);
        let local = 5_u64;
        assert_eq!(read((&raw const local).cast()), Status::Handle);
        assert_eq!(read(handle.wrapping_byte_add(256 * 1_000_000)), Status::Handle);
        assert_eq!(status(with::<Other, _>("it", handle.cast(), |_| Ok(()))), Status::Handle);
        free::<Number>("it", handle).unwrap();
        assert_eq!(read(handle), Status::Freed);
        assert_eq!(status(free::<Number>("it", handle)), Status::Freed);
        assert_eq!(status(free::<Number>("it", std::ptr::null_mut())), Status::Ok);
    }

    #[test]
    fn readers_share_an_object_and_a_writer_has_it_alone() {
        let handle = insert(Number(1));
        with::<Number, _>("it", handle, |_| {
            assert_eq!(read(handle), Status::Ok);
            assert_eq!(status(with_mut::<Number, _>("it", handle, |_| Ok(()))), Status::Busy);
            assert_eq!(status(free::<Number>("it", handle)), Status::Busy);
            Ok(())
        })
        .unwrap();
        with_mut::<Number, _>("it", handle, |_| {
            assert_eq!(read(handle), Status::Busy);
            Ok(())
        })
        .unwrap();
        free::<Number>("it", handle).unwrap();
    }

    #[test]
    fn after_a_failure_inside_a_change_a_handle_can_only_be_freed() {
        let handle = insert(Number(1));
        let changed = std::panic::catch_unwind(|| {
            let _ = with_mut::<Number, ()>("it", handle, |_| panic!("inside"));
        });
        assert!(changed.is_err());
        assert_eq!(read(handle), Status::Broken);
        assert_eq!(status(free::<Number>("it", handle)), Status::Ok);
        assert_eq!(read(handle), Status::Freed);
    }
}
