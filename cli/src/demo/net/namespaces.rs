//! A user namespace of the demo's own: in it the demo may make network namespaces and TAP devices without being root.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};

/// Something that the demo needs of the kernel is forbidden or missing on this machine.
#[derive(Debug, thiserror::Error)]
pub enum Forbidden {
    /// No user namespace can be made.
    #[error(
        "user namespaces are forbidden here ({0}); allow them with `sysctl user.max_user_namespaces=10000` and, where it \
         exists, `sysctl kernel.unprivileged_userns_clone=1` or `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    )]
    User(#[source] io::Error),
    /// A user namespace was made, but its ids cannot be mapped.
    #[error(
        "the user namespace's ids cannot be mapped ({0}); allow writing /proc/self/uid_map, or run outside the sandbox"
    )]
    Ids(#[source] io::Error),
    /// No network namespace can be made inside the user namespace.
    #[error("network namespaces are forbidden here ({0}); allow them with `sysctl user.max_net_namespaces=10000`")]
    Network(#[source] io::Error),
    /// `/dev/net/tun` is missing, closed, or refuses a TAP device.
    #[error(
        "TUN is forbidden here ({0}); allow it with `modprobe tun` and `chmod 666 /dev/net/tun`, or give the container \
         that this runs in the device /dev/net/tun"
    )]
    Tun(#[source] io::Error),
}

/// Moves the process into a user namespace of its own, where it is root.
///
/// # Errors
/// [`Forbidden`] says what the machine does not allow. The process must have one thread only: the kernel refuses others.
pub fn become_root_of_own() -> Result<(), Forbidden> {
    let (uid, gid) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|e| Forbidden::User(e.into()))?;
    // An unprivileged process may map its group only after it has given up setgroups(2).
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {gid} 1")))
        .map_err(Forbidden::Ids)
}

/// Moves the calling thread into a network namespace of its own.
///
/// # Errors
/// [`Forbidden::Network`].
pub fn enter_new_network() -> Result<(), Forbidden> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e: Errno| Forbidden::Network(e.into()))
}
