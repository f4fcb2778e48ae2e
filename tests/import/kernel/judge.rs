//! The kernel's verdicts on real frames, and what they say about an import.

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

use nicfw::Direction;
use nicfw::policy::import::{Effect, Format, Import, ImportError, Settings, View, import};
use nicfw::policy::{Decision, Document, Why};
use nix::poll::{PollFd, PollFlags, poll};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tun_rs::SyncDevice;

use crate::frames::{Body, Frame, LOCALS, MAC, number_of, passes};
use crate::namespace::{CONTAINERS, Network, UPLINK, must, tool};

/// The tool that loads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Iptables,
    Ip6tables,
    Nft,
}

/// In which form the loaded rules are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spelling {
    /// The file itself.
    IptablesFile,
    IptablesSave,
    Ip6tablesFile,
    Ip6tablesSave,
    /// The listing of what `nft -f` loaded.
    NftList,
    /// The listing of what `iptables-restore` loaded.
    NftListOfIptables,
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::IptablesFile => "file for iptables-restore",
            Self::IptablesSave => "iptables-save",
            Self::Ip6tablesFile => "file for ip6tables-restore",
            Self::Ip6tablesSave => "ip6tables-save",
            Self::NftList => "nft -f, listed as JSON",
            Self::NftListOfIptables => "iptables, listed by nft",
        })
    }
}

/// A file and how it is judged.
#[derive(Debug, Clone)]
pub struct Source {
    pub tool: Tool,
    pub text: String,
    pub view: View,
    /// Bound addresses, out of `LOCALS`.
    pub ips: Vec<IpAddr>,
    /// The import knows the uplink's name.
    pub names_uplink: bool,
    /// The kernel tracks connections: frames come as conversations, each with its own addresses and ports.
    pub tracked: bool,
    /// Only of what is documented as imported wholly.
    pub supported: bool,
    pub accept_stateless: bool,
    /// Commands for nft before the file is loaded: what other programs had loaded.
    pub before: String,
    /// What is imported, if it is not what the tool lists.
    pub given: Option<String>,
    /// Commands for nft after the import and before the frames: what time, or a program, may do to the rules.
    pub later: String,
}

/// An import of a source in one spelling.
pub struct Imported {
    pub spelling: Spelling,
    /// What was imported.
    pub input: String,
    /// The same as the tool loads it: nft cannot load all that it lists as JSON.
    pub loads: String,
    pub result: Result<Import, ImportError>,
    /// There are matches of iptables in it of which nft prints the name alone: these are no supported things.
    pub names_alone: bool,
}

/// What became of a source.
pub enum Outcome {
    /// The tool refuses it.
    NotLoaded(String),
    Judged {
        imports: Vec<Imported>,
        findings: Vec<Vec<Finding>>,
        frames: usize,
    },
}

/// A frame on which kernel and document do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub wider: bool,
    pub frame: Frame,
    /// The frame opened a conversation, answered in one, or followed the answer.
    pub step: usize,
    pub limit: Limit,
}

/// What `docs` says that no policy can say of some replies. They are denied, but not in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    None,
    /// Replies to other ports than those of clients.
    Ports,
    /// Replies of protocols without ports.
    Portless,
}

/// How long the judge waits for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: the kernel has done its work when the frame is taken.
    None,
    /// For each frame, before the next one is sent.
    EachFrame,
}

/// A patient judge's, for one frame, in milliseconds.
const PATIENCE: u8 = 4;
/// The same at the end of a file, for whoever is not patient.
const LAST: u8 = 20;

impl Source {
    pub fn settings(&self) -> Settings {
        let v6 = self.ips.iter().any(IpAddr::is_ipv6);
        Settings {
            view: self.view,
            uplinks: if self.names_uplink { vec![UPLINK.to_owned()] } else { Vec::new() },
            inside: if self.names_uplink && self.view == View::Router {
                vec![CONTAINERS.to_owned()]
            } else {
                Vec::new()
            },
            open_nd: v6,
            accept_stateless: self.accept_stateless,
            ..Settings::new("judged", self.ips.clone(), MAC)
        }
    }

