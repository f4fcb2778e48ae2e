//! Options of `import`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nicfw::terms::MacAddr;

use super::common::{Output, text};

/// Options of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Form of the file
    #[arg(long, value_enum)]
    pub format: ImportFormat,
    /// File with the rules; with --again, the file that the policy's rules name unless another is given
    #[arg(required_unless_present = "again")]
    pub file: Option<PathBuf>,
    /// Says what this policy, imported by an older nicfw, admits and an import of today does not; container, addresses, MAC,
    /// attachment and VLAN are read from it
    #[arg(long, value_name = "POLICY", conflicts_with_all = ["ip", "mac", "attach", "unbound", "multicast", "open_nd"])]
    pub again: Option<PathBuf>,
    /// Container that the rules are for
    #[arg(long, value_name = "ID", value_parser = text, required_unless_present = "again")]
    pub container: Option<String>,
    /// Its address; again for each further one
    #[arg(long, value_name = "IP", required_unless_present = "again")]
    pub ip: Vec<IpAddr>,
    /// Its MAC
    #[arg(long, required_unless_present = "again")]
    pub mac: Option<MacAddr>,
    /// How it is attached
    #[arg(long, value_enum, default_value = "none")]
    pub attach: ImportAttach,
    /// Where the rules stood: on the host of the addresses (INPUT, OUTPUT), or on a router before it (FORWARD)
    #[arg(long, value_enum, default_value = "host")]
    pub view: ImportView,
    /// Interface of the old firewall through which the container's traffic went; again for each further one
    #[arg(long, value_name = "INTERFACE", value_parser = text)]
    pub uplink: Vec<String>,
    /// Interface of an old router on the container's side (its bridge or veth), with --view router; again for each further one
    #[arg(long, value_name = "INTERFACE")]
    pub inside: Vec<String>,
    /// VLAN of its frames; 0 vouches that they have no tag
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=4094))]
    pub vlan: Option<u16>,
    /// Value of the field domain in DPDK rules that stands for its traffic
    #[arg(long)]
    pub domain: Option<u16>,
    /// Verdict for addresses that nobody bound
    #[arg(long, value_enum, default_value = "deny")]
    pub unbound: ImportVerdict,
    /// Whether the container may send to groups
    #[arg(long, value_enum, default_value = "deny")]
    pub multicast: ImportVerdict,
    /// Open ICMPv6 for neighbour discovery, which IPv6 addresses need
    #[arg(long)]
    pub open_nd: bool,
    /// Leave out denies of connection states and of what exceeds a rate, which the adapter does not see
    #[arg(long)]
    pub accept_stateless: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Forms that can be imported.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ImportFormat {
    /// ClassBench filter set
    Classbench,
    /// Output of iptables-save or ip6tables-save
    Iptables,
    /// Output of nft -j list ruleset
    Nft,
    /// DPDK-style access list in JSON
    DpdkAcl,
}

/// Attachments, in one word.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ImportAttach {
    /// MACVLAN, VEPA mode
    MacvlanVepa,
    /// MACVLAN, private mode
    MacvlanPrivate,
    /// A virtual function of its own
    Sriov,
    /// Not by any of these
    None,
}

/// Where rules stood.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ImportView {
    /// INPUT and OUTPUT
    Host,
    /// FORWARD
    Router,
}

/// A verdict.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ImportVerdict {
    /// Pass
    Allow,
    /// Drop
    Deny,
}
