//! The caller's memory: what comes in is copied, what goes out is written at the end.
#![expect(unsafe_code, reason = "reads and writes what C points to; nothing else in the crate does")]

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::failure::{Failure, Result};
use crate::nicfw_code::{NICFW_E_ARGUMENT, NICFW_E_BUFFER, NICFW_E_UNSUPPORTED};
use crate::types::{
    nicfw_adapter_info, nicfw_addr, nicfw_binding, nicfw_error, nicfw_open_opts, nicfw_packet, nicfw_plan_info,
    nicfw_ports, nicfw_report, nicfw_rule, nicfw_target, nicfw_term,
};

/// No structure of this or a later version is larger: what says so was not initialised.
const LARGEST_STRUCT: usize = 4096;
/// No array of a caller is longer.
const LONGEST_ARRAY: usize = 1 << 20;

/// What C may hand over by value: plain data that is valid whatever its bytes are.
///
/// # Safety
/// The type is `repr(C)` and every pattern of bytes is a value of it.
pub unsafe trait Plain: Copy {}

/// A structure that begins with its size.
///
/// # Safety
/// The first field is `size: usize`.
pub unsafe trait Versioned: Plain {}

macro_rules! plain {
    ($($type:ty),*) => {
        // SAFETY: numbers, arrays of numbers and raw pointers in a repr(C) structure (types.rs), or a number.
        $(unsafe impl Plain for $type {})*
    };
}
plain!(u32, usize, u64, i32, [u8; 6], nicfw_addr, nicfw_term, nicfw_ports, nicfw_error, nicfw_open_opts);
plain!(nicfw_adapter_info, nicfw_target, nicfw_rule, nicfw_binding, nicfw_packet, nicfw_plan_info, nicfw_report);

macro_rules! sized {
    ($($type:ty),*) => {
        $(
            const _: () = assert!(std::mem::offset_of!($type, size) == 0 && size_of::<$type>() <= LARGEST_STRUCT);
            // SAFETY: the line before has checked it.
            unsafe impl Versioned for $type {}
        )*
    };
}
sized!(nicfw_error, nicfw_open_opts, nicfw_adapter_info, nicfw_target, nicfw_rule, nicfw_binding, nicfw_packet);
sized!(nicfw_plan_info, nicfw_report);

/// Leave to use the pointers of one call: they are the caller's, who promised what the header says of them.
#[derive(Clone, Copy)]
pub struct Memory<'c>(PhantomData<&'c ()>);

impl<'c> Memory<'c> {
    /// # Safety
    /// For `'c`, every pointer that is given to a method of this value is NULL or points to what the method says, and the
    /// caller does not change what is read nor look at what is written.
    pub unsafe fn new() -> Self {
        Self(PhantomData)
    }