    /// Whether destinations are translated.
    pub fn redirects(&self) -> bool {
        ["DNAT", "REDIRECT", "dnat", "redirect"].iter().any(|word| self.text.contains(word))
    }

    /// The imports of what the tool loaded.
    fn imports(&self) -> Vec<Imported> {
        // Debian's nft dies while it lists some of the kernel's objects: there is nothing to import then.
        let listed = tool(&["nft", "-j", "list", "ruleset"], "");
        let listed = self.given.clone().or_else(|| listed.ok.then_some(listed.stdout));
        let as_text = tool(&["nft", "list", "ruleset"], "");
        let mut inputs = match self.tool {
            Tool::Iptables => vec![
                (Spelling::IptablesFile, Format::Iptables, self.text.clone()),
                (Spelling::IptablesSave, Format::Iptables, must(&["iptables-save"], "")),
            ],
            Tool::Ip6tables => vec![
                (Spelling::Ip6tablesFile, Format::Iptables, self.text.clone()),
                (Spelling::Ip6tablesSave, Format::Iptables, must(&["ip6tables-save"], "")),
            ],
            Tool::Nft => Vec::new(),
        };
        let spelling = if self.tool == Tool::Nft { Spelling::NftList } else { Spelling::NftListOfIptables };
        inputs.extend(listed.map(|listed| (spelling, Format::Nft, listed)));
        let settings = self.settings();
        let one = |(spelling, format, input): (_, _, String)| Imported {
            spelling,
            result: import(format, input.as_bytes(), "judged", &settings),
            names_alone: format == Format::Nft && names_alone(&input),
            loads: if format == Format::Nft { as_text.stdout.clone() } else { input.clone() },
            input,
        };
        inputs.into_iter().map(one).collect()
    }

    /// Loads the file, imports it, and sends the frames.
    ///
    /// # Panics
    /// The namespace cannot be made, or a tool fails that must not.
    pub fn judge(&self, frames: &[Frame], patience: Patience) -> Outcome {
        let network = Network::new(self.view);
        let words: &[&str] = match self.tool {
            Tool::Iptables => &["iptables-restore"],
            Tool::Ip6tables => &["ip6tables-restore"],
            Tool::Nft => &["nft", "-f", "-"],
        };
        if !self.before.is_empty() {
            must(&["nft", "-f", "-"], &self.before);
        }
        let loaded = tool(words, &self.text);
        if !loaded.ok {
            return Outcome::NotLoaded(loaded.stderr);
        }
        let imports = self.imports();
        if imports.is_empty() {
            return Outcome::NotLoaded("nft cannot list what it loaded".to_owned());
        }
        let later = tool(&["nft", "-f", "-"], &self.later);
        if !later.ok {
            return Outcome::NotLoaded(later.stderr);
        }
        let sent = self.sequence(frames);
        let passed = if imports.iter().any(|import| import.result.is_ok()) {
            passed(&network, self.view, &sent, patience)
        } else {
            BTreeSet::new()
        };
        let findings = imports.iter().map(|import| match &import.result {
            Ok(import) => self.compare(&import.document, &sent, &passed),
            Err(_) => Vec::new(),
        });
        Outcome::Judged { findings: findings.collect(), imports, frames: sent.len() }
    }

    /// The frames in the order in which they are sent, each with its step.
    fn sequence(&self, frames: &[Frame]) -> Vec<(Frame, usize)> {
        if !self.tracked {
            return frames.iter().map(|frame| (*frame, 0)).collect();
        }
        let conversations = frames.iter().filter_map(Frame::conversation);
        conversations.flat_map(|steps| steps.into_iter().zip(0..)).collect()
    }

