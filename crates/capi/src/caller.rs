//! The one place that reads and writes through a caller's pointers.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use crate::failure::Failure;
use crate::generated as c;
use crate::status::Status;
use crate::structure::Structure;

/// The caller of one exported function, who keeps what `eplb.h` says of its arguments: a pointer that is
/// not null points to what the function's text names, until the call returns, and nobody else writes
/// there meanwhile. What is checked here all the same: null, alignment, lengths, sizes of structures.
pub(crate) struct Caller(());

/// A structure whose `struct_size` is beyond this is no structure of a later version.
const LARGEST_STRUCTURE: usize = 1 << 16;

/// Numbers of C, of which any bytes are valid.
///
/// # Safety
/// Any bytes are a value of the type.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: any bytes are a number.
unsafe impl Plain for u8 {}
// SAFETY: any bytes are a number.
unsafe impl Plain for u16 {}
// SAFETY: any bytes are a number.
unsafe impl Plain for u32 {}
// SAFETY: any bytes are a number.
unsafe impl Plain for u64 {}
// SAFETY: any bytes are a number.
unsafe impl Plain for f32 {}
// SAFETY: any bytes are a pointer and a length; what it points to is for `Caller` to read.
unsafe impl Plain for c::eplb_bytes {}
// SAFETY: any bytes are numbers.
unsafe impl Plain for c::eplb_rank {}
// SAFETY: any bytes are numbers and pointers; what these point to is for `Caller` to read.
unsafe impl Plain for c::eplb_directive {}
// SAFETY: any bytes are numbers and a pointer; what it points to is for `Caller` to read.
unsafe impl Plain for c::eplb_answer {}

impl Caller {
    /// # Safety
    /// The value is used for arguments of one call of an exported function, until that call returns.
    pub(crate) unsafe fn trusted() -> Self {
        Self(())
    }

