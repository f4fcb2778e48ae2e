//! `nicfw import --again`: what a policy that was imported before admits, and an import of today does not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nicfw::policy::import::Settings;
use nicfw::policy::{Binding, Difference, Document};
use nicfw::terms::Verdict;
use serde::Serialize;

use super::common::{compile, document};
use super::import;
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::{args, input, words};

#[derive(Serialize)]
struct AgainReport {
    policy: String,
    source: String,
    container: String,
    opens: Vec<Opens>,
    /// Lines that an import of today lists.
    not_carried: usize,
}

#[derive(Serialize)]
struct Opens {
    direction: &'static str,
    /// The flows, in words.
    flows: String,
    /// One of them.
    example: String,
    /// What in the policy admits it.
    by: String,
}

pub fn run(args: &args::Import, policy: &Path) -> Result<Report, Failure> {
    let name = input::name(policy);
    let whole = document(policy)?;
    let binding = binding(&whole, &name, args.container.as_deref())?;
    // Other containers and the management rules are of no import.
    let old = Document { management: Vec::new(), bindings: [Arc::clone(&binding)].into_iter().collect(), ..whole };
    let source = match &args.file {
        Some(file) => file.clone(),
        None => source(&old, &binding, &name)?,
    };
    let settings = Settings {
        attach: binding.attach,
        open_nd: binding.open_nd,
        unbound: old.unbound,
        multicast: old.multicast,
        vlan: binding.vlan.or(args.vlan),
        ..import::settings(args, Settings::new(&binding.container, binding.ips.clone(), binding.mac))
    };
    let imported = import::read(args, &source, &settings)?;
    let differences = compile(&imported.document)?.diff(&compile(&old)?);
    let opens = differences.iter().filter(|difference| difference.verdict == Verdict::Allow);
    let report = AgainReport {
        policy: name,
        source: input::name(&source),
        container: binding.container.clone(),
        opens: opens.map(|difference| one(difference, &old)).collect(),
        not_carried: imported.not_carried.len(),
    };
    let exit = if report.opens.is_empty() { Exit::Done } else { Exit::Differs };
    if args.output.json { Report::json(&report, exit) } else { Ok(Report { text: text(&report), exit }) }
}

fn one(difference: &Difference, old: &Document) -> Opens {
    let flows = difference.to_string();
    Opens {
        direction: words::direction(difference.witness.direction),
        flows: flows.strip_prefix("newly allowed ").unwrap_or(&flows).to_owned(),
        example: words::flow(&difference.witness),
        by: old.describe(&old.decide(&difference.witness)),
    }
}

fn text(report: &AgainReport) -> String {
    let AgainReport { policy, source, container, opens, .. } = report;
    let mut text = String::new();
    for it in opens {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "opens {}\n    as in: {}\n    by: {}", it.flows, it.example, it.by);
    }
    let _ = match opens.len() {
        0 => {
            writeln!(text, "{policy}: container {container} gets nothing that {source}, imported again, does not admit")
        }
        n => writeln!(
            text,
            "{policy}: container {container} gets more than {source}, imported again, admits: {n} kinds of flows; import the \
             file anew and apply that"
        ),
    };
    text
}

/// The binding that was imported.
fn binding(document: &Document, name: &str, container: Option<&str>) -> Result<Arc<Binding>, Failure> {
    let named = |binding: &&Arc<Binding>| container.is_none_or(|container| binding.container == container);
    let mut found = document.bindings.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(binding), None) => Ok(Arc::clone(binding)),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("{name}: it binds several containers; say which was imported with --container")))
        }
        _ => Err(Failure::usage(format!(
            "{name}: it does not bind the container; expected one of its bindings; see: nicfw show"
        ))),
    }
}

/// The file that the reasons of the binding's rules name.
fn source(document: &Document, binding: &Binding, name: &str) -> Result<PathBuf, Failure> {
    let rules = document.policies.get(binding.policy).map(|policy| policy.rules.as_slice()).unwrap_or_default();
    let mut files: Vec<_> = rules.iter().filter_map(|rule| file_of(rule.origin.reason.as_deref()?)).collect();
    files.sort_unstable();
    files.dedup();
    match files.as_slice() {
        [file] => Ok(PathBuf::from(file)),
        [] => Err(Failure::usage(format!(
            "{name}: no rule says from which file it was imported; name the file behind --again"
        ))),
        several => Err(Failure::usage(format!(
            "{name}: its rules were imported from several files ({}); name one behind --again",
            several.join(", ")
        ))),
    }
}

/// What stands before `:LINE` and, if there is any, the text of the line.
fn file_of(reason: &str) -> Option<&str> {
    reason.match_indices(':').map(|(at, _)| at).find_map(|at| {
        let (file, rest) = (reason.get(..at)?, reason.get(at + 1..)?);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let behind = rest.get(digits..)?;
        (digits > 0 && !file.is_empty() && (behind.is_empty() || behind.starts_with(": "))).then_some(file)
    })
}

#[cfg(test)]
mod tests {
    use super::file_of;

    #[test]
    fn the_file_stands_before_the_line() {
        assert_eq!(file_of("rules.v4:17: :INPUT DROP [0:0]"), Some("rules.v4"));
        assert_eq!(file_of("a:1/b.save:3: -A INPUT -j ACCEPT"), Some("a:1/b.save"));
        assert_eq!(file_of("rules.v4: what no rule decides is accepted"), None);
        assert_eq!(file_of("rules.v4:17"), Some("rules.v4"));
        assert_eq!(file_of("rules.json:1: handle 4"), Some("rules.json"));
        assert_eq!(file_of("the shop itself"), None);
    }
}