    fn compare(&self, document: &Document, sent: &[(Frame, usize)], passed: &BTreeSet<u16>) -> Vec<Finding> {
        let through = |at: usize| passed.contains(&number(at));
        let mut findings = Vec::new();
        for (at, (frame, step)) in sent.iter().enumerate() {
            let Decision { verdict, why, .. } = document.decide(&frame.packet().judged(frame.direction, 0));
            if matches!(why, Why::NeighbourDiscovery { .. }) {
                continue;
            }
            let reply = matches!(why, Why::Rule { reply: true, .. });
            if *step > 0 && self.redirects() {
                // Nobody answers from the address that was asked.
                continue;
            }
            let relevant = match step {
                // The answer to an allowed frame: it is judged in the conversation that the other side opens.
                0 => !reply,
                1 => through(at - 1),
                _ => through(at - 2) && through(at - 1),
            };
            // Whom no rule names by port gets replies at the ports of clients alone: the language says so.
            let local = frame.ports().map(|(_, dst)| dst).filter(|_| step == &1 && frame.direction == Direction::Rx);
            // Replies of protocols without ports cannot be said beside those of others, and are documented as denied.
            let limit = match frame.body {
                _ if passes(verdict) => Limit::None,
                Body::Other(_) if step > &0 => Limit::Portless,
                _ if local.is_some_and(|port| !document.ephemeral.contains(port)) => Limit::Ports,
                _ => Limit::None,
            };
            if relevant && passes(verdict) != through(at) {
                findings.push(Finding { wider: passes(verdict), frame: *frame, step: *step, limit });
            }
        }
        findings
    }
}

impl Imported {
    /// The document denies something that the file does not, and says so.
    pub fn says(&self, finding: &Finding) -> bool {
        let Ok(import) = &self.result else { return false };
        let closes = |effect| matches!(effect, Effect::LeftOut | Effect::DeniesMore | Effect::RepliesDenied);
        let ports = |note: &String| finding.limit == Limit::Ports && note.starts_with("replies to what is sent reach");
        import.not_carried.iter().any(|row| closes(row.effect)) || import.notes.iter().any(ports)
    }

    /// A finding that must not be.
    pub fn is_fault(&self, finding: &Finding) -> bool {
        finding.wider || !self.says(finding)
    }
}

/// The number under which a frame is sent.
fn number(at: usize) -> u16 {
    u16::try_from(at + 1).unwrap()
}

/// Says which frames came through: on a host behind the last chain of input, elsewhere out of the other device.
const COLLECTOR: &str = "table inet judge {
    set four { typeof ip id; flags dynamic; size 65535; }
    set six { typeof ip6 flowlabel; flags dynamic; size 65535; }
    chain arrived {
        type filter hook input priority 2000000000; policy accept;
        meta nfproto ipv4 add @four { ip id }
        meta nfproto ipv6 add @six { ip6 flowlabel }
    }
    chain answers_of_the_kernel {
        type filter hook output priority -2000000000; policy accept;
        ip ttl != 71 drop
        ip6 hoplimit != 71 drop
    }
}";

