//! Adapters: open, look at, close.
#![expect(unsafe_code, reason = "exports functions, and duplicates a file descriptor of the caller")]

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nicfw::Target;
use nicfw::adapter::AttachOptions;
use nicfw::device::vfio::Vfio;
use nicfw::device::vfio_user::VfioUser;
use nicfw::device::{Device, Locator, PciAddress};
use nicfw::firewall::Settings;

use crate::call::run;
use crate::failure::{Failure, Result, fixed};
use crate::handle::{self, lock};
use crate::memory::Memory;
use crate::nic::Nic;
use crate::nicfw_code::{NICFW_E_ARGUMENT, NICFW_E_OPEN};
use crate::nicfw_leave::{NICFW_LEAVE_BLOCKED, NICFW_LEAVE_EMPTY, NICFW_LEAVE_RULES};
use crate::spec::{choice, flag};
use crate::target::target_to_c;
use crate::types::{nicfw_adapter_info, nicfw_error, nicfw_open_opts, nicfw_target};
use crate::{items, nicfw_adapter, nicfw_list, nicfw_policy};

/// Opens one function of an adapter and attaches to it. The adapter's tables stay as they are until a policy is adopted.
///
/// `where` names the function:
///
/// - `pci:0000:65:00.0`: a function of this machine that vfio-pci holds;
/// - `fd:N`: a file descriptor that somebody else opened, `/dev/vfio/devices/vfioN` or a connected vfio-user socket. It is
///   duplicated: the caller closes its own;
/// - `vfio-user:PATH`: a socket at which another process serves a function, such as `nicfw-model serve --socket PATH`.
///
/// `opts` may be NULL.
///
/// Returns `NICFW_E_OPEN` if the function cannot be had, `NICFW_E_ATTACH` if nicfw does not work with the adapter. The
/// function is then as it was; only a firmware variant that was switched stays switched.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_open(
    r#where: *const c_char,
    opts: *const nicfw_open_opts,
    adapter: *mut *mut nicfw_adapter,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let adapter = memory.out(adapter, "adapter")?;
        let place = memory.text(r#where, "where")?;
        let (options, settings) =
            if opts.is_null() { Default::default() } else { options(&memory.structure(opts, "opts")?)? };
        let nic = open(place).and_then(|device| Nic::attach(device, options, settings));
        adapter.give(Arc::new(Mutex::new(nic.map_err(|failure| failure.at_unless(place))?)))
    })
}

/// Lets go of an adapter and ends the handle, whatever is returned. NULL does nothing.
///
/// `leave` is a `nicfw_leave`: what the adapter does from then on. Calls of other threads with this handle end first.
///
/// Returns `NICFW_E_ADAPTER` if what was to be left could not be had; `err` tells what the adapter holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_close(
    adapter: *mut nicfw_adapter,
    leave: c_int,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |_| {
        let all = [NICFW_LEAVE_RULES, NICFW_LEAVE_BLOCKED, NICFW_LEAVE_EMPTY];
        let leave = choice(leave, all.map(|leave| (leave as c_int, leave)), "leave")?;
        if adapter.is_null() {
            return Ok(());
        }
        let nic = handle::remove(adapter)?;
        // One that a panic left half-done goes the way of its rules: nothing more is sent.
        nic.lock().map_or(Ok(()), |mut nic| nic.close(leave))
    })
}

/// Tells what the adapter is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_get_info(
    adapter: *const nicfw_adapter,
    info: *mut nicfw_adapter_info,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let place = memory.out_structure(info, "info")?;
        let nic = handle::get(adapter)?;
        let nic = &mut *lock(&nic)?;
        let in_doubt = nic.firewall().is_ok_and(|firewall| firewall.needs_recovery());
        let needs_recovery = in_doubt || nic.adapter()?.needs_recovery();
        let info = nic.info()?;
        place.put(nicfw_adapter_info {
            size: 0,
            vendor: info.pci_id.vendor,
            device: info.pci_id.device,
            firmware: info.firmware.version,
            rx_variant: info.variant.rx,
            tx_variant: info.variant.tx,
            firmware_build: info.firmware.build,
            family_version: info.rules_version,
            physical_function: info.function.pf.into(),
            port: info.port.map_or(-1, |port| i32::try_from(port).unwrap_or(i32::MAX)),
            privileges: info.privileges.bits(),
            physical_ports: nic.target()?.physical_ports,
            counters: info.counters,
            counter_width: info.counter_width,
            mac: info.mac.0,
            reserved: [0; 2],
            adopted: nic.entries().is_some().into(),
            needs_recovery: needs_recovery.into(),
            entries: nic.entries().unwrap_or(0) as u64,
            family: fixed(Target::FAMILY),
        });
        Ok(())
    })
}

