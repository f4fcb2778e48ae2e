//! What changes an adapter: adopt, reserve, plan, apply, release, recover.
#![expect(unsafe_code, reason = "exports functions")]

use std::ffi::{c_char, c_int, c_void};
use std::net::IpAddr;
use std::sync::Arc;

use nicfw::MacAddr;
use nicfw::firewall::Report;

use crate::call::{free, run};
use crate::failure::{Failure, Result, fixed};
use crate::handle::{self, lock};
use crate::items::{self, Item};
use crate::memory::Memory;
use crate::nicfw_code::NICFW_E_ARGUMENT;
use crate::progress::{Progress, nicfw_progress};
use crate::spec::address;
use crate::types::{nicfw_addr, nicfw_error, nicfw_plan_info, nicfw_report};
use crate::{nicfw_adapter, nicfw_compiled, nicfw_list, nicfw_plan};

/// Takes over the adapter with a policy that was compiled for it, or takes it over again.
///
/// The tables of an adapter cannot be read back. So what they hold is dropped: all traffic of the adapter is blocked, its
/// rules are reset, the policy is loaded, and then the policy decides. Counters begin at zero.
///
/// What the handle had bound or reserved before stays closed until `nicfw_adapter_release`, unless the policy binds it.
///
/// `NICFW_E_FIT` for a policy that was compiled for other tables leaves everything as it was. If this fails otherwise, no
/// policy is adopted: `err->state` says whether the adapter drops all traffic, and the handle may adopt again or be closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_adopt(
    adapter: *mut nicfw_adapter,
    compiled: *const nicfw_compiled,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |_| {
        let nic = handle::get(adapter)?;
        let compiled = handle::get(compiled)?;
        lock(&nic)?.adopt(compiled)
    })
}

/// Closes addresses for a container, beside what is reserved for it already, until `nicfw_adapter_release`. What it may do
/// comes with a policy that binds it; addresses that the policy in force binds to it are open as that says.
///
/// `ips` are `ips_count` addresses with the full prefix. `own_mac` is a MAC of 6 bytes that the container alone has; NULL if
/// it shares the host's.
///
/// Returns `NICFW_E_HELD` if another container holds one of the addresses or the MAC, and `NICFW_E_ARGUMENT` for what no
/// container can have (group, broadcast, loopback, IPv4-mapped ...): nothing was sent. After any other error the container is
/// unprotected and must not be started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_reserve(
    adapter: *mut nicfw_adapter,
    container: *const c_char,
    ips: *const nicfw_addr,
    ips_count: usize,
    own_mac: *const u8,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let container = memory.text(container, "container")?;
        let ips = memory.array(ips, ips_count, "ips")?;
        let ips = ips.iter().map(|ip| address(ip, "ips")).collect::<Result<Vec<IpAddr>>>()?;
        if container.is_empty() || ips.is_empty() {
            return Err(Failure::new(NICFW_E_ARGUMENT, "a reservation names a container and at least one address"));
        }
        nicfw::text::check(container).map_err(|error| Failure::text("container", error))?;
        let mac = memory.maybe_value(own_mac.cast::<[u8; 6]>()).map(MacAddr);
        let nic = handle::get(adapter)?;
        let mut nic = lock(&nic)?;
        nic.firewall()?.reserve(container, &ips, mac, "nicfw_adapter_reserve")?;
        Ok(())
    })
}

/// Opens the addresses of a container that no policy binds any more: they are treated as ones that nobody bound. Call it
/// when the container is gone.
///
/// Returns `NICFW_E_NOT_FOUND` if nothing is kept closed for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_release(
    adapter: *mut nicfw_adapter,
    container: *const c_char,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let container = memory.text(container, "container")?;
        let nic = handle::get(adapter)?;
        lock(&nic)?.release(container)
    })
}

/// Plans the commands that bring the adapter to another compiled policy. Sends nothing. `reason` goes to the log.
///
/// Returns `NICFW_E_FIT` if the change does not fit, or the policy was compiled for other tables.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_plan(
    adapter: *const nicfw_adapter,
    compiled: *const nicfw_compiled,
    reason: *const c_char,
    plan: *mut *mut nicfw_plan,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let plan = memory.out(plan, "plan")?;
        let reason = memory.text(reason, "reason")?;
        if !reason.is_empty() {
            nicfw::text::check(reason).map_err(|error| Failure::text("reason", error))?;
        }
        let nic = handle::get(adapter)?;
        let held = lock(&nic)?.plan(handle::get(compiled)?, reason)?;
        plan.give(Arc::new(held))
    })
}

/// Carries out a plan. It is good for the tables that it was made for: after any other change, and for another adapter
/// handle, `NICFW_E_STALE` is returned and nothing is sent.
///
/// `progress` may be NULL; `user` is its first argument. `report` may be NULL.
///
/// After an error `err->state` says what the adapter holds: what it held before (commands that were sent are taken back),
/// the same but for containers that were closed, or unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_apply(
    adapter: *mut nicfw_adapter,
    plan: *const nicfw_plan,
    progress: nicfw_progress,
    user: *mut c_void,
    report: *mut nicfw_report,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let place = memory.maybe_out_structure(report, "report")?;
        let nic = handle::get(adapter)?;
        let plan = handle::get(plan)?;
        let total = plan.change.plan.steps.len() as u64;
        let progress = progress.map(|callback| Progress::new(callback, user, total));
        let report = lock(&nic)?.apply(&plan, progress)?;
        if let Some(place) = place {
            place.put(report_to_c(&report));
        }
        Ok(())
    })
}