fn passed(network: &Network, view: View, sent: &[(Frame, usize)], patience: Patience) -> BTreeSet<u16> {
    must(&["nft", "-f", "-"], COLLECTOR);
    let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(255))).unwrap();
    let host = (view == View::Host).then(|| (raw(Domain::IPV4), raw(Domain::IPV6)));
    let mut passed = BTreeSet::new();
    drain(&network.uplink, &mut BTreeSet::new());
    let mut opener: Option<Vec<u8>> = None;
    for (at, (frame, step)) in sent.iter().enumerate() {
        let frame = match opener.take() {
            // Whoever answers does so to the address that he sees.
            Some(seen) if *step == 1 => frame.back_to(&seen),
            _ => *frame,
        };
        let bytes = frame.bytes(number(at));
        match (frame.direction, &host, &network.inside) {
            (Direction::Rx, ..) => {
                network.uplink.send(&bytes).unwrap();
            }
            (Direction::Tx, Some((four, six)), _) => {
                let socket = if frame.dst.is_ipv4() { four } else { six };
                // What the rules drop is refused here.
                let _ = socket.send_to(&bytes, &SocketAddr::new(frame.dst, 0).into());
            }
            (Direction::Tx, None, Some(inside)) => {
                inside.send(&bytes).unwrap();
            }
            (Direction::Tx, None, None) => unreachable!("a router has a device for its containers"),
        }
        // Out of the device on the other side, and nowhere else.
        let mut elsewhere = BTreeSet::new();
        let rx = frame.direction == Direction::Rx;
        let out = if rx { network.inside.as_ref() } else { Some(&network.uplink) };
        if patience == Patience::EachFrame {
            // Where the host is the receiver nothing comes, and all of the time is waited.
            wait(out.unwrap_or(&network.uplink), PATIENCE);
        } else if at + 1 == sent.len() {
            wait(out.unwrap_or(&network.uplink), LAST);
        }
        let last = drain(&network.uplink, if rx { &mut elsewhere } else { &mut passed });
        opener = last.filter(|bytes| !rx && number_of(bytes) == Some(number(at)));
        if let Some(inside) = &network.inside {
            drain(inside, if rx { &mut passed } else { &mut elsewhere });
        }
    }
    if view == View::Host {
        for set in ["four", "six"] {
            let listed = must(&["nft", "-j", "list", "set", "inet", "judge", set], "");
            passed.extend(elements(&listed));
        }
    }
    passed
}

/// Waits until a device has something to take.
fn wait(device: &SyncDevice, milliseconds: u8) {
    let mut devices = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
    poll(&mut devices, milliseconds).unwrap();
}

/// Takes the numbers of what came out, and the last of the judge's frames.
fn drain(device: &SyncDevice, passed: &mut BTreeSet<u16>) -> Option<Vec<u8>> {
    let mut bytes = [0; 2048];
    let mut last = None;
    loop {
        match device.recv(&mut bytes) {
            Ok(len) => {
                if let Some(number) = number_of(&bytes[..len]) {
                    passed.insert(number);
                    last = Some(bytes[..len].to_vec());
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return last,
            Err(error) => panic!("the device cannot be read: {error}"),
        }
    }
}

fn elements(listed: &str) -> Vec<u16> {
    let json: Value = serde_json::from_str(listed).unwrap();
    let set = json["nftables"].as_array().unwrap().iter().find_map(|item| item.get("set")).unwrap();
    let elements = set.get("elem").and_then(Value::as_array).cloned().unwrap_or_default();
    elements.iter().map(|number| u16::try_from(number.as_u64().unwrap()).unwrap()).collect()
}

/// Whether nft lists matches of iptables by their names; what `comment` says decides nothing. Of some objects of the kernel
/// it lists nothing at all.
fn names_alone(listed: &str) -> bool {
    let Ok(json) = serde_json::from_str::<Value>(listed) else { return true };
    let rules = json["nftables"].as_array().unwrap().iter().filter_map(|item| item["rule"]["expr"].as_array());
    rules.flatten().any(|part| part["xt"]["type"] == "match" && part["xt"]["name"] != "comment")
}

/// The bound addresses of the families that are asked for.
pub fn locals(v4: bool, v6: bool) -> Vec<IpAddr> {
    let all = LOCALS.iter().map(|ip| ip.parse::<IpAddr>().unwrap());
    all.filter(|ip| if ip.is_ipv4() { v4 } else { v6 }).collect()
}

/// Whether a file has denies of what exceeds a rate, which may be left out like those of connection states.
pub fn is_rated(text: &str) -> bool {
    ["limit", "quota", "numgen", "statistic", "ct count", "recent"].iter().any(|word| text.contains(word))
}
