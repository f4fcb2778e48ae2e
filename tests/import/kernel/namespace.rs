//! Network namespaces in which the real tools load a file and the kernel judges frames.
//!
//! A test runs itself again as root of a user namespace of its own; there each file gets a new network namespace, so that
//! no table, set or connection of one file is met by another.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use nicfw::Direction;
use nicfw::policy::import::View;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::frames::{Body, Frame, LOCALS};

/// Says that the process is root of its own user namespace.
const INSIDE: &str = "NICFW_TEST_NAMESPACE";

/// Interface through which frames come from the network.
pub const UPLINK: &str = "eth0";
/// Interface of the container on a router.
pub const CONTAINERS: &str = "cont0";

/// Runs the test `name` of this program as root of its own namespaces.
///
/// # Panics
/// Namespaces or TUN are forbidden here, or the test failed there.
pub fn inside(name: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let tried = Command::new("unshare").args(["-Urn", "true"]).output();
    let tried = tried.unwrap_or_else(|error| panic!("unshare cannot be run ({error}): install util-linux"));
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(
        tried.status.success(),
        "user or network namespaces are forbidden here ({}); allow them with `sysctl user.max_user_namespaces=10000 \
         user.max_net_namespaces=10000` and, where they exist, `sysctl kernel.unprivileged_userns_clone=1` and `sysctl \
         kernel.apparmor_restrict_unprivileged_userns=0`",
        said.trim()
    );
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .arg("-Urn")
        .arg(program)
        .args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in the namespace: {status}");
}

/// What a tool said.
#[derive(Debug)]
pub struct Ran {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a tool in the namespace of this thread.
pub fn tool(words: &[&str], input: &str) -> Ran {
    // Who is not root has no sbin in his path.
    let sbin = Path::new("/usr/sbin").join(words[0]);
    let program = if sbin.exists() { sbin.as_os_str() } else { words[0].as_ref() };
    let mut child = Command::new(program)
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{} cannot be run ({error}): install iptables, nftables and iproute2", words[0])
        });
    let mut stdin = child.stdin.take().unwrap();
    // A tool that gives up early does not read all of it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { ok: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A tool of which nothing but success is expected.
#[track_caller]
pub fn must(words: &[&str], input: &str) -> String {
    let ran = tool(words, input);
    assert!(ran.ok, "{words:?}: {}\n{input}", ran.stderr);
    ran.stdout
}

/// Of the first frames, which no rule has seen.
const PROTOCOL: u8 = 254;
/// First frames that are sent.
const TRIES: usize = 500;

/// A network namespace with the devices of one view.
pub struct Network {
    pub uplink: SyncDevice,
    /// The container's own, on a router.
    pub inside: Option<SyncDevice>,
}

impl Network {
    /// Moves this thread into a new namespace.
    pub fn new(view: View) -> Self {
        unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| {
            panic!("network namespaces are forbidden here ({error}); allow them with `sysctl user.max_net_namespaces=10000`")
        });
        // No source address is refused, and a frame's checksum does not decide about its connection.
        for (file, value) in [
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("netfilter/nf_conntrack_checksum", "0"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv4/ip_forward", "1"),
        ] {
            let path = format!("/proc/sys/net/{file}");
            let forwards = file.ends_with("forward") || file.ends_with("forwarding");
            if !forwards || view == View::Router {
                std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path} cannot be set here: {error}"));
            }
        }
        let uplink = tun(UPLINK);
        let inside = (view == View::Router).then(|| tun(CONTAINERS));
        let mut batch = format!("link set {UPLINK} up\n");
        if inside.is_some() {
            batch += &format!("link set {CONTAINERS} up\n");
        }
        for ip in LOCALS {
            let ip: IpAddr = ip.parse().unwrap();
            let (len, nodad) = if ip.is_ipv4() { (32, "") } else { (128, " nodad") };
            batch += &match inside {
                Some(_) => format!("route add {ip}/{len} dev {CONTAINERS}\n"),
                None => format!("address add {ip}/{len} dev {UPLINK}{nodad}\n"),
            };
        }
        if inside.is_some() {
            // Of the router itself: sources are translated to them.
            batch += &format!(
                "address add 192.0.2.1/32 dev {UPLINK}\naddress add 2001:db8:ffff::1/128 dev {UPLINK} nodad\n"
            );
        }
        batch += &format!("route add 0.0.0.0/0 dev {UPLINK}\nroute add ::/0 dev {UPLINK}\n");
        must(&["ip", "-batch", "-"], &batch);
        let network = Self { uplink, inside };
        LOCALS.iter().for_each(|ip| network.until_ready(ip.parse().unwrap()));
        network
    }

    /// Waits until frames for an address come through: the kernel takes up IPv6 addresses and routes some time after it was
    /// told, and drops what comes before.
    fn until_ready(&self, dst: IpAddr) {
        let (src, domain) = match dst {
            IpAddr::V4(_) => ("198.51.100.7", Domain::IPV4),
            IpAddr::V6(_) => ("2001:db8:9::1", Domain::IPV6),
        };
        let first = Frame { direction: Direction::Rx, src: src.parse().unwrap(), dst, body: Body::Other(PROTOCOL) };
        let bytes = first.bytes(0);
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL)))).unwrap();
        socket.set_nonblocking(true).unwrap();
        for _ in 0..TRIES {
            self.uplink.send(&bytes).unwrap();
            let came = match &self.inside {
                Some(inside) => {
                    arrived(inside.as_fd()) && inside.recv(&mut [0; 2048]).is_ok_and(|len| len == bytes.len())
                }
                None => arrived(socket.as_fd()),
            };
            if came {
                return;
            }
        }
        panic!("nothing comes through to {dst} in a new network namespace");
    }
}

/// Whether there is something to take, within 20 milliseconds.
fn arrived(from: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(from, PollFlags::POLLIN)], 20_u8).unwrap() > 0
}

fn tun(name: &str) -> SyncDevice {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    let help = "allow it with `modprobe tun` and `chmod 666 /dev/net/tun`";
    if let Err(error) = opened {
        panic!("TUN is forbidden here ({error}); {help}");
    }
    let device = DeviceBuilder::new().name(name).layer(Layer::L3).enable(false).build_sync();
    let device = device.unwrap_or_else(|error| panic!("TUN is forbidden here ({error}); {help}"));
    device.set_nonblocking(true).unwrap();
    device
}