    /// A text that has to be there.
    pub(crate) fn text<'a>(&'a self, name: &str, text: *const c_char) -> Result<&'a str, Failure> {
        check(name, text)?;
        // SAFETY: not null; the caller's promise: it ends in a zero byte, and stays for the call.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_str()
            .map_err(|error| Failure::new(Status::Text, format!("{name} is not UTF-8: {error}")))
    }

    /// `count` values; none may be null.
    pub(crate) fn slice<'a, T: Plain>(
        &'a self,
        name: &str,
        values: *const T,
        count: usize,
    ) -> Result<&'a [T], Failure> {
        if count == 0 {
            return Ok(&[]);
        }
        check(name, values)?;
        check_count::<T>(name, count)?;
        // SAFETY: not null, aligned, no longer than memory can be; the caller's promise: so many values,
        // which nobody writes during the call, and any bytes are values.
        Ok(unsafe { std::slice::from_raw_parts(values, count) })
    }

    /// Room for `count` values, which hold something already as far as Rust is concerned: they are only
    /// written.
    #[allow(
        clippy::mut_from_ref,
        reason = "the room is the caller's, and is not reached through self"
    )]
    pub(crate) fn room<'a, T: Plain>(
        &'a self,
        name: &str,
        values: *mut T,
        count: usize,
    ) -> Result<&'a mut [MaybeUninit<T>], Failure> {
        if count == 0 {
            return Ok(&mut []);
        }
        check(name, values)?;
        check_count::<T>(name, count)?;
        // SAFETY: not null, aligned, no longer than memory can be; the caller's promise: room for so many
        // values, which nobody else uses during the call. They may be uninitialised.
        Ok(unsafe { std::slice::from_raw_parts_mut(values.cast(), count) })
    }

    /// Where one value is to be written, which has to be there.
    pub(crate) fn place<'a, T>(
        &'a self,
        name: &str,
        place: *mut T,
    ) -> Result<Place<'a, T>, Failure> {
        check(name, place)?;
        // SAFETY: not null and aligned; the caller's promise: room for one value, which nobody else uses
        // during the call. It may be uninitialised.
        let place: &mut MaybeUninit<T> = unsafe { &mut *place.cast() };
        Ok(Place(place))
    }

    /// The same where null says that the value is not wanted.
    pub(crate) fn optional_place<'a, T>(
        &'a self,
        name: &str,
        place: *mut T,
    ) -> Result<Option<Place<'a, T>>, Failure> {
        if place.is_null() { Ok(None) } else { self.place(name, place).map(Some) }
    }

    /// A structure that has to be there. Fields of later versions than the caller's are zero.
    pub(crate) fn structure<T: Structure>(
        &self,
        name: &str,
        structure: *const T,
    ) -> Result<T, Failure> {
        let size = size_of_structure(name, structure)?;
        let known = size.min(size_of::<T>());
        let mut read = MaybeUninit::<T>::zeroed();
        let from = structure.cast::<u8>();
        // SAFETY: the caller's promise: the structure has as many bytes as it says; `read` has room for
        // the known ones, and is apart from it.
        unsafe { from.copy_to_nonoverlapping(read.as_mut_ptr().cast(), known) };
        // SAFETY: the bytes behind the known ones are part of the structure, too.
        let beyond = unsafe { std::slice::from_raw_parts(from.wrapping_add(known), size - known) };
        if beyond.iter().any(|&byte| byte != 0) {
            let text = format!(
                "{name} is a {} of a later version with values that this version does not know",
                T::NAME
            );
            return Err(Failure::new(Status::StructSize, text));
        }
        // SAFETY: a structure is valid with zeros and with any bytes of the caller's.
        Ok(unsafe { read.assume_init() })
    }

    /// The same where null says that there is none.
    pub(crate) fn optional_structure<T: Structure>(
        &self,
        name: &str,
        structure: *const T,
    ) -> Result<Option<T>, Failure> {
        if structure.is_null() { Ok(None) } else { self.structure(name, structure).map(Some) }
    }

    /// Where a structure is to be filled in.
    pub(crate) fn form<'a, T: Structure>(
        &'a self,
        name: &str,
        structure: *mut T,
    ) -> Result<Form<'a, T>, Failure> {
        let size = size_of_structure(name, structure.cast_const())?;
        let place: *mut MaybeUninit<u8> = structure.cast();
        // SAFETY: the caller's promise: the structure has as many bytes as it says, and nobody else uses
        // them during the call.
        let bytes = unsafe { std::slice::from_raw_parts_mut(place, size) };
        Ok(Form { bytes, kind: std::marker::PhantomData })
    }
}

/// Where one value is written.
pub(crate) struct Place<'a, T>(&'a mut MaybeUninit<T>);

impl<T> Place<'_, T> {
    pub(crate) fn set(self, value: T) {
        self.0.write(value);
    }
}

/// Where a structure is filled in, as far as the caller knows it.
pub(crate) struct Form<'a, T> {
    bytes: &'a mut [MaybeUninit<u8>],
    kind: std::marker::PhantomData<T>,
}

impl<T: Structure> Form<'_, T> {
    /// Writes all fields but the size; what the caller knows and this version does not becomes zero.
    pub(crate) fn fill(self, value: T) {
        let own = (&raw const value).cast::<MaybeUninit<u8>>();
        // SAFETY: the bytes of the value, which lives until the end of this call.
        let own = unsafe { std::slice::from_raw_parts(own, size_of::<T>()) };
        let known = self.bytes.len().min(own.len());
        let first = size_of::<usize>();
        self.bytes[first..known].copy_from_slice(&own[first..known]);
        self.bytes[known..].fill(MaybeUninit::new(0));
    }
}

fn check<T>(name: &str, pointer: *const T) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::new(Status::Null, format!("{name} is null")));
    }
    if !pointer.is_aligned() {
        let allowed = format!("a multiple of {}", align_of::<T>());
        return Err(Failure::argument(name, format!("at {:#x}", pointer.addr()), &allowed));
    }
    Ok(())
}

