//! Sets of flows as JSON: every member of every set, by fields.

use nicfw::policy::{Difference, Open, Opening, PortPair, Values};
use nicfw::tables::Compiled;
use nicfw::terms::{AddrSet, PortSet};
use serde::Serialize;

use crate::words;

/// Something that passes although nobody asked for it.
#[derive(Debug, Clone, Serialize)]
pub struct OpeningReport {
    /// Absent = all containers.
    container: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    ticket: Option<String>,
    /// The flows, where they can be listed; otherwise `text` says what is open.
    flows: Option<OpenReport>,
    text: Option<String>,
    /// One sentence.
    #[serde(skip)]
    pub words: String,
}

/// What passes although nobody asked for it.
pub fn openings(compiled: &Compiled) -> Vec<OpeningReport> {
    compiled.document().openings().iter().map(OpeningReport::from).collect()
}

#[derive(Debug, Clone, Serialize)]
struct OpenReport {
    /// `rx` or `tx`; absent = both.
    direction: Option<&'static str>,
    /// Address of the container; absent = each of its IPv6 addresses.
    local: Option<String>,
    #[serde(flatten)]
    remote: Remote,
}

/// Protocol, remote addresses and ports.
#[derive(Debug, Clone, Serialize)]
struct Remote {
    /// Number; absent = protocols that no rule names.
    proto: Option<u8>,
    /// Prefixes; absent = frames without a bound address.
    remote: Option<Vec<String>>,
    /// Ports and ranges, as `443` and `8000-8099`; absent = frames without ports, and all of a protocol without them.
    remote_ports: Option<Vec<String>>,
    local_ports: Option<Vec<String>>,
}

/// Flows of which the verdict changes.
#[derive(Debug, Clone, Serialize)]
pub struct FlowsReport {
    local: LocalReport,
    #[serde(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Serialize)]
struct LocalReport {
    /// `address`, `group`, `arp` or `others`.
    frames: &'static str,
    ip: Option<String>,
    macs: ValuesReport<String>,
    /// `null` among them = no tag.
    vlans: ValuesReport<Option<u16>>,
    physical_ports: ValuesReport<u32>,
}

/// Some values, or all but some.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum ValuesReport<T> {
    Of(Vec<T>),
    AllBut(Vec<T>),
}

impl From<&Opening> for OpeningReport {
    fn from(opening: &Opening) -> Self {
        let origin = opening.origin.as_deref();
        Self {
            container: opening.container.clone(),
            file: origin.map(|origin| origin.file.to_string()),
            line: origin.map(|origin| origin.line),
            ticket: origin.and_then(|origin| origin.ticket.clone()),
            flows: opening.open.as_ref().map(OpenReport::from),
            text: opening.open.is_none().then(|| opening.text.clone()),
            words: opening.text.clone(),
        }
    }
}

impl From<&Open> for OpenReport {
    fn from(open: &Open) -> Self {
        Self {
            direction: open.direction.map(words::direction),
            local: open.local.map(|ip| ip.to_string()),
            remote: Remote::new(open.proto, Some(&open.remote), open.ports.as_ref()),
        }
    }
}

impl From<&Difference> for FlowsReport {
    fn from(difference: &Difference) -> Self {
        let side = difference.local_side();
        let macs =
            Values { all_but: side.macs.all_but, values: side.macs.values.iter().map(ToString::to_string).collect() };
        Self {
            local: LocalReport {
                frames: side.frames,
                ip: side.ip.map(|ip| ip.to_string()),
                macs: macs.into(),
                vlans: side.vlans.into(),
                physical_ports: side.physical_ports.into(),
            },
            remote: Remote::new(difference.proto, difference.remote.as_ref(), difference.ports.as_ref()),
        }
    }
}

impl<T> From<Values<T>> for ValuesReport<T> {
    fn from(Values { all_but, values }: Values<T>) -> Self {
        if all_but { Self::AllBut(values) } else { Self::Of(values) }
    }
}

impl Remote {
    fn new(proto: Option<u8>, remote: Option<&AddrSet>, ports: Option<&PortPair>) -> Self {
        let prefixes = |set: &AddrSet| set.prefixes().iter().map(ToString::to_string).collect();
        let listed = |set: &PortSet| -> Vec<String> {
            let range =
                |first: u16, last: u16| if first == last { first.to_string() } else { format!("{first}-{last}") };
            set.intervals().iter().map(|interval| range(interval.first, interval.last)).collect()
        };
        Self {
            proto,
            remote: remote.map(prefixes),
            remote_ports: ports.map(|ports| listed(&ports.remote)),
            local_ports: ports.map(|ports| listed(&ports.local)),
        }
    }
}
