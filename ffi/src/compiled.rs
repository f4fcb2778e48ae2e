//! Compiled policies: what fits, what decides, what differs, what stays open.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{c_char, c_int};
use std::sync::Arc;

use nicfw::Target;
use nicfw::policy::{Document, FlowText};
use nicfw::tables::Compiled;

use crate::call::{free, run};
use crate::failure::{Failure, Result};
use crate::handle::{self, Handle, lock};
use crate::items::{self, Item};
use crate::memory::Memory;
use crate::nicfw_code::NICFW_E_NOT_FOUND;
use crate::spec::packet_of_c;
use crate::target::target_of_c;
use crate::types::{nicfw_error, nicfw_packet, nicfw_target};
use crate::{nicfw_adapter, nicfw_compiled, nicfw_list, nicfw_policy};

impl Handle for nicfw_compiled {
    type Shared = Arc<Compiled>;
}

/// Compiles a policy for an adapter. Pure: nothing is sent.
///
/// `previous` may be NULL. With the result for the policy before, ids and counters of what stays the same are the same.
///
/// Returns `NICFW_E_FIT` if a table is too small, `NICFW_E_EXPRESS` if the tables cannot say what the policy says; nothing
/// is rounded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_compile(
    adapter: *const nicfw_adapter,
    policy: *const nicfw_policy,
    previous: *const nicfw_compiled,
    compiled: *mut *mut nicfw_compiled,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let compiled = memory.out(compiled, "compiled")?;
        let nic = handle::get(adapter)?;
        let target = lock(&nic)?.target()?;
        compiled.give(compile(&*handle::get(policy)?, &target, previous)?)
    })
}

/// Compiles a policy for tables of these sizes, without an adapter; `target` NULL = those of the first supported adapters.
/// Otherwise as `nicfw_adapter_compile`.
///
/// Returns `NICFW_E_FIT` also for a family of tables, or a version of one, that this library does not know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_policy_compile(
    policy: *const nicfw_policy,
    target: *const nicfw_target,
    previous: *const nicfw_compiled,
    compiled: *mut *mut nicfw_compiled,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let compiled = memory.out(compiled, "compiled")?;
        let target = match target.is_null() {
            true => Target::profile0(),
            false => target_of_c(&memory.structure(target, "target")?)?,
        };
        compiled.give(compile(&*handle::get(policy)?, &target, previous)?)
    })
}

/// Lists how full each table gets, and who fills it. Fields: as `nicfw_adapter_list_usage`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_list_usage(
    compiled: *const nicfw_compiled,
    tables: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let tables = memory.out(tables, "tables")?;
        tables.give(handle::get(compiled)?.usage().iter().map(items::usage).collect())
    })
}

/// Lists what may surprise the reader of a policy, in its text and in the tables. Fields: TEXT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_list_warnings(
    compiled: *const nicfw_compiled,
    warnings: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let warnings = memory.out(warnings, "warnings")?;
        warnings.give(handle::get(compiled)?.warnings().iter().map(Item::new).collect())
    })
}

/// Lists what passes although nobody asked for it: what replies leave open beyond a stateful firewall, neighbour discovery,
/// and groups. Fields: TEXT, CONTAINER (where it concerns one), and of the rule FILE, LINE and, where they were said, OWNER,
/// REASON, TICKET, WHEN, UNTIL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_list_openings(
    compiled: *const nicfw_compiled,
    openings: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let openings = memory.out(openings, "openings")?;
        openings.give(handle::get(compiled)?.document().openings().iter().map(items::opening).collect())
    })
}

/// Explains a flow: one item, or two (sent, then received) if it goes from one container to another. `flow` is a text such
/// as "tcp 10.20.3.4:51000 > 10.30.1.17:443".
///
/// Fields: as `nicfw_policy_decide`, and ENTRY, MATCHES and COUNTER where an entry decides and counts.
///
/// Returns `NICFW_E_FLOW` if the text is wrong, or says of neither end that it is here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_explain(
    compiled: *const nicfw_compiled,
    flow: *const c_char,
    explanations: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let explanations = memory.out(explanations, "explanations")?;
        let flow: FlowText = memory.text(flow, "flow")?.parse()?;
        let compiled = handle::get(compiled)?;
        let flows = flow.judgements(compiled.document())?;
        explanations.give(flows.iter().map(|flow| items::explanation(compiled.explain(flow))).collect())
    })
}

/// Explains a frame by its headers: sent where its source is bound, then received where its destination is; received if
/// neither is. Fields: as `nicfw_compiled_explain`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_explain_packet(
    compiled: *const nicfw_compiled,
    packet: *const nicfw_packet,
    explanations: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let explanations = memory.out(explanations, "explanations")?;
        let from = memory.structure(packet, "packet")?;
        let found = handle::get(compiled)?.explain_packet(&packet_of_c(&from)?, from.physical_port);
        explanations.give(found.into_iter().map(items::explanation).collect())
    })
}

/// Lists the flows that `new_policy` allows and `old_policy` denies, and the other way round; the differences are disjoint.
/// Fields: TEXT, VERDICT (the new one), DIRECTION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_diff(
    old_policy: *const nicfw_compiled,
    new_policy: *const nicfw_compiled,
    differences: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let differences = memory.out(differences, "differences")?;
        let found = handle::get(old_policy)?.diff(&*handle::get(new_policy)?);
        differences.give(found.iter().map(items::difference).collect())
    })
}

/// Tells how many more containers like one of the policy's would fit: with the same policy and attachment, and with addresses
/// and a MAC of their own. One item. It compiles some dozen policies as large as what fits: seconds for thousands.
///
/// Fields: CONTAINER, MORE, TEXT (what ends it, or that nothing did), and TABLE where a table ends it.
///
/// Returns `NICFW_E_NOT_FOUND` if the policy binds no such container.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_count_more(
    compiled: *const nicfw_compiled,
    container: *const c_char,
    room: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let room = memory.out(room, "room")?;
        let container = memory.text(container, "container")?;
        let none = || Failure::new(NICFW_E_NOT_FOUND, "the policy binds no such container").at(container);
        let more = handle::get(compiled)?.how_many_more(container).ok_or_else(none)?;
        room.give([items::room(container, &more)].into())
    })
}

/// Ends a compiled policy. NULL does nothing. What was adopted or planned with it stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_compiled_free(compiled: *mut nicfw_compiled, err: *mut nicfw_error) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    free(memory, compiled, err)
}

fn compile(document: &Document, target: &Target, previous: *const nicfw_compiled) -> Result<Arc<Compiled>> {
    let previous = if previous.is_null() { None } else { Some(handle::get(previous)?) };
    Ok(Arc::new(Compiled::new(document, target, previous.as_deref())?))
}
