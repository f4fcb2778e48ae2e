//! The text form of a document: YAML 1.2, read strictly.
//!
//! The way of the text: [`yaml`] makes a small tree with positions and refuses what documents do not need (aliases, tags,
//! repeated keys, depth); [`read`] turns the tree into a draft, key by key; `super::check` makes the document of it.
//! Whatever is wrong on the way is collected, so that one look shows all errors.

mod read;
mod yaml;

use super::check::check;
use super::document::Document;
use super::draft::{Author, Draft};
use super::problems::{At, ParseErrors, Problems, Wrong};

/// Longest text of a document that [`Document::parse`] reads, in bytes.
pub const LONGEST_DOCUMENT: usize = 1 << 20;

/// The same for [`Author::ToText`], which may have to write prefixes where a person wrote names.
const LONGEST_WRITTEN: usize = 1 << 25;

impl Document {
    /// Reads a document. `name` stands in errors and origins, usually the file's.
    ///
    /// | key of the document | value |
    /// |---|---|
    /// | `nicfw` | `1`, the version of this form |
    /// | `unbound`, `multicast` | `allow` or `deny`; both must be said |
    /// | `owner` | owner of whatever names none |
    /// | `ephemeral` | ports; 32768-60999 unless said |
    /// | `expired` | `report` (unless said) or `withdraw`: what becomes of rules and bindings whose `until` has passed |
    /// | `groups` | names of address expressions |
    /// | `management` | rules that only allow; beside `local` of the host itself, `mac` |
    /// | `policies` | names of lists of rules |
    /// | `bindings` | a list |
    ///
    /// | key of a rule | value |
    /// |---|---|
    /// | `allow` or `deny` | `in` or `out`, seen from the container |
    /// | `proto` | `any` (unless said), `tcp`, `udp`, `sctp`, `icmp`, `icmpv6` or a number |
    /// | `remote`, `local` | address expressions: a word, a list of words, or `{of: ..., except: ...}`; a word is `any`, an address, a prefix or a group; of IPv6 the adapter tells all addresses or single ones, so an IPv6 prefix cannot be a remote |
    /// | `except` | words taken out of `remote` |
    /// | `remote_ports`, `local_ports` | a port, a range as `8000-8099`, or a list of both |
    /// | `replies`, `sample` | `yes` or `no` |
    /// | `owner`, `reason`, `ticket`, `when`, `until` | the origin; dates as 2026-11-23 or 2026-11-23T08:30:00Z |
    ///
    /// | key of a binding | value |
    /// |---|---|
    /// | `container`, `mac`, `policy` | its id, its MAC, the name of its policy |
    /// | `ip` | an address or a list of addresses |
    /// | `attach` | `{macvlan: vepa}`, `{macvlan: private}`, `{macvlan: bridge}`, `ipvlan`, `bridge`, `sriov` or `none` |
    /// | `owns_mac` | `no` if somebody who is not in the document uses the MAC too; then only the IPs are guarded |
    /// | `vlan`, `physical_ports` | where its frames are; not looked at unless said |
    /// | `nd` | `open-icmpv6`, needed beside an IPv6 address |
    /// | `unprotected` | `accepted`, needed where containers reach each other inside the host |
    /// | `owner`, `reason`, `ticket`, `when`, `until` | the origin, as in a rule |
    ///
    /// Unknown and repeated keys, anchors, aliases, tags and a second document are refused, and so is a text of more than
    /// 1 MiB. `until` decides nothing by itself, since there is no clock here: [`Document::expired`] and
    /// [`Document::without_expired`] compare it with a date. A day includes its last second.
    ///
    /// # Errors
    /// Everything that is wrong with the text, each with line and column, what was expected and the way out.
    pub fn parse(text: &str, name: &str) -> Result<Self, ParseErrors> {
        parse(text, name, Author::Somebody)
    }
}

/// Reads a document that somebody wrote.
pub(super) fn parse(text: &str, name: &str, author: Author) -> Result<Document, ParseErrors> {
    let mut problems = Problems::new(name.into());
    match draft(text, name, author, &mut problems) {
        Some(draft) => check(Draft { author, ..draft }, problems),
        None => Err(problems.into_errors()),
    }
}

/// The draft; `None` after reporting that the text is no mapping at all.
fn draft(text: &str, name: &str, author: Author, problems: &mut Problems) -> Option<Draft> {
    let longest = match author {
        Author::Somebody => LONGEST_DOCUMENT,
        Author::ToText => LONGEST_WRITTEN,
    };
    if text.len() > longest {
        let wrong = Wrong::new(
            format!("the document has {} bytes", text.len()),
            format!("at most {longest}"),
            "split it by adapters, or write larger prefixes",
        );
        problems.report(At { line: 1, column: 1 }, &wrong);
        return None;
    }
    let root = yaml::read(text, problems)?;
    read::draft(root, name, problems)
}