    /// A text that ends with NUL; `what` names it in errors.
    pub fn text(self, text: *const c_char, what: &str) -> Result<&'c str> {
        self.maybe_text(text, what)?.ok_or_else(|| null(what))
    }

    /// The same, or NULL.
    pub fn maybe_text(self, text: *const c_char, what: &str) -> Result<Option<&'c str>> {
        if text.is_null() {
            return Ok(None);
        }
        // SAFETY: not NULL, so it points to a text that ends with NUL and stays as it is for 'c (`new`).
        let text = unsafe { CStr::from_ptr(text) };
        let bad = |e| Failure::new(NICFW_E_ARGUMENT, format!("{what} is not UTF-8: {e}")).at(what);
        text.to_str().map(Some).map_err(bad)
    }

    /// A value; `None` for NULL.
    pub fn maybe_value<T: Plain>(self, value: *const T) -> Option<T> {
        // SAFETY: not NULL, so it points to a T (`new`), which may have any bytes (`Plain`).
        (!value.is_null()).then(|| unsafe { value.read_unaligned() })
    }

    /// A copy of an array; empty for NULL.
    pub fn array<T: Plain>(self, first: *const T, count: usize, what: &str) -> Result<Vec<T>> {
        if first.is_null() && count > 0 {
            return Err(null(what));
        }
        if count > LONGEST_ARRAY {
            let text = format!("{what} has {count} elements, at most {LONGEST_ARRAY} are read");
            return Err(Failure::new(NICFW_E_ARGUMENT, text).at(what));
        }
        // SAFETY: `count` elements are there (`new`), `at` is one of them, and any bytes will do (`Plain`).
        let element = |at| unsafe { first.wrapping_add(at).read_unaligned() };
        Ok((0..count).map(element).collect())
    }

    /// A structure of this or another version: what the caller's lacks is zero, and what it has beyond ours must be.
    pub fn structure<T: Versioned>(self, from: *const T, what: &str) -> Result<T> {
        let size = self.size(from, what)?;
        let mut ours = MaybeUninit::<T>::zeroed();
        let (from, known) = (from.cast::<u8>(), size.min(size_of::<T>()));
        // SAFETY: `size` bytes are there (`new`), `known` is no more and fits into `ours`, which is a place of its own.
        unsafe { from.copy_to_nonoverlapping(ours.as_mut_ptr().cast(), known) };
        for at in known..size {
            // SAFETY: `at` is less than `size`, and `size` bytes are there (`new`).
            if unsafe { from.wrapping_add(at).read() } != 0 {
                let text = format!("{what} says something at byte {at} of {size}; this version knows {known} bytes");
                return Err(Failure::new(NICFW_E_UNSUPPORTED, text).at(what));
            }
        }
        // SAFETY: any bytes will do (`Plain`), and `zeroed` has set those that were not copied.
        Ok(unsafe { ours.assume_init() })
    }

    fn size<T: Versioned>(self, structure: *const T, what: &str) -> Result<usize> {
        let size = self.maybe_value(structure.cast::<usize>()).ok_or_else(|| null(what))?;
        let uninitialised = || {
            let text = format!("{what} has size {size}: begin with NICFW_INIT");
            Failure::new(NICFW_E_ARGUMENT, text).at(what)
        };
        if is_size(size) { Ok(size) } else { Err(uninitialised()) }
    }

    /// A place for a result.
    pub fn out<T>(self, place: *mut T, what: &str) -> Result<Out<'c, T>> {
        if place.is_null() { Err(null(what)) } else { Ok(Out(place, PhantomData)) }
    }

    /// A place for a structure, of this or another version.
    pub fn out_structure<T: Versioned>(self, place: *mut T, what: &str) -> Result<OutStructure<'c, T>> {
        Ok(OutStructure { size: self.size(place, what)?, place, call: PhantomData })
    }

    /// The same, or NULL.
    pub fn maybe_out_structure<T: Versioned>(self, place: *mut T, what: &str) -> Result<Option<OutStructure<'c, T>>> {
        if place.is_null() { Ok(None) } else { self.out_structure(place, what).map(Some) }
    }

    /// The same for what says why a call failed; `None` also where it was not initialised. Takes no memory.
    pub fn out_error(self, place: *mut nicfw_error) -> Option<OutStructure<'c, nicfw_error>> {
        let size = self.maybe_value(place.cast_const().cast::<usize>()).filter(|size| is_size(*size))?;
        Some(OutStructure { size, place, call: PhantomData })
    }

    /// Writes a text with NUL into a buffer of the caller, and the size that it takes to `needed` if that is not NULL.
    /// Only the size is written if the buffer is too small.
    pub fn put_text(self, text: &str, buffer: *mut c_char, capacity: usize, needed: *mut usize) -> Result<()> {
        let size = text.len() + 1;
        if let Ok(needed) = self.out(needed, "needed") {
            needed.put(size);
        }
        if buffer.is_null() && capacity > 0 {
            return Err(null("buffer"));
        }
        if capacity < size {
            let text = format!("the buffer has {capacity} bytes, {size} are needed");
            return Err(Failure::new(NICFW_E_BUFFER, text).at("buffer"));
        }
        let buffer = buffer.cast::<u8>();
        // SAFETY: `capacity` bytes are there (`new`), which is more than the text has; it is no memory of the caller.
        unsafe { buffer.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        // SAFETY: the last of `size` bytes, of which there are `capacity` or less.
        unsafe { buffer.wrapping_add(text.len()).write(0) };
        Ok(())
    }
}

/// Where a result goes.
pub struct Out<'c, T>(*mut T, PhantomData<&'c ()>);

impl<T> Out<'_, T> {
    pub fn put(self, value: T) {
        // SAFETY: not NULL (`Memory::out`), so there is room for a T (`Memory::new`).
        unsafe { self.0.write_unaligned(value) }
    }
}