fn check_count<T>(name: &str, count: usize) -> Result<(), Failure> {
    let most = isize::MAX as usize / size_of::<T>();
    if count > most {
        let text = format!("{name} has {count} entries, more than memory can hold");
        return Err(Failure::new(Status::Length, text));
    }
    Ok(())
}

fn size_of_structure<T: Structure>(name: &str, structure: *const T) -> Result<usize, Failure> {
    check(name, structure)?;
    // SAFETY: not null and aligned; the caller's promise: a structure, which begins with its size.
    let size = unsafe { structure.cast::<usize>().read() };
    if (T::LEAST..=LARGEST_STRUCTURE).contains(&size) {
        return Ok(size);
    }
    let (kind, least, present) = (T::NAME, T::LEAST, size_of::<T>());
    let text = format!(
        "{name}.struct_size is {size}; set it to sizeof({kind}), which is {present} here and at least \
         {least}"
    );
    Err(Failure::new(Status::StructSize, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn caller() -> Caller {
        // SAFETY: all pointers below are of locals.
        unsafe { Caller::trusted() }
    }

    /// A structure as a later version might have it.
    #[repr(C)]
    struct Longer {
        load: c::eplb_load,
        more: u64,
    }

    fn load() -> c::eplb_load {
        c::eplb_load {
            struct_size: size_of::<c::eplb_load>(),
            first_step: 3,
            last_step: 4,
            counts: std::ptr::null(),
            count: 5,
            form: 1,
            phase: 2,
        }
    }

    #[test]
    fn shorter_structures_of_older_headers_are_read_with_zeros() {
        let mut given = load();
        given.struct_size = c::eplb_load::LEAST;
        let read = caller().structure("load", &raw const given).unwrap();
        assert_eq!((read.last_step, read.count, read.form, read.phase), (4, 5, 0, 0));
        for size in [0, c::eplb_load::LEAST - 1, LARGEST_STRUCTURE + 1, usize::MAX] {
            given.struct_size = size;
            let failure = caller().structure("load", &raw const given).err().unwrap();
            assert_eq!(failure.status, Status::StructSize);
        }
    }

    #[test]
    fn longer_structures_are_read_if_nothing_is_lost() {
        let mut longer = Longer { load: load(), more: 0 };
        longer.load.struct_size = size_of::<Longer>();
        let pointer = (&raw const longer).cast();
        assert_eq!(caller().structure::<c::eplb_load>("load", pointer).unwrap().phase, 2);
        longer.more = 1;
        let pointer = (&raw const longer).cast();
        let failure = caller().structure::<c::eplb_load>("load", pointer).err().unwrap();
        assert_eq!(failure.status, Status::StructSize);
    }

    #[test]
    fn forms_are_filled_in_as_far_as_the_caller_knows_them() {
        let mut given = load();
        given.struct_size = c::eplb_load::LEAST;
        let mut filled = load();
        (filled.first_step, filled.form) = (9, 0);
        caller().form("load", &raw mut given).unwrap().fill(filled);
        assert_eq!((given.struct_size, given.first_step, given.form), (c::eplb_load::LEAST, 9, 1));
        let mut longer = Longer { load: load(), more: 7 };
        longer.load.struct_size = size_of::<Longer>();
        caller().form::<c::eplb_load>("load", (&raw mut longer).cast()).unwrap().fill(filled);
        assert_eq!((longer.load.form, longer.more), (0, 0));
        assert_eq!(longer.load.struct_size, size_of::<Longer>());
    }

    #[test]
    fn null_and_misaligned_pointers_and_absurd_lengths_are_errors() {
        let values = [1_u64; 4];
        let status = |pointer, count| {
            caller().slice::<u64>("it", pointer, count).err().map(|failure| failure.status)
        };
        assert_eq!(status(values.as_ptr(), 4), None);
        assert_eq!(status(std::ptr::null(), 0), None);
        assert_eq!(status(std::ptr::null(), 1), Some(Status::Null));
        assert_eq!(status(values.as_ptr().wrapping_byte_add(1), 1), Some(Status::Argument));
        assert_eq!(status(values.as_ptr(), usize::MAX), Some(Status::Length));
    }
}
