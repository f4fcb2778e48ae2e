//! What adapters the machine has.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{c_char, c_int};
use std::sync::Arc;

use nicfw::device::{Machine, PciAddress};

use crate::call::run;
use crate::failure::Failure;
use crate::items;
use crate::memory::Memory;
use crate::nicfw_code::NICFW_E_ARGUMENT;
use crate::nicfw_list;
use crate::types::nicfw_error;

/// Lists the functions of adapters that nicfw knows, or the one at `address` (such as "0000:65:00.0") if that is not NULL.
/// Only reads: nothing is opened, bound or sent.
///
/// Fields: TEXT, PCI_ADDRESS, VENDOR, DEVICE, CHIP, DRIVER (if one holds it), SUITABILITY, OBSTACLES, COMMANDS.
///
/// Returns `NICFW_E_NOT_FOUND` if no adapter has the address, `NICFW_E_IO` if the machine cannot be looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_probe(
    address: *const c_char,
    functions: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let functions = memory.out(functions, "functions")?;
        let parse = |text: &str| text.parse::<PciAddress>();
        let bad = |e: nicfw::device::AddressError| Failure::new(NICFW_E_ARGUMENT, e.to_string()).at("address");
        let address = memory.maybe_text(address, "address")?.map(parse).transpose().map_err(bad)?;
        let found = Machine::this().probe(address)?;
        functions.give(found.iter().map(items::function).collect::<Arc<[_]>>())
    })
}