/// Where a structure goes.
pub struct OutStructure<'c, T> {
    place: *mut T,
    size: usize,
    call: PhantomData<&'c ()>,
}

impl<T: Versioned> OutStructure<'_, T> {
    /// Writes as much as the caller's structure has room for, and zero to what it has beyond ours. Its size stays.
    pub fn put(self, value: T) {
        const SIZE: usize = size_of::<usize>();
        let (place, known) = (self.place.cast::<u8>(), self.size.min(size_of::<T>()));
        let from = (&raw const value).cast::<u8>();
        let (from, to) = (from.wrapping_add(SIZE), place.wrapping_add(SIZE));
        // SAFETY: both structures have `known` bytes, at least those of `size` (`Memory::size`); `value` is a place of its own.
        unsafe { to.copy_from_nonoverlapping(from, known - SIZE) };
        // SAFETY: the caller's structure has `size` bytes (`Memory::new`), and `known` is no more.
        unsafe { place.wrapping_add(known).write_bytes(0, self.size - known) };
    }
}

/// Whether a structure can begin with this as its size.
fn is_size(size: usize) -> bool {
    (size_of::<usize>()..=LARGEST_STRUCT).contains(&size)
}

fn null(what: &str) -> Failure {
    Failure::new(NICFW_E_ARGUMENT, format!("{what} is NULL")).at(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory<'static> {
        // SAFETY: the tests keep what they point to.
        unsafe { Memory::new() }
    }

    #[test]
    fn a_shorter_structure_is_filled_with_zero_and_a_longer_one_must_end_with_it() {
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Newer {
            opts: nicfw_open_opts,
            more: u64,
        }
        let opts =
            nicfw_open_opts { size: 16, command_timeout_ms: 1, switch_firmware: 2, grace_us: 3, commit_every_ms: 4 };
        let older = memory().structure(&raw const opts, "opts").unwrap();
        assert_eq!((older.command_timeout_ms, older.switch_firmware), (1, 2));
        assert_eq!((older.grace_us, older.commit_every_ms), (0, 0));
        let mut newer = Newer { opts: nicfw_open_opts { size: size_of::<Newer>(), ..opts }, more: 0 };
        assert_eq!(
            memory().structure((&raw const newer).cast(), "opts").map(|o: nicfw_open_opts| o.grace_us).ok(),
            Some(3)
        );
        newer.more = 1 << 40;
        let refused = memory().structure::<nicfw_open_opts>((&raw const newer).cast(), "opts").err().unwrap();
        assert_eq!(refused.code, NICFW_E_UNSUPPORTED);
        assert_eq!(refused.message, "opts says something at byte 29 of 32; this version knows 24 bytes");
        for size in [0, 7, LARGEST_STRUCT + 1, usize::MAX] {
            let opts = nicfw_open_opts { size, ..opts };
            assert_eq!(memory().structure(&raw const opts, "opts").err().unwrap().code, NICFW_E_ARGUMENT);
        }
    }

    #[test]
    fn a_structure_is_written_as_far_as_the_caller_has_it() {
        let value = nicfw_plan_info { size: 0, commands: 1, pauses: 2, closed_meanwhile: 3 };
        let mut places = [0xa5_u64; 8];
        for (size, expected) in [
            (8, [8, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5]),
            (24, [24, 1, 2, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5]),
            (56, [56, 1, 2, 3, 0, 0, 0, 0xa5]),
        ] {
            places.fill(0xa5);
            places[0] = size;
            memory().out_structure(places.as_mut_ptr().cast(), "info").unwrap().put(value);
            assert_eq!(places, expected);
        }
    }

    #[test]
    fn a_text_goes_out_whole_or_not_at_all() {
        let mut buffer = [0x5a_u8; 4];
        let mut needed = 0;
        let mut put =
            |text: &str, capacity| memory().put_text(text, buffer.as_mut_ptr().cast(), capacity, &raw mut needed);
        assert_eq!(put("abcd", 4).err().unwrap().code, NICFW_E_BUFFER);
        assert!(put("abc", 4).is_ok());
        assert_eq!((needed, &buffer), (4, b"abc\0"));
    }
}