/// Tells how large the adapter's tables are: what `nicfw_policy_compile` compiles for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_get_target(
    adapter: *const nicfw_adapter,
    target: *mut nicfw_target,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let place = memory.out_structure(target, "target")?;
        let nic = handle::get(adapter)?;
        let target = lock(&nic)?.target()?;
        place.put(target_to_c(&target));
        Ok(())
    })
}

/// Hands out the policy in force: the one that was adopted or applied last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_get_policy(
    adapter: *const nicfw_adapter,
    policy: *mut *mut nicfw_policy,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let policy = memory.out(policy, "policy")?;
        let nic = handle::get(adapter)?;
        let document = lock(&nic)?.document()?;
        policy.give(Arc::new(document))
    })
}

/// Lists how full each table is with the policy in force, and who fills it. Fields: TEXT, TABLE, USED, AVAILABLE, MISSING, BY_POLICY, BY_CONTAINER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_list_usage(
    adapter: *const nicfw_adapter,
    tables: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let tables = memory.out(tables, "tables")?;
        let nic = handle::get(adapter)?;
        let compiled = lock(&nic)?.compiled()?;
        tables.give(compiled.usage().iter().map(items::usage).collect())
    })
}

/// Lists the containers whose addresses the adapter guards, and then what is reserved: a container can be in both. Fields:
/// TEXT, CONTAINER, BOUND, ADDRESSES; of those that the policy in force binds also POLICY, MAC, FILE, LINE and, where they
/// were said, OWNER, REASON, TICKET, WHEN, UNTIL; of reservations MAC where there is one. One address or MAC a line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nicfw_adapter_list_containers(
    adapter: *const nicfw_adapter,
    containers: *mut *mut nicfw_list,
    err: *mut nicfw_error,
) -> c_int {
    // SAFETY: the caller keeps the header's promises.
    let memory = unsafe { Memory::new() };
    run(memory, err, |memory| {
        let containers = memory.out(containers, "containers")?;
        let nic = handle::get(adapter)?;
        let items = lock(&nic)?.containers()?;
        containers.give(items.into())
    })
}

fn options(opts: &nicfw_open_opts) -> Result<(AttachOptions, Settings)> {
    let (mut options, mut settings) = (AttachOptions::default(), Settings::default());
    options.switch_firmware = flag(opts.switch_firmware, "opts.switch_firmware")?;
    let millis = |millis: u32| Some(Duration::from_millis(millis.into())).filter(|time| !time.is_zero());
    options.timeout = millis(opts.command_timeout_ms).unwrap_or(options.timeout);
    settings.commit_every = millis(opts.commit_every_ms).unwrap_or(settings.commit_every);
    if opts.grace_us > 0 {
        settings.grace = Duration::from_micros(opts.grace_us.into());
    }
    Ok((options, settings))
}

fn open(place: &str) -> Result<Box<dyn Device>> {
    if let Some(address) = place.strip_prefix("pci:") {
        let address = address.parse::<PciAddress>();
        let address = address.map_err(|e| Failure::new(NICFW_E_ARGUMENT, e.to_string()))?;
        return Ok(Locator::Pci(address).open()?);
    }
    if let Some(path) = place.strip_prefix("vfio-user:") {
        return Ok(Box::new(VfioUser::open(Path::new(path))?));
    }
    let number = place.strip_prefix("fd:").and_then(|number| number.parse::<RawFd>().ok()).filter(|fd| *fd >= 0);
    let advice = "where begins with pci:, fd: or vfio-user:, as in pci:0000:65:00.0, fd:5 or vfio-user:/run/nic.sock";
    open_fd(number.ok_or_else(|| Failure::new(NICFW_E_ARGUMENT, format!("{place:?} names no function: {advice}")))?)
}

fn open_fd(number: RawFd) -> Result<Box<dyn Device>> {
    // SAFETY: not -1, and it is only duplicated, which tells a number that is no open file.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let unusable = |e| Failure::new(NICFW_E_OPEN, format!("file descriptor {number} cannot be used: {e}"));
    let file = File::from(borrowed.try_clone_to_owned().map_err(unusable)?);
    let socket = file.metadata().map_err(unusable)?.file_type().is_socket();
    let fd = OwnedFd::from(file);
    Ok(if socket { Box::new(VfioUser::over(fd.into())?) } else { Box::new(Vfio::from_fds(fd, None)?) })
}