/// Brings an adapter in an unknown state back to what it held last: every entry in question is sent again. Does nothing if
/// nothing is in doubt. `report` may be NULL.
///
/// Returns `NICFW_E_RECOVER` if that did not succeed either: try again, or adopt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_recover(
    adapter: *mut nicfw_adapter,
    report: *mut nicfw_report,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let place = memory.maybe_out_structure(report, "report")?;
        let nic = handle::get(adapter)?;
        let report = lock(&nic)?.firewall()?.recover()?;
        if let Some(place) = place {
            place.put(report_to_c(&report));
        }
        Ok(())
    })
}

/// Compares the adapter with the last record: its hash over the tables, how often it has booted, its counters. `drifted`
/// gets 1 if somebody else has been there, 0 if not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_audit(
    adapter: *mut nicfw_adapter,
    drifted: *mut c_int,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let drifted = memory.out(drifted, "drifted")?;
        let nic = handle::get(adapter)?;
        let audit = lock(&nic)?.firewall()?.audit()?;
        drifted.put((!audit.is_sound()).into());
        Ok(())
    })
}

/// Makes the tables what a reboot of the adapter's management controller loads, whenever that was done last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_commit_cache(adapter: *mut nicfw_adapter, err: *mut nicfw_error) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |_| {
        let nic = handle::get(adapter)?;
        let mut nic = lock(&nic)?;
        Ok(nic.firewall()?.commit_cache()?)
    })
}

/// Reads the counters. Fields: TEXT, COUNTER, RX_FRAMES, TX_FRAMES, RX_NEW, TX_NEW, ENTRY, and of the rule that asked for
/// the first entry FILE, LINE and, where they were said, OWNER, REASON, TICKET, WHEN, UNTIL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_read_counters(
    adapter: *mut nicfw_adapter,
    counters: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let counters = memory.out(counters, "counters")?;
        let nic = handle::get(adapter)?;
        let items = lock(&nic)?.counters()?;
        counters.give(items.into())
    })
}

/// Tells what a plan will do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_plan_get_info(
    plan: *const nicfw_plan,
    info: *mut nicfw_plan_info,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let place = memory.out_structure(info, "info")?;
        let plan = handle::get(plan)?;
        let (change, plan) = (&plan.change, &plan.change.plan);
        place.put(nicfw_plan_info {
            size: 0,
            commands: plan.steps.len() as u64,
            pauses: plan.steps.iter().filter(|step| step.pause_before).count() as u64,
            closed_meanwhile: change.closed_meanwhile.len() as u64,
        });
        Ok(())
    })
}

/// Lists the commands of a plan, in order. Fields: TEXT, PHASE, PAUSE, ENTRY and MATCHES (of a command that sets an entry), UNDO
/// (where something takes it back).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_plan_list_commands(
    plan: *const nicfw_plan,
    commands: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let commands = memory.out(commands, "commands")?;
        let plan = handle::get(plan)?;
        commands.give(plan.change.plan.steps.iter().map(items::step).collect())
    })
}

/// Lists how much of a table is used at the worst moment, of those tables that a change may fill more than the policies before
/// and after it do. Fields: TEXT, TABLE, USED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_plan_list_peaks(
    plan: *const nicfw_plan,
    tables: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let tables = memory.out(tables, "tables")?;
        let plan = handle::get(plan)?;
        tables.give(plan.change.plan.peaks().into_iter().map(items::peak).collect())
    })
}

/// Lists the containers whose flows may be denied meanwhile although old and new policy allow them. Fields: TEXT, CONTAINER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_plan_list_closed(
    plan: *const nicfw_plan,
    containers: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let containers = memory.out(containers, "containers")?;
        let plan = handle::get(plan)?;
        let item = |name: &String| Item::new(name).text(crate::nicfw_field::NICFW_FIELD_CONTAINER, name);
        containers.give(plan.change.closed_meanwhile.iter().map(item).collect())
    })
}

/// Ends a plan. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_plan_free(plan: *mut nicfw_plan, err: *mut nicfw_error) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    free(memory, plan, err)
}

fn report_to_c(report: &Report) -> nicfw_report {
    let mut fingerprint = [0; 64];
    let hash = report.fingerprint.as_ref().map_or(&[][..], |fingerprint| fingerprint.as_bytes());
    let fits = fingerprint.get_mut(..hash.len()).map(|place| place.copy_from_slice(hash)).is_some();
    nicfw_report {
        size: 0,
        commands: report.commands as u64,
        pauses: report.pauses as u64,
        closed_meanwhile: report.closed_meanwhile.len() as u64,
        generation: report.generation,
        cache_behind: report.cache_behind.into(),
        fingerprint_len: if fits { u32::try_from(hash.len()).unwrap_or(0) } else { 0 },
        fingerprint,
        family: fixed(report.family),
    }
}
