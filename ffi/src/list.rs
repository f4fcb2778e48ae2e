//! Lists: what a call finds, item by item and field by field.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{c_char, c_int};

use crate::call::{free, run};
use crate::failure::{Failure, Result};
use crate::handle;
use crate::items::{Item, Value};
use crate::memory::Memory;
use crate::nicfw_code::{NICFW_E_ARGUMENT, NICFW_E_NOT_FOUND};
use crate::nicfw_list;
use crate::types::nicfw_error;

/// Writes the number of items to `length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_list_length(
    list: *const nicfw_list,
    length: *mut usize,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let length = memory.out(length, "length")?;
        length.put(handle::get(list)?.len());
        Ok(())
    })
}

/// Writes a number of item `index` (from 0) to `number`. `field` is a `nicfw_field` that has a number.
///
/// Returns `NICFW_E_NOT_FOUND` if the list has no such item, or the item says nothing there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_list_number(
    list: *const nicfw_list,
    index: usize,
    field: c_int,
    number: *mut u64,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let number = memory.out(number, "number")?;
        match value(&handle::get(list)?, index, field)? {
            Value::Number(value) => number.put(value),
            Value::Text(_) => return Err(other_type(field, "a text: use nicfw_list_text")),
        }
        Ok(())
    })
}

/// Writes a text of item `index` (from 0) to `buffer`, with NUL. `field` is a `nicfw_field` that has a text.
///
/// `needed` gets the size of the text with its NUL; it may be NULL. If `capacity` is less, the buffer stays as it is and
/// `NICFW_E_BUFFER` is returned; a `buffer` of NULL with a `capacity` of 0 asks for the size.
///
/// Returns `NICFW_E_NOT_FOUND` if the list has no such item, or the item says nothing there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_list_text(
    list: *const nicfw_list,
    index: usize,
    field: c_int,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| match value(&handle::get(list)?, index, field)? {
        Value::Text(text) => memory.put_text(&text, buffer, capacity, needed),
        Value::Number(_) => Err(other_type(field, "a number: use nicfw_list_number")),
    })
}

/// Ends a list. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_list_free(list: *mut nicfw_list, err: *mut nicfw_error) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    free(memory, list, err)
}

fn value(items: &[Item], index: usize, field: c_int) -> Result<Value<'_>> {
    let item = items.get(index).ok_or_else(|| {
        Failure::new(NICFW_E_NOT_FOUND, format!("there is no item {index}: the list has {}", items.len()))
    })?;
    item.field(field)
        .ok_or_else(|| Failure::new(NICFW_E_NOT_FOUND, format!("item {index} says nothing in field {field}")))
}

fn other_type(field: c_int, is: &str) -> Failure {
    Failure::new(NICFW_E_ARGUMENT, format!("field {field} has {is}")).at("field")
}
